//! Dataplanes together with what is known of their proxies, and that alone.

use bytes::Bytes;
use model::{DataplaneInsight, Key, Spec};
use serde::Serialize;
use store::{Entry, Present};

use crate::respond::{Refusal, title};

/// The `type`s of what is answered here.
pub(crate) const OVERVIEW_TYPE: &str = "DataplaneOverview";
pub(crate) const INSIGHT_TYPE: &str = "DataplaneInsight";

/// A Dataplane and what is known of its proxy; `{}` when it never connected.
pub(crate) fn overview(present: &Present, key: &Key, entry: &Entry) -> Result<Bytes, Refusal> {
    static UNKNOWN: DataplaneInsight = DataplaneInsight { subscriptions: None };
    let insight = present.insight(key).map_or(&UNKNOWN, |insight| insight);
    let (mesh, name) = (&*key.mesh, &*key.name);
    encode(&Overview { r#type: OVERVIEW_TYPE, mesh, name, dataplane: &entry.spec, insight })
}

/// What is known of the proxy of the Dataplane `key`.
pub(crate) fn insight(key: &Key, insight: &DataplaneInsight) -> Result<Bytes, Refusal> {
    encode(&NamedInsight { r#type: INSIGHT_TYPE, mesh: &key.mesh, name: &key.name, insight })
}

#[derive(Serialize)]
struct Overview<'a> {
    r#type: &'static str,
    mesh: &'a str,
    name: &'a str,
    dataplane: &'a Spec,
    #[serde(rename = "dataplaneInsight")]
    insight: &'a DataplaneInsight,
}

#[derive(Serialize)]
struct NamedInsight<'a> {
    r#type: &'static str,
    mesh: &'a str,
    name: &'a str,
    #[serde(flatten)]
    insight: &'a DataplaneInsight,
}

fn encode(value: &impl Serialize) -> Result<Bytes, Refusal> {
    let json = serde_json::to_vec(value).map_err(|error| Refusal::internal(title::RETRIEVE, &error))?;
    Ok(json.into())
}
