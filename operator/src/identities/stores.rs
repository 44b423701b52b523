//! The certificates of the stores that the operator runs. They live long, because a store reads its own when it starts.
//!
//! A certificate is replaced in its Secret when two thirds of its life have passed, or when another authority issues, and whatever
//! restarts the store from then on makes it show the new one. A store that nothing has restarted by a deadline is restarted for
//! it, one store an hour. Until it shows a certificate of the new authority, clients trust the old one too, for this store.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType};

use super::{Error, Leaf, SKEW, Scope, Worry, find, named, text};
use crate::crd::Shop;
use crate::names::{self, CERTIFICATE_ANNOTATION, COMPONENT_LABEL};

/// How long a certificate is good for.
const LIFETIME: Duration = Duration::from_hours(90 * 24);
/// How long a new certificate waits for a restart that happens anyway. The old one is good for ten days more.
const PATIENCE: SignedDuration = SignedDuration::from_hours(20 * 24);
/// Between the deadlines of two stores.
const APART: SignedDuration = SignedDuration::from_hours(1);
/// The key with [`StoreLeaf::since`], RFC 3339.
const SINCE: &str = "since";
/// The key with [`StoreLeaf::former`].
const FORMER: &str = "former-ca.crt";

/// What a store proves who it is with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreLeaf {
    /// The certificate in the Secret.
    pub leaf: Leaf,
    /// The authorities that clients verify it against, PEM.
    pub trusted: String,
    /// Those of them that issued only what the store may still show since it was started, PEM.
    pub former: String,
    /// What was issued before is not good enough any more; a store that started before is started again.
    pub since: Timestamp,
    /// When the store is restarted for the certificate in the Secret, unless it shows it already.
    pub restart: Option<Timestamp>,
}

/// What the Secret of a store tells.
struct Known {
    leaf: Leaf,
    /// Since when the certificate that is shown has to be issued at least.
    since: Timestamp,
    former: String,
}

impl Known {
    fn read(secret: &Secret) -> Option<Self> {
        let since = text(secret, SINCE)?.parse().ok()?;
        Some(Self { leaf: Leaf::read(secret)?, since, former: text(secret, FORMER)? })
    }
}

impl Scope<'_> {
    pub(super) fn stores(
        &self,
        shop: &Shop,
        issuer: &str,
        trusted: &str,
        secrets: &[Secret],
        pods: &[Pod],
    ) -> Result<BTreeMap<&'static str, StoreLeaf>, Error> {
        let embedded = shop.spec.embedded_stores();
        embedded
            .zip(0..)
            .map(|(store, place)| {
                let found = find(secrets, &names::certificate(self.shop, store));
                let Known { leaf, since, former } = self.of_store(store, issuer, found)?;
                let deadline = deadline(&leaf, place);
                let started = started(pods, store);
                let (since, restart) = self.plan(&leaf, since, deadline, started);
                let former = if started.is_some_and(|started| shows(&leaf, started)) { String::new() } else { former };
                let trusted = if trusted.contains(&former) { trusted.to_owned() } else { format!("{trusted}{former}") };
                Ok((store, StoreLeaf { leaf, trusted, former, since, restart }))
            })
            .collect()
    }

    /// The certificate for the Secret, made anew where the one in it is not good any more.
    fn of_store(&self, store: &str, issuer: &str, found: Option<&Secret>) -> Result<Known, Error> {
        match found.and_then(Known::read) {
            Some(known) if self.is_good(&known.leaf, issuer, LIFETIME) => Ok(known),
            Some(Known { leaf, since, former }) => {
                let known = leaf.authority == issuer || former.contains(&leaf.authority);
                let former = if known { former } else { former + &leaf.authority };
                Ok(Known { leaf: self.issue_to(store, issuer)?, since, former })
            }
            None => {
                let leaf = self.issue_to(store, issuer)?;
                Ok(Known { since: issued(&leaf), leaf, former: String::new() })
            }
        }
    }

    fn issue_to(&self, store: &str, issuer: &str) -> Result<Leaf, Error> {
        let service = names::component(self.shop, store);
        let in_namespace = format!("{service}.{}", self.namespace);
        let in_cluster = format!("{in_namespace}.svc");
        let with_domain = format!("{in_cluster}.cluster.local");
        // Who forwards a port to the store finds it on the own machine.
        let mut params =
            CertificateParams::new(vec![service, in_namespace, in_cluster, with_domain, "localhost".to_owned()])?;
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        params.distinguished_name = named(store);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params, issuer, LIFETIME)
    }

    /// Whether the store has to be restarted, now or when.
    fn plan(
        &self,
        leaf: &Leaf,
        since: Timestamp,
        deadline: Timestamp,
        started: Option<Timestamp>,
    ) -> (Timestamp, Option<Timestamp>) {
        let issued = issued(leaf);
        // A pod of a template that names the certificate shows it, and so does one that was started well after it was issued.
        let shows_another = since < issued && started.is_some_and(|started| !shows(leaf, started));
        match (shows_another, deadline <= self.now) {
            (true, true) => (issued, None),
            (true, false) => (since, Some(deadline)),
            (false, _) => (since, None),
        }
    }
}

