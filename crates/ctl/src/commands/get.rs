//! `kumactl get meshes`, `get dataplanes`, …: a command for each kind of the table.

use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand, error::ErrorKind};
use model::{Kind, Scope};
use serde_json::Value;

use super::Target;
use crate::{
    dataplane_tags, names,
    output::{self, OutputFormat},
    surroundings::Surroundings,
    table,
    yaml::YamlError,
};

#[derive(Debug)]
pub(crate) struct GetCommand {
    kind: Kind,
    args: GetArgs,
}

#[derive(Debug, Args)]
struct GetArgs {
    /// The format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: OutputFormat,
}

// By hand, because clap derives subcommands from an enum only, and ours come from the table of kinds.
impl Subcommand for GetCommand {
    fn augment_subcommands(get: Command) -> Command {
        let get = get.about("Show resources").subcommand_required(true).arg_required_else_help(true);
        Kind::ALL.iter().fold(get, |get, &kind| get.subcommand(command_of(kind)))
    }

    fn augment_subcommands_for_update(get: Command) -> Command {
        Self::augment_subcommands(get)
    }

    fn has_subcommand(name: &str) -> bool {
        Kind::from_path(name).is_some()
    }
}

impl FromArgMatches for GetCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let (name, matches) = matches.subcommand().ok_or(clap::Error::new(ErrorKind::MissingSubcommand))?;
        let kind = Kind::from_path(name).ok_or(clap::Error::new(ErrorKind::InvalidSubcommand))?;
        Ok(Self { kind, args: GetArgs::from_arg_matches(matches)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn command_of(kind: Kind) -> Command {
    let (about, mesh) = match kind.scope() {
        Scope::Global => (format!("Show {}", names::plural(kind)), ""),
        Scope::Mesh => (format!("Show {} of a mesh", names::plural(kind)), " --mesh demo"),
    };
    let path = kind.path();
    let examples = format!("Examples:\n  kumactl get {path}{mesh}\n  kumactl get {path}{mesh} -o yaml");
    GetArgs::augment_args(Command::new(path).about(about).after_help(examples))
}

pub(super) async fn run(
    command: &GetCommand,
    target: &Target,
    surroundings: &mut Surroundings<'_>,
) -> anyhow::Result<()> {
    let kind = command.kind;
    let listed = target.client.list(kind, &target.mesh).await;
    let items =
        listed.map_err(|error| error.while_trying(format!("failed to list {}", names::plural(kind))))?;
    let text =
        output::print_list(&items, command.args.output, |items| Ok::<_, YamlError>(as_table(kind, items)))?;
    Ok(surroundings.print(&text)?)
}

/// What is missing in an item is an empty cell: the list may come from a newer control plane.
fn as_table(kind: Kind, items: &[Value]) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = |row: fn(&Value, String, String) -> Vec<String>| {
        items.iter().map(|item| row(item, text(&item["mesh"]), text(&item["name"]))).collect::<Vec<_>>()
    };
    if kind == Kind::Mesh {
        let rows = rows(|item, _, name| vec![name, on_or_off(&item["mtls"]["enabled"]).to_owned()]);
        return table::print(&["NAME", "mTLS"], &rows);
    }
    if kind == Kind::Dataplane {
        let rows = rows(|item, mesh, name| vec![mesh, name, dataplane_tags::cell(item)]);
        return table::print(&["MESH", "NAME", "TAGS"], &rows);
    }
    match kind.scope() {
        Scope::Global => table::print(&["NAME"], &rows(|_, _, name| vec![name])),
        Scope::Mesh => table::print(&["MESH", "NAME"], &rows(|_, mesh, name| vec![mesh, name])),
    }
}

fn on_or_off(enabled: &Value) -> &'static str {
    if enabled.as_bool() == Some(true) { "on" } else { "off" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_has_its_columns() {
        for (kind, item, expected) in [
            (Kind::Mesh, json!({"name": "a"}), "NAME   mTLS\na      off\n"),
            (
                Kind::Mesh,
                json!({"name": "a", "mtls": {"enabled": true, "more": 1}}),
                "NAME   mTLS\na      on\n",
            ),
            (
                Kind::Dataplane,
                json!({"mesh": "m", "name": "a", "networking": {"inbound": [{"tags": {"service": "web"}}]}}),
                "MESH   NAME   TAGS\nm      a      service=web\n",
            ),
            (Kind::TrafficRoute, json!({"mesh": "m", "name": "a"}), "MESH   NAME\nm      a\n"),
        ] {
            assert_eq!(as_table(kind, &[item]), expected);
        }
    }
}
