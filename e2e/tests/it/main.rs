//! What users rely on, with nothing replaced: kuma-cp, kuma-dp, kumactl, Envoy, sockets.

mod certificates;
mod documented;
mod durability;
mod existence;
mod http_api_page;
mod links;
mod lost_token;
mod make_before_break;
mod mesh;
mod oldest_envoy;
mod permission_transfer;
mod permissions;
mod permissive;
mod refusals;
mod resume;
mod secured;
mod shop;
mod short_certificates;
mod state_of_the_world;
mod storm;
mod streams;
mod templates;
mod tour;
mod traffic_logs;
mod transfer;
