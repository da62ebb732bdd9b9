//! What is printed reads back as what it was, whatever it was.

use model::{
    Dataplane, DataplaneInsight, DiscoveryStatus, DiscoverySubscription, Document, Envelope, Inbound, Key,
    Kind, Mesh, Outbound, ProxyTemplate, RawResource, Selector, ServiceStats, Spec, Tags, Timestamp,
    TrafficLog, TrafficPermission, TrafficRoute,
    kinds::{
        dataplane::{Networking, TransparentProxying},
        logging::{FileBackend, Logging, LoggingBackend, TcpBackend},
        mesh::{BuiltinCa, CertificateAuthority, Mtls, Tracing, ZipkinTracing},
        proxy_template::TemplateConf,
        traffic_log::LogConf,
        traffic_route::WeightedDestination,
    },
    print_entity,
};
use proptest::{collection, option, prelude::*};

proptest! {
    #[test]
    fn a_spec_reads_back(spec in spec()) {
        let stored = serde_json::to_vec(&spec).unwrap();
        let read = spec.kind().read_spec(&mut serde_json::Deserializer::from_slice(&stored)).unwrap();
        prop_assert_eq!(read, spec);
    }

    #[test]
    fn an_entity_reads_back(spec in spec(), mesh in ".{1,9}", name in ".{1,9}") {
        let kind = spec.kind();
        let printed = print_entity(&Key::new(kind, mesh.as_str(), name.as_str()), &spec).unwrap();
        let read = kind.read_document(&mut serde_json::Deserializer::from_slice(&printed)).unwrap();
        let mesh = if kind == Kind::Mesh { String::new() } else { mesh };
        let envelope = Envelope { kind: kind.name().to_owned(), name, mesh };
        prop_assert_eq!(read, Document { envelope, spec });
    }

    #[test]
    fn defaults_and_violations_are_found_in_any_spec_without_a_panic(mut spec in spec()) {
        spec.set_defaults();
        let again = { let mut again = spec.clone(); again.set_defaults(); again };
        prop_assert_eq!(&again, &spec);
        prop_assert_eq!(spec.validate(), again.validate());
    }

    #[test]
    fn an_insight_reads_back(insight in insight()) {
        let printed = serde_json::to_vec(&insight).unwrap();
        prop_assert_eq!(serde_json::from_slice::<DataplaneInsight>(&printed).unwrap(), insight);
    }
}

fn spec() -> impl Strategy<Value = Spec> {
    prop_oneof![
        mesh().prop_map(Spec::Mesh),
        dataplane().prop_map(Spec::Dataplane),
        proxy_template().prop_map(Spec::ProxyTemplate),
        traffic_permission().prop_map(Spec::TrafficPermission),
        traffic_log().prop_map(Spec::TrafficLog),
        traffic_route().prop_map(Spec::TrafficRoute),
    ]
}

/// Empty, ordinary, or anything with quotes, line breaks and letters of any script.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z:%.0-9-]{1,9}", any::<String>()]
}

fn few<T: std::fmt::Debug>(item: impl Strategy<Value = T>) -> impl Strategy<Value = Option<Vec<T>>> {
    option::of(collection::vec(item, 0..4))
}

fn tags() -> impl Strategy<Value = Option<Tags>> {
    option::of(collection::btree_map(prop_oneof![Just("service".to_owned()), text()], text(), 0..4))
}

fn selectors() -> impl Strategy<Value = Option<Vec<Selector>>> {
    few(tags().prop_map(|tags| Selector { tags }))
}

fn mesh() -> impl Strategy<Value = Mesh> {
    let ca = option::of(Just(BuiltinCa {})).prop_map(|builtin| CertificateAuthority { builtin });
    let mtls = (option::of(ca), any::<bool>(), any::<bool>()).prop_map(|(ca, enabled, permissive)| Mtls {
        ca,
        enabled,
        permissive,
    });
    let zipkin = text().prop_map(|address| ZipkinTracing { address });
    let tracing = option::of(zipkin).prop_map(|zipkin| Tracing { zipkin });
    (option::of(mtls), option::of(tracing), option::of(logging())).prop_map(|(mtls, tracing, logging)| Mesh {
        mtls,
        tracing,
        logging,
    })
}

