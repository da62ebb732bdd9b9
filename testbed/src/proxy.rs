//! A running kuma-dp with its Envoy.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    process::Command,
};

use crate::{Child, ControlPlane, Programs};

#[derive(Debug)]
pub struct Proxy {
    folder: PathBuf,
    process: Child,
}

impl Proxy {
    /// Gets a token, starts kuma-dp for a Dataplane of the mesh `default`, and waits until its Envoy is ready.
    pub async fn start(
        programs: &Programs,
        control_plane: &ControlPlane,
        folder: &Path,
        name: &str,
    ) -> anyhow::Result<Self> {
        let token = control_plane.token("default", name).await?;
        Self::start_with_token(programs, control_plane, folder, name, &token).await
    }

    pub async fn start_with_token(
        programs: &Programs,
        control_plane: &ControlPlane,
        folder: &Path,
        name: &str,
        token: &str,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let token_file = folder.join("token");
        std::fs::write(&token_file, token)?;
        let mut command = Command::new(&programs.kuma_dp);
        command
            .args(["run", "--name", name, "--mesh", "default", "--cp-address", &control_plane.url()])
            .arg("--dataplane-token-file")
            .arg(&token_file)
            .arg("--binary-path")
            .arg(&programs.envoy)
            .arg("--config-dir")
            .arg(folder.join("dp"))
            .env("KUMA_DATAPLANE_DRAIN_TIME", "5s");
        let log = folder.join("kuma-dp.log");
        let mut process = Child::spawn(&format!("kuma-dp of {name}"), &mut command, &log)?;
        let admin = folder.join("dp/admin.sock");
        process
            .until("its Envoy's being ready", async || {
                let answer = admin_request(&admin, "GET", "/ready").await.ok()?;
                answer.contains("LIVE").then_some(())
            })
            .await?;
        Ok(Self { folder: folder.to_owned(), process })
    }

    pub fn process(&mut self) -> &mut Child {
        &mut self.process
    }

    /// An answer's body of Envoy's admin interface: `/stats`, `/config_dump`.
    pub async fn admin(&self, path: &str) -> anyhow::Result<String> {
        admin_request(&self.folder.join("dp/admin.sock"), "GET", path).await
    }

    /// SIGTERM: it drains and ends.
    pub async fn terminate(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        self.process.terminate().await
    }
}

/// HTTP/1.0 over the unix socket: the answer ends with the connection.
async fn admin_request(socket: &Path, method: &str, path: &str) -> anyhow::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(format!("{method} {path} HTTP/1.1\r\nhost: envoy\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").context("Envoy's admin interface did not answer in HTTP")?;
    Ok(body.to_owned())
}
