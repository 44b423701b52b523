//! Pure: how many pods a service has, and who decides it.
//!
//! Where an autoscaler decides, the operator leaves `replicas` out of what it applies. Server-side apply removes a field that
//! its only owner leaves out, and a Deployment without the field has one pod: switching autoscaling on would scale down to
//! one. So the number passes to a second field manager first, and from there to the autoscaler when it writes another.

use std::collections::BTreeMap;

use kube::ResourceExt;

use crate::crd::Autoscaling;
use crate::names;
use crate::objects::{Live, Objects};
use crate::validate::ValidShop;

/// How many pods a service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicas {
    /// As many as the Shop says.
    Fixed(i32),
    /// As many as the load needs.
    Scaled {
        /// At least.
        min: i32,
        /// At most.
        max: i32,
        /// CPU to aim at, in percent of the request.
        cpu: i32,
    },
}

impl Replicas {
    /// What a Shop says about a service, or one pod.
    #[must_use]
    pub fn of(replicas: Option<i32>, autoscaling: Option<&Autoscaling>) -> Self {
        match autoscaling {
            Some(Autoscaling { min_replicas: min, max_replicas: max, target_cpu_utilization: cpu }) => {
                Self::Scaled { min: *min, max: *max, cpu: *cpu }
            }
            None => Self::Fixed(replicas.unwrap_or(1)),
        }
    }

    /// The number, where the Shop gives it.
    #[must_use]
    pub fn fixed(self) -> Option<i32> {
        match self {
            Self::Fixed(replicas) => Some(replicas),
            Self::Scaled { .. } => None,
        }
    }

    /// The smallest number there can be.
    #[must_use]
    pub fn least(self) -> i32 {
        match self {
            Self::Fixed(replicas) => replicas,
            Self::Scaled { min, .. } => min,
        }
    }

    /// The largest number there can be.
    #[must_use]
    pub fn most(self) -> i32 {
        match self {
            Self::Fixed(replicas) => replicas,
            Self::Scaled { max, .. } => max,
        }
    }
}

/// Deployments whose number of pods passes to their autoscaler now, and that number: what runs, but not less than the
/// smallest. An autoscaler leaves a Deployment without pods alone, so one that wakes up is also started from here.
#[must_use]
pub fn handovers(shop: &ValidShop, live: &Objects<Live>) -> BTreeMap<String, i32> {
    let scaled = shop.services.iter().filter(|service| service.replicas.fixed().is_none());
    let handover = scaled.filter_map(|service| {
        let (name, least) = (names::component(&shop.name, service.service.name), service.replicas.least());
        let deployment = live.deployments.iter().find(|found| found.name_any() == name)?;
        let running = deployment.spec.as_ref()?.replicas.unwrap_or(1);
        let begun = live.horizontal_pod_autoscalers.iter().any(|found| found.name_any() == name);
        (!begun || running < least).then(|| (name, running.max(least)))
    });
    handover.collect()
}
