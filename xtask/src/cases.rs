//! Everything that `plan` is expected to say to an Envoy, judged by a real one: the resources of every case, every raw
//! resource that it takes from a user, and every form of bootstrap.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::{envoy::Envoy, repository, static_config};

const TESTS: &str = "crates/plan/tests";

/// The folder that cases name, and in which kuma-dp keeps an Envoy's files.
const KUMA_DP_WORK_DIR: &str = "/run/kuma-dp";

/// Fails at the first case that Envoy refuses or warns about, and names it.
pub(crate) fn validate(program: &Path) -> anyhow::Result<()> {
    let envoy = Envoy::new(program)?;
    let secrets = mesh_secrets()?;
    for case in expected("cases", "envoy.yaml")? {
        let resources: Vec<Value> = serde_saphyr::from_str(&in_work_dir(&case, &envoy)?)
            .with_context(|| format!("{} is not a list of resources", case.display()))?;
        validate_resources(&envoy, &resources, &secrets).with_context(|| case.display().to_string())?;
    }
    for case in expected("raw", "out.yaml")?.into_iter().filter(|case| case.exists()) {
        let resource: Value = serde_saphyr::from_str(&read(&case)?)
            .with_context(|| format!("{} is not a resource", case.display()))?;
        // What users wrote may be deprecated, which is theirs to change.
        let config = static_config::around(&resource).with_context(|| case.display().to_string())?;
        envoy.accept(&config.to_string()).with_context(|| case.display().to_string())?;
    }
    write_secrets(envoy.work_dir())?;
    for case in expected("bootstraps", "envoy.yaml")? {
        envoy.validate(&in_work_dir(&case, &envoy)?).with_context(|| case.display().to_string())?;
    }
    Ok(())
}

fn validate_resources(envoy: &Envoy, resources: &[Value], secrets: &[Value]) -> anyhow::Result<()> {
    envoy.validate(&static_config::as_sent(resources)?.to_string()).context("as sent")?;
    let mut in_place = static_config::in_place(resources, secrets)?;
    if envoy.version() < NEWER_FIELDS_SINCE {
        for field in NEWER_FIELDS {
            static_config::remove_everywhere(&mut in_place, field);
        }
    }
    envoy.validate(&in_place.to_string()).context("with endpoints, filters and secrets in place")
}

/// Fields that older Envoys do not have: of what comes over a stream they ignore them, of what comes from a file they do not.
const NEWER_FIELDS: [&str; 2] = ["upstream_connect_mode", "max_early_data_bytes"];
const NEWER_FIELDS_SINCE: (u32, u32) = (1, 37);

/// What proxies of a mesh with mTLS refer to, of no mesh.
fn mesh_secrets() -> anyhow::Result<Vec<Value>> {
    let made = rcgen::generate_simple_self_signed([]).context("cannot make a certificate")?;
    let certificate = json!({ "inline_string": made.cert.pem() });
    let key = json!({ "inline_string": made.signing_key.serialize_pem() });
    Ok(vec![
        json!({ "name": "identity_cert", "tls_certificate": { "certificate_chain": certificate, "private_key": key } }),
        json!({ "name": "mesh_ca", "validation_context": { "trusted_ca": certificate } }),
    ])
}

/// The file of each case that has what Envoy is told, whether or not it is there.
fn expected(folder: &str, file: &str) -> anyhow::Result<Vec<PathBuf>> {
    let folder = repository().join(TESTS).join(folder);
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let cases = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    let mut expected: Vec<_> =
        cases.into_iter().filter(|case| case.is_dir()).map(|case| case.join(file)).collect();
    ensure!(!expected.is_empty(), "no cases in {}", folder.display());
    expected.sort();
    Ok(expected)
}

/// What kuma-dp writes before it starts an Envoy: its token and the control plane's CA, as secrets.
fn write_secrets(work_dir: &Path) -> anyhow::Result<()> {
    let ca = read(&repository().join(TESTS).join("bootstraps/ca.pem"))?;
    let token =
        json!({ "name": "dataplane_token", "generic_secret": { "secret": { "inline_string": "token" } } });
    let ca = json!({ "name": "cp_ca", "validation_context": { "trusted_ca": { "inline_string": ca } } });
    for (file, mut secret) in [("token.yaml", token), ("cp_ca.yaml", ca)] {
        secret["@type"] = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret".into();
        let path = work_dir.join(file);
        fs::write(&path, json!({ "resources": [secret] }).to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The text of a case, with the folder that is there in the place of the one that it names.
fn in_work_dir(case: &Path, envoy: &Envoy) -> anyhow::Result<String> {
    Ok(read(case)?.replace(KUMA_DP_WORK_DIR, &envoy.work_dir().to_string_lossy()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
