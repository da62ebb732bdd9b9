//! Envoy's descriptors: what a program must know to read and print any of its messages, one blob for each of its APIs.
//!
//! The sources are the .proto files inside two packages. Those of v3 come from envoy-types, in just the version that the
//! workspace is locked to, so that the descriptors and the compiled types cannot differ. Those of v2, which users wrote
//! resources in and Envoy has forgotten, come from data-plane-api; `xtask/envoy-v2` says why that is a workspace of its
//! own.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail, ensure};
use prost_reflect::DescriptorPool;
use protox::{
    Compiler,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver},
};
use serde_json::Value;

use crate::repository;

struct Blob {
    path: &'static str,
    /// The workspace that depends on the package.
    workspace: &'static str,
    package: &'static str,
    /// The folders of the package that import paths start in.
    roots: &'static [&'static str],
    /// Whether resources are made of what is in the file of this import path. Its imports come along.
    is_wanted: fn(&str) -> bool,
}

const BLOBS: [Blob; 2] = [
    Blob {
        path: "crates/plan/src/generated/envoy_v3.bin",
        workspace: ".",
        package: "envoy-types",
        roots: &[
            "proto/data-plane-api",
            "proto/googleapis",
            "proto/protoc-gen-validate",
            "proto/xds",
            "proto/opentelemetry-proto",
            "proto/client_model",
            "proto/cel-spec/proto",
            "proto/ratelimit/api",
        ],
        is_wanted: |file| {
            ["envoy/", "xds/", "udpa/", "google/rpc/status.proto"]
                .iter()
                .any(|wanted| file.starts_with(wanted))
        },
    },
    Blob {
        path: "crates/plan/src/generated/envoy_v2.bin",
        workspace: "xtask/envoy-v2",
        package: "data-plane-api",
        roots: &[
            "data-plane-api",
            "googleapis",
            "protoc-gen-validate",
            "xds",
            "opentelemetry-proto",
            "client_model",
            "opencensus-proto/src",
        ],
        is_wanted: is_resource_of_v2,
    },
];

/// The package has v3 beside v2, and services beside what they serve.
fn is_resource_of_v2(file: &str) -> bool {
    let folders = ["envoy/api/v2/", "envoy/config/", "envoy/type/"];
    folders.iter().any(|folder| file.starts_with(folder)) && !file.contains("/v3/")
}

pub(crate) fn write() -> anyhow::Result<()> {
    for blob in BLOBS {
        let path = repository().join(blob.path);
        fs::write(&path, compile(&blob)?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

pub(crate) fn check() -> anyhow::Result<()> {
    for blob in BLOBS {
        let path = repository().join(blob.path);
        let committed = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(
            committed == compile(&blob)?,
            "{} is out of date: run `cargo run -p xtask -- descriptors` and commit it",
            blob.path
        );
    }
    Ok(())
}

/// The encoded `FileDescriptorSet`, options of all extensions included.
fn compile(blob: &Blob) -> anyhow::Result<Vec<u8>> {
    let package = package_folder(blob)?;
    let roots: Vec<_> = blob.roots.iter().map(|root| package.join(root)).collect();
    let mut pool = DescriptorPool::new();
    for name in wanted_files(&roots, blob.is_wanted)? {
        // A compiler for each, because protox resolves a relative name against every file that it has loaded, and protoc
        // only against those that are imported. And encoded, because its decoded form drops custom options.
        let mut resolver = ChainFileResolver::new();
        resolver.add(PackagedFiles { roots: roots.clone() });
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_imports(true).include_source_info(false);
        compiler.open_file(&name).with_context(|| format!("cannot compile {name}"))?;
        pool.decode_file_descriptor_set(&*compiler.encode_file_descriptor_set())
            .with_context(|| format!("cannot add {name}"))?;
    }
    Ok(pool.encode_to_vec())
}

/// Where cargo has unpacked the package, in the version that the workspace is locked to.
fn package_folder(Blob { workspace, package, .. }: &Blob) -> anyhow::Result<PathBuf> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .current_dir(repository().join(workspace))
        .output()
        .context("cannot run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let mut found = packages.filter(|found| found["name"] == *package);
    match (found.next().and_then(|package| package["manifest_path"].as_str()), found.next()) {
        (Some(manifest), None) => Ok(Path::new(manifest).with_file_name("")),
        (None, _) => bail!("the workspace does not depend on {package}"),
        (_, Some(_)) => bail!("the workspace depends on more than one version of {package}"),
    }
}

/// Import paths, sorted.
fn wanted_files(roots: &[PathBuf], is_wanted: fn(&str) -> bool) -> anyhow::Result<BTreeSet<String>> {
    let mut wanted = BTreeSet::new();
    for root in roots {
        let files = proto_files(root)?;
        let names = files.iter().filter_map(|file| import_path(root, file));
        wanted.extend(names.filter(|name| is_wanted(name)));
    }
    Ok(wanted)
}

fn proto_files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "proto") {
                files.push(path);
            }
        }
    }
    Ok(files)
}

fn import_path(root: &Path, file: &Path) -> Option<String> {
    Some(file.strip_prefix(root).ok()?.to_str()?.to_owned())
}

struct PackagedFiles {
    roots: Vec<PathBuf>,
}

impl FileResolver for PackagedFiles {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        self.roots.iter().find_map(|root| import_path(root, path))
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let read = |root: &PathBuf| fs::read_to_string(root.join(name)).ok();
        let source = self.roots.iter().find_map(read).ok_or_else(|| protox::Error::file_not_found(name))?;
        File::from_source(name, &with_absolute_names(name, source))
    }
}

/// In one file a relative package name means, to protox, the nearest package that is known and, to protoc, the nearest
/// that is imported.
fn with_absolute_names(name: &str, source: String) -> String {
    const RELATIVE: &str = " common.dynamic_forward_proxy.v3.";
    const ABSOLUTE: &str = " .envoy.extensions.common.dynamic_forward_proxy.v3.";
    match name {
        "envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster.proto" => {
            source.replace(RELATIVE, ABSOLUTE)
        }
        _ => source,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_committed_is_what_would_be_written() {
        super::check().unwrap();
    }
}
