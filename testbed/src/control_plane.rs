//! A kuma-cp with a folder of its own, on ports that were free.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{Process, Programs};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Variables of the environment of kuma-cp, on top of those that give it its folder and its ports.
pub type Settings<'a> = &'a [(&'a str, &'a str)];

/// Ready when it is made. Killed when it is dropped.
#[derive(Debug)]
pub struct ControlPlane {
    program: PathBuf,
    work_dir: PathBuf,
    settings: Vec<(String, String)>,
    process: Process,
    ports: Ports,
    client: Client,
}

/// What kuma-cp writes into `ports.json`, of each server the first address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ports {
    api: SocketAddr,
    xds: SocketAddr,
    diagnostics: SocketAddr,
}

impl ControlPlane {
    /// `work_dir` is made where it is not there; its log is beside it.
    pub async fn start(programs: &Programs, work_dir: &Path, settings: Settings<'_>) -> anyhow::Result<Self> {
        let client = Client::builder().no_proxy().timeout(REQUEST_TIMEOUT).build()?;
        let settings: Vec<_> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (process, ports) = start(&programs.kuma_cp, work_dir, &settings, None, &client).await?;
        Ok(Self {
            program: programs.kuma_cp.clone(),
            work_dir: work_dir.to_owned(),
            settings,
            process,
            ports,
            client,
        })
    }

    /// The address of its HTTP API, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.ports.api)
    }

    pub fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    /// As if the power failed.
    pub async fn kill_9(&mut self) -> anyhow::Result<ExitStatus> {
        self.process.kill_9().await
    }

    /// As an operator stops it.
    pub async fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.process.terminate().await
    }

    /// Starts it again, after it has ended, on the same folder and the same ports.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let (process, ports) =
            start(&self.program, &self.work_dir, &self.settings, Some(self.ports), &self.client).await?;
        (self.process, self.ports) = (process, ports);
        Ok(())
    }

    /// Creates or replaces the resource, at the path that its type, mesh and name give.
    pub async fn apply(&self, resource: &Value) -> anyhow::Result<()> {
        self.request(Method::PUT, &path_of(resource)?, Some(resource)).await.map(drop)
    }

    /// The JSON at a path of the API.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.request(Method::GET, path, None).await?)?)
    }

    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.request(Method::DELETE, path, None).await.map(drop)
    }

    /// A token for a dataplane, registered or not.
    pub async fn token(&self, mesh: &str, name: &str) -> anyhow::Result<String> {
        self.request(Method::POST, "/tokens", Some(&json!({ "mesh": mesh, "name": name }))).await
    }

    /// The value of a metric, summed over its labels.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let url = format!("http://{}/metrics", self.ports.diagnostics);
        let metrics = self.client.get(url).send().await?.error_for_status()?.text().await?;
        sum_of(&metrics, name).with_context(|| format!("there is no metric {name}"))
    }

    /// The body of an answer with a good status.
    async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<String> {
        let url = format!("{}{path}", self.url());
        let request = self.client.request(method.clone(), url);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = answer.status();
        let body = answer.text().await?;
        ensure!(status.is_success(), "{method} {path}: {status}: {body}");
        Ok(body)
    }
}

