//! Probes and metrics of the operator itself.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use kube::runtime::reflector::Store;
use tokio::net::TcpListener;

use crate::controller::Context;
use crate::leader::Fence;

/// Serves `/livez`, `/readyz` and `/metrics`.
pub async fn serve(address: SocketAddr, context: Arc<Context>, fence: Fence) -> std::io::Result<()> {
    let routes = Router::new()
        // Answering is what liveness means; the API server being away is no reason to restart.
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(move |context| ready(context, fence.clone())))
        .route("/metrics", get(metrics))
        .with_state(context);
    axum::serve(TcpListener::bind(address).await?, routes).await
}

async fn ready(State(context): State<Arc<Context>>, fence: Fence) -> (StatusCode, &'static str) {
    if !fence.is_open() {
        return (StatusCode::OK, "standing by: another operator holds the Lease\n");
    }
    let listed = context.shops.iter().map(|shops| async move {
        use futures::FutureExt;
        shops.wait_until_ready().now_or_never().is_some_and(|outcome| outcome.is_ok())
    });
    if futures::future::join_all(listed).await.into_iter().all(|listed| listed) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the first list of Shops is missing: is the CRD installed, and the RBAC?\n")
    }
}

async fn metrics(State(context): State<Arc<Context>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let shops = context.shops.iter().flat_map(Store::state);
    ([(header::CONTENT_TYPE, kind)], context.metrics.text(shops))
}
