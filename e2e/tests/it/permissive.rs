//! mTLS is turned on, and off again, in a mesh with traffic: step by step no connection is refused.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use serde_json::json;
use testbed::{Answer, Programs, Secrets, TlsClient, server_name};
use tokio::task::JoinHandle;

use crate::{
    secured::Plain,
    shop::until,
    transfer::{DRAIN_TIME, Transfer},
};

const PING: &str = "PING\n";

/// Makes one connection after the other, and remembers what has failed.
struct Traffic {
    made: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
    task: JoinHandle<Vec<String>>,
}

impl Traffic {
    fn start(address: SocketAddr) -> Self {
        let (made, ends) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, end) = (made.clone(), ends.clone());
        let task = tokio::spawn(async move {
            let mut failures = Vec::new();
            while !end.load(Ordering::Relaxed) {
                if let Err(error) = testbed::ask(address, PING).await {
                    failures.push(format!("{}: {error:#}", counter.load(Ordering::Relaxed)));
                }
                counter.fetch_add(1, Ordering::Relaxed);
            }
            failures
        });
        Self { made, ends, task }
    }

    /// Waits until many more have been made than until now.
    async fn goes_on(&self) {
        let enough = self.made.load(Ordering::Relaxed) + 200;
        until("connections to be made", async || self.made.load(Ordering::Relaxed) >= enough).await;
    }

    async fn failures(self) -> Vec<String> {
        self.ends.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mtls_is_turned_on_and_off_without_a_refused_connection() {
    on_and_off(Programs::find().unwrap(), 168).await;
}

pub(crate) async fn on_and_off(programs: Programs, network: u8) {
    let plain =
        Plain { programs, answer: Answer::Echo, drain_time: DRAIN_TIME, ..Plain::of(network, &["web"]) };
    let secured = plain.open().await;
    secured.until_synced().await;
    let echoes = async |sni: Option<&str>| match sni {
        None => testbed::ask(secured.inbound, PING).await.is_ok(),
        Some(sni) => {
            let web = Secrets::fetch(&secured.shop.control_plane, "default", "web").await.unwrap();
            let client = TlsClient::showing(Some(&web.identity)).unwrap();
            client.ask(secured.inbound, sni, PING).await.is_ok()
        }
    };
    let as_web = server_name("default", "web");
    until("the mesh to have traffic", async || testbed::ask(secured.outbound("web"), PING).await.is_ok())
        .await;
    let traffic = Traffic::start(secured.outbound("web"));
    let mut long = Transfer::start(secured.outbound("web")).await;
    long.passes("plain").await;

    // Inbounds are ready; nobody uses it, and no permission is asked for.
    secured.mtls(&json!({"permissive": true})).await;
    traffic.goes_on().await;
    assert!(echoes(None).await && echoes(Some(&as_web)).await);
    long.passes("a plain connection, after inbounds have become ready").await;

    // Used by all, demanded by nobody.
    secured.permit("web", &["web"], &["backend"]).await;
    secured.mtls(&json!({"enabled": true, "permissive": true})).await;
    traffic.goes_on().await;
    assert!(echoes(None).await && echoes(Some(&as_web)).await);
    let over_tls = "cluster.backend.ssl.handshake";
    until("web to use it", async || secured.proxy("web").stat(over_tls).await.unwrap() > 0).await;
    long.passes("a plain connection, while new ones use TLS").await;
    long.finish().await;
    let mut long = Transfer::start(secured.outbound("web")).await;
    long.passes("over TLS, while plain connections are let in").await;

    // Demanded, and by permission.
    secured.mtls(&json!({"enabled": true})).await;
    traffic.goes_on().await;
    long.passes("over TLS, now that it is demanded").await;
    until("plain connections to be refused", async || !echoes(None).await).await;
    assert!(echoes(Some(&as_web)).await);
    let refused = r#"kuma_dp_denied_total{source="unknown",destination="backend"}"#;
    let backend = secured.proxy("backend");
    until("the refusal to be counted", async || backend.count(refused).await.unwrap() > 0).await;
    assert_eq!(backend.count(refused).await.unwrap(), 1, "of all plain connections only one was refused");

    // And back.
    secured.mtls(&json!({"enabled": true, "permissive": true})).await;
    traffic.goes_on().await;
    until("plain connections to be let in again", async || echoes(None).await).await;
    secured.mtls(&json!({"permissive": true})).await;
    traffic.goes_on().await;
    long.passes("over TLS, which nobody uses for new connections").await;
    long.finish().await;
    secured.mtls(&json!({})).await;
    traffic.goes_on().await;
    assert_eq!(traffic.failures().await, Vec::<String>::new());
}

/// To refuse by permission only those who prove who they are would make them worse off than all others.
#[tokio::test(flavor = "multi_thread")]
async fn permissions_refuse_nobody_until_it_is_demanded() {
    let secured = Plain::of(167, &["web"]).open().await;
    secured.permit("another", &["another"], &["backend"]).await;
    secured.mtls(&json!({"enabled": true, "permissive": true})).await;
    secured.until_let_in("web").await;
    for _ in 0..20 {
        assert_eq!(secured.ask("web").await.unwrap(), "backend");
    }
    secured.mtls(&json!({"enabled": true})).await;
    secured.until_refused("web").await;
}
