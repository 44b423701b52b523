//! What is wrong with the certificates that a Shop has, in words that say what to do. It is judged by what is in the Secrets, which
//! pods read, and not by what was meant to be there.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;

use super::{Leaf, find, good_until, stores};
use crate::catalog::{SERVICES, STORES};
use crate::names;

/// An authority that is good for less is to be replaced, which takes an hour and somebody who asks for it.
const NOTICE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Something that is wrong, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worry {
    /// One word, for conditions.
    pub reason: &'static str,
    /// Whether the Shop is not ready with it. What a rotation cures must not keep it from being ready, which a rotation waits for.
    pub breaks: bool,
    /// What it is about, and what to do.
    pub message: String,
}

/// Everything that is wrong with the certificates of a Shop, what is worst first; `None` where there are none.
#[must_use]
pub fn worries(shop: &str, secrets: &[Secret], pods: &[Pod], now: Timestamp) -> Option<Vec<Worry>> {
    let members = SERVICES.iter().filter(|service| service.in_mesh());
    let members: Vec<String> = members.map(|service| names::identity(shop, service.name)).collect();
    let of_stores = STORES.map(|store| names::certificate(shop, store));
    let there = members.iter().chain(&of_stores).filter_map(|name| find(secrets, name));
    let there: Vec<&Secret> = there.collect();
    if there.is_empty() {
        return None;
    }
    let bad = there.iter().filter_map(|secret| of_secret(shop, secret, now));
    let gone = members.iter().filter(|name| find(secrets, name).is_none()).map(|name| gone(name));
    let authority = there.iter().find_map(|secret| of_authority(shop, &Leaf::read(secret)?, now));
    // Stores that somebody else runs have no place in the row.
    let certificates =
        STORES.iter().filter_map(|store| Some((store, find(secrets, &names::certificate(shop, store))?)));
    let late = certificates
        .zip(0..)
        .filter_map(|((store, secret), place)| stores::late(shop, store, place, secret, pods, now));
    Some(bad.chain(gone).chain(authority).chain(late).collect())
}

fn of_secret(shop: &str, secret: &Secret, now: Timestamp) -> Option<Worry> {
    let name = secret.name_any();
    let help = format!("the operator makes another as soon as it can use Secret {}", names::credentials(shop));
    let known = Leaf::read(secret).and_then(|leaf| Some((leaf.renew_after, leaf.good_until()?)));
    let Some((due, end)) = known else {
        let message = format!("Secret {name} holds no certificate that can be read, with its key; {help}");
        return Some(Worry { reason: "CertificateUnreadable", breaks: true, message });
    };
    if end <= now {
        let message = format!("the certificate in Secret {name} ran out at {end}; {help}");
        return Some(Worry { reason: "CertificateExpired", breaks: true, message });
    }
    // Half of the time that is left for renewing it has passed.
    let late = due + end.duration_since(due) / 2;
    let message = format!("the certificate in Secret {name} was due at {due} and runs out at {end}; {help}");
    (late <= now).then_some(Worry { reason: "RenewalOverdue", breaks: false, message })
}

/// A service that starts now does not get its files.
fn gone(name: &str) -> Worry {
    let message = format!("Secret {name} is gone; it is made again when the Shop is neither paused nor blocked");
    Worry { reason: "CertificateMissing", breaks: true, message }
}

/// The authority that issued a certificate comes first among those that are trusted.
fn of_authority(shop: &str, leaf: &Leaf, now: Timestamp) -> Option<Worry> {
    let end = good_until(&leaf.authority)?;
    let message = format!(
        "the authority of the certificates runs out at {end}: have it replaced with `kubectl shopkeeper rotate {shop}`"
    );
    (end <= now + NOTICE).then_some(Worry { reason: "AuthorityExpires", breaks: false, message })
}
