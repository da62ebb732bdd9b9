//! The smallest mesh that has traffic: web calls backend.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
};

use serde_json::{Value, json};
use testbed::{Answer, ControlPlane, Launch, Programs, Proxy, Service, Settings};
use tokio::process::Command;

pub(crate) struct Shop {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) programs: Programs,
    pub(crate) control_plane: ControlPlane,
    /// Every test has a network of its own: 127.<network>.0.0/24.
    network: u8,
    mesh: String,
    hosts: u8,
    pub(crate) proxies: Vec<Proxy>,
    services: Vec<Service>,
}

impl Shop {
    pub(crate) async fn open(network: u8, settings: Settings<'_>) -> Self {
        Self::open_with(Programs::find().unwrap(), network, settings).await
    }

    pub(crate) async fn open_with(programs: Programs, network: u8, settings: Settings<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control_plane =
            ControlPlane::start(&programs.kuma_cp, &folder.path().join("cp"), settings).await.unwrap();
        let mesh = "default".to_owned();
        let (proxies, services) = (Vec::new(), Vec::new());
        Self { folder, programs, control_plane, network, mesh, hosts: 0, proxies, services }
    }

    /// What is registered from now on is in this mesh, which may be there or not.
    pub(crate) fn move_to_mesh(&mut self, mesh: &str) {
        mesh.clone_into(&mut self.mesh);
    }

    /// Registers a Dataplane with a workload that answers with the Dataplane's name.
    pub(crate) async fn register(&mut self, name: &str, tags: Value, outbounds: &[(SocketAddr, &str)]) {
        let workload = Service::start(name, Answer::Name).await.unwrap();
        self.register_before(&workload, name, tags, outbounds).await;
        self.services.push(workload);
    }

    /// Registers a Dataplane before a workload that the test keeps. The address of its inbound.
    pub(crate) async fn register_before(
        &mut self,
        workload: &Service,
        name: &str,
        tags: Value,
        outbounds: &[(SocketAddr, &str)],
    ) -> SocketAddr {
        self.hosts += 1;
        let inbound = SocketAddr::new(self.ip(self.hosts), 8080);
        let interface = format!("{inbound}:{}", workload.port());
        let outbound: Vec<_> = outbounds
            .iter()
            .map(|(address, service)| json!({"interface": address.to_string(), "service": service}))
            .collect();
        let networking = json!({"inbound": [{"interface": interface, "tags": tags}], "outbound": outbound});
        let dataplane =
            json!({"type": "Dataplane", "mesh": self.mesh, "name": name, "networking": networking});
        self.control_plane.apply(&dataplane).await.unwrap();
        inbound
    }

    pub(crate) async fn start_proxy(&mut self, name: &str) {
        self.launch(Launch::of(name)).await;
    }

    pub(crate) async fn launch(&mut self, launch: Launch<'_>) {
        let folder = self.proxy_folder(launch.name);
        let launch = Launch { mesh: &self.mesh, ..launch };
        let proxy = Proxy::start(&self.programs, &self.control_plane, &folder, launch).await.unwrap();
        self.proxies.push(proxy);
    }

    pub(crate) fn proxy_folder(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// What kumactl says of this control plane.
    pub(crate) async fn kumactl(&self, arguments: &[&str]) -> String {
        let home = self.folder.path();
        let run = async |arguments: &[&str]| {
            let mut kumactl = Command::new(&self.programs.kumactl);
            let output = kumactl.args(arguments).env("HOME", home).output().await.unwrap();
            let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert!(output.status.success(), "{arguments:?}: {}", said(&output.stderr));
            said(&output.stdout)
        };
        if !home.join(".kumactl").exists() {
            let url = self.control_plane.url();
            run(&["config", "control-planes", "add", "--name", "shop", "--address", &url]).await;
        }
        run(arguments).await
    }

    /// An address for an outbound.
    pub(crate) fn outbound(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip(200), port)
    }

    fn ip(&self, host: u8) -> IpAddr {
        Ipv4Addr::new(127, self.network, 0, host).into()
    }

    /// web, backend v1 and backend v2, each with its Envoy; web's outbound to backend.
    pub(crate) async fn with_two_versions(network: u8) -> (Self, SocketAddr) {
        Self::with_two_versions_of(Programs::find().unwrap(), network, &[]).await
    }

    pub(crate) async fn with_two_versions_of(
        programs: Programs,
        network: u8,
        settings: Settings<'_>,
    ) -> (Self, SocketAddr) {
        let mut shop = Self::open_with(programs, network, settings).await;
        let backend = shop.outbound(10_001);
        shop.register("backend-v1", json!({"service": "backend", "version": "v1"}), &[]).await;
        shop.register("backend-v2", json!({"service": "backend", "version": "v2"}), &[]).await;
        shop.register("web", json!({"service": "web"}), &[(backend, "backend")]).await;
        for name in ["backend-v1", "backend-v2", "web"] {
            shop.start_proxy(name).await;
        }
        (shop, backend)
    }

    /// A second kuma-cp on the work directory of the first, which has ended. No proxy can reach it.
    pub(crate) async fn elsewhere(&self) -> ControlPlane {
        ControlPlane::start(&self.programs.kuma_cp, &self.folder.path().join("cp"), &[]).await.unwrap()
    }

    /// PUTs the route, and waits until web's Envoy has acknowledged all of it.
    pub(crate) async fn route(&self, v1: u32, v2: u32) {
        self.control_plane.apply_until_settled(&route(v1, v2)).await.unwrap();
    }

    pub(crate) async fn until_online(&self, dataplanes: usize) {
        until("all proxies to be online", async || self.control_plane.online().await.unwrap() == dataplanes)
            .await;
    }
}

pub(crate) fn route(v1: u32, v2: u32) -> Value {
    let share = |weight: u32, version: &str| json!({"weight": weight, "destination": {"service": "backend", "version": version}});
    json!({
        "type": "TrafficRoute", "mesh": "default", "name": "web-to-backend",
        "sources": [{"match": {"service": "web"}}],
        "destinations": [{"match": {"service": "backend"}}],
        "conf": [share(v1, "v1"), share(v2, "v2")],
    })
}

/// Asks until it is so. The deadline is for a test that would hang, not for a slow machine.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "waited a minute for {what}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// Who answers so many new connections, in order.
pub(crate) async fn answers(address: SocketAddr, connections: usize) -> Vec<String> {
    let mut answers = Vec::new();
    for _ in 0..connections {
        answers.push(testbed::ask(address, "").await.unwrap());
    }
    answers
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
