//! A running kuma-cp, and its HTTP API.

use std::{
    net::SocketAddr,
    ops::Add,
    path::{Path, PathBuf},
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use tokio::process::Command;

use crate::{Child, child::PATIENCE};

/// What differs from a kuma-cp without configuration: further `KUMA_*` variables.
pub type Settings<'a> = &'a [(&'a str, &'a str)];

#[derive(Debug)]
pub struct ControlPlane {
    program: PathBuf,
    work_dir: PathBuf,
    log: PathBuf,
    variables: Vec<(String, String)>,
    process: Child,
    ports: Ports,
    client: reqwest::Client,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    api: SocketAddr,
    xds: SocketAddr,
    diagnostics: SocketAddr,
}

/// When a write was answered, and how long after that the last ACK came.
#[derive(Clone, Copy, Debug)]
pub struct Settled {
    pub answered: Instant,
    pub last_ack: Duration,
}

impl ControlPlane {
    /// Starts the program in `folder`, on free ports, and waits until it is ready.
    pub async fn start(kuma_cp: &Path, folder: &Path, settings: Settings<'_>) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let free_ports =
            ["KUMA_API_SERVER_PORT", "KUMA_XDS_SERVER_GRPC_PORT", "KUMA_XDS_SERVER_DIAGNOSTICS_PORT"]
                .map(|it| (it, "0"));
        let variables =
            free_ports.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let variables: Vec<_> = variables.collect();
        let (work_dir, log) = (folder.join("state"), folder.join("kuma-cp.log"));
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let (process, ports) = spawn(kuma_cp, &work_dir, &log, &variables, &client).await?;
        Ok(Self { program: kuma_cp.to_owned(), work_dir, log, variables, process, ports, client })
    }

    /// The first address of the HTTP API, as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.ports.api)
    }

    pub fn xds(&self) -> SocketAddr {
        self.ports.xds
    }

    pub fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    pub fn process(&self) -> &Child {
        &self.process
    }

    /// In the middle of whatever it does.
    pub async fn kill_9(&mut self) -> anyhow::Result<()> {
        self.process.kill_9().await.map(drop)
    }

    /// SIGTERM, and its end.
    pub async fn terminate(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        self.process.terminate().await
    }

    /// Starts it again, after it has ended, on the same folder and ports.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let same = [
            ("KUMA_API_SERVER_PORT", self.ports.api),
            ("KUMA_XDS_SERVER_GRPC_PORT", self.ports.xds),
            ("KUMA_XDS_SERVER_DIAGNOSTICS_PORT", self.ports.diagnostics),
        ];
        let mut variables = self.variables.clone();
        variables.extend(same.map(|(name, address)| (name.to_owned(), address.port().to_string())));
        (self.process, self.ports) =
            spawn(&self.program, &self.work_dir, &self.log, &variables, &self.client).await?;
        Ok(())
    }

    /// Whether it says that it serves, on the port for diagnostics.
    pub async fn is_ready(&self) -> bool {
        let ready = self.client.get(format!("http://{}/ready", self.ports.diagnostics)).send().await;
        ready.is_ok_and(|answer| answer.status() == StatusCode::OK)
    }

    pub async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Response> {
        let mut request = self.client.request(method.clone(), self.url() + path);
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.with_context(|| format!("{method} {path}"))
    }

    /// PUTs an entity where its own `type`, `mesh` and `name` say.
    ///
    /// # Errors
    /// When it is not accepted: with the answer.
    pub async fn apply(&self, entity: &Value) -> anyhow::Result<()> {
        let text = |field: &str| entity[field].as_str().unwrap_or_default();
        let path = match text("type") {
            "Mesh" => format!("/meshes/{}", text("name")),
            "Dataplane" => format!("/meshes/{}/dataplanes/{}", text("mesh"), text("name")),
            "TrafficRoute" => format!("/meshes/{}/traffic-routes/{}", text("mesh"), text("name")),
            "TrafficPermission" => format!("/meshes/{}/traffic-permissions/{}", text("mesh"), text("name")),
            "TrafficLog" => format!("/meshes/{}/traffic-logs/{}", text("mesh"), text("name")),
            "ProxyTemplate" => format!("/meshes/{}/proxytemplates/{}", text("mesh"), text("name")),
            other => bail!("the testbed applies no {other}"),
        };
        let response = self.request(Method::PUT, &path, Some(entity)).await?;
        match response.status() {
            StatusCode::OK | StatusCode::CREATED => Ok(()),
            status => bail!("PUT {path}: {status}: {}", response.text().await?),
        }
    }

    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let response = self.request(Method::DELETE, path, None).await?;
        anyhow::ensure!(response.status() == StatusCode::OK, "DELETE {path}: {}", response.status());
        Ok(())
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let response = self.request(Method::GET, path, None).await?;
        anyhow::ensure!(response.status() == StatusCode::OK, "GET {path}: {}", response.status());
        Ok(response.json().await?)
    }

    /// A dataplane token.
    pub async fn token(&self, mesh: &str, name: &str) -> anyhow::Result<String> {
        let body = serde_json::json!({"mesh": mesh, "name": name});
        let response = self.request(Method::POST, "/tokens", Some(&body)).await?;
        anyhow::ensure!(response.status() == StatusCode::OK, "POST /tokens: {}", response.status());
        Ok(response.text().await?)
    }

    /// How many proxies of the mesh `default` have a stream and all that they should: from then on whatever is pushed to
    /// them is a change.
    pub async fn online(&self) -> anyhow::Result<usize> {
        let overviews = self.get("/meshes/default/dataplanes+insights").await?;
        let mut online = 0;
        for overview in overviews["items"].as_array().into_iter().flatten() {
            let has_all = match open_subscription(overview) {
                None => false,
                Some(subscription) if has_acknowledged_listeners(subscription) => true,
                // One that came back with all of it has nothing to acknowledge.
                Some(_) => self.is_synced(overview["name"].as_str().unwrap_or_default()).await?,
            };
            online += usize::from(has_all);
        }
        Ok(online)
    }

    /// Whether the proxy of this Dataplane of the mesh `default` has said that it has all that follows from what was
    /// acknowledged before.
    pub async fn is_synced(&self, name: &str) -> anyhow::Result<bool> {
        self.is_synced_in("default", name).await
    }

    /// The same, of another mesh.
    pub async fn is_synced_in(&self, mesh: &str, name: &str) -> anyhow::Result<bool> {
        Ok(all_synced(&self.get(&format!("/meshes/{mesh}/dataplanes/{name}/xds")).await?))
    }

    /// Applies what concerns one proxy alone, and waits until that one has acknowledged all of it. From the answer to the
    /// last ACK: an upper bound, for it includes the asking.
    pub async fn apply_until_settled(&self, entity: &Value) -> anyhow::Result<Settled> {
        const SETTLED: &str = "kuma_xds_convergence_seconds_count";
        let before = self.metric(SETTLED).await?;
        self.apply(entity).await?;
        let answered = Instant::now();
        while self.metric(SETTLED).await? <= before {
            anyhow::ensure!(answered.elapsed() < PATIENCE, "no proxy acknowledged {entity} in {PATIENCE:?}");
        }
        Ok(Settled { answered, last_ack: answered.elapsed() })
    }

    /// A metric's value: of one series (`kuma_xds_responses_total{type="cds"}`), or summed over all of its labels
    /// (`kuma_xds_responses_total`).
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        sum_of(&self.metrics().await?, name).with_context(|| format!("there is no metric {name}"))
    }

    /// A counter's value, named as a [metric](Self::metric) is; 0 before it has counted anything.
    pub async fn count(&self, name: &str) -> anyhow::Result<u64> {
        Ok(sum_of(&self.metrics().await?, name).unwrap_or_default())
    }

    async fn metrics(&self) -> anyhow::Result<String> {
        let url = format!("http://{}/metrics", self.ports.diagnostics);
        Ok(self.client.get(url).send().await?.error_for_status()?.text().await?)
    }
}

