//! `kumactl inspect certificate-authorities`: whose certificates the proxies of a mesh trust, and whose they use.

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;

use super::Target;
use crate::{
    client::{MeshCa, MeshCaProxies},
    output::{self, OutputFormat},
    surroundings::Surroundings,
    table,
};

/// Show the certificate authorities of a mesh and the proxies that trust and use them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InspectMeshCasArgs {
    /// The format of the output; json and yaml have the certificates, too
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: OutputFormat,
}

const EXAMPLES: &str = "\
Examples:
  kumactl inspect certificate-authorities --mesh demo
  kumactl inspect certificate-authorities --mesh demo -o yaml";

const HEADER: [&str; 7] = ["ID", "USE", "NOT AFTER", "DATAPLANES", "CONNECTED", "TRUSTING", "USING"];

pub(super) async fn run(
    args: &InspectMeshCasArgs,
    target: &Target,
    surroundings: &mut Surroundings<'_>,
) -> anyhow::Result<()> {
    let listed = listed(target).await?;
    let text =
        output::print_list(&listed, args.output, |items| Ok::<_, anyhow::Error>(table(&read(items)?)))?;
    Ok(surroundings.print(&text)?)
}

/// In the API's words.
pub(super) async fn listed(target: &Target) -> anyhow::Result<Vec<Value>> {
    let mesh = &target.mesh;
    let listed = target.client.mesh_cas(mesh).await;
    let what = format!("failed to list the certificate authorities of mesh \"{mesh}\"");
    listed.map_err(|error| error.while_trying(what))
}

pub(super) fn read(items: &[Value]) -> anyhow::Result<Vec<MeshCa>> {
    let read = items.iter().map(serde_path_to_error::deserialize);
    read.collect::<Result<_, _>>().context("the control plane's answer cannot be understood")
}

pub(super) fn table(cas: &[MeshCa]) -> String {
    let row = |ca: &MeshCa| {
        let does = if ca.signs { "signs" } else { "verifies" };
        let MeshCaProxies { dataplanes, connected, trusting, using } = ca.proxies;
        let counts = [dataplanes, connected, trusting, using];
        let words = [ca.id.clone(), does.to_owned(), ca.not_after.clone()];
        words.into_iter().chain(counts.map(|count| count.to_string())).collect()
    };
    table::print(&HEADER, &cas.iter().map(row).collect::<Vec<_>>())
}
