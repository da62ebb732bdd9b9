//! `bootstraps/<form>/`: what a proxy asks for (`in.yaml`), and what its Envoy is started with (`envoy.yaml`).

use std::{net::Ipv4Addr, time::Duration};

use plan::{
    bootstrap::{BootstrapParams, BootstrapRequest, bootstrap},
    envoy::json,
};
use serde::Deserialize;

use crate::golden::Golden;

const BOOTSTRAPS: Golden = Golden { folder: "bootstraps", expected: &["envoy.yaml"] };

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Case {
    request: BootstrapRequest,
    xds_host: String,
    service: Option<String>,
}

#[test]
fn every_form_of_bootstrap_is_as_expected_and_a_message_of_envoy() {
    BOOTSTRAPS.check(|case: Case| {
        let params = BootstrapParams {
            admin_address: Ipv4Addr::LOCALHOST.into(),
            admin_port: 0,
            admin_access_log_path: "/dev/null".to_owned(),
            xds_host: case.xds_host,
            xds_port: 5678,
            xds_connect_timeout: Duration::from_secs(1),
            ca_pem: include_str!("../bootstraps/ca.pem").to_owned(),
        };
        let bootstrap = bootstrap(&case.request, &params, case.service.as_deref()).expect("a bootstrap");
        json::parse("type.googleapis.com/envoy.config.bootstrap.v3.Bootstrap", &bootstrap)
            .expect("a Bootstrap");
        vec![bootstrap]
    });
}
