//! Probes and metrics of the operator itself.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
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
    let asked = standing.clone();
    let told = move |State(context): State<Arc<Context>>| ready(metrics(&context, asked.place() == Place::Leads));
    Router::new()
        // Answering is what liveness means; the API server being away is no reason to restart.
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(move |State(context): State<Arc<Context>>| ready(readiness(&context, standing.place()))))
        .route("/metrics", get(told))
        .with_state(context)
}

/// One that stands by is ready if it would follow at once: while operators are replaced, the new one waits for the old one to leave.
fn readiness(context: &Context, place: Place) -> (StatusCode, String) {
    match place {
        Place::Blind(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        Place::Leads | Place::StandsBy if !has_listed(context) => {
            let why = "the first list of Shops is missing: is the CRD installed, and the RBAC?\n";
            (StatusCode::SERVICE_UNAVAILABLE, why.to_owned())
        }
        Place::StandsBy => (StatusCode::OK, "standing by: another operator holds the Lease\n".to_owned()),
        Place::Leads => (StatusCode::OK, "ok\n".to_owned()),
    }
}

/// Whether the Shops of every scope were listed.
fn has_listed(context: &Context) -> bool {
    context.shops.iter().all(|shops| shops.wait_until_ready().now_or_never().is_some_and(|outcome| outcome.is_ok()))
}

/// Where Shops stand is for who leads to tell: in a sum over all operators each would count several times.
fn metrics(context: &Context, leads: bool) -> ([(HeaderName, &'static str); 1], String) {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let shops = context.shops.iter().filter(|_| leads).flat_map(Store::state);
    ([(header::CONTENT_TYPE, kind)], context.metrics.text(shops))
}
