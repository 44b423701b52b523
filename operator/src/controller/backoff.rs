//! How long a Shop waits whose reconciles fail, each by its own count.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::crd::Shop;

/// Longest pause after errors.
const MAX_BACKOFF: Duration = Duration::from_mins(1);

/// How often each Shop has failed since it last succeeded. One that is made anew under a name has not.
#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<ObjectRef<Shop>, Count>>);

#[derive(Default)]
struct Count {
    uid: Option<String>,
    failures: u32,
}

impl Failures {
    /// How often in a row.
    pub(super) fn of(&self, shop: &Shop) -> u32 {
        let counts = self.counts();
        let count = counts.get(&ObjectRef::from_obj(shop)).filter(|count| count.uid == shop.uid());
        count.map_or(0, |count| count.failures)
    }

    /// Counts one more.
    pub(super) fn count(&self, shop: &Shop) -> u32 {
        let mut counts = self.counts();
        let count = counts.entry(ObjectRef::from_obj(shop)).or_default();
        if count.uid != shop.uid() {
            *count = Count { uid: shop.uid(), failures: 0 };
        }
        count.failures += 1;
        count.failures
    }

    /// It succeeded, or it is gone.
    pub(super) fn forget(&self, shop: &ObjectRef<Shop>) {
        self.counts().remove(shop);
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<ObjectRef<Shop>, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One second after the first failure, doubling up to a minute.
pub(super) fn pause(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(6)).min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::ShopSpec;

    #[test]
    fn a_shop_that_fails_waits_longer_each_time_and_no_other_shop_waits_for_it() {
        let failures = Failures::default();
        let [acorn, rowan] = ["acorn", "rowan"].map(|name| Shop::new(name, ShopSpec::default()));
        let seconds = |shop: &Shop| pause(failures.count(shop)).as_secs();
        let pauses = [(); 8].map(|()| seconds(&acorn));
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(seconds(&rowan), 1);
        failures.forget(&ObjectRef::from_obj(&acorn));
        assert_eq!((failures.of(&acorn), failures.of(&rowan)), (0, 1));
        assert_eq!(seconds(&acorn), 1, "a success begins anew");
        let mut again = rowan.clone();
        again.metadata.uid = Some("another".to_owned());
        assert_eq!((failures.of(&again), seconds(&again)), (0, 1), "what had its name before failed, and is gone");
    }
}
