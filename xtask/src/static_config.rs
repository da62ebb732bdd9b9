//! A whole Envoy configuration out of the resources of one proxy, so that `envoy --mode validate` can judge them without a
//! control plane.
//!
//! Validation does not wait for what comes over a stream, and never sees it. So there are two forms: resources as they are
//! sent, which refer to a stream, and resources with what they refer to in place. A resource of a user's own is validated
//! alone, with just enough around it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde_json::{Value, json};

const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const LOAD_ASSIGNMENT: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
const VIRTUAL_HOST: &str = "type.googleapis.com/envoy.config.route.v3.VirtualHost";
const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const EXTENSION: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";

/// Clusters and listeners as they are sent. They need a stream to refer to; nothing ever connects to it.
pub(crate) fn as_sent(resources: &[Value]) -> anyhow::Result<Value> {
    let mut clusters = untyped(of_type(resources, CLUSTER)?);
    clusters.push(stream_cluster());
    let mut config = config(&clusters, &untyped(of_type(resources, LISTENER)?));
    config["dynamic_resources"] = json!({
        "ads_config": {
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "grpc_services": [{ "envoy_grpc": { "cluster_name": STREAM } }],
        },
    });
    Ok(config)
}

/// One resource, with the clusters that it names, and with the listener or the cluster that it is a part of.
pub(crate) fn around(resource: &Value) -> anyhow::Result<Value> {
    let mut inner = resource.clone();
    remove(&mut inner, "@type");
    let (mut resources, mut secrets) = (Vec::new(), Vec::new());
    match resource["@type"].as_str().context("a resource has no type")? {
        CLUSTER | LISTENER => resources.push(resource.clone()),
        LOAD_ASSIGNMENT => {
            let cluster = json!({
                "@type": CLUSTER, "name": inner["cluster_name"], "type": "STATIC", "load_assignment": inner,
            });
            resources.push(cluster);
        }
        ROUTES => resources.push(listener_with(&inner)),
        VIRTUAL_HOST => resources.push(listener_with(&json!({ "virtual_hosts": [inner] }))),
        SECRET => secrets.push(inner),
        other => anyhow::bail!("no configuration is known that has a {other} in it"),
    }
    let is_there = |name: &str| resources.iter().any(|resource| resource["name"] == name);
    let mut missing = clusters_named_in(resource);
    missing.retain(|name| !is_there(name));
    let empty = |name| json!({ "@type": CLUSTER, "name": name, "type": "STATIC", "connect_timeout": "1s" });
    resources.extend(missing.into_iter().map(empty));
    let mut config = as_sent(&resources)?;
    config["static_resources"]["secrets"] = secrets.into();
    Ok(config)
}

fn listener_with(routes: &Value) -> Value {
    let filters = "type.googleapis.com/envoy.extensions.filters";
    let http = json!({ "@type": format!("{filters}.http.router.v3.Router") });
    let manager = json!({
        "@type": format!("{filters}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "http",
        "route_config": routes,
        "http_filters": [{ "name": "router", "typed_config": http }],
    });
    json!({
        "@type": LISTENER,
        "name": "the listener",
        "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } },
        "filter_chains": [{ "filters": [{ "name": "http", "typed_config": manager }] }],
    })
}

/// Wherever they stand: routes, TCP proxies and gRPC services name clusters in just one of two fields.
fn clusters_named_in(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(fields) => {
            let named =
                ["cluster", "cluster_name"].into_iter().filter_map(|field| fields.get(field)?.as_str());
            named.map(str::to_owned).chain(fields.values().flat_map(clusters_named_in)).collect()
        }
        Value::Array(items) => items.iter().flat_map(clusters_named_in).collect(),
        _ => BTreeSet::new(),
    }
}

