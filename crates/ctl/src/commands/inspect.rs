//! `kumactl inspect`: which proxies are connected, and how they get on; one of them is in
//! [`super::inspect_dataplane`], whom they trust in [`super::inspect_mesh_cas`].

use anyhow::Context as _;
use clap::{Args, Subcommand};
use model::{Timestamp, wire};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Target,
    inspect_dataplane::{self, InspectDataplaneArgs},
    inspect_mesh_cas::{self, InspectMeshCasArgs},
};
use crate::{
    age, dataplane_tags,
    output::{self, OutputFormat},
    pairs::Pairs,
    surroundings::Surroundings,
    table,
};

/// Show the state of resources
#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
pub(crate) enum InspectCommand {
    Dataplanes(InspectDataplanesArgs),
    Dataplane(InspectDataplaneArgs),
    #[command(name = "certificate-authorities")]
    MeshCas(InspectMeshCasArgs),
}

/// Show the dataplanes of a mesh and the state of their proxies
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InspectDataplanesArgs {
    /// Only dataplanes that carry this tag; may be given several times, or as a=1,b=2: all have to match
    #[arg(long, value_name = "KEY=VALUE")]
    tag: Vec<Pairs>,
    /// The format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: OutputFormat,
}

const EXAMPLES: &str = "\
Examples:
  kumactl inspect dataplanes --mesh demo
  kumactl inspect dataplanes --tag service=web --tag version=1";

const HEADER: [&str; 8] = [
    "MESH",
    "NAME",
    "TAGS",
    "STATUS",
    "LAST CONNECTED AGO",
    "LAST UPDATED AGO",
    "TOTAL UPDATES",
    "TOTAL ERRORS",
];

pub(super) async fn run(
    command: &InspectCommand,
    target: &Target,
    surroundings: &mut Surroundings<'_>,
) -> anyhow::Result<()> {
    match command {
        InspectCommand::Dataplanes(args) => inspect_dataplanes(args, target, surroundings).await,
        InspectCommand::Dataplane(args) => inspect_dataplane::run(args, target, surroundings).await,
        InspectCommand::MeshCas(args) => inspect_mesh_cas::run(args, target, surroundings).await,
    }
}

async fn inspect_dataplanes(
    args: &InspectDataplanesArgs,
    target: &Target,
    surroundings: &mut Surroundings<'_>,
) -> anyhow::Result<()> {
    let tags: Vec<_> = args.tag.iter().flat_map(Pairs::iter).cloned().collect();
    let items = target.client.overviews(&target.mesh, &tags).await?;
    let now = surroundings.now;
    let text = output::print_list(&items, args.output, |items| as_table(items, now))?;
    Ok(surroundings.print(&text)?)
}

/// A dataplane with what is known of its proxy. Read leniently, not with the model's types, because a newer control
/// plane may say more.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Overview {
    mesh: String,
    name: String,
    dataplane: Value,
    dataplane_insight: Option<Insight>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Insight {
    subscriptions: Option<Vec<Subscription>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Subscription {
    connect_time: Option<Timestamp>,
    disconnect_time: Option<Timestamp>,
    status: Option<Status>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    last_update_time: Option<Timestamp>,
    total: Option<Total>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Total {
    #[serde(deserialize_with = "wire::uint64::deserialize")]
    responses_sent: u64,
    #[serde(deserialize_with = "wire::uint64::deserialize")]
    responses_rejected: u64,
}

fn as_table(items: &[Value], now: Timestamp) -> anyhow::Result<String> {
    let rows = items.iter().map(|item| {
        let overview = serde_path_to_error::deserialize::<_, Overview>(item);
        overview
            .map(|overview| row(&overview, now))
            .context("the control plane's answer cannot be understood")
    });
    Ok(table::print(&HEADER, &rows.collect::<anyhow::Result<Vec<_>>>()?))
}

fn row(overview: &Overview, now: Timestamp) -> Vec<String> {
    let subscriptions =
        overview.dataplane_insight.as_ref().and_then(|it| it.subscriptions.as_deref()).unwrap_or_default();
    let is_online = subscriptions.iter().any(|it| it.connect_time.is_some() && it.disconnect_time.is_none());
    let latest = subscriptions.iter().max_by_key(|it| it.connect_time);
    let updated = latest.and_then(|it| it.status.as_ref()).and_then(|it| it.last_update_time);
    let sum = |count: fn(&Total) -> u64| {
        let totals = subscriptions.iter().filter_map(|it| it.status.as_ref()?.total.as_ref());
        totals.map(count).fold(0, u64::saturating_add).to_string()
    };
    vec![
        overview.mesh.clone(),
        overview.name.clone(),
        dataplane_tags::cell(&overview.dataplane),
        if is_online { "Online" } else { "Offline" }.to_owned(),
        age::ago(latest.and_then(|it| it.connect_time), now),
        age::ago(updated, now),
        sum(|total| total.responses_sent),
        sum(|total| total.responses_rejected),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp { seconds: 1_577_836_800, nanos: 0 }; // 2020-01-01T00:00:00Z

    /// The columns after TAGS.
    fn check(insight: &Value, expected: &[&str]) {
        let overview = json!({"mesh": "m", "name": "a", "dataplane": {}, "dataplaneInsight": insight});
        let row = row(&serde_json::from_value(overview).unwrap(), NOW);
        assert_eq!(row[3..], *expected, "{insight}");
    }

    #[test]
    fn a_proxy_that_never_connected() {
        for insight in [json!(null), json!({}), json!({"subscriptions": null}), json!({"subscriptions": []})]
        {
            check(&insight, &["Offline", "never", "never", "0", "0"]);
        }
    }

    #[test]
    fn online_while_one_subscription_has_no_end() {
        check(
            &json!({"health": "good", "subscriptions": [
                {"connectTime": "2019-12-31T23:59:57Z"},
                {"connectTime": "2019-12-31T23:59:58.5Z", "disconnectTime": "2019-12-31T23:59:59Z"},
            ]}),
            &["Online", "1s", "never", "0", "0"],
        );
    }

    #[test]
    fn ages_are_of_the_latest_subscription_and_totals_of_all() {
        check(
            &json!({"subscriptions": [
                {
                    "connectTime": "2019-12-31T00:00:00Z", "disconnectTime": "2019-12-31T12:00:00Z",
                    "status": {"lastUpdateTime": "2019-12-31T11:00:00Z", "total": {"responsesSent": "5", "responsesRejected": 1}},
                },
                {
                    "connectTime": "2019-12-30T00:00:00Z", "disconnectTime": "2019-12-30T12:00:00Z",
                    "status": {"lastUpdateTime": "2019-12-31T23:00:00Z", "total": {"responsesSent": 7}},
                },
            ]}),
            &["Offline", "24h0m0s", "13h0m0s", "12", "1"],
        );
    }
}
