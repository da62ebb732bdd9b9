//! Dataplanes together with what is known of their proxies.

use model::{DataplaneInsight, Key, Kind};
use serde_json::{Value, json};

use crate::{
    client::{get, put},
    server::Server,
};

/// The insight of Kuma 0.3.0's documentation, and one in which every default has to be left out or kept.
const DOCUMENTED: &str = r#"{"subscriptions": [{
    "id": "426fe0d8-f667-11e9-b081-acde48001122",
    "controlPlaneInstanceId": "06070748-f667-11e9-b081-acde48001122",
    "connectTime": "2019-10-24T14:04:56.820350Z",
    "status": {
        "lastUpdateTime": "2019-10-24T14:04:57.832482Z",
        "total": {"responsesSent": "3", "responsesAcknowledged": "3"},
        "cds": {"responsesSent": "1", "responsesAcknowledged": "1"},
        "eds": {"responsesSent": "1", "responsesAcknowledged": "1"},
        "lds": {"responsesSent": "1", "responsesAcknowledged": "1"},
        "rds": {}
    }
}]}"#;

fn with(mut named: Value, more: &Value) -> Value {
    let fields = more.as_object().expect("an insight is an object").clone();
    named.as_object_mut().expect("it is an object").extend(fields);
    named
}

async fn server_with_two_dataplanes() -> Server {
    let server = Server::start().await;
    put(server.address, "/meshes/demo", r#"{"type":"Mesh","name":"demo"}"#).await;
    for (name, inbound) in [
        (
            "d1",
            r#"[{"interface":"10.0.0.1:80:80","tags":{"service":"web","version":"1"}},
                {"interface":"10.0.0.1:81:80","tags":{"service":"admin","version":"9"}}]"#,
        ),
        ("d2", r#"[{"interface":"10.0.0.2:80:80","tags":{"service":"backend"}}]"#),
    ] {
        let body = format!(
            r#"{{"type":"Dataplane","mesh":"demo","name":"{name}","networking":{{"inbound":{inbound}}}}}"#
        );
        let path = format!("/meshes/demo/dataplanes/{name}");
        assert_eq!(put(server.address, &path, &body).await.status, 201);
    }
    let insight: DataplaneInsight = serde_json::from_str(DOCUMENTED).expect("the document's own");
    let stored = server.store.put_insights(vec![(Key::new(Kind::Dataplane, "demo", "d2"), insight)]).await;
    stored.expect("memory does not fail");
    server
}

#[tokio::test]
async fn an_overview_has_the_insight_or_an_empty_one() {
    let server = server_with_two_dataplanes().await;
    let documented: Value = serde_json::from_str(DOCUMENTED).unwrap();
    let d2 = json!({
        "type": "DataplaneOverview", "mesh": "demo", "name": "d2",
        "dataplane": {"networking": {"inbound": [{"interface": "10.0.0.2:80:80", "tags": {"service": "backend"}}]}},
        "dataplaneInsight": documented,
    });
    assert_eq!(get(server.address, "/meshes/demo/dataplane+insights/d2").await.json(), d2);

    let list = get(server.address, "/meshes/demo/dataplanes%2Binsights/").await.json();
    assert_eq!(list["items"][0]["name"], "d1");
    assert_eq!(list["items"][0]["dataplaneInsight"], json!({}));
    assert_eq!(list["items"][1], d2);

    let reply = get(server.address, "/meshes/demo/dataplanes+insights/nobody").await;
    let not_found = json!({"title": "Could not retrieve a dataplane overview", "details": "Not found"});
    assert_eq!((reply.status, reply.json()), (404, not_found));
}

#[tokio::test]
async fn an_insight_alone_is_flat_and_only_where_there_is_one() {
    let server = server_with_two_dataplanes().await;
    let documented: Value = serde_json::from_str(DOCUMENTED).unwrap();
    let alone = with(json!({"type": "DataplaneInsight", "mesh": "demo", "name": "d2"}), &documented);
    assert_eq!(get(server.address, "/meshes/demo/dataplane-insights/d2").await.json(), alone);
    assert_eq!(
        get(server.address, "/meshes/demo/dataplane-insights").await.json(),
        json!({"items": [alone]})
    );
    assert_eq!(get(server.address, "/meshes/demo/dataplane-insights/d1").await.status, 404);
}

#[tokio::test]
async fn tags_filter_by_what_one_inbound_carries() {
    let server = server_with_two_dataplanes().await;
    for (query, expected) in [
        ("", &["d1", "d2"][..]),
        ("?nothing=1", &["d1", "d2"]),
        ("?tag=", &["d1", "d2"]),
        ("?tag=a:b:c", &["d1", "d2"]),
        ("?tag=service%3Aadmin", &["d1"]),
        ("?tag=service:web&tag=version:1", &["d1"]),
        ("?tag=service:web&tag=version:9", &[]),
        ("?tag=version:*", &["d1"]),
        ("?tag=service:", &[]),
        ("?tag=service:web&tag=service:backend", &["d2"]),
    ] {
        let list = get(server.address, &format!("/meshes/demo/dataplanes+insights{query}")).await.json();
        let names: Vec<_> =
            list["items"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect();
        assert_eq!(names, expected, "{query}");
    }
}
