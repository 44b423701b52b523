//! When this process first saw the rotation of each Shop as it stands: all of its time that it can count by its own clock.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;

use crate::crd::Shop;
use crate::rotation::Rotation;

/// What was seen last of each Shop, and since when.
#[derive(Default)]
pub(super) struct Sights(Mutex<HashMap<ObjectRef<Shop>, (Rotation, Timestamp)>>);

impl Sights {
    /// The time of the first sight, which is now if it was another state until now. A clock that was put back has no sights to come.
    pub(super) fn first(&self, shop: &Shop, rotation: &Rotation, now: Timestamp) -> Timestamp {
        let mut sights = self.sights();
        let (seen, first) = sights.entry(ObjectRef::from_obj(shop)).or_insert_with(|| (rotation.clone(), now));
        if seen != rotation {
            (*seen, *first) = (rotation.clone(), now);
        }
        *first = (*first).min(now);
        *first
    }

    /// It is gone.
    pub(super) fn forget(&self, shop: &ObjectRef<Shop>) {
        self.sights().remove(shop);
    }

    fn sights(&self) -> MutexGuard<'_, HashMap<ObjectRef<Shop>, (Rotation, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::crd::ShopSpec;
    use crate::rotation::Stage;

    #[test]
    fn each_state_of_a_rotation_counts_from_its_first_sight() {
        let at = |minute| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
        let (sights, shop) = (Sights::default(), Shop::new("acorn", ShopSpec::default()));
        let settled = Rotation::first(None, at(0));
        let publishing = Rotation { stage: Stage::Publishing, ..settled.clone() };
        let first = |rotation: &Rotation, minute| sights.first(&shop, rotation, at(minute));
        assert_eq!([first(&settled, 1), first(&settled, 2)], [at(1), at(1)]);
        assert_eq!([first(&publishing, 3), first(&publishing, 4)], [at(3), at(3)], "another state");
        assert_eq!([first(&publishing, 2), first(&publishing, 5)], [at(2), at(2)], "the clock was put back");
        sights.forget(&ObjectRef::from_obj(&shop));
        assert_eq!(first(&publishing, 6), at(6));
    }
}