impl StoreLeaf {
    /// What is stored in a Secret.
    #[must_use]
    pub fn data(&self) -> BTreeMap<&'static str, String> {
        let more = [(SINCE, self.since.to_string()), (FORMER, self.former.clone())];
        self.leaf.data().into_iter().chain(more).collect()
    }

    pub(super) fn dummy(store: &str) -> Self {
        let leaf = Leaf::dummy(store);
        let trusted = leaf.authority.clone();
        Self { leaf, trusted, former: String::new(), since: Timestamp::UNIX_EPOCH, restart: None }
    }
}

/// What is wrong with a store that was to be restarted for the certificate in its Secret, and was not.
pub(super) fn late(
    shop: &str,
    store: &str,
    place: i32,
    secret: &Secret,
    pods: &[Pod],
    now: Timestamp,
) -> Option<Worry> {
    let leaf = Leaf::read(secret)?;
    let (issued, deadline) = (issued(&leaf), deadline(&leaf, place));
    // A pod whose template names the certificate shows it, however soon it was started.
    let told = pods_of(pods, store).filter_map(|pod| pod.annotations().get(CERTIFICATE_ANNOTATION));
    let told = told.filter_map(|since| since.parse::<Timestamp>().ok()).min();
    let shown = shows(&leaf, started(pods, store)?) || told.is_some_and(|since| since >= issued);
    let object = names::component(shop, store);
    let end = issued + LIFETIME / 3;
    let message = format!(
        "{store} was to be restarted by {deadline} and shows a certificate from before {issued}, which may run out from {end} on: \
         see why StatefulSet {object} does not replace its pod, or delete the pod"
    );
    (!shown && deadline + APART <= now).then_some(Worry { reason: "RestartOverdue", breaks: end <= now, message })
}

/// When a store is restarted for a new certificate.
fn deadline(leaf: &Leaf, place: i32) -> Timestamp {
    issued(leaf) + PATIENCE + APART * place
}

fn issued(leaf: &Leaf) -> Timestamp {
    leaf.renew_after - LIFETIME * 2 / 3
}

/// Whether a store that was started then shows this certificate or a later one.
fn shows(leaf: &Leaf, started: Timestamp) -> bool {
    started >= issued(leaf) + SKEW
}

/// When the oldest running container of a store was started.
fn started(pods: &[Pod], store: &str) -> Option<Timestamp> {
    let containers = pods_of(pods, store).filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref()).flatten();
    containers.filter_map(|container| Some(container.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0)).min()
}

