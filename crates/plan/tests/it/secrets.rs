//! What is shown to people has no secrets.

use plan::{envoy::json, raw};
use serde_json::Value;

fn shown(yaml: &str) -> Value {
    let resource = raw::read(yaml).expect("it is a resource");
    json::print_without_secrets(resource.type_url, &resource.value).expect("it was encoded as that")
}

const CLUSTER: &str = "
'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster
name: backend
type: STATIC
connect_timeout: 1s
transport_socket:
  name: tls
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
    sni: shown.example
    common_tls_context:
      tls_certificates:
      - certificate_chain: { inline_string: SHOWN-CERTIFICATE }
        private_key: { inline_string: SECRET-KEY }
        password: { inline_bytes: U0VDUkVU }
";

#[test]
fn private_keys_and_passwords_are_redacted_however_deep_they_are() {
    let shown = shown(CLUSTER);
    let text = shown.to_string();
    assert!(!text.contains("SECRET") && !text.contains("U0VDUkVU"), "{text}");
    let tls = &shown["transport_socket"]["typed_config"];
    assert_eq!(tls["sni"], "shown.example");
    let certificate = &tls["common_tls_context"]["tls_certificates"][0];
    assert_eq!(certificate["certificate_chain"]["inline_string"], "SHOWN-CERTIFICATE");
    assert_eq!(certificate["private_key"]["inline_string"], "<redacted>");
}

#[test]
fn a_secret_keeps_its_name_alone() {
    for (secret, name) in [
        ("generic_secret: { secret: { inline_string: SECRET } }", "token"),
        ("session_ticket_keys: { keys: [{ inline_string: SECRET }] }", "tickets"),
        ("tls_certificate: { private_key: { inline_string: SECRET } }", "identity"),
    ] {
        let yaml = format!(
            "'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret\nname: {name}\n{secret}\n"
        );
        let shown = shown(&yaml);
        assert!(shown["name"] == name && !shown.to_string().contains("SECRET"), "{shown}");
        assert!(shown.to_string().contains("<redacted>"), "{shown}");
    }
}

/// A message without secrets is shown as it is.
#[test]
fn nothing_else_is_redacted() {
    let resource = raw::read(
        "{ '@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, name: backend, type: STATIC, connect_timeout: 1s }",
    );
    let resource = resource.expect("it is a resource");
    let whole = json::print(resource.type_url, &resource.value).expect("it was encoded as that");
    let shown = json::print_without_secrets(resource.type_url, &resource.value);
    assert_eq!(shown.expect("it was encoded as that"), whole);
}
