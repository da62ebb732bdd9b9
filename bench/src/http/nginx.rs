//! nginx serving files, tuned as one would for the least work a request: no access log, open files cached.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use testbed::Child;
use tokio::net::TcpStream;
use tokio::process::Command;

use super::machine::free_port;

#[derive(Debug)]
pub(crate) struct Nginx {
    pub(crate) process: Child,
    pub(crate) address: SocketAddr,
}

impl Nginx {
    /// Starts it in `folder`, with one worker a core, and waits until it accepts. `files` are names and contents.
    pub(crate) async fn start(
        program: &Path,
        folder: &Path,
        files: &[(&str, &[u8])],
    ) -> anyhow::Result<Self> {
        let root = folder.join("www");
        fs::create_dir_all(&root).context("no folder for nginx")?;
        for (name, contents) in files {
            fs::write(root.join(name), contents).with_context(|| format!("{name} cannot be written"))?;
        }
        let address = free_port()?;
        let config = folder.join("nginx.conf");
        fs::write(&config, configuration(address, folder, &root)).context("nginx.conf cannot be written")?;
        let mut command = Command::new(program);
        command.arg("-p").arg(folder).arg("-c").arg(&config).args(["-e", "stderr"]);
        let mut process = Child::spawn("nginx", &mut command, &folder.join("nginx.log"))?;
        process.until("its accepting", async || TcpStream::connect(address).await.ok()).await?;
        Ok(Self { process, address })
    }
}

/// `user` counts only for root, whose workers would otherwise be another user's and could not read the folder.
fn configuration(address: SocketAddr, folder: &Path, root: &Path) -> String {
    let (folder, root) = (folder.display(), root.display());
    format!(
        "user root;
daemon off;
worker_processes auto;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    default_type application/json;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=16;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {address};
        root {root};
    }}
}}
"
    )
}
