//! The share of the calls that another version of a neighbour gets.
//!
//! The operator writes the share into a `ConfigMap` and the kubelet into a file, which is followed: a share that changes restarts
//! nobody. Without a pod, without a name or without a readable file all calls go to the others, which can answer every one of them.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use prometheus_client::metrics::gauge::Gauge;
use shop_config::Percent;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    dice::Dice,
    follow::{Neighbour, Resolve, renewed},
    pods::{Pod, Pods, Pool, pick_healthy},
};

/// How soon another share is taken up; the kubelet itself takes up to a minute.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Pods of another version, and their share of the calls in percent.
#[derive(Clone, Default)]
pub(super) struct Canary {
    weight: u8,
    pods: Pods,
}

impl Canary {
    /// A pod for a call that falls into the share.
    pub(super) fn pick(&self, die: usize, now: Instant, dice: &Dice) -> Option<(Pool, Arc<Pod>)> {
        if dice.below(die, 100) >= self.weight.into() {
            return None;
        }
        let pod = pick_healthy(&self.pods, now, dice)?;
        Some((Pool::beside_others(Arc::clone(&self.pods)), pod))
    }
}

/// Follows the share and the addresses until nobody calls any more.
pub(super) async fn follow<R: Resolve>(
    mut neighbour: Neighbour<R>,
    file: PathBuf,
    shown: Gauge,
    canary: watch::Sender<Canary>,
) {
    loop {
        let before = canary.borrow().weight;
        let weight = read(&file).unwrap_or_else(|error| {
            if before > 0 {
                tracing::warn!(error.cause = %error, "the share of the canary cannot be read, and nothing goes there");
            }
            0
        });
        // Nobody is asked for a name that is not there, which it is not before there is a pod either.
        let found = if weight == 0 { HashSet::new() } else { neighbour.addresses().await.unwrap_or_default() };
        canary.send_if_modified(|canary| {
            canary.weight = weight;
            neighbour.update(&mut canary.pods, &found) || before != weight
        });
        // Shown when it is so.
        shown.set(weight.into());
        neighbour.count(&found);
        tokio::select! {
            () = canary.closed() => return,
            () = sleep(LOOK_EVERY) => {}
            () = renewed(neighbour.identity.as_mut()) => {
                canary.send_modify(|canary| canary.pods = Pods::default());
            }
        }
    }
}

fn read(file: &Path) -> io::Result<u8> {
    let text = fs::read_to_string(file)?;
    let number = text.trim().parse::<u8>().map_err(|error| error.to_string());
    let share =
        number.and_then(Percent::try_from).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(share.get())
}
