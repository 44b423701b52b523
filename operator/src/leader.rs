//! One operator at work: who holds the Lease looks after Shops, any others stand by.
//!
//! The protocol is that of Kubernetes' own components (client-go, `tools/leaderelection`). No other machine's clock is
//! believed: a Lease is free when its holder gave it up, or when it has not changed for its duration by our own clock. That
//! somebody deletes it is a change too: its holder still writes, and makes it again. Losing it ends the process. A process that
//! was frozen while another one took over finds its [`Fence`] shut before it writes anything. [`Standing`] is what probes are told
//! of all this.

mod fence;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use tokio::sync::SetOnce;
use tokio::time::{Instant, sleep, timeout};

pub use self::fence::Fence;
pub use self::standing::{Place, Standing};

/// A Lease that has not changed for this long is free.
const DURATION: Duration = Duration::from_secs(15);
/// A holder that has not renewed for this long writes nothing more, well before anybody else may begin.
const RENEW_WITHIN: Duration = Duration::from_secs(10);
/// How often the holder renews.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// How often the others look: this soon they follow a holder that left.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A request that hangs must not use up the time to renew.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// This process as a candidate.
pub struct Election {
    leases: Api<Lease>,
    name: String,
    identity: String,
    fence: Fence,
    standing: Standing,
    won: Arc<SetOnce<()>>,
}

/// Another operator leads by now, or may soon.
#[derive(Debug, thiserror::Error)]
#[error("the Lease is lost")]
pub struct Lost;

/// Why a step of the election came to nothing; the next one may.
#[derive(Debug, thiserror::Error)]
enum Setback {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error("no answer within {REQUEST_TIMEOUT:?}")]
    Late(#[from] tokio::time::error::Elapsed),
}

/// What a candidate saw last, and since when by its own clock.
struct Seen {
    /// None of a Lease that was deleted.
    version: Option<String>,
    since: Instant,
}

