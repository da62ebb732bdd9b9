//! A client that pins the CA accepts the server's certificate for the names it was made for, for as long as it lives, and
//! for no other.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use identity::{ControlPlaneCa, SecretsKey, ServerCertificate, SystemRandom};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig, ServerConnection,
};

const DAY: Duration = Duration::from_hours(24);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
}

fn rng() -> SystemRandom {
    SystemRandom::new()
}

#[derive(Debug)]
struct At(SystemTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        self.0.duration_since(SystemTime::UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

fn client(pinned: &str, time: SystemTime) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pinned.as_bytes()).expect("PEM")).expect("a root");
    let config = ClientConfig::builder_with_details(Arc::new(default_provider()), Arc::new(At(time)))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

fn server(certificate: &ServerCertificate) -> Arc<ServerConfig> {
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(certificate.chain.clone(), certificate.key.clone_key())
        .expect("the key is the certificate's");
    Arc::new(config)
}

/// Carries the two sides' bytes to each other until both are done, or the client refuses.
fn shake_hands(client: Arc<ClientConfig>, server: Arc<ServerConfig>, name: &str) -> Result<(), Error> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut client = ClientConnection::new(client, name).expect("a client");
    let mut server = ServerConnection::new(server).expect("a server");
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).expect("writes to memory");
        server.read_tls(&mut bytes.as_slice()).expect("reads from memory");
        server.process_new_packets().expect("the client says nothing wrong");

        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).expect("writes to memory");
        client.read_tls(&mut bytes.as_slice()).expect("reads from memory");
        client.process_new_packets()?;
    }
    Ok(())
}

fn check(ca: &ControlPlaneCa, pinned: &str, name: &str, time: SystemTime) -> Result<(), Error> {
    let names = ["localhost", "127.0.0.1", "::1", "cp.example.com"].map(str::to_owned);
    let certificate = ca.sign_server(&names, now(), &rng()).expect("signs");
    shake_hands(client(pinned, time), server(&certificate), name)
}

#[test]
fn the_names_it_was_made_for_are_accepted_and_no_other() {
    let ca = ControlPlaneCa::generate(&rng(), now()).expect("makes a CA");
    for name in ["localhost", "127.0.0.1", "::1", "cp.example.com"] {
        assert_eq!(check(&ca, ca.certificate_pem(), name, now()), Ok(()), "{name}");
    }
    for name in ["example.com", "cp.example.com.evil.com", "127.0.0.2", "::2"] {
        let refused = check(&ca, ca.certificate_pem(), name, now()).expect_err("another name");
        let other_name = matches!(
            refused,
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
            )
        );
        assert!(other_name, "{name}: {refused:?}");
    }
}

#[test]
fn a_client_that_pins_another_ca_refuses() {
    let ca = ControlPlaneCa::generate(&rng(), now()).expect("makes a CA");
    let other = ControlPlaneCa::generate(&rng(), now()).expect("makes a CA");
    let refused = check(&ca, other.certificate_pem(), "localhost", now()).expect_err("another CA");
    assert_eq!(refused, Error::InvalidCertificate(CertificateError::UnknownIssuer));
}

#[test]
fn it_counts_from_an_hour_ago_for_thirty_days() {
    let ca = ControlPlaneCa::generate(&rng(), now()).expect("makes a CA");
    let at = |time| check(&ca, ca.certificate_pem(), "localhost", time);
    assert_eq!(at(now() - Duration::from_mins(59)), Ok(()));
    assert_eq!(at(now() + 30 * DAY), Ok(()));
    assert!(at(now() - Duration::from_mins(61)).is_err());
    assert!(at(now() + 30 * DAY + Duration::from_secs(1)).is_err());
}

#[test]
fn what_was_pinned_before_a_restart_stays_trusted() {
    let secrets = SecretsKey::generate(&rng()).expect("the system has random bytes");
    let ca = ControlPlaneCa::generate(&rng(), now()).expect("makes a CA");
    let restarted =
        ControlPlaneCa::open(&ca.seal(&secrets, &rng()).expect("seals"), &secrets).expect("opens");
    assert_eq!(check(&restarted, ca.certificate_pem(), "localhost", now()), Ok(()));
}
