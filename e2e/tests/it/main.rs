//! What users rely on, with nothing replaced: kuma-cp, kuma-dp, kumactl, Envoy, sockets.

mod documented;
mod durability;
mod existence;
mod http_api_page;
mod links;
mod lost_token;
mod make_before_break;
mod mesh;
mod oldest_envoy;
mod refusals;
mod resume;
mod shop;
mod state_of_the_world;
mod storm;
mod streams;
mod tour;
mod transfer;
