//! What is wrong with the certificates that a Shop has, in words that say what to do. It is judged by what is in the Secrets, which
//! pods read, and not by what was meant to be there.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;

use super::{Leaf, find, good_until, stores};
use crate::catalog::SERVICES;
use crate::names;

/// An authority that is good for less is to be replaced, which takes an hour and somebody who asks for it.
pub(super) const NOTICE: SignedDuration = SignedDuration::from_hours(30 * 24);

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

/// Everything that is wrong with the certificates of a Shop and of the stores that it `embeds`, what is worst first; `None` where
/// there are none.
#[must_use]
pub fn worries(shop: &str, embeds: &[&str], secrets: &[Secret], pods: &[Pod], now: Timestamp) -> Option<Vec<Worry>> {
    let members = SERVICES.iter().filter(|service| service.in_mesh());
    let members = members.map(|service| names::identity(shop, service.name));
    let of_stores = embeds.iter().map(|store| names::certificate(shop, store));
    let wanted: Vec<String> = members.chain(of_stores).collect();
    let there: Vec<&Secret> = wanted.iter().filter_map(|name| find(secrets, name)).collect();
    if there.is_empty() {
        return None;
    }
    let bad = there.iter().filter_map(|secret| of_secret(shop, secret, now));
    let gone = wanted.iter().filter(|name| find(secrets, name).is_none()).map(|name| gone(name));
    let authority = there.iter().find_map(|secret| of_authority(shop, &Leaf::read(secret)?, now));
    let late = embeds.iter().zip(0..).filter_map(|(store, place)| {
        let secret = find(secrets, &names::certificate(shop, store))?;
        stores::late(shop, store, place, secret, pods, now)
    });
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

/// A service or a store that starts now does not get its files.
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

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use serde_json::json;

    use super::super::tests::{alone, authority, now, shop, stored};
    use super::super::{Identities, renew};
    use super::*;
    use crate::catalog::{RABBITMQ, STORES};
    use crate::crd::Shop;
    use crate::names::COMPONENT_LABEL;

    const DAY: i64 = 24;

    fn renewed(authority: &str, shop: &Shop, secrets: &[Secret], hours: i64) -> Identities {
        renew(alone(authority), shop, secrets, &[], now(hours), &SystemRandom::new()).expect("certificates")
    }

    /// A pod of a store that was started then.
    fn started(store: &str, hours: i64) -> Pod {
        let running = json!({"running": {"startedAt": now(hours).to_string()}});
        let container =
            json!({"name": store, "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": running});
        let metadata = json!({"labels": {COMPONENT_LABEL: store}});
        let pod = json!({"metadata": metadata, "status": {"containerStatuses": [container]}});
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn of_the_stores_those_that_the_operator_runs_are_missed_each_by_its_name() {
        let mut shop = shop("24h");
        shop.spec.mongodb.embedded = None;
        let embeds: Vec<&str> = shop.spec.embedded_stores().collect();
        let mut secrets = stored(&renewed(&authority(), &shop, &[], 0));
        let told = |secrets: &[Secret]| worries("acorn", &embeds, secrets, &[], now(0)).expect("certificates");
        assert!(told(&secrets).is_empty(), "none is missed");
        secrets.retain(|secret| secret.name_any() != "acorn-redis-tls");
        assert_eq!(told(&secrets), [gone("acorn-redis-tls")]);
    }

    #[test]
    fn a_store_keeps_its_hour_in_the_row_when_the_certificate_of_one_before_it_is_gone() {
        let (authority, shop) = (authority(), shop("24h"));
        let first = stored(&renewed(&authority, &shop, &[], 0));
        let mut secrets = stored(&renewed(&authority, &shop, &first, 61 * DAY));
        secrets.retain(|secret| secret.name_any() != "acorn-postgres-tls");
        let pods = [started(RABBITMQ, 0)];
        let is_late = |hours: i64| {
            let told = worries("acorn", &STORES, &secrets, &pods, now(hours)).expect("certificates");
            told.iter().any(|worry| worry.reason == "RestartOverdue")
        };
        // It is the fourth, and has an hour for its restart.
        assert!(!is_late(81 * DAY + 3));
        assert!(is_late(81 * DAY + 4));
    }
}
