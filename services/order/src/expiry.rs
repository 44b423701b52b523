//! What the clock does to orders, as long as the process runs: those that nobody pays are canceled, and what has served is
//! swept.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{app::Orders, store::SERVED};

/// How late an order may expire.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Works until `shutdown`.
pub async fn run(orders: Arc<Orders>, shutdown: CancellationToken) {
    tokio::join!(
        shop_db::repeat("canceling unpaid orders", LOOK_EVERY, &shutdown, || orders.expire()),
        shop_db::sweep(&SERVED, orders.pool.clone(), shutdown.clone()),
    );
}
