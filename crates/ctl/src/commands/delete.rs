//! `kumactl delete TYPE NAME`.

use anyhow::bail;
use clap::{
    Args,
    builder::{NonEmptyStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser},
};
use model::Kind;

use super::Target;
use crate::{names, surroundings::Surroundings};

/// Delete a resource
///
/// A mesh goes with everything that is in it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DeleteArgs {
    /// The type of the resource
    #[arg(value_name = "TYPE", value_parser = kind_parser())]
    kind: Kind,
    /// The name of the resource
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// Do not ask before a mesh is deleted
    #[arg(long)]
    yes: bool,
}

const EXAMPLES: &str = "\
Examples:
  kumactl delete dataplane web-1 --mesh demo
  kumactl delete mesh demo --yes";

/// The singular of each kind of the table, or its plural.
fn kind_parser() -> impl TypedValueParser<Value = Kind> {
    let value = |&kind: &Kind| PossibleValue::new(names::singular_path(kind)).alias(kind.path());
    PossibleValuesParser::new(Kind::ALL.iter().map(value)).try_map(|text| {
        let named = |kind: &Kind| names::singular_path(*kind) == text;
        Kind::ALL.iter().copied().find(named).or_else(|| Kind::from_path(&text)).ok_or("no type of resource")
    })
}

pub(super) async fn run(
    args: &DeleteArgs,
    target: &Target,
    surroundings: &mut Surroundings<'_>,
) -> anyhow::Result<()> {
    let (kind, name) = (args.kind, &args.name);
    let what = format!("{} with the name \"{name}\"", kind.name());
    let there = target.client.exists(kind, &target.mesh, name).await;
    if !there.map_err(|error| error.while_trying(format!("failed to get {what}")))? {
        bail!("there is no {} with name \"{name}\"", kind.name());
    }
    if kind == Kind::Mesh && surroundings.is_interactive && !args.yes {
        let question = format!("Delete Mesh \"{name}\" with all its dataplanes and policies?");
        if !surroundings.confirm(&question)? {
            bail!("Mesh \"{name}\" was not deleted");
        }
    }
    let deleted = target.client.delete(kind, &target.mesh, name).await;
    deleted.map_err(|error| error.while_trying(format!("failed to delete {what}")))?;
    Ok(surroundings.say(&format!("deleted {} \"{name}\"", kind.name()))?)
}