/// Endpoints stand in their clusters and filters in their listeners, where Envoy validates them too; certificates are among the
/// static `secrets`.
pub(crate) fn in_place(resources: &[Value], secrets: &[Value]) -> anyhow::Result<Value> {
    let mut clusters = of_type(resources, CLUSTER)?;
    for (name, assignment) in of_type(resources, LOAD_ASSIGNMENT)? {
        let mut asking: Vec<_> =
            clusters.values_mut().filter(|cluster| asks_for_endpoints(cluster, &name)).collect();
        for cluster in &mut asking {
            put_endpoints(cluster, assignment.clone());
        }
        // A resource of a user's own may have taken the place of the cluster.
        let is_asked_for = !asking.is_empty() || clusters.contains_key(&name);
        anyhow::ensure!(is_asked_for, "endpoints of {name}, which is no cluster");
    }
    let extensions = of_type(resources, EXTENSION)?;
    let mut listeners = of_type(resources, LISTENER)?;
    for listener in listeners.values_mut() {
        for filter in listener["listener_filters"].as_array_mut().into_iter().flatten() {
            put_filter(filter, &extensions)?;
        }
        for filter in filters(listener) {
            put_filter(filter, &extensions)?;
        }
    }
    let mut config = config(&untyped(clusters), &untyped(listeners));
    // A secret without a source is one of the static ones.
    remove_everywhere(&mut config, "sds_config");
    config["static_resources"]["secrets"] = secrets.into();
    Ok(config)
}

/// The resources of one type, by name.
fn of_type(resources: &[Value], type_url: &str) -> anyhow::Result<BTreeMap<String, Value>> {
    let of_type = resources.iter().filter(|resource| resource["@type"] == type_url);
    let named = of_type.map(|resource| {
        let name = resource.get("name").or(resource.get("cluster_name")).and_then(Value::as_str);
        Ok((name.context("a resource has no name")?.to_owned(), resource.clone()))
    });
    named.collect()
}

fn asks_for_endpoints(cluster: &Value, name: &str) -> bool {
    let Some(eds) = cluster.get("eds_cluster_config") else { return false };
    eds.get("service_name").unwrap_or(&cluster["name"]) == name
}

fn put_endpoints(cluster: &mut Value, mut assignment: Value) {
    remove(&mut assignment, "@type");
    remove(cluster, "eds_cluster_config");
    cluster["type"] = "STATIC".into();
    cluster["load_assignment"] = assignment;
}

fn filters(listener: &mut Value) -> impl Iterator<Item = &mut Value> {
    let chains = listener["filter_chains"].as_array_mut().into_iter().flatten();
    chains.flat_map(|chain| chain["filters"].as_array_mut().into_iter().flatten())
}

fn put_filter(filter: &mut Value, extensions: &BTreeMap<String, Value>) -> anyhow::Result<()> {
    if filter.get("config_discovery").is_none() {
        return Ok(());
    }
    let name = filter["name"].as_str().context("a filter has no name")?;
    let extension = extensions.get(name).with_context(|| format!("no filter comes for {name}"))?;
    filter["typed_config"] = extension["typed_config"].clone();
    remove(filter, "config_discovery");
    Ok(())
}

/// In a static configuration the place of a resource says its type.
fn untyped(resources: BTreeMap<String, Value>) -> Vec<Value> {
    let mut resources: Vec<_> = resources.into_values().collect();
    for resource in &mut resources {
        remove(resource, "@type");
    }
    resources
}

fn remove(object: &mut Value, field: &str) {
    if let Some(object) = object.as_object_mut() {
        object.remove(field);
    }
}

pub(crate) fn remove_everywhere(value: &mut Value, field: &str) {
    match value {
        Value::Object(fields) => {
            fields.remove(field);
            fields.values_mut().for_each(|value| remove_everywhere(value, field));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| remove_everywhere(item, field)),
        _ => {}
    }
}

fn config(clusters: &[Value], listeners: &[Value]) -> Value {
    json!({
        "node": { "id": "mesh.proxy", "cluster": "service" },
        "static_resources": { "clusters": clusters, "listeners": listeners },
    })
}

const STREAM: &str = "the stream";

