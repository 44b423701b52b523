//! What time does to reservations: order is asked after those that nobody comes for, and those that are over are swept. Any
//! number of replicas may run this at once.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{app::Catalog, store::reservations::SERVED};

/// How late order may be asked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Works until `shutdown`.
pub async fn run(catalog: Arc<Catalog>, shutdown: CancellationToken) {
    tokio::join!(
        shop_db::repeat("asking after unclaimed stock", LOOK_EVERY, &shutdown, || catalog.ask_after_unclaimed()),
        shop_db::sweep(&SERVED, catalog.pool.clone(), shutdown.clone()),
    );
}
