//! DataplaneInsight: what the control plane knows of a proxy's streams. Status, not configuration: it has no revision,
//! clients cannot write it, and it is not a [`crate::Kind`], so that no plan can ever depend on it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Timestamp,
    schema::{counter, list, object, text, time},
    wire,
};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataplaneInsight {
    #[serde(default, with = "wire::list", skip_serializing_if = "Option::is_none")]
    pub subscriptions: Option<Vec<DiscoverySubscription>>,
}

/// One ADS stream, from its opening to its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DiscoverySubscription {
    /// A UUID v4, made when the stream opened.
    #[serde(default, deserialize_with = "wire::scalar", skip_serializing_if = "wire::is_default")]
    pub id: String,
    /// A UUID v4, made when that control plane started.
    #[serde(
        default,
        alias = "control_plane_instance_id",
        deserialize_with = "wire::scalar",
        skip_serializing_if = "wire::is_default"
    )]
    pub control_plane_instance_id: String,
    #[serde(default, alias = "connect_time", skip_serializing_if = "Option::is_none")]
    pub connect_time: Option<Timestamp>,
    #[serde(default, alias = "disconnect_time", skip_serializing_if = "Option::is_none")]
    pub disconnect_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub status: Option<DiscoveryStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DiscoveryStatus {
    #[serde(default, alias = "last_update_time", skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub total: Option<ServiceStats>,
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub cds: Option<ServiceStats>,
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub eds: Option<ServiceStats>,
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub lds: Option<ServiceStats>,
    #[serde(default, deserialize_with = "wire::message", skip_serializing_if = "Option::is_none")]
    pub rds: Option<ServiceStats>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ServiceStats {
    #[serde(
        default,
        alias = "responses_sent",
        with = "wire::uint64",
        skip_serializing_if = "wire::is_default"
    )]
    pub responses_sent: u64,
    #[serde(
        default,
        alias = "responses_acknowledged",
        with = "wire::uint64",
        skip_serializing_if = "wire::is_default"
    )]
    pub responses_acknowledged: u64,
    #[serde(
        default,
        alias = "responses_rejected",
        with = "wire::uint64",
        skip_serializing_if = "wire::is_default"
    )]
    pub responses_rejected: u64,
}

impl DataplaneInsight {
    /// Its JSON Schema, without `type`, `name` and `mesh`, as [`crate::Resource::schema`].
    pub fn schema() -> Value {
        let subscription = object(
            "One stream of the proxy to a control plane.",
            [
                ("id", text("Of this stream.")),
                ("controlPlaneInstanceId", text("Of the control plane, since its start.")),
                ("connectTime", time("When the stream began.")),
                ("disconnectTime", time("When it ended; absent while it lasts.")),
                ("status", DiscoveryStatus::schema()),
            ],
        );
        object(
            "What the control plane knows of the streams of a proxy.",
            [("subscriptions", list(subscription))],
        )
    }

    pub fn subscriptions(&self) -> &[DiscoverySubscription] {
        self.subscriptions.as_deref().unwrap_or_default()
    }

    /// Whether any subscription has begun and not ended.
    pub fn is_online(&self) -> bool {
        self.subscriptions().iter().any(DiscoverySubscription::is_open)
    }
}

impl DiscoverySubscription {
    pub fn is_open(&self) -> bool {
        self.connect_time.is_some() && self.disconnect_time.is_none()
    }
}

impl DiscoveryStatus {
    fn schema() -> Value {
        let stats = || {
            object(
                "What was sent and answered.",
                [
                    ("responsesSent", counter("Configurations sent.")),
                    ("responsesAcknowledged", counter("Those that the proxy took.")),
                    ("responsesRejected", counter("Those that it refused.")),
                ],
            )
        };
        object(
            "Counts of configurations: in total, and of clusters, endpoints, listeners and routes.",
            [
                ("lastUpdateTime", time("When a count last changed.")),
                ("total", stats()),
                ("cds", stats()),
                ("eds", stats()),
                ("lds", stats()),
                ("rds", stats()),
            ],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::check_printed;

    #[test]
    fn counters_are_strings_and_those_at_0_are_left_out() {
        check_printed::<ServiceStats>(
            r#"{"responsesSent":7,"responsesAcknowledged":"18446744073709551615","responsesRejected":0}"#,
            r#"{"responsesSent":"7","responsesAcknowledged":"18446744073709551615"}"#,
        );
    }

    #[test]
    fn what_is_empty_but_there_stays() {
        for text in [
            "{}",
            r#"{"subscriptions":[]}"#,
            r#"{"subscriptions":[{}]}"#,
            r#"{"subscriptions":[{"id":"1","status":{"total":{},"cds":{},"eds":{},"lds":{},"rds":{}}}]}"#,
        ] {
            check_printed::<DataplaneInsight>(text, text);
        }
    }

    #[test]
    fn snake_case_is_read_and_times_are_printed_in_utc() {
        check_printed::<DataplaneInsight>(
            r#"{"subscriptions":[{"control_plane_instance_id":"cp","connect_time":"2019-11-18T12:00:00+02:00",
                "disconnect_time":"2019-11-18T23:30:00.25-05:00","status":{"last_update_time":null,
                "lds":{"responses_sent":"3","responses_rejected":3}}}]}"#,
            r#"{"subscriptions":[{"controlPlaneInstanceId":"cp","connectTime":"2019-11-18T10:00:00Z","disconnectTime":"2019-11-19T04:30:00.250Z","status":{"lds":{"responsesSent":"3","responsesRejected":"3"}}}]}"#,
        );
    }

    #[test]
    fn a_proxy_is_online_while_any_of_its_streams_is_open() {
        const OPEN: &str = r#"{"connectTime":"2019-11-18T12:00:00Z"}"#;
        const ENDED: &str =
            r#"{"connectTime":"2019-11-18T12:00:00Z","disconnectTime":"2019-11-18T12:00:01Z"}"#;
        for (subscriptions, online) in [
            (String::new(), false),
            ("{}".into(), false),
            (ENDED.into(), false),
            (format!("{OPEN},{ENDED}"), true),
        ] {
            let insight: DataplaneInsight =
                serde_json::from_str(&format!(r#"{{"subscriptions":[{subscriptions}]}}"#)).unwrap();
            assert_eq!(insight.is_online(), online, "{subscriptions}");
        }
    }
}
