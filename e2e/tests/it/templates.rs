//! What a ProxyTemplate says in Envoy's own words acts beside what is made for the proxy, or in its place; and if Envoy wants none of
//! it, all else works.

use std::net::SocketAddr;

use serde_json::{Value, json};
use testbed::{Answer, Programs, Service};

use crate::shop::{Shop, until};

/// web, which calls backend.
pub(crate) struct Mesh {
    pub(crate) shop: Shop,
    /// By which web calls backend.
    outbound: SocketAddr,
}

impl Mesh {
    async fn open(network: u8) -> Self {
        Self::open_with(Programs::find().unwrap(), network).await
    }

    pub(crate) async fn open_with(programs: Programs, network: u8) -> Self {
        let mut shop = Shop::open_with(programs, network, &[]).await;
        let outbound = shop.outbound(10_001);
        shop.register("backend", json!({"service": "backend"}), &[]).await;
        shop.register("web", json!({"service": "web"}), &[(outbound, "backend")]).await;
        for name in ["backend", "web"] {
            shop.start_proxy(name).await;
        }
        let mesh = Self { shop, outbound };
        mesh.until_answers("backend").await;
        mesh
    }

    async fn until_answers(&self, name: &str) {
        until("the right one to answer", async || self.answers(name).await).await;
    }

    pub(crate) async fn answers(&self, name: &str) -> bool {
        testbed::ask(self.outbound, "").await.is_ok_and(|answer| answer == name)
    }

    pub(crate) async fn apply(&self, resources: &[&str]) {
        self.shop.control_plane.apply(&template(resources)).await.unwrap();
    }

    async fn delete(&self) {
        self.shop.control_plane.delete("/meshes/default/proxytemplates/extra").await.unwrap();
    }

    async fn until_synced(&self) {
        until("web to have all of it", async || self.shop.control_plane.is_synced("web").await.unwrap())
            .await;
    }

    /// What the inspection of web says of a listener.
    async fn listener(&self, name: &str) -> Option<Value> {
        let inspection = self.shop.control_plane.get("/meshes/default/dataplanes/web/xds").await.unwrap();
        let resources = inspection["resources"].as_array().expect("a list");
        resources.iter().find(|it| it["type"] == "Listener" && it["name"] == name).cloned()
    }

    pub(crate) async fn until_rejected(&self, listener: &str) -> Value {
        let rejected = async || self.listener(listener).await.is_some_and(|it| it["state"] == "rejected");
        until("Envoy to reject the listener", rejected).await;
        self.listener(listener).await.unwrap()
    }
}

/// Of web.
fn template(resources: &[&str]) -> Value {
    let raw = |resource: &&str| json!({"name": "raw", "version": "v1", "resource": resource});
    json!({
        "type": "ProxyTemplate", "mesh": "default", "name": "extra",
        "selectors": [{"match": {"service": "web"}}],
        "conf": {"imports": ["default-proxy"], "resources": resources.iter().map(raw).collect::<Vec<_>>()},
    })
}

/// A cluster of one endpoint, in the v2 API.
pub(crate) fn cluster(name: &str, port: u16) -> String {
    format!(
        "'@type': type.googleapis.com/envoy.api.v2.Cluster\nname: {name}\ntype: STATIC\nconnectTimeout: 5s\nloadAssignment:\n  \
         clusterName: {name}\n  endpoints:\n    - lbEndpoints:\n        - endpoint:\n            address:\n              \
         socketAddress:\n                address: 127.0.0.1\n                portValue: {port}\n"
    )
}

