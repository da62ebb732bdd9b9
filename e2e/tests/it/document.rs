//! Kuma 0.3.0's HTTP API document from top to bottom, as one story with real Envoys.
//!
//! Every request stands in [`examples`] as the document prints it, and curl sends it to the default port of a kuma-cp on
//! [a machine of its own](place), where the addresses of the document's Dataplanes, of its log file and of its collector are
//! free. The Dataplanes that its policies need and it does not show (redis, web, other versions of backend) are registered
//! besides. The deletions come last, in the document's order, but for the mesh's, which deletes everything in it.

use std::path::Path;

use serde_json::{Value, json};
use testbed::{Answer, Service};
use tokio::{io::BufReader, net::TcpStream};

use self::{
    examples::{
        DATAPLANE, MESH, OVERVIEWS, PROXY_TEMPLATE, PUT_WITHOUT_HYPHEN, TRAFFIC_LOG, TRAFFIC_PERMISSION,
        TRAFFIC_ROUTE, body, curl,
    },
    story::{CONNECTIONS, Story, answers, localhost, until_answers, until_closed, until_refuses},
};
use crate::{
    http_api_page::is_value,
    shop::{read, until},
    traffic_logs::{Collector, next_line},
};

mod examples;
mod place;
mod story;

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_the_document_is_answered_as_it_prints_and_every_policy_acts() {
    if !place::is_there() {
        let test = "document::every_request_of_the_document_is_answered_as_it_prints_and_every_policy_acts";
        return place::run_there(test).await;
    }
    let mut story = Story::begin().await;
    story.meshes().await;
    story.dataplanes().await;
    story.dataplane_overviews().await;
    story.proxy_templates().await;
    story.traffic_permissions().await;
    let mut collected = story.traffic_logs().await;
    story.traffic_routes().await;

    story.dataplane_goes().await;
    story.proxy_template_goes().await;
    story.traffic_permission_goes().await;
    story.traffic_log_goes(&mut collected).await;
    story.traffic_route_goes().await;
    story.mesh_goes().await;
}

impl Story {
    async fn meshes(&self) {
        // The document lists no mesh but its own.
        self.shop.control_plane.delete("/meshes/default").await.unwrap();
        let created = MESH.create_and_read().await;
        assert_eq!(created.header("warning"), None);
    }

    /// backend-1, for now without a proxy.
    async fn dataplanes(&self) {
        DATAPLANE.create_and_read().await;
    }

    /// The document's is of the mesh `default`, and where backend-1 is, whose proxy therefore comes when that one has gone.
    async fn dataplane_overviews(&mut self) {
        let expected = body("overview.json");
        let mut example = expected["dataplane"].clone();
        for (field, value) in [("type", "Dataplane"), ("mesh", "default"), ("name", "example")] {
            example[field] = json!(value);
        }
        self.apply(&json!({"type": "Mesh", "name": "default"})).await;
        self.apply(&example).await;
        self.shop.move_to_mesh("default");
        self.shop.start_proxy("example").await;
        until("all to be acknowledged", async || is_acknowledged(&curl(OVERVIEWS[0].0).await.json())).await;
        let list = json!({"items": [expected]});
        for (get_one, get_list) in OVERVIEWS {
            for (request, expected) in [(get_one, &expected), (get_list, &list)] {
                let answer = curl(request).await;
                assert!(answer.status == 200 && is_value(expected, &answer.json()), "{request}: {answer:?}");
            }
        }
        self.shop.proxies.remove(0).terminate().await.unwrap();
        self.delete("/meshes/default").await;

        self.shop.move_to_mesh("mesh-1");
        self.launch("backend-1").await;
        for overview in ["dataplanes+insights/backend-1", "dataplanes+insights"] {
            until("backend-1 to have acknowledged all", async || {
                let answer =
                    self.shop.control_plane.get(&format!("/meshes/mesh-1/{overview}")).await.unwrap();
                is_acknowledged(answer.pointer("/items/0").unwrap_or(&answer))
            })
            .await;
        }
    }

    /// The template's cluster is in backend-1's Envoy, and connections get there by a listener that another template adds.
    async fn proxy_templates(&self) {
        PROXY_TEMPLATE.create_and_read().await;
        self.settle().await;
        assert!(self.has_the_template_s_cluster("backend-1").await);
        self.is_of_pt_1("backend-1").await;

        let service = Service::start_on(8443, "workload", Answer::Pong).await.unwrap();
        let listener = "'@type': type.googleapis.com/envoy.api.v2.Listener\n\
            name: to-8443\n\
            address: {socketAddress: {address: 127.0.0.1, portValue: 18443}}\n\
            filterChains:\n\
            - filters:\n  - {name: envoy.tcp_proxy, config: {statPrefix: to-8443, cluster: 'localhost:8443'}}\n";
        let mut template = body("proxytemplate.json");
        template["name"] = json!("pt-2");
        // With more tags it fits backend-1 better than pt-1 does.
        template["selectors"][0]["match"]["version"] = json!("2.0");
        let resources = template["conf"]["resources"].as_array_mut().unwrap();
        resources.push(json!({"name": "listener", "version": "1", "resource": listener}));
        self.apply(&template).await;
        until_answers(localhost(18_443)).await;
        assert!(service.connections() > 0);

        self.delete("/meshes/mesh-1/proxytemplates/pt-2").await;
        until_closed(localhost(18_443)).await;
        self.is_of_pt_1("backend-1").await;
    }

