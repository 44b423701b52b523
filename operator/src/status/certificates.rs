//! Whether the certificates of a Shop are good, and stay so.

use jiff::SignedDuration;

use super::Facts;
use super::conditions::Verdict;
use crate::identities::{self, Worry};

const TYPE: &str = "CertificatesValid";
/// The reason when nothing is wrong.
pub(super) const ISSUED: &str = "Issued";
/// Some make the certificate of an Ingress when that is there, and it may take them so long.
const MADE_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// Of a Shop that was applied: what is in its Secrets now, which stores take up theirs by a restart, and what others made.
pub(super) fn of_applied(facts: &Facts<'_>) -> Option<Verdict> {
    let shop = facts.shop;
    let (secrets, embeds) = (&facts.applied.secrets, shop.embedded_stores());
    let ours = identities::worries(&shop.name, &embeds, secrets, facts.pods, facts.now).filter(|_| shop.mtls);
    if ours.is_none() && facts.given.is_none() {
        return None;
    }
    let given = facts.given.into_iter().flatten().cloned();
    let worries: Vec<Worry> = ours.into_iter().flatten().chain(given).collect();
    let planned = shop.stores().into_iter().filter_map(|(name, store)| Some((name, store.certificate()?.restart?)));
    let planned = planned.map(|(name, time)| format!("; {name} restarts at {time} at the latest"));
    let verdict = verdict(&worries, &planned.collect::<String>());
    Some(Verdict { will_pass: verdict.reason == identities::MISSING && !has_lasted(facts), ..verdict })
}

/// Whether certificates have been no good for longer than it takes to make one.
fn has_lasted(facts: &Facts<'_>) -> bool {
    let mut before = facts.previous.iter().flat_map(|status| &status.conditions);
    let told = before.find(|told| told.type_ == TYPE && told.status == "False");
    told.is_some_and(|told| told.last_transition_time.0 + MADE_WITHIN <= facts.now)
}

/// Of a Shop that is left alone.
pub(super) fn of_others(worries: &[Worry]) -> Verdict {
    verdict(worries, "")
}

fn verdict(worries: &[Worry], planned: &str) -> Verdict {
    let Some(first) = worries.iter().find(|worry| worry.breaks).or(worries.first()) else {
        let issued = "every certificate that the operator makes is renewed before it runs out";
        return Verdict::yes(TYPE, ISSUED, format!("{issued}, and no other one runs out soon{planned}"));
    };
    let others = worries.iter().filter(|worry| *worry != first);
    let messages: Vec<&str> = [first].into_iter().chain(others).map(|worry| worry.message.as_str()).collect();
    let message = messages.join("; ");
    // What has time must not keep a Shop from being ready: an authority is replaced by a rotation, which waits for just that.
    if first.breaks { Verdict::no(TYPE, first.reason, message) } else { Verdict::yes(TYPE, first.reason, message) }
}
