//! kuma-dp as its users meet it: the program, a control plane that answers as told, and an Envoy that records how it was used.

mod access_log;
mod collectors;
mod ending;
mod fake_admin;
mod fake_control_plane;
mod kuma_dp;
mod metrics;
mod onboarding;
mod refusals;
mod retrying;
mod token_rotation;
mod traffic_logs;