    /// backend may call redis, and none of the others that it calls.
    async fn traffic_permissions(&mut self) {
        for store in ["redis", "database", "user"] {
            self.shop.register_before(&self.workloads.store, store, json!({"service": store}), &[]).await;
            self.launch(store).await;
        }
        let v2 = json!({"service": "backend", "version": "v2", "region": "us-east-1"});
        let redis = [(self.redis(), "redis")];
        self.shop.register_before(&self.workloads.backend_v2, "backend-v2", v2, &redis).await;
        self.launch("backend-v2").await;
        let [database, user] = [33_033, 44_044].map(localhost);
        for store in [self.redis(), database, user] {
            until_refuses(store).await;
        }
        assert_eq!(self.workloads.store.connections(), 0);

        let created = TRAFFIC_PERMISSION.create_and_read().await;
        assert_eq!(created.header("warning"), None);
        assert_eq!(curl(PUT_WITHOUT_HYPHEN).await.status, 200);
        self.settle().await;
        until_answers(self.redis()).await;
        for store in [database, user] {
            until_refuses(store).await;
        }

        for (name, store) in [("database", database), ("user", user)] {
            self.apply(&permission("backend", name)).await;
            until_answers(store).await;
        }
    }

    /// The document's log names a backend that its mesh does not have. Those that it has take lines. Returns what the
    /// collector has accepted.
    async fn traffic_logs(&mut self) -> BufReader<TcpStream> {
        let web = json!({"service": "web", "version": "1.0"});
        self.shop.register("web-1", web, &[(self.web(), "backend")]).await;
        self.launch("web-1").await;
        self.apply(&permission("web", "backend")).await;
        until_answers(self.web()).await;

        let created = TRAFFIC_LOG.create_and_read().await;
        let warning = "299 - \"conf.backend: mesh mesh-1 has no logging backend file, so nothing is logged\"";
        assert_eq!(created.header("warning"), Some(warning));
        self.settle().await;
        answers(self.web()).await;
        let inspection = self.inspect("web-1").await;
        let why = "TrafficLog tl-1 names the backend file, which the mesh does not have, so it logs nothing";
        assert!(inspection.contains(why), "{inspection}");

        let collector = Collector::listen(localhost(9_000)).await;
        for (name, backend) in [("tl-1", "file-tmp"), ("tl-2", "logstash")] {
            let mut log = body("trafficlog.json");
            log["name"] = json!(name);
            log["conf"]["backend"] = json!(backend);
            self.apply(&log).await;
        }
        answers(self.web()).await;
        until("a line in the file", async || !logged().is_empty()).await;
        let web = self.address_of("web-1").await;
        is_in_the_document_s_format(&logged(), &web);
        let mut collected = collector.accept().await;
        is_in_the_default_format(&next_line(&mut collected).await, &web);
        collected
    }

    /// A web of version v10 in us-east-1 reaches v2 nine times out of ten, else v3; one of another version, each backend.
    async fn traffic_routes(&mut self) {
        let v3 = json!({"service": "backend", "version": "v3"});
        self.shop.register_before(&self.workloads.backend_v3, "backend-v3", v3, &[]).await;
        self.launch("backend-v3").await;
        let web = json!({"service": "web", "version": "v10", "region": "us-east-1"});
        self.shop.register("web-v10", web, &[(self.web_v10(), "backend")]).await;
        self.launch("web-v10").await;
        self.reaches(self.web_v10(), [1, 1, 1]).await;

        let created = TRAFFIC_ROUTE.create_and_read().await;
        assert_eq!(created.header("warning"), None);
        self.settle().await;
        self.reaches(self.web_v10(), [0, 90, 10]).await;
        self.reaches(self.web(), [1, 1, 1]).await;
    }

    async fn dataplane_goes(&mut self) {
        DATAPLANE.delete().await;
        DATAPLANE.is_gone().await;
        let overviews = self.shop.control_plane.get("/meshes/mesh-1/dataplanes+insights").await.unwrap();
        assert!(!overviews.to_string().contains("backend-1"), "{overviews}");
        for address in [11_011, 33_033, 44_044].map(localhost) {
            until_closed(address).await;
        }
        self.terminate("backend-1").await;
        self.settle().await;
        self.reaches(self.web(), [0, 1, 1]).await;
    }

    async fn proxy_template_goes(&self) {
        self.is_of_pt_1("backend-v2").await;
        PROXY_TEMPLATE.delete().await;
        PROXY_TEMPLATE.is_gone().await;
        self.settle().await;
        assert!(!self.has_the_template_s_cluster("backend-v2").await);
        let inspection = self.inspect("backend-v2").await;
        assert!(!inspection.contains("pt-1"), "{inspection}");
    }

