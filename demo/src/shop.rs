//! The shop: a control plane, five Dataplanes with an Envoy each, and the services behind them.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::{Value, json};
use testbed::{Answer, ControlPlane, Launch, Programs, Proxy, Service};
use tokio::{net::TcpListener, process::Command};

pub(crate) const BACKEND_PORT: u16 = 10_001;
pub(crate) const REDIS_PORT: u16 = 10_002;
const INBOUND_PORT: u16 = 8_080;

/// The last part of an address: the workloads follow in their order.
const WEB_HOST: u8 = 1;
const FIRST_WORKLOAD_HOST: u8 = 2;

/// Among the workloads.
const REDIS: u8 = 3;

pub(crate) const DENIED: &str = r#"kuma_dp_denied_total{source="web",destination="redis"}"#;

/// Name, service and version of each Dataplane that has a workload.
const WORKLOADS: [(&str, &str, &str); 4] = [
    ("backend-v1-1", "backend", "v1"),
    ("backend-v1-2", "backend", "v1"),
    ("backend-v2-1", "backend", "v2"),
    ("redis", "redis", "v1"),
];

pub(crate) const DATAPLANES: usize = WORKLOADS.len() + 1;

pub(crate) struct Shop {
    pub(crate) programs: Programs,
    pub(crate) control_plane: ControlPlane,
    /// Where every proxy of the shop has an address of its own.
    network: [u8; 3],
    proxies: Vec<Proxy>,
    services: Vec<Service>,
}

impl Shop {
    pub(crate) async fn open(folder: &Path) -> anyhow::Result<Self> {
        let programs = Programs::find()?;
        println!("== kuma-cp run: embedded store, no configuration file, everything in {}", folder.display());
        let control_plane = ControlPlane::start(&programs.kuma_cp, &folder.join("cp"), &[]).await?;
        println!("   the API is at {}", control_plane.url());
        let network = free_network().await?;
        let mut shop = Self { programs, control_plane, network, proxies: Vec::new(), services: Vec::new() };
        shop.register().await?;
        shop.start_proxies(folder).await?;
        Ok(shop)
    }

