//! Who is who: the control plane's own CA and server certificate, the CAs of meshes and the certificates of their proxies, the
//! tokens of dataplanes and admins, and the sealing of what must be kept.
//!
//! In flow names, claims and the time; out flow certificates, tokens and verdicts. A CA key or a signing key leaves this
//! crate only sealed, and no `Debug` shows one. The crate is pure but for randomness, which is an argument.
//!
//! The story of one connection: at its first start the control plane makes a [`ControlPlaneCa`] and a [`SigningKey`], both
//! kept under a [`SecretsKey`]. From the CA it signs itself a [`ServerCertificate`] at every start. A [`Keyring`] issues a
//! token whose `ca` claim is the CA's fingerprint, so that the token alone tells a new machine whom to trust; when a proxy
//! comes with it, [`Keyring::verify_dataplane`] says which one it is, or why not. What is kept of a token is its
//! [`TokenId`]: by it one is revoked, and the stream found that it has opened.
//!
//! Between proxies it is another: each mesh has [`MeshCas`] of its own, kept in the same way, which sign each proxy a
//! [`WorkloadCertificate`] that names its services.

mod authority;
mod claims;
mod keyring;
mod mesh_cas;
mod seal;
mod signing_key;
mod token_error;
mod workload;
mod x509;

pub use authority::{AuthorityError, ControlPlaneCa, ServerCertificate, spki_fingerprint};
pub use claims::{AdminClaims, DataplaneClaims, Role};
pub use keyring::{Keyring, KeyringError, LEEWAY, TokenId, read_jti};
pub use mesh_cas::{MESH_CAS_MAX, MESH_CAS_NAME, MeshCa, MeshCas, MeshCasError};
pub use seal::{SealError, SecretsKey};
pub use signing_key::{SigningKey, SigningKeyError};
pub use token_error::TokenError;
pub use workload::WorkloadCertificate;
pub use x509::CertificateError;

/// What randomness is drawn from: [`aws_lc_rs::rand::SystemRandom`] outside of tests.
pub use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// Where the control plane's CA is kept among the store's secrets: this scope, and in it the name [`CONTROL_PLANE_CA_NAME`].
pub const CONTROL_PLANE_CA: &str = "control-plane-ca";

/// The name of the one secret in the scope [`CONTROL_PLANE_CA`].
pub const CONTROL_PLANE_CA_NAME: &str = "current";

/// The scope under which a token signing key is sealed; within it each key's `kid` is the name.
pub const TOKEN_KEYS: &str = "token-keys";
