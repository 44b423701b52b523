//! Probes and metrics of the operator itself.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use futures::FutureExt;
use kube::runtime::reflector::Store;
use tokio::net::TcpListener;

use crate::controller::Context;
use crate::leader::{Place, Standing};

/// Serves `/livez`, `/readyz` and `/metrics`.
pub async fn serve(address: SocketAddr, context: Arc<Context>, standing: Standing) -> std::io::Result<()> {
    axum::serve(TcpListener::bind(address).await?, routes(context, standing)).await
}

/// What is served.
pub fn routes(context: Arc<Context>, standing: Standing) -> Router {
    Router::new()
        // Answering is what liveness means; the API server being away is no reason to restart.
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(move |State(context): State<Arc<Context>>| ready(readiness(&context, standing.place()))))
        .route("/metrics", get(metrics))
        .with_state(context)
}

/// One that stands by is ready if it would follow: while operators are replaced, the new one waits for the old one to leave.
fn readiness(context: &Context, place: Place) -> (StatusCode, String) {
    match place {
        Place::Blind(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        Place::StandsBy => (StatusCode::OK, "standing by: another operator holds the Lease\n".to_owned()),
        Place::Leads if has_listed(context) => (StatusCode::OK, "ok\n".to_owned()),
        Place::Leads => {
            let why = "the first list of Shops is missing: is the CRD installed, and the RBAC?\n";
            (StatusCode::SERVICE_UNAVAILABLE, why.to_owned())
        }
    }
}

/// Whether the Shops of every scope were listed.
fn has_listed(context: &Context) -> bool {
    context.shops.iter().all(|shops| shops.wait_until_ready().now_or_never().is_some_and(|outcome| outcome.is_ok()))
}

async fn metrics(State(context): State<Arc<Context>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let shops = context.shops.iter().flat_map(Store::state);
    ([(header::CONTENT_TYPE, kind)], context.metrics.text(shops))
}
