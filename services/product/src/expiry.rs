//! What time does to reservations: those of orders that were never paid end by themselves, and those that are over are
//! swept. Any number of replicas may run this at once.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{app::Catalog, store::reservations::SERVED};

/// How late a reservation may end.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Works until `shutdown`.
pub async fn run(catalog: Arc<Catalog>, shutdown: CancellationToken) {
    tokio::join!(
        shop_db::repeat("releasing expired reservations", LOOK_EVERY, &shutdown, || catalog.release_expired()),
        shop_db::sweep(&SERVED, catalog.pool.clone(), Arc::clone(&catalog.world), shutdown.clone()),
    );
}