async fn spawn(
    program: &Path,
    work_dir: &Path,
    log: &Path,
    variables: &[(String, String)],
    client: &reqwest::Client,
) -> anyhow::Result<(Child, Ports)> {
    let mut command = Command::new(program);
    command.arg("run").env("KUMA_GENERAL_WORK_DIR", work_dir).envs(variables.iter().cloned());
    let file = work_dir.join("ports.json");
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut process = Child::spawn("kuma-cp", &mut command, log)?;
    let ports = process.until("ports.json", async || read_ports(&file)).await?;
    let ready = format!("http://{}/ready", ports.diagnostics);
    let is_ready = async || client.get(&ready).send().await.ok().filter(|it| it.status() == StatusCode::OK);
    process.until("its being ready", is_ready).await?;
    Ok((process, ports))
}

fn open_subscription(overview: &Value) -> Option<&Value> {
    let mut subscriptions = overview["dataplaneInsight"]["subscriptions"].as_array()?.iter();
    subscriptions.rfind(|it| it.get("disconnectTime").is_none())
}

fn has_acknowledged_listeners(subscription: &Value) -> bool {
    subscription["status"]["lds"].get("responsesAcknowledged").is_some()
}

/// A proxy that should have nothing has not been planned yet, or is to go.
fn all_synced(inspection: &Value) -> bool {
    let resources = inspection["resources"].as_array().map(Vec::as_slice).unwrap_or_default();
    !resources.is_empty() && resources.iter().all(|it| it["state"] == "synced")
}