fn logging() -> impl Strategy<Value = Logging> {
    let file = option::of(text().prop_map(|path| FileBackend { path }));
    let tcp = option::of(text().prop_map(|address| TcpBackend { address }));
    let backend = (text(), text(), file, tcp).prop_map(|(name, format, file, tcp)| LoggingBackend {
        name,
        format,
        file,
        tcp,
    });
    (text(), few(backend)).prop_map(|(default_backend, backends)| Logging { default_backend, backends })
}

fn dataplane() -> impl Strategy<Value = Dataplane> {
    let inbound = (text(), tags()).prop_map(|(interface, tags)| Inbound { interface, tags });
    let outbound = (text(), text(), any::<u32>()).prop_map(|(interface, service, service_port)| Outbound {
        interface,
        service,
        service_port,
    });
    let transparent_proxying = any::<u32>().prop_map(|redirect_port| TransparentProxying { redirect_port });
    let networking = (few(inbound), few(outbound), option::of(transparent_proxying)).prop_map(
        |(inbound, outbound, transparent_proxying)| Networking { inbound, outbound, transparent_proxying },
    );
    option::of(networking).prop_map(|networking| Dataplane { networking })
}

fn proxy_template() -> impl Strategy<Value = ProxyTemplate> {
    let raw = (text(), text(), text()).prop_map(|(name, version, resource)| RawResource {
        name,
        version,
        resource,
    });
    let conf = (few(text()), few(raw)).prop_map(|(imports, resources)| TemplateConf { imports, resources });
    (selectors(), option::of(conf)).prop_map(|(selectors, conf)| ProxyTemplate { selectors, conf })
}

fn traffic_permission() -> impl Strategy<Value = TrafficPermission> {
    (selectors(), selectors()).prop_map(|(sources, destinations)| TrafficPermission { sources, destinations })
}

fn traffic_log() -> impl Strategy<Value = TrafficLog> {
    let conf = option::of(text().prop_map(|backend| LogConf { backend }));
    (selectors(), selectors(), conf).prop_map(|(sources, destinations, conf)| TrafficLog {
        sources,
        destinations,
        conf,
    })
}

fn traffic_route() -> impl Strategy<Value = TrafficRoute> {
    let weighted =
        (any::<u32>(), tags()).prop_map(|(weight, destination)| WeightedDestination { weight, destination });
    (selectors(), selectors(), few(weighted)).prop_map(|(sources, destinations, conf)| TrafficRoute {
        sources,
        destinations,
        conf,
    })
}

fn insight() -> impl Strategy<Value = DataplaneInsight> {
    let subscription = (text(), text(), option::of(time()), option::of(time()), option::of(status()))
        .prop_map(|(id, control_plane_instance_id, connect_time, disconnect_time, status)| {
            DiscoverySubscription { id, control_plane_instance_id, connect_time, disconnect_time, status }
        });
    few(subscription).prop_map(|subscriptions| DataplaneInsight { subscriptions })
}

fn status() -> impl Strategy<Value = DiscoveryStatus> {
    (option::of(time()), stats(), stats(), stats(), stats(), stats()).prop_map(
        |(last_update_time, total, cds, eds, lds, rds)| DiscoveryStatus {
            last_update_time,
            total,
            cds,
            eds,
            lds,
            rds,
        },
    )
}

fn stats() -> impl Strategy<Value = Option<ServiceStats>> {
    option::of(any::<[u64; 3]>().prop_map(|[responses_sent, responses_acknowledged, responses_rejected]| {
        ServiceStats { responses_sent, responses_acknowledged, responses_rejected }
    }))
}

fn time() -> impl Strategy<Value = Timestamp> {
    (-62_135_596_800..=253_402_300_799_i64, 0..1_000_000_000_u32)
        .prop_map(|(seconds, nanos)| Timestamp { seconds, nanos })
}