fn stream_cluster() -> Value {
    let http_options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    json!({
        "name": STREAM,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": { "cluster_name": STREAM },
        "typed_extension_protocol_options": {
            http_options: {
                "@type": format!("type.googleapis.com/{http_options}"),
                "explicit_http_config": { "http2_protocol_options": {} },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources() -> Vec<Value> {
        let tcp_proxy = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
        vec![
            json!({ "@type": CLUSTER, "name": "backend", "type": "EDS", "eds_cluster_config": { "eds_config": { "ads": {} } } }),
            json!({ "@type": LOAD_ASSIGNMENT, "cluster_name": "backend", "endpoints": [{}] }),
            json!({ "@type": LISTENER, "name": "in", "filter_chains": [{
                "filters": [{ "name": "tcp:in", "config_discovery": { "type_urls": [tcp_proxy] } }],
                "transport_socket": { "certificates": [{ "name": "mesh_ca", "sds_config": { "ads": {} } }] },
            }] }),
            json!({ "@type": EXTENSION, "name": "tcp:in", "typed_config": { "@type": tcp_proxy, "cluster": "backend" } }),
        ]
    }

    #[test]
    fn as_sent_keeps_what_refers_to_the_stream() {
        let config = as_sent(&resources()).unwrap();
        assert_eq!(config["static_resources"]["clusters"][0]["type"], "EDS");
        assert!(
            config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["config_discovery"]
                .is_object()
        );
        assert_eq!(
            config["dynamic_resources"]["ads_config"]["grpc_services"][0]["envoy_grpc"]["cluster_name"],
            STREAM
        );
    }

    #[test]
    fn in_place_refers_to_nothing() {
        let config = in_place(&resources(), &[json!({ "name": "mesh_ca" })]).unwrap();
        let cluster = &config["static_resources"]["clusters"][0];
        let endpoints = json!({ "cluster_name": "backend", "endpoints": [{}] });
        assert_eq!(*cluster, json!({ "name": "backend", "type": "STATIC", "load_assignment": endpoints }));
        let filter = &config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0];
        assert_eq!(
            (filter.get("config_discovery"), &filter["typed_config"]["cluster"]),
            (None, &json!("backend"))
        );
        let socket = &config["static_resources"]["listeners"][0]["filter_chains"][0]["transport_socket"];
        assert_eq!(*socket, json!({ "certificates": [{ "name": "mesh_ca" }] }));
        assert_eq!(config["static_resources"]["secrets"], json!([{ "name": "mesh_ca" }]));
    }

    #[test]
    fn around_a_resource_are_the_clusters_that_it_names_and_what_it_is_a_part_of() {
        let names = |config: &Value, of: &str| -> Vec<String> {
            let resources = config["static_resources"][of].as_array().unwrap();
            resources.iter().map(|resource| resource["name"].as_str().unwrap().to_owned()).collect()
        };
        let route = json!({ "match": { "prefix": "/" }, "route": { "cluster": "backend" } });
        let host = json!({ "@type": VIRTUAL_HOST, "name": "all", "domains": ["*"], "routes": [route] });
        let assignment = json!({ "@type": LOAD_ASSIGNMENT, "cluster_name": "backend", "endpoints": [{}] });
        for (resource, listeners, clusters) in [
            (&resources()[2], vec!["in"], vec![STREAM]),
            (&host, vec!["the listener"], vec!["backend", STREAM]),
            (&assignment, vec![], vec!["backend", STREAM]),
        ] {
            let config = around(resource).unwrap();
            assert_eq!(
                (names(&config, "listeners"), names(&config, "clusters")),
                (to_owned(&listeners), to_owned(&clusters))
            );
        }
        let secret = json!({ "@type": SECRET, "name": "ca" });
        assert_eq!(names(&around(&secret).unwrap(), "secrets"), ["ca"]);
    }

    fn to_owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_nobody_asks_for_is_an_error_and_so_is_what_nobody_sends() {
        let without = |i: usize| {
            let mut resources = resources();
            resources.remove(i);
            in_place(&resources, &[]).unwrap_err().to_string()
        };
        assert_eq!(without(0), "endpoints of backend, which is no cluster");
        assert_eq!(without(3), "no filter comes for tcp:in");
    }
}