fn read_ports(file: &Path) -> Option<Ports> {
    let ports: Value = serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()?;
    let first = |server: &str| ports[server][0].as_str()?.parse().ok();
    Some(Ports { api: first("api")?, xds: first("xds")?, diagnostics: first("diagnostics")? })
}

/// In Prometheus' text form: `NAME VALUE` or `NAME{LABELS} VALUE`.
pub(crate) fn sum_of<T: FromStr + Add<Output = T>>(metrics: &str, name: &str) -> Option<T> {
    metrics
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .filter(|(series, _)| *series == name || series.split('{').next() == Some(name))
        .filter_map(|(_, value)| value.parse::<T>().ok())
        .reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_one_series_or_the_sum_over_its_labels() {
        let metrics = "# TYPE a counter\na_total 1\na_total_more 2\nb{c=\"d e\"} 3\nb{c=\"f\"} 4.5\n";
        assert_eq!(sum_of(metrics, "a_total"), Some(1.0));
        assert_eq!(sum_of(metrics, "a_total"), Some(1));
        assert_eq!(sum_of(metrics, "b"), Some(7.5));
        assert_eq!(sum_of(metrics, "b{c=\"f\"}"), Some(4.5));
        assert_eq!(sum_of::<f64>(metrics, "c"), None);
    }

    #[test]
    fn synced_is_who_has_all_of_something() {
        let states = |states: &[&str]| {
            let resources: Vec<_> = states.iter().map(|it| serde_json::json!({"state": it})).collect();
            serde_json::json!({"resources": resources})
        };
        assert!(all_synced(&states(&["synced", "synced"])));
        for inspection in [states(&["synced", "pending"]), states(&[]), serde_json::json!({})] {
            assert!(!all_synced(&inspection), "{inspection}");
        }
    }

    #[test]
    fn ports_are_read_once_all_of_them_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ports.json");
        assert!(read_ports(&file).is_none());
        std::fs::write(&file, r#"{"api": ["127.0.0.1:1", "[::1]:1"], "xds": ["127.0.0.1:2"]"#).unwrap();
        assert!(read_ports(&file).is_none());
        let whole = r#"{"api": ["127.0.0.1:1"], "xds": ["127.0.0.1:2"], "diagnostics": ["127.0.0.1:3"]}"#;
        std::fs::write(&file, whole).unwrap();
        let ports = read_ports(&file).unwrap();
        assert_eq!([ports.api, ports.xds, ports.diagnostics].map(|it| it.port()), [1, 2, 3]);
    }
}
