//! The machine and the programs on it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) kuma_cp: String,
    pub(crate) nginx: String,
    pub(crate) etcd: String,
}

impl Machine {
    pub(crate) async fn read(kuma_cp: &Path, nginx: &Path, etcd: &Path) -> anyhow::Result<Self> {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").context("the kernel's release")?;
        Ok(Self {
            cores: std::thread::available_parallelism().context("the number of cores")?.get(),
            kernel: kernel.trim().to_owned(),
            kuma_cp: version(kuma_cp, "version", "the programs of a release build").await?,
            nginx: version(nginx, "-v", "nginx").await?,
            etcd: version(etcd, "--version", "etcd-server").await?,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, kernel, kuma_cp, nginx, etcd } = self;
        write!(f, "{cores} cores, Linux {kernel}; kuma-cp {kuma_cp}, nginx {nginx}, etcd {etcd}")
    }
}

/// What the first line ends with that the program prints when it is asked.
async fn version(program: &Path, question: &str, package: &str) -> anyhow::Result<String> {
    let path = program.display();
    let output = Command::new(program).arg(question).output().await;
    let output = output.with_context(|| format!("{path} cannot be run; install or build {package}"))?;
    ensure!(output.status.success(), "{path} {question} ended with {}", output.status);
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    let said = String::from_utf8_lossy(&said).into_owned();
    let last = said.lines().next().and_then(|line| line.rsplit([' ', '/']).next());
    Ok(last.unwrap_or_default().to_owned())
}

/// A port of the loopback interface that nobody listens on now, for programs that cannot say which one they were given.
pub(crate) fn free_port() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    listener.local_addr().context("the address of a listener")
}