    /// The address of web's outbound to a service.
    pub(crate) fn outbound(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip(WEB_HOST), port)
    }

    /// Where other proxies reach redis.
    pub(crate) fn inbound_of_redis(&self) -> SocketAddr {
        SocketAddr::new(self.ip(FIRST_WORKLOAD_HOST + REDIS), INBOUND_PORT)
    }

    /// How often redis's Envoy has refused web, as its kuma-dp counts.
    pub(crate) async fn web_denied_at_redis(&self) -> anyhow::Result<u64> {
        let redis = self.proxies.get(usize::from(REDIS)).context("redis has a proxy")?;
        redis.count(DENIED).await
    }

    /// Until every Envoy has all that it should have.
    pub(crate) async fn until_all_online(&self) -> anyhow::Result<Duration> {
        let start = Instant::now();
        loop {
            let online = self.control_plane.online().await?;
            if online == DATAPLANES {
                return Ok(start.elapsed());
            }
            anyhow::ensure!(
                start.elapsed() < Duration::from_mins(1),
                "only {online} Envoys came back in a minute"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Until every Envoy has acknowledged all that follows from what was written before.
    pub(crate) async fn until_all_synced(&self) -> anyhow::Result<Duration> {
        let start = Instant::now();
        for name in WORKLOADS.iter().map(|(name, ..)| *name).chain(["web"]) {
            while !self.control_plane.is_synced(name).await? {
                let is_early = start.elapsed() < Duration::from_mins(1);
                anyhow::ensure!(is_early, "the Envoy of {name} did not take everything in a minute");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Ok(start.elapsed())
    }

    pub(crate) fn print_addresses(&self) {
        let url = self.control_plane.url();
        println!("\n== it all runs until Ctrl-C; things to try in another terminal");
        println!(
            "   curl telnet://{}                 # web's way to backend: which version answers",
            self.outbound(BACKEND_PORT)
        );
        println!(
            "   printf 'PING\\r\\n' | curl telnet://{}   # web's way to redis",
            self.outbound(REDIS_PORT)
        );
        println!("   curl {url}/meshes/default/dataplanes+insights");
        println!("   curl {url}/meshes/default/traffic-routes/web-to-backend");
    }

    /// The table of `kumactl inspect dataplanes`.
    pub(crate) async fn inspect(&self, folder: &Path) -> anyhow::Result<String> {
        let config = folder.join("kumactl-config");
        let kumactl = |arguments: &[&str]| {
            let mut command = Command::new(&self.programs.kumactl);
            command.env("HOME", folder).arg("--config-file").arg(&config).args(arguments);
            command
        };
        std::fs::write(&config, "{}\n")?;
        let url = self.control_plane.url();
        let add = ["config", "control-planes", "add", "--name", "demo", "--address", &url];
        for arguments in [&add[..], &["inspect", "dataplanes"]] {
            let output = kumactl(arguments).output().await?;
            let error = String::from_utf8_lossy(&output.stderr);
            anyhow::ensure!(output.status.success(), "kumactl {}: {error}", arguments.join(" "));
            if arguments[0] == "inspect" {
                return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
            }
        }
        Ok(String::new())
    }

    /// Ends every process that was started: the proxies drain, then the control plane.
    pub(crate) async fn close(&mut self) -> anyhow::Result<()> {
        for proxy in &mut self.proxies {
            proxy.terminate().await?;
        }
        self.control_plane.terminate().await?;
        Ok(())
    }

    async fn register(&mut self) -> anyhow::Result<()> {
        println!(
            "== registering web, backend v1 (twice), backend v2 and redis over HTTP, with a token for each"
        );
        let interface = |ip: IpAddr, workload: u16| format!("{ip}:{INBOUND_PORT}:{workload}");
        for (i, (name, service, version)) in (FIRST_WORKLOAD_HOST..).zip(WORKLOADS) {
            let answer = if service == "redis" { Answer::Pong } else { Answer::Name };
            let workload = Service::start(name, answer).await?;
            let inbound = json!([{
                "interface": interface(self.ip(i), workload.port()),
                "tags": {"service": service, "version": version},
            }]);
            self.control_plane.apply(&dataplane(name, &json!({"inbound": inbound}))).await?;
            self.services.push(workload);
        }
        let web = json!({
            "inbound": [{"interface": interface(self.ip(WEB_HOST), 80), "tags": {"service": "web", "version": "v1"}}],
            "outbound": [
                {"interface": self.outbound(BACKEND_PORT).to_string(), "service": "backend"},
                {"interface": self.outbound(REDIS_PORT).to_string(), "service": "redis"},
            ],
        });
        self.control_plane.apply(&dataplane("web", &web)).await
    }

    async fn start_proxies(&mut self, folder: &Path) -> anyhow::Result<()> {
        println!("== kuma-dp run, five times, each with a real Envoy");
        for name in WORKLOADS.iter().map(|(name, ..)| *name).chain(["web"]) {
            let proxy =
                Proxy::start(&self.programs, &self.control_plane, &folder.join(name), Launch::of(name))
                    .await?;
            self.proxies.push(proxy);
            println!("   {name} is ready");
        }
        Ok(())
    }

    fn ip(&self, host: u8) -> IpAddr {
        let [a, b, c] = self.network;
        Ipv4Addr::new(a, b, c, host).into()
    }
}

fn dataplane(name: &str, networking: &Value) -> Value {
    json!({"type": "Dataplane", "mesh": "default", "name": name, "networking": networking})
}

/// Loopback addresses that no other demo on this machine uses: found by their first port's being free.
async fn free_network() -> anyhow::Result<[u8; 3]> {
    for third in 1..=250 {
        let network = [127, 77, third];
        if TcpListener::bind((Ipv4Addr::new(127, 77, third, 1), BACKEND_PORT)).await.is_ok() {
            return Ok(network);
        }
    }
    anyhow::bail!(
        "127.77.1.1 to 127.77.250.1 all have a listener on port {BACKEND_PORT}; stop the demos that run"
    )
}
