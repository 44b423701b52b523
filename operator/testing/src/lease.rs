//! How a Lease passes from one operator to another.

use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::Lease;

/// For how long the one who `left` a Lease had not renewed it when the next one had `taken` it, by the clocks of those two. A
/// test that is slow to look changes nothing of it.
#[must_use]
pub fn unrenewed(left: &Lease, taken: &Lease) -> Option<SignedDuration> {
    let renewed = left.spec.as_ref()?.renew_time.as_ref()?.0;
    Some(taken.spec.as_ref()?.acquire_time.as_ref()?.0.duration_since(renewed))
}