async fn start(
    program: &Path,
    work_dir: &Path,
    settings: &[(String, String)],
    ports: Option<Ports>,
    client: &Client,
) -> anyhow::Result<(Process, Ports)> {
    fs::create_dir_all(work_dir).with_context(|| format!("cannot make {}", work_dir.display()))?;
    let announced = work_dir.join("ports.json");
    // Those of an earlier life are not this one's, even if they are the same: it does not listen yet.
    let _ = fs::remove_file(&announced);
    let port = |of: fn(&Ports) -> SocketAddr| ports.as_ref().map_or(0, |ports| of(ports).port()).to_string();
    let mut command = Command::new(program);
    command
        .arg("run")
        .env("KUMA_GENERAL_WORK_DIR", work_dir)
        .env("KUMA_API_SERVER_PORT", port(|ports| ports.api))
        .env("KUMA_XDS_SERVER_GRPC_PORT", port(|ports| ports.xds))
        .env("KUMA_XDS_SERVER_DIAGNOSTICS_PORT", port(|ports| ports.diagnostics))
        .envs(settings.iter().map(|(name, value)| (name, value)));
    let mut process = Process::start("kuma-cp", command, &work_dir.with_extension("log"))?;
    let ports = process.wait_for("it announced its ports", async || read_ports(&announced)).await?;
    let ready = format!("http://{}/ready", ports.diagnostics);
    let is_ready = async || {
        let answer = client.get(&ready).send().await.ok()?;
        (answer.status() == StatusCode::OK).then_some(())
    };
    process.wait_for("it was ready", is_ready).await?;
    Ok((process, ports))
}

fn read_ports(path: &Path) -> Option<Ports> {
    let announced: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let first = |server: &str| announced[server][0].as_str()?.parse().ok();
    Some(Ports { api: first("api")?, xds: first("xds")?, diagnostics: first("diagnostics")? })
}

fn path_of(resource: &Value) -> anyhow::Result<String> {
    let text = |field: &str| resource[field].as_str().with_context(|| format!("a resource has a {field}"));
    let collection = match text("type")? {
        "Mesh" => return Ok(format!("/meshes/{}", text("name")?)),
        "Dataplane" => "dataplanes",
        "TrafficRoute" => "traffic-routes",
        other => bail!("the testbed does not know the path of a {other}"),
    };
    Ok(format!("/meshes/{}/{collection}/{}", text("mesh")?, text("name")?))
}

/// In the text form of Prometheus: `NAME VALUE` or `NAME{LABELS} VALUE`.
fn sum_of(metrics: &str, name: &str) -> Option<f64> {
    metrics
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .filter(|(series, _)| series.split('{').next() == Some(name))
        .filter_map(|(_, value)| value.parse::<f64>().ok())
        .reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_says_its_path() {
        for (resource, path) in [
            (json!({ "type": "Mesh", "name": "pilot" }), "/meshes/pilot"),
            (json!({ "type": "Dataplane", "mesh": "m", "name": "web" }), "/meshes/m/dataplanes/web"),
            (json!({ "type": "TrafficRoute", "mesh": "m", "name": "r" }), "/meshes/m/traffic-routes/r"),
        ] {
            assert_eq!(path_of(&resource).expect("it has a path"), path);
        }
        assert!(path_of(&json!({ "type": "Dataplane", "name": "web" })).is_err());
    }

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let metrics = "# TYPE a counter\na_total 1\na_total_more 2\nb{c=\"d e\"} 3\nb{c=\"f\"} 4.5\n";
        assert_eq!(sum_of(metrics, "a_total"), Some(1.0));
        assert_eq!(sum_of(metrics, "b"), Some(7.5));
        assert_eq!(sum_of(metrics, "c"), None);
    }

    #[test]
    fn ports_are_read_once_they_are_there_as_a_whole() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("ports.json");
        assert_eq!(read_ports(&path), None);
        fs::write(&path, r#"{"api": ["127.0.0.1:1", "[::1]:1"], "xds": ["127.0.0.1:2"]"#)
            .expect("it is ours");
        assert_eq!(read_ports(&path), None);
        fs::write(
            &path,
            r#"{"api": ["127.0.0.1:1", "[::1]:1"], "xds": ["127.0.0.1:2"], "diagnostics": ["127.0.0.1:3"]}"#,
        )
        .expect("it is ours");
        let [api, xds, diagnostics] = [1, 2, 3].map(|port| ([127, 0, 0, 1], port).into());
        assert_eq!(read_ports(&path), Some(Ports { api, xds, diagnostics }));
    }
}
