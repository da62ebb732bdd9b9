//! A mesh on machines of its own: web, which calls, backend, which is called, and a machine that knows nothing of the mesh.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use testbed::{ControlPlane, Launch, Programs, Proxy};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::{
    shop::until,
    transparent_machines::{Machine, PATIENCE, Switch},
};

pub(crate) const WEB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
pub(crate) const BACKEND: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);
/// Everybody's way to other networks.
pub(crate) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);
/// In another network, for which `OUTSIDE` is the way: a server of its own has this address.
pub(crate) const ELSEWHERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 99, 0, 5), 7000);

/// Of the service `backend`: nobody has this address.
pub(crate) const VIRTUAL: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 10, 0, 1), 80);
/// The same service, as Dataplanes without transparent proxying have it.
pub(crate) const LOCAL: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 10_001);
/// Of the Dataplane of `backend`. Its workload has the same port on 127.0.0.1.
pub(crate) const INBOUND: SocketAddrV4 = SocketAddrV4::new(BACKEND, 8080);

pub(crate) const WORKLOAD: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080);
/// On the machine of `backend`, and no part of the mesh.
pub(crate) const EXPORTER: SocketAddrV4 = SocketAddrV4::new(BACKEND, 9100);

pub(crate) const REDIRECT_PORT: u16 = 15_001;
/// Whom the rules know the proxies by. It needs no name.
const PROXY_USER: &str = "5678";
pub(crate) const BY_PROXY_USER: [&str; 2] = ["--kuma-dp-user", PROXY_USER];

pub(crate) struct Lab {
    pub(crate) web: Machine,
    pub(crate) backend: Machine,
    pub(crate) outside: Machine,
    pub(crate) control_plane: ControlPlane,
    pub(crate) web_proxy: Proxy,
    pub(crate) backend_proxy: Proxy,
    programs: Programs,
    _switch: Switch,
    // Last, so that it is there while anything runs.
    _folder: tempfile::TempDir,
}

impl Lab {
    /// The proxies have all that they should; nothing is redirected yet.
    pub(crate) async fn open(programs: Programs) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control_plane =
            ControlPlane::start(&programs.kuma_cp, &folder.path().join("cp"), &[]).await.unwrap();
        let switch = Switch::new();
        let [web, backend, outside] = [WEB, BACKEND, OUTSIDE].map(|address| switch.machine(address, OUTSIDE));
        outside.ip(&format!("address add {}/32 dev lo", ELSEWHERE.ip()));
        for dataplane in dataplanes() {
            control_plane.apply(&dataplane).await.unwrap();
        }
        let proxies = [(&web, "web"), (&backend, "backend")].map(|(machine, name)| {
            machine.tunnel(control_plane.url().strip_prefix("http://").unwrap().parse().unwrap());
            machine.tunnel(control_plane.xds());
            let folder = folder.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            let programs = Programs { kuma_dp: as_proxy_user(&programs, &folder), ..programs.clone() };
            let start = || Proxy::start(&programs, &control_plane, &folder, Launch::of(name));
            machine.block_on(start).unwrap()
        });
        let [web_proxy, backend_proxy] = proxies;
        let lab = Self {
            web,
            backend,
            outside,
            control_plane,
            web_proxy,
            backend_proxy,
            programs,
            _switch: switch,
            _folder: folder,
        };
        lab.until_synced().await;
        serve(&lab.backend, "backend", WORKLOAD);
        serve(&lab.backend, "exporter", EXPORTER);
        serve(&lab.outside, "elsewhere", ELSEWHERE);
        lab
    }

    pub(crate) async fn until_synced(&self) {
        for name in ["web", "backend"] {
            until("the proxy to have all of it", async || self.control_plane.is_synced(name).await.unwrap())
                .await;
        }
    }

    /// On the machines of the mesh.
    pub(crate) fn redirect(&self) {
        for machine in [&self.web, &self.backend] {
            self.kumactl(machine, &[&BY_PROXY_USER[..], &["--apply"]].concat());
        }
    }

    /// What `kumactl install transparent-proxy` says there.
    pub(crate) fn kumactl(&self, machine: &Machine, options: &[&str]) -> String {
        machine.run(self.programs.kumactl.to_str().unwrap(), &install(options))
    }

    /// What it says on standard error when it fails.
    pub(crate) fn refused_kumactl(&self, machine: &Machine, options: &[&str]) -> String {
        let output = machine.output(self.programs.kumactl.to_str().unwrap(), &install(options));
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    }
}