    /// The document deletes `pt-1`, which is no permission.
    async fn traffic_permission_goes(&self) {
        TRAFFIC_PERMISSION.delete().await;
        self.settle().await;
        answers(self.redis()).await;
        self.delete("/meshes/mesh-1/traffic-permissions/tp-1").await;
        TRAFFIC_PERMISSION.is_gone().await;
        until_refuses(self.redis()).await;
    }

    /// Until then every connection of web-1 is logged, and none of web-v10. The next one is in the collector alone.
    async fn traffic_log_goes(&self, collected: &mut BufReader<TcpStream>) {
        // One that was read already, and those that were counted with and without backend-1.
        let connections = 1 + 2 * CONNECTIONS as usize;
        until("all of web-1's connections to be logged", async || logged().len() >= connections).await;
        TRAFFIC_LOG.delete().await;
        TRAFFIC_LOG.is_gone().await;
        self.settle().await;
        answers(self.web()).await;
        for _ in 0..connections {
            next_line(collected).await;
        }
        assert_eq!(logged().len(), connections);
    }

    async fn traffic_route_goes(&self) {
        TRAFFIC_ROUTE.delete().await;
        TRAFFIC_ROUTE.is_gone().await;
        self.settle().await;
        self.reaches(self.web_v10(), [0, 1, 1]).await;
    }

    /// With everything in it.
    async fn mesh_goes(&self) {
        MESH.delete().await;
        MESH.is_gone().await;
        for kind in [MESH, DATAPLANE, PROXY_TEMPLATE, TRAFFIC_PERMISSION, TRAFFIC_LOG, TRAFFIC_ROUTE] {
            assert_eq!(curl(kind.list).await.json(), json!({"items": []}), "{}", kind.list);
        }
        for outbound in [self.redis(), self.web(), self.web_v10()] {
            until_closed(outbound).await;
        }
    }

    async fn has_the_template_s_cluster(&self, dataplane: &str) -> bool {
        let clusters = self.proxy(dataplane).admin("/clusters").await.unwrap();
        clusters.lines().any(|line| line.starts_with("localhost:8443::127.0.0.1:8443::"))
    }

    /// kumactl names the document's template, and nothing else, as what its cluster comes from.
    async fn is_of_pt_1(&self, dataplane: &str) {
        let inspection = self.inspect(dataplane).await;
        let lines = inspection.lines().filter(|line| line.contains(" localhost:8443 "));
        let sources: Vec<&str> = lines.filter_map(|line| line.trim_end().rsplit("  ").next()).collect();
        assert_eq!(sources, ["ProxyTemplate pt-1"], "{inspection}");
    }

    /// The address of its inbound, which logs name as that of the source.
    async fn address_of(&self, dataplane: &str) -> String {
        let path = format!("/meshes/mesh-1/dataplanes/{dataplane}");
        let dataplane = self.shop.control_plane.get(&path).await.unwrap();
        let interface = dataplane["networking"]["inbound"][0]["interface"].as_str();
        let (ip, _) =
            interface.and_then(|it| it.split_once(':')).expect("an interface begins with an address");
        ip.to_owned()
    }
}

fn permission(source: &str, destination: &str) -> Value {
    json!({
        "type": "TrafficPermission", "mesh": "mesh-1", "name": format!("{source}-to-{destination}"),
        "sources": [{"match": {"service": source}}], "destinations": [{"match": {"service": destination}}],
    })
}

/// The lines of the document's log file.
fn logged() -> Vec<String> {
    read(Path::new("/tmp/access.log")).lines().map(str::to_owned).collect()
}

/// Of one connection by `web`, where only the port is not known from which Envoy has connected to backend.
fn is_in_the_document_s_format(lines: &[String], web: &str) {
    let [line] = lines else { panic!("one connection, and {lines:?}") };
    let (before, behind) = (
        r#"{ "destination": "backend", "destinationAddress": "127.0.0.1:"#,
        format!(
            r#"", "source": "web", "sourceAddress": "{web}:0", "bytesReceived": "5", "bytesSent": "7"}}"#
        ),
    );
    let port = line.strip_prefix(before).and_then(|it| it.strip_suffix(&behind));
    assert!(port.is_some_and(|it| it.parse::<u16>().is_ok()), "{line}");
}

fn is_in_the_default_format(line: &str, web: &str) {
    let (time, connection) = line.split_once("] ").unwrap_or_default();
    let (caller, took) = connection.split_once("(backend) took ").unwrap_or_default();
    let is_time = time.starts_with("[20") && time.ends_with('Z');
    let is_caller = caller.starts_with(&format!("{web}:0(web)->127."));
    assert!(is_time && is_caller && took.ends_with("ms, sent 7 bytes, received: 5 bytes"), "{line}");
}

/// Whether the proxy has been sent what the document counts, and has taken it.
fn is_acknowledged(overview: &Value) -> bool {
    let status = &overview["dataplaneInsight"]["subscriptions"][0]["status"];
    ["total", "cds", "eds", "lds"].iter().all(|counted| {
        let counts = &status[counted];
        counts["responsesSent"].is_string() && counts["responsesSent"] == counts["responsesAcknowledged"]
    })
}