fn pods_of<'a>(pods: &'a [Pod], store: &str) -> impl Iterator<Item = &'a Pod> {
    pods.iter().filter(move |pod| pod.labels().get(COMPONENT_LABEL).is_some_and(|component| component == store))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ContainerState, ContainerStateRunning, ContainerStatus, PodStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use ring::rand::SystemRandom;
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::crypto::ring::default_provider;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    use super::super::tests::{alone, authority, now, shop, stored};
    use super::super::{Authorities, Identities, renew, split};
    use super::*;
    use crate::catalog::{POSTGRES, REDIS, STORES};
    use crate::crd::Mtls;

    const DAY: i64 = 24;

    fn renewed(authorities: Authorities<'_>, before: &Identities, pods: &[Pod], hours: i64) -> Identities {
        let random = SystemRandom::new();
        renew(authorities, &shop("24h"), &stored(before), pods, now(hours), &random).expect("certificates")
    }

    /// A pod of PostgreSQL that was started then.
    fn started(hours: i64) -> Vec<Pod> {
        let running = ContainerStateRunning { started_at: Some(Time(now(hours))) };
        let state = ContainerState { running: Some(running), ..ContainerState::default() };
        let container = ContainerStatus { state: Some(state), ..ContainerStatus::default() };
        let mut pod = Pod::default();
        pod.labels_mut().insert(COMPONENT_LABEL.to_owned(), POSTGRES.to_owned());
        pod.status = Some(PodStatus { container_statuses: Some(vec![container]), ..PodStatus::default() });
        vec![pod]
    }

    #[test]
    fn a_certificate_is_good_for_the_names_of_its_store_and_nobody_elses() {
        let authority = authority();
        let made = renewed(alone(&authority), &Identities::default(), &[], 0);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(split(&authority).1.as_bytes()).expect("PEM")).expect("an authority");
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), default_provider().into());
        let verifier = verifier.build().expect("a verifier");
        let shown = made.stores[POSTGRES].leaf.certificate.as_bytes();
        let shown = CertificateDer::from_pem_slice(shown).expect("PEM");
        let time = UnixTime::since_unix_epoch(Duration::from_mins(30_000_001));
        let good = |name: &'static str| {
            let name = ServerName::try_from(name).expect("a name");
            verifier.verify_server_cert(&shown, &[], &name, &[], time).is_ok()
        };
        for name in ["acorn-postgres", "acorn-postgres.oak.svc", "acorn-postgres.oak.svc.cluster.local", "127.0.0.1"] {
            assert!(good(name), "{name}");
        }
        for name in ["acorn-redis", "acorn-order-grpc", "acorn-postgres.elm.svc"] {
            assert!(!good(name), "{name}");
        }
    }

    #[test]
    fn only_stores_that_the_operator_runs_and_that_encrypt_have_one() {
        let authority = authority();
        let stores = |shop: &Shop| {
            let made = renew(alone(&authority), shop, &[], &[], now(0), &SystemRandom::new()).expect("certificates");
            made.stores.into_keys().collect::<Vec<_>>()
        };
        let mut shop = shop("24h");
        assert_eq!(stores(&shop).len(), STORES.len());
        shop.spec.redis.embedded = None;
        assert!(!stores(&shop).contains(&REDIS));
        shop.spec.mesh.mtls = Mtls::Off;
        assert!(stores(&shop).is_empty());
    }

    #[test]
    fn a_new_certificate_waits_for_a_restart_and_at_its_deadline_there_is_one() {
        let authority = authority();
        let first = renewed(alone(&authority), &Identities::default(), &[], 0);
        let since = first.stores[POSTGRES].since;
        assert_eq!(renewed(alone(&authority), &first, &started(0), 59 * DAY).stores, first.stores, "it is good");

        let renewed_at = 61 * DAY;
        let second = renewed(alone(&authority), &first, &started(0), renewed_at);
        let postgres = &second.stores[POSTGRES];
        assert_ne!(postgres.leaf, first.stores[POSTGRES].leaf);
        assert_eq!((postgres.since, postgres.restart), (since, Some(now(81 * DAY))), "it is known when");

        let due = renewed(alone(&authority), &second, &started(0), 82 * DAY);
        assert_eq!((due.stores[POSTGRES].since, due.stores[POSTGRES].restart), (now(renewed_at), None));
        assert_eq!(due.stores[POSTGRES].leaf, postgres.leaf);
        let later = renewed(alone(&authority), &due, &started(0), 82 * DAY + 1);
        assert_eq!(later.stores, due.stores, "one certificate is one restart");
    }

    #[test]
    fn a_store_that_restarts_by_itself_is_not_restarted_again() {
        let authority = authority();
        let first = renewed(alone(&authority), &Identities::default(), &[], 0);
        let second = renewed(alone(&authority), &first, &started(0), 61 * DAY);
        let after = renewed(alone(&authority), &second, &started(70 * DAY), 100 * DAY);
        assert_eq!(
            (after.stores[POSTGRES].since, after.stores[POSTGRES].restart),
            (first.stores[POSTGRES].since, None)
        );
        let asleep = renewed(alone(&authority), &second, &[], 100 * DAY);
        assert_eq!(asleep.stores[POSTGRES].since, first.stores[POSTGRES].since, "it starts with the new one anyway");
    }

    #[test]
    fn no_two_stores_are_restarted_at_once_for_their_certificates() {
        let authority = authority();
        let first = renewed(alone(&authority), &Identities::default(), &[], 0);
        let pods: Vec<Pod> = STORES
            .iter()
            .flat_map(|store| {
                let mut pods = started(0);
                pods[0].labels_mut().insert(COMPONENT_LABEL.to_owned(), (*store).to_owned());
                pods
            })
            .collect();
        let second = renewed(alone(&authority), &first, &pods, 61 * DAY);
        let times: Vec<Timestamp> = STORES.iter().filter_map(|store| second.stores[store].restart).collect();
        assert_eq!(times, [0, 1, 2, 3].map(|hour| now(81 * DAY + hour)));
    }

    #[test]
    fn the_certificate_of_another_authority_waits_for_a_restart_and_until_then_both_are_trusted() {
        let (old, new) = (authority(), authority());
        let of_postgres = |identities: &Identities| identities.stores[POSTGRES].clone();
        let trusts = |leaf: &StoreLeaf| [&old, &new].map(|authority| leaf.trusted.contains(split(authority).1));
        let first = renewed(alone(&old), &Identities::default(), &[], 0);
        let published = renewed(Authorities { issuer: &old, other: Some(&new) }, &first, &started(0), 1);
        assert_eq!(of_postgres(&published).leaf, of_postgres(&first).leaf);
        assert_eq!(trusts(&of_postgres(&published)), [true, true], "before the new one has issued anything");

        let moved = renewed(Authorities { issuer: &new, other: Some(&old) }, &published, &started(0), 2);
        assert_eq!(of_postgres(&moved).leaf.authority, split(&new).1, "the next restart shows it");
        let settled = of_postgres(&renewed(alone(&new), &moved, &started(0), 3));
        assert_eq!((settled.since, settled.restart), (of_postgres(&first).since, Some(now(20 * DAY + 2))));
        assert_eq!(trusts(&settled), [true, true], "the store shows what the old one issued");
        let restarted = of_postgres(&renewed(alone(&new), &moved, &started(3), 4));
        assert_eq!((restarted.restart, trusts(&restarted)), (None, [false, true]));
    }

    #[test]
    fn the_authorities_of_two_rotations_are_trusted_while_a_store_may_show_the_certificate_of_the_first() {
        let authorities = [authority(), authority(), authority()];
        let mut last = renewed(alone(&authorities[0]), &Identities::default(), &[], 0);
        for (authority, hour) in authorities.iter().zip(1..) {
            last = renewed(alone(authority), &last, &started(0), hour);
        }
        let trusted = &last.stores[POSTGRES].trusted;
        assert!(authorities.iter().all(|authority| trusted.contains(split(authority).1)), "{trusted}");
    }
}
