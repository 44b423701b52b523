//! Reservations of orders that were never paid end by themselves. Any number of replicas may run this at once.

use std::{sync::Arc, time::Duration};

use shop_core::Fault;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::app::Catalog;

const POLL: Duration = Duration::from_secs(1);

/// Gives the goods of expired reservations back until `shutdown`.
pub async fn run(catalog: Arc<Catalog>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        match catalog.release_expired().await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                let fault = Fault::from(error);
                let cause = fault.cause().unwrap_or_default();
                tracing::warn!(
                    error.cause = cause,
                    "expired reservations could not be released, trying again: {fault}"
                );
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = sleep(POLL) => {}
        }
    }
}
