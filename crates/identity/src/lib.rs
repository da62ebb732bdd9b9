//! Who is who: the control plane's own CA and server certificate, the tokens of dataplanes and admins, and the sealing of
//! what must be kept.
//!
//! In flow names, claims and the time; out flow certificates, tokens and verdicts. A CA key or a signing key leaves this
//! crate only sealed, and no `Debug` shows one. The crate is pure but for randomness, which is an argument.