fn install<'a>(options: &[&'a str]) -> Vec<&'a str> {
    [&["install", "transparent-proxy"], options].concat()
}

fn dataplanes() -> [Value; 2] {
    let dataplane = |name: &str, address: Ipv4Addr, outbound: Value| {
        json!({
            "type": "Dataplane", "mesh": "default", "name": name,
            "networking": {
                "inbound": [{"interface": format!("{address}:8080:8080"), "tags": {"service": name}}],
                "outbound": outbound,
                "transparentProxying": {"redirectPort": REDIRECT_PORT},
            },
        })
    };
    let to_backend = [VIRTUAL, LOCAL].map(|it| json!({"interface": it.to_string(), "service": "backend"}));
    let [to_itself, _] = &to_backend;
    [dataplane("web", WEB, json!(to_backend)), dataplane("backend", BACKEND, json!([to_itself]))]
}

/// A program that is kuma-dp run by the user of the proxies. That one may read the files of who runs the test.
fn as_proxy_user(programs: &Programs, folder: &Path) -> std::path::PathBuf {
    let script = format!(
        "#!/bin/sh\nexec setpriv --reuid {PROXY_USER} --regid {PROXY_USER} --clear-groups --inh-caps +dac_override \
         --ambient-caps +dac_override '{}' \"$@\"\n",
        programs.kuma_dp.display()
    );
    let program = folder.join("kuma-dp");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// A server that tells everybody who it is, at which of its addresses they came, and from which; then it echoes.
pub(crate) fn serve(machine: &Machine, name: &'static str, address: SocketAddrV4) {
    let listener = machine.listen(address);
    tokio::spawn(async move {
        while let Ok((mut stream, from)) = listener.accept().await {
            tokio::spawn(async move {
                let at = stream.local_addr()?;
                stream.write_all(format!("{name} at {at} from {}\n", from.ip()).as_bytes()).await?;
                let (mut reader, mut writer) = stream.split();
                tokio::io::copy(&mut reader, &mut writer).await
            });
        }
    });
}

/// What a server says to a new connection from there.
///
/// # Errors
/// When there is no connection, or it is closed without a line.
pub(crate) async fn ask(from: &Machine, address: SocketAddrV4) -> anyhow::Result<String> {
    Conversation::open(from, address).await.map(|it| it.greeting)
}

/// A connection that stays open.
pub(crate) struct Conversation {
    stream: BufReader<TcpStream>,
    pub(crate) greeting: String,
}

impl Conversation {
    pub(crate) async fn open(from: &Machine, address: SocketAddrV4) -> anyhow::Result<Self> {
        let stream = BufReader::new(from.connect(address)?);
        let mut conversation = Self { stream, greeting: String::new() };
        conversation.greeting =
            conversation.line().await.with_context(|| format!("{address} says nothing"))?;
        Ok(conversation)
    }

    /// Whether it is still the same server's.
    pub(crate) async fn goes_on(&mut self) {
        self.stream.write_all(b"and again\n").await.unwrap();
        assert_eq!(self.line().await.unwrap(), "and again");
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        tokio::time::timeout(PATIENCE, self.stream.read_line(&mut line)).await??;
        if line.is_empty() {
            bail!("it was closed");
        }
        Ok(line.trim_end().to_owned())
    }
}
