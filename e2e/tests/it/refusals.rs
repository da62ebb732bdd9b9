//! A clear sentence with the next step for everything that an operator can get wrong.

use std::{
    os::unix::fs::DirBuilderExt as _,
    path::Path,
    process::{Output, Stdio},
};

use serde_json::json;
use testbed::Programs;
use tokio::process::Command;

use crate::shop::Shop;

async fn kuma_cp(work_dir: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let programs = Programs::find().unwrap();
    let free = ["KUMA_API_SERVER_PORT", "KUMA_XDS_SERVER_GRPC_PORT", "KUMA_XDS_SERVER_DIAGNOSTICS_PORT"];
    let mut command = Command::new(programs.kuma_cp);
    command.arg("run").args(arguments).envs(free.map(|it| (it, "0"))).env("KUMA_GENERAL_WORK_DIR", work_dir);
    ended(command.envs(variables.iter().copied())).await
}

async fn kuma_dp(shop: &Shop, name: &str, token: Option<&str>, envoy: &Path) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(&shop.programs.kuma_dp);
    command.args(["run", "--name", name, "--cp-address", &shop.control_plane.url()]);
    command.arg("--config-dir").arg(folder.path().join("dp")).arg("--binary-path").arg(envoy);
    if let Some(token) = token {
        let file = folder.path().join("token");
        std::fs::write(&file, token).unwrap();
        command.arg("--dataplane-token-file").arg(file);
    }
    ended(&mut command).await
}

async fn ended(command: &mut Command) -> Output {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    tokio::time::timeout(std::time::Duration::from_mins(1), running)
        .await
        .expect("it ends by itself")
        .unwrap()
}

/// Status 1, and one sentence on stderr that has all of these in it.
fn says(output: &Output, parts: &[&str]) {
    ends_with(output, 1, parts);
}

fn ends_with(output: &Output, status: i32, parts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{part:?} is not in: {stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kuma_cp_says_why_it_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let dir = |name: &str| folder.path().join(name);

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = kuma_cp(&dir("a"), &[("KUMA_API_SERVER_PORT", &port)], &[]).await;
    says(&output, &[&format!("port {port} on 127.0.0.1 is in use"), "KUMA_API_SERVER_PORT"]);

    let config = dir("kuma.yaml");
    std::fs::write(&config, "apiServer: {prot: 1}\nxdsServer: {grpcPort: many}\n").unwrap();
    let output = kuma_cp(&dir("b"), &[], &["--config-file", config.to_str().unwrap()]).await;
    says(&output, &["apiServer.prot; did you mean apiServer.port?", "xdsServer.grpcPort", "a port number"]);

    let output = kuma_cp(&dir("c"), &[("KUMA_GENERAL_INTERFACE", "all")], &[]).await;
    says(&output, &["general.interface", "only loopback is served yet"]);

    std::fs::write(dir("file"), "").unwrap();
    let output = kuma_cp(&dir("file"), &[], &[]).await;
    says(&output, &["work directory", "file", "KUMA_GENERAL_WORK_DIR"]);

    std::fs::DirBuilder::new().mode(0o700).create(dir("damaged")).unwrap();
    std::fs::write(dir("damaged/kuma.db"), "this is no database, and long enough to be told from one")
        .unwrap();
    let output = kuma_cp(&dir("damaged"), &[], &[]).await;
    says(&output, &["kuma.db"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_kuma_cp_and_a_lost_key_are_refused() {
    let mut shop = Shop::open(121, &[]).await;
    let work_dir = shop.control_plane.work_dir().to_owned();
    let pid = shop.control_plane.process().pid().unwrap();
    let output = kuma_cp(&work_dir, &[], &[]).await;
    says(&output, &["another kuma-cp", &format!("pid {pid}")]);

    shop.control_plane.terminate().await.unwrap();
    std::fs::rename(work_dir.join("secrets.key"), work_dir.join("elsewhere")).unwrap();
    let output = kuma_cp(&work_dir, &[], &[]).await;
    says(&output, &["secrets.key is not there", "put the key file back"]);
    std::fs::rename(work_dir.join("elsewhere"), work_dir.join("secrets.key")).unwrap();
    shop.control_plane.start_again().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kuma_dp_says_why_it_does_not_start() {
    let mut shop = Shop::open(122, &[]).await;
    shop.register("web", json!({"service": "web"}), &[]).await;
    let envoy = shop.programs.envoy.clone();
    let web = shop.control_plane.token("default", "web").await.unwrap();
    let api = shop.control_plane.token("default", "api").await.unwrap();

    // The command line alone shows it: used wrongly.
    ends_with(&kuma_dp(&shop, "web", None, &envoy).await, 2, &["token", "kumactl generate dataplane-token"]);
    says(&kuma_dp(&shop, "web", Some("garbage"), &envoy).await, &["token"]);
    says(&kuma_dp(&shop, "web", Some(&api), &envoy).await, &["api", "web"]);
    says(&kuma_dp(&shop, "api", Some(&api), &envoy).await, &["api", "apply"]);

    let absent = shop.folder.path().join("no-envoy");
    says(&kuma_dp(&shop, "web", Some(&web), &absent).await, &["no-envoy", "--binary-path"]);
    says(&kuma_dp(&shop, "web", Some(&web), Path::new("/bin/true")).await, &["/bin/true", "Envoy"]);
}

/// By the CA that the token pins, before anything is sent. What kuma-cp itself refuses is tested beside its `Streams`.
#[tokio::test(flavor = "multi_thread")]
async fn kuma_dp_refuses_a_token_of_another_control_plane() {
    let mut shop = Shop::open(123, &[]).await;
    shop.register("web", json!({"service": "web"}), &[]).await;
    let mut other = Shop::open(124, &[]).await;
    other.register("web", json!({"service": "web"}), &[]).await;

    // A token of another control plane: its CA claim does not match, and its key is not known here.
    let foreign = other.control_plane.token("default", "web").await.unwrap();
    let envoy = shop.programs.envoy.clone();
    says(
        &kuma_dp(&shop, "web", Some(&foreign), &envoy).await,
        &["the token was made by another control plane"],
    );
}