impl Election {
    /// A candidate named `identity`, which no other process may have, for the Lease `name`. `client` must not be behind the fence.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, identity: String) -> Self {
        let fence = Fence::default();
        let standing = Standing::new(name, fence.clone());
        let leases = Api::namespaced(client, namespace);
        Self { leases, name: name.to_owned(), identity, fence, standing, won: Arc::default() }
    }

    /// What keeps everybody but the holder from writing: a layer of the client that reconciles use.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// What this process knows of its place.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.clone()
    }

    /// Comes when [`Self::lead`] has won the Lease.
    pub fn won(&self) -> impl Future<Output = ()> + Send + use<> {
        let won = self.won.clone();
        async move {
            won.wait().await;
        }
    }

    /// Stands for election, and lets `work` prepare itself until this process holds the Lease. That is given up when `work` is done;
    /// when to end is for `work` to know.
    pub async fn lead(&self, work: impl Future<Output = ()>) -> Result<(), Lost> {
        let office = async {
            let lease = self.win().await;
            tracing::info!(lease = self.name, "holding the Lease, looking after Shops");
            self.won.set(()).ok();
            self.hold(lease).await;
        };
        tokio::select! {
            () = work => {
                // Also who only stood by may have won it, by the last request.
                self.resign().await;
                Ok(())
            }
            () = office => Err(Lost),
        }
    }

    /// Waits until this process holds the Lease.
    pub async fn win(&self) -> Lease {
        let mut seen = None;
        loop {
            let outcome = self.stand(&mut seen).await;
            self.standing.hear(&outcome);
            if let Ok(Some(lease)) = outcome {
                return lease;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Renews `lease`; returns when it is lost.
    pub async fn hold(&self, mut lease: Lease) {
        while self.fence.is_open() {
            sleep(RENEW_EVERY).await;
            let outcome = self.renew(&lease).await;
            self.standing.hear(&outcome);
            match outcome {
                Ok(Some(renewed)) => lease = renewed,
                Ok(None) => break,
                // There is time for another try until the fence shuts by itself.
                Err(_) => {}
            }
        }
        self.fence.shut();
    }

    /// Gives the Lease up, so that another candidate need not wait for it to run out.
    pub async fn resign(&self) {
        self.fence.shut();
        if let Err(setback) = self.give_up().await {
            tracing::warn!(lease = self.name, error.cause = %setback, "what was not given up runs out in {DURATION:?}");
        }
    }

    async fn give_up(&self) -> Result<(), Setback> {
        loop {
            let found = timeout(REQUEST_TIMEOUT, self.leases.get_opt(&self.name)).await??;
            let Some(held) = found.filter(|lease| holder(lease) == Some(&self.identity)) else { return Ok(()) };
            let nobody = LeaseSpec { holder_identity: None, ..held.spec.clone().unwrap_or_default() };
            let free = Lease { spec: Some(nobody), ..held };
            match timeout(REQUEST_TIMEOUT, self.leases.replace(&self.name, &PostParams::default(), &free)).await? {
                // By a renewal that was under way.
                Err(kube::Error::Api(status)) if status.is_conflict() => {}
                outcome => return outcome.map(drop).map_err(Setback::from),
            }
        }
    }

    async fn stand(&self, seen: &mut Option<Seen>) -> Result<Option<Lease>, Setback> {
        let found = timeout(REQUEST_TIMEOUT, self.leases.get_opt(&self.name)).await??;
        if found.is_none() && seen.is_none() {
            return self.take(&Lease::default()).await;
        }
        let version = found.as_ref().and_then(ResourceExt::resource_version);
        let last = seen.take().filter(|last| last.version == version);
        let since = seen.insert(last.unwrap_or_else(|| Seen { version, since: Instant::now() })).since;
        let ours_or_free =
            found.as_ref().is_some_and(|found| holder(found).is_none_or(|holder| *holder == self.identity));
        if ours_or_free || since.elapsed() >= DURATION { self.take(&found.unwrap_or_default()).await } else { Ok(None) }
    }

    async fn renew(&self, lease: &Lease) -> Result<Option<Lease>, Setback> {
        if let Some(renewed) = self.take(lease).await? {
            return Ok(Some(renewed));
        }
        // Somebody wrote to it or deleted it; that need not have been another candidate.
        match timeout(REQUEST_TIMEOUT, self.leases.get_opt(&self.name)).await?? {
            Some(found) if holder(&found) == Some(&self.identity) => self.take(&found).await,
            Some(_) => Ok(None),
            None => self.take(&Lease { spec: lease.spec.clone(), ..Lease::default() }).await,
        }
    }

    /// Writes our name into the Lease as it was `found`, or into a new one; `None` when somebody else was faster.
    async fn take(&self, found: &Lease) -> Result<Option<Lease>, Setback> {
        let asked = Instant::now();
        let wanted = self.signed(found);
        let params = PostParams::default();
        let is_there = found.resource_version().is_some();
        let written = if is_there {
            timeout(REQUEST_TIMEOUT, self.leases.replace(&self.name, &params, &wanted)).await?
        } else {
            timeout(REQUEST_TIMEOUT, self.leases.create(&params, &wanted)).await?
        };
        match written {
            Ok(lease) => {
                // From the moment of asking: the answer may have waited for this process to wake up.
                self.fence.open_until(asked + RENEW_WITHIN);
                Ok(Some(lease))
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(None),
            // It was deleted. Without a version it is the namespace that is missing.
            Err(kube::Error::Api(status)) if is_there && status.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The times are for people; candidates go by their own clocks.
    fn signed(&self, found: &Lease) -> Lease {
        let now = MicroTime(Timestamp::now());
        let before = found.spec.clone().unwrap_or_default();
        let kept = before.holder_identity.as_ref() == Some(&self.identity);
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if kept { before.acquire_time.clone() } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(before.lease_transitions.unwrap_or(0) + i32::from(!kept)),
            ..before
        };
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            resource_version: found.resource_version(),
            labels: found.metadata.labels.clone(),
            ..ObjectMeta::default()
        };
        Lease { metadata, spec: Some(spec) }
    }
}

/// Who holds it, if anybody does.
fn holder(lease: &Lease) -> Option<&String> {
    lease.spec.as_ref()?.holder_identity.as_ref().filter(|holder| !holder.is_empty())
}
