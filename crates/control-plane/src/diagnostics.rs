//! Port 5680: is it alive, is it ready, what does it count.

use std::sync::Arc;

use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tracing::error;

use crate::metrics::Metrics;

/// `/healthy` (the process answers), `/ready` (its view is complete: it is served only once that is so), `/metrics`.
pub fn router(metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/healthy", get(|| async { "healthy\n" }))
        .route("/ready", get(|| async { "ready\n" }))
        .route("/metrics", get(move || async move { print(&metrics) }))
}

fn print(metrics: &Metrics) -> Response {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match metrics.print() {
        Ok(text) => ([(header::CONTENT_TYPE, content_type)], text).into_response(),
        Err(error) => {
            error!(%error, "the metrics could not be printed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