/// A listener before a cluster, in the v3 API.
pub(crate) fn listener(name: &str, address: SocketAddr, cluster: &str) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(
        "'@type': type.googleapis.com/envoy.config.listener.v3.Listener\nname: {name}\naddress: {{ socket_address: {{ address: {ip}, \
         port_value: {port} }} }}\nfilter_chains:\n- filters:\n  - name: tcp\n    typed_config:\n      '@type': \
         type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy\n      stat_prefix: extra\n      cluster: \
         {cluster}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_in_either_api_serve_traffic() {
    let mesh = Mesh::open(185).await;
    let admin = mesh.shop.proxy_folder("web").join("dp/admin.sock");
    let stats = mesh.shop.outbound(4040);
    // The listener is the one of Kuma's documentation, as it stands but for its address.
    let http = format!(
        "
'@type': type.googleapis.com/envoy.api.v2.Listener
name: inbound:0.0.0.0:4040
address: {{ socket_address: {{ address: {}, port_value: {} }} }}
filter_chains:
  filters:
    name: envoy.http_connection_manager
    config:
      route_config:
        virtual_hosts:
        - name: envoy_admin
          domains: ['*']
          routes:
          - match: {{ prefix: /stats/prometheus }}
            route: {{ cluster: localhost:9901 }}
      codec_type: AUTO
      http_filters:
        name: envoy.router
      stat_prefix: stats
",
        stats.ip(),
        stats.port()
    );
    let admin_cluster = format!(
        "{{\"@type\": \"type.googleapis.com/envoy.api.v2.Cluster\", \"name\": \"localhost:9901\", \"type\": \"STATIC\", \
         \"connect_timeout\": \"5s\", \"hosts\": [{{\"pipe\": {{\"path\": \"{}\"}}}}]}}",
        admin.display()
    );
    let extra = Service::start("extra", Answer::Name).await.unwrap();
    let address = mesh.shop.outbound(10_002);
    // A listener before the cluster that it needs.
    let resources = [
        http,
        listener("extra", address, "localhost:8443"),
        admin_cluster,
        cluster("localhost:8443", extra.port()),
    ];
    mesh.apply(&resources.each_ref().map(String::as_str)).await;
    mesh.until_synced().await;

    assert_eq!(testbed::ask(address, "").await.unwrap(), "extra");
    let metrics =
        reqwest::get(format!("http://{stats}/stats/prometheus")).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("envoy_server_live"), "{metrics}");
    assert!(mesh.answers("backend").await, "what is made for the proxy is still there");
    let listener = mesh.listener("extra").await.unwrap();
    assert_eq!(listener["sources"][0]["type"], "ProxyTemplate");
    assert_eq!(listener["sources"][0]["name"], "extra");

    mesh.delete().await;
    until("nobody to listen there any more", async || testbed::ask(address, "").await.is_err()).await;
    assert!(mesh.answers("backend").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_is_removed_gives_back_what_it_had_overridden() {
    let mesh = Mesh::open(186).await;
    let extra = Service::start("extra", Answer::Name).await.unwrap();
    let (name, moved) = (format!("outbound:{}", mesh.outbound), mesh.shop.outbound(10_003));
    mesh.apply(&[&cluster("backend", extra.port())]).await;
    mesh.until_answers("extra").await;
    mesh.apply(&[&listener(&name, moved, "backend")]).await;
    until("the listener to be elsewhere", async || testbed::ask(moved, "").await.is_ok()).await;
    assert_eq!(testbed::ask(moved, "").await.unwrap(), "backend", "the cluster is as it was");
    mesh.delete().await;
    mesh.until_answers("backend").await;
    until("nobody to listen elsewhere", async || testbed::ask(moved, "").await.is_err()).await;

    let without_import = json!({
        "type": "ProxyTemplate", "mesh": "default", "name": "extra", "selectors": [{"match": {"service": "web"}}],
    });
    mesh.shop.control_plane.apply(&without_import).await.unwrap();
    until("nothing to be left", async || testbed::ask(mesh.outbound, "").await.is_err()).await;
    mesh.delete().await;
    mesh.until_answers("backend").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_envoy_rejects_costs_nothing_else_and_says_why() {
    rejections_cost_nothing_else(Programs::find().unwrap(), 187).await;
}

pub(crate) async fn rejections_cost_nothing_else(programs: Programs, network: u8) {
    let mut mesh = Mesh::open_with(programs, network).await;
    let extra = Service::start("extra", Answer::Name).await.unwrap();
    let (good, taken) = (mesh.shop.outbound(10_002), mesh.outbound);
    let elsewhere: SocketAddr = "192.0.2.1:80".parse().unwrap();
    let resources = [
        cluster("extra", extra.port()),
        listener("a-taken", taken, "extra"),
        listener("b-good", good, "extra"),
        listener("c-elsewhere", elsewhere, "extra"),
    ];
    mesh.apply(&resources.each_ref().map(String::as_str)).await;
    for (name, words) in [("a-taken", "duplicate"), ("c-elsewhere", "cannot bind")] {
        let rejected = mesh.until_rejected(name).await;
        let error = rejected["error"].as_str().unwrap_or_default();
        assert!(error.contains(words), "{rejected}");
        assert_eq!(rejected["sources"][0]["type"], "ProxyTemplate", "{rejected}");
        assert_eq!(rejected["sources"][0]["name"], "extra", "{rejected}");
    }
    until("the good one to serve", async || testbed::ask(good, "").await.is_ok()).await;
    assert!(mesh.answers("backend").await, "the one whose address it wanted is still there");
    let inspection = mesh.shop.kumactl(&["inspect", "dataplane", "web"]).await;
    assert!(inspection.contains("ProxyTemplate") && inspection.contains("cannot bind"), "{inspection}");

    // All else goes on.
    let (second, backend) =
        (mesh.shop.outbound(10_004), Service::start("second", Answer::Name).await.unwrap());
    mesh.shop.register_before(&backend, "second", json!({"service": "second"}), &[]).await;
    mesh.shop.start_proxy("second").await;
    let outbounds = [mesh.outbound, second].map(|it| it.to_string());
    let mut web = mesh.shop.control_plane.get("/meshes/default/dataplanes/web").await.unwrap();
    web["networking"]["outbound"] = json!([
        {"interface": outbounds[0], "service": "backend"}, {"interface": outbounds[1], "service": "second"},
    ]);
    mesh.shop.control_plane.apply(&web).await.unwrap();
    until("a new outbound to serve", async || testbed::ask(second, "").await.is_ok()).await;

    // Nor does a crash of kuma-cp change any of it.
    mesh.shop.control_plane.kill_9().await.unwrap();
    mesh.shop.control_plane.start_again().await.unwrap();
    mesh.until_rejected("c-elsewhere").await;
    assert_eq!(testbed::ask(good, "").await.unwrap(), "extra");
    assert!(mesh.answers("backend").await);

    // A template that is no longer there, or is mended, leaves nothing behind.
    mesh.apply(&[&resources[0], &resources[2]]).await;
    mesh.until_synced().await;
    assert_eq!(testbed::ask(good, "").await.unwrap(), "extra");
    assert!(mesh.listener("a-taken").await.is_none() && mesh.listener("c-elsewhere").await.is_none());
}

/// For ever, if Envoy were told that there is none: it would wait for it before it lets any of its listeners work.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_configuration_or_an_extension_that_there_is_not_does_not_keep_a_proxy_from_starting() {
    let mut mesh = Mesh::open(191).await;
    let (routed, extended) = (mesh.shop.outbound(10_005), mesh.shop.outbound(10_006));
    let rds =
        "rds: { route_config_name: nobody-has-it, config_source: { ads: {}, resource_api_version: V3 } }";
    let ecds = "{ name: nobody-has-it, config_discovery: { config_source: { ads: {}, resource_api_version: V3 }, type_urls: \
                [type.googleapis.com/envoy.extensions.filters.http.router.v3.Router] } }, ";
    mesh.apply(&[&http("routed", routed, rds, ""), &http("extended", extended, "route_config: {}", ecds)])
        .await;
    mesh.until_synced().await;
    drop(mesh.shop.proxies.pop().expect("that of web"));
    until("nobody to listen for web", async || !mesh.answers("backend").await).await;

    mesh.shop.start_proxy("web").await;
    mesh.until_answers("backend").await;
}

/// A listener of HTTP, in the v3 API.
fn http(name: &str, address: SocketAddr, routes: &str, filter: &str) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(
        "'@type': type.googleapis.com/envoy.config.listener.v3.Listener\nname: {name}\naddress: {{ socket_address: {{ address: {ip}, \
         port_value: {port} }} }}\nfilter_chains:\n- filters:\n  - name: http\n    typed_config:\n      '@type': \
         type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n      \
         stat_prefix: extra\n      {routes}\n      http_filters: [{filter}{{ name: router, typed_config: {{ '@type': \
         type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }} }}]\n"
    )
}

/// So a proxy never hears of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_envoy_could_never_take_is_refused_with_its_place() {
    let mesh = Mesh::open(188).await;
    let extra = Service::start("extra", Answer::Name).await.unwrap();
    mesh.apply(&[&cluster("backend", extra.port())]).await;
    mesh.until_answers("extra").await;
    let good = cluster("backend", 1);
    for (resource, field) in [
        (good.replace("portValue: 1", "portValue: 70000"), "portValue: must be at most 65535"),
        (good.replace("connectTimeout", "connectTimeoot"), "connectTimeoot"),
        (good.replace("v2.Cluster", "v2.Custer"), "did you mean"),
        (format!("{good}filters: [\n"), "line"),
    ] {
        let refused = mesh.shop.control_plane.apply(&template(&[&resource])).await.unwrap_err().to_string();
        assert!(refused.contains("conf.resources[0].resource") && refused.contains(field), "{refused}");
    }
    assert!(mesh.answers("extra").await);
    mesh.delete().await;
    mesh.until_answers("backend").await;
}
