//! What users rely on, with nothing replaced: kuma-cp, kuma-dp, kumactl, Envoy, sockets.

mod durability;
mod mesh;
mod refusals;
mod shop;
mod tour;
