//! What a running Shop promises to those outside of it. `cargo xtask test` names the Shop in the environment.

mod edge;
mod orders;
mod schema;
mod stores;
mod traced;

use shop_e2e::{
    Target,
    purchase::{Stall, Visit},
};
use tokio::sync::OnceCell;

/// One stall serves all tests: the admin may log in ten times a minute only.
static STALL: OnceCell<Stall> = OnceCell::const_new();

/// A visit to the Shop under test.
async fn visit() -> Visit {
    let target = Target::from_env().expect("these tests need a running Shop: run them with `cargo xtask test`");
    Visit::to(target, |step| eprintln!("{step}")).await.expect("the cluster can be reached")
}

/// The stall that everybody buys from.
async fn stall(visit: &Visit) -> &'static Stall {
    STALL.get_or_try_init(|| visit.open_stall()).await.expect("a stall is opened")
}
