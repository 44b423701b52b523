//! The Shop's own authority, the short-lived certificates by which its services know each other, and those of its stores.
//!
//! A service's certificate is a leaf under the authority with two names: the SPIFFE id of the service, by which servers know a
//! caller, and the host name under which others call it. It is renewed when two thirds of its life have passed.

mod given;
mod health;
mod stores;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use ring::rand::SecureRandom;
use time::OffsetDateTime;
use x509_parser::pem::parse_x509_pem;

pub use self::given::{MISSING, worries as worries_about_given};
pub use self::health::{Worry, worries};
pub use self::stores::StoreLeaf;
use crate::catalog::{SERVICES, STORES, Service};
use crate::crd::{Mtls, Shop};
use crate::{keys, names};

/// The certificate, PEM.
pub const CERTIFICATE: &str = "tls.crt";
/// Its private key, PEM.
pub const KEY: &str = "tls.key";
/// The authorities that neighbours are verified against, PEM.
pub const AUTHORITY: &str = "ca.crt";
/// When the next certificate is due, RFC 3339.
pub const RENEW_AFTER: &str = "renew-after";

/// Clocks of nodes differ by less.
pub(crate) const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// The authority outlives every Shop that is upgraded now and then.
const AUTHORITY_LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);

/// The certificates of a Shop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities {
    /// Those of the services of the mesh, by service; none where nothing is encrypted.
    pub services: BTreeMap<&'static str, Leaf>,
    /// Those of the stores that the operator runs, by store; none either.
    pub stores: BTreeMap<&'static str, StoreLeaf>,
}

/// What a service or a store proves who it is with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The certificate, PEM.
    pub certificate: String,
    /// Its private key, PEM.
    pub key: String,
    /// The authorities that neighbours are verified against, PEM; of a store the one that issued its certificate.
    pub authority: String,
    /// When the next one is due.
    pub renew_after: Timestamp,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system has no randomness.
    #[error("the system's random number generator failed")]
    Random,
    /// The stored authority cannot be used.
    #[error("the authority of the mesh cannot be used ({0}); restore the Secret with the credentials from a backup")]
    Authority(#[from] rcgen::Error),
}

/// The authorities of a Shop, each a PEM text with private key and certificate.
#[derive(Clone, Copy)]
pub struct Authorities<'a> {
    /// The one that issues.
    pub issuer: &'a str,
    /// One that is trusted as well, while one takes over from the other.
    pub other: Option<&'a str>,
}

/// What all certificates of one Shop have in common.
struct Scope<'a> {
    namespace: &'a str,
    shop: &'a str,
    issuer: Issuer<'static, KeyPair>,
    now: Timestamp,
    random: &'a dyn SecureRandom,
}

/// A new authority: its private key and its certificate, one PEM text.
pub fn new_authority(namespace: &str, shop: &str, now: Timestamp, random: &dyn SecureRandom) -> Result<String, Error> {
    let pem = keys::generate_for_certificate(random).ok_or(Error::Random)?;
    let key = KeyPair::from_pem(&pem)?;
    let certificate = authority_params(namespace, shop, now).self_signed(&key)?;
    Ok(format!("{pem}{}", certificate.pem()))
}

/// The certificate of every service of the mesh and of every embedded store: those found in `secrets` as long as they are
/// good, new ones in their place. `pods` tell which certificate a store took up when it started. Nobody shows one where nothing
/// is encrypted.
pub fn renew(
    authorities: Authorities<'_>,
    shop: &Shop,
    secrets: &[Secret],
    pods: &[Pod],
    now: Timestamp,
    random: &dyn SecureRandom,
) -> Result<Identities, Error> {
    if shop.spec.mesh.mtls == Mtls::Off {
        return Ok(Identities::default());
    }
    let (namespace, name) = (shop.namespace().unwrap_or_default(), shop.name_any());
    // The issuer comes first: with another issuer the text is another one, and every certificate of a service is made anew.
    let trusted =
        [Some(authorities.issuer), authorities.other].map(|authority| authority.map_or("", |one| split(one).1));
    let trusted = trusted.concat();
    let (key, certificate) = split(authorities.issuer);
    let issuer = Issuer::new(authority_params(&namespace, &name, now), KeyPair::from_pem(key)?);
    let scope = Scope { namespace: &namespace, shop: &name, issuer, now, random };
    Ok(Identities {
        services: scope.services(shop.spec.mesh.lifetime(), &trusted, secrets)?,
        stores: scope.stores(shop, certificate, &trusted, secrets, pods)?,
    })
}

impl Identities {
    /// When the next certificate is due, if there is any.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let of_stores = self.stores.values().map(|store| store.leaf.renew_after);
        self.services.values().map(|leaf| leaf.renew_after).chain(of_stores).min()
    }
}

/// Private key and certificate of an authority's PEM text.
fn split(authority: &str) -> (&str, &str) {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    authority.split_at(authority.find(BEGIN).unwrap_or(authority.len()))
}

fn authority_params(namespace: &str, shop: &str, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(&format!("mesh of {namespace}/{shop}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.not_before = at(now - SKEW);
    params.not_after = at(now + AUTHORITY_LIFETIME);
    params
}

impl Scope<'_> {
    fn services(
        &self,
        lifetime: Duration,
        trusted: &str,
        secrets: &[Secret],
    ) -> Result<BTreeMap<&'static str, Leaf>, Error> {
        let members = SERVICES.iter().filter(|service| service.in_mesh());
        members
            .map(|service| {
                let name = names::identity(self.shop, service.name);
                let leaf = match find(secrets, &name).and_then(Leaf::read) {
                    Some(leaf) if self.is_good(&leaf, trusted, lifetime) => leaf,
                    _ => self.issue(self.of_service(service)?, trusted, lifetime)?,
                };
                Ok((service.name, leaf))
            })
            .collect()
    }

    fn is_good(&self, leaf: &Leaf, authority: &str, lifetime: Duration) -> bool {
        // A life that was made shorter counts at once.
        let in_time = self.now < leaf.renew_after && leaf.renew_after <= self.due(lifetime);
        in_time && leaf.authority == authority && leaf.good_until().is_some_and(|end| leaf.renew_after < end)
    }

    fn due(&self, lifetime: Duration) -> Timestamp {
        self.now + lifetime * 2 / 3
    }

    fn of_service(&self, service: &Service) -> Result<CertificateParams, Error> {
        let Self { namespace, shop, .. } = self;
        let id = format!("spiffe://cluster.local/ns/{namespace}/shop/{shop}/{}", service.name);
        let mut params = CertificateParams::new(vec![names::grpc(shop, service.name)])?;
        params.subject_alt_names.push(SanType::URI(id.try_into()?));
        params.distinguished_name = named(service.name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params)
    }

    fn issue(&self, mut params: CertificateParams, authority: &str, lifetime: Duration) -> Result<Leaf, Error> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.not_before = at(self.now - SKEW);
        params.not_after = at(self.now + lifetime);
        let key = keys::generate_for_certificate(self.random).ok_or(Error::Random)?;
        let certificate = params.signed_by(&KeyPair::from_pem(&key)?, &self.issuer)?.pem();
        Ok(Leaf { certificate, key, authority: authority.to_owned(), renew_after: self.due(lifetime) })
    }
}

impl Leaf {
    /// A leaf as it is stored in a Secret.
    fn read(secret: &Secret) -> Option<Self> {
        let text = |key: &str| text(secret, key);
        Some(Self {
            certificate: text(CERTIFICATE)?,
            key: text(KEY)?,
            authority: text(AUTHORITY)?,
            renew_after: text(RENEW_AFTER)?.parse().ok()?,
        })
    }

    /// Until when the certificate is good; `None` if it cannot be read, or is not that of the key.
    fn good_until(&self) -> Option<Timestamp> {
        let (_, certificate) = parse_x509_pem(self.certificate.as_bytes()).ok()?;
        let certificate = certificate.parse_x509().ok()?;
        let key = KeyPair::from_pem(&self.key).ok()?;
        let is_its_own = certificate.public_key().subject_public_key.data.as_ref() == key.public_key_raw();
        Timestamp::from_second(certificate.validity().not_after.timestamp()).ok().filter(|_| is_its_own)
    }

    /// What is stored in a Secret.
    #[must_use]
    pub fn data(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            (CERTIFICATE, self.certificate.clone()),
            (KEY, self.key.clone()),
            (AUTHORITY, self.authority.clone()),
            (RENEW_AFTER, self.renew_after.to_string()),
        ])
    }

    fn dummy(name: &str) -> Self {
        Self {
            certificate: format!("dummy certificate of {name}"),
            key: format!("dummy key of {name}"),
            authority: "dummy authority".to_owned(),
            renew_after: Timestamp::UNIX_EPOCH,
        }
    }
}

/// Until when the first certificate of a PEM text is good.
fn good_until(pem: &str) -> Option<Timestamp> {
    let (_, certificate) = parse_x509_pem(pem.as_bytes()).ok()?;
    Timestamp::from_second(certificate.parse_x509().ok()?.validity().not_after.timestamp()).ok()
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok()
}

/// Fixed texts for `render` and tests, recognisable as such.
#[must_use]
pub fn dummies() -> Identities {
    let members = SERVICES.iter().filter(|service| service.in_mesh());
    Identities {
        services: members.map(|service| (service.name, Leaf::dummy(service.name))).collect(),
        stores: STORES.map(|store| (store, StoreLeaf::dummy(store))).into(),
    }
}

fn find<'a>(secrets: &'a [Secret], name: &str) -> Option<&'a Secret> {
    secrets.iter().find(|secret| secret.name_any() == name)
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// In the terms of the library that writes certificates, which count whole seconds.
fn at(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use kube::api::ObjectMeta;
    use ring::rand::SystemRandom;

    use super::*;
    use crate::crd::ShopSpec;

    const DAY: &str = "24h";

    pub(super) fn now(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000).expect("a time") + SignedDuration::from_hours(hours)
    }

    pub(super) fn authority() -> String {
        new_authority("oak", "acorn", now(0), &SystemRandom::new()).expect("an authority")
    }

    pub(super) fn stored(identities: &Identities) -> Vec<Secret> {
        let encode = |(key, value): (&str, String)| (key.to_owned(), ByteString(value.into_bytes()));
        let secret = |name: String, data: BTreeMap<&str, String>| Secret {
            metadata: ObjectMeta { name: Some(name), ..ObjectMeta::default() },
            data: Some(data.into_iter().map(encode).collect()),
            ..Secret::default()
        };
        let services = identities.services.iter();
        let services = services.map(|(service, leaf)| secret(names::identity("acorn", service), leaf.data()));
        let stores = identities.stores.iter();
        let stores = stores.map(|(store, leaf)| secret(names::certificate("acorn", store), leaf.data()));
        services.chain(stores).collect()
    }

    pub(super) fn shop(lifetime: &str) -> Shop {
        let mut shop = Shop::new("acorn", ShopSpec::default());
        shop.metadata.namespace = Some("oak".to_owned());
        shop.spec.mesh.certificate_lifetime = lifetime.to_owned();
        shop
    }

    pub(super) fn alone(issuer: &str) -> Authorities<'_> {
        Authorities { issuer, other: None }
    }

    fn renewed(authority: &str, lifetime: &str, secrets: &[Secret], hours: i64) -> Identities {
        let random = SystemRandom::new();
        renew(alone(authority), &shop(lifetime), secrets, &[], now(hours), &random).expect("certificates")
    }

    #[test]
    fn a_certificate_stays_for_two_thirds_of_its_life() {
        let authority = authority();
        let first = renewed(&authority, DAY, &[], 0);
        assert_eq!(first.services.keys().copied().collect::<Vec<_>>(), ["cart", "order", "product"]);
        assert_eq!(renewed(&authority, DAY, &stored(&first), 15), first);
        let second = renewed(&authority, DAY, &stored(&first), 17);
        assert!(first.services.iter().all(|(service, leaf)| second.services[service] != *leaf), "each is due");
    }

    #[test]
    fn a_shorter_life_and_another_authority_count_at_once() {
        let authority = authority();
        let first = renewed(&authority, DAY, &[], 0);
        assert_ne!(renewed(&authority, "1h", &stored(&first), 0).services, first.services);
        assert_ne!(renewed(&self::authority(), DAY, &stored(&first), 0).services, first.services);
    }

    #[test]
    fn one_authority_takes_over_from_another_while_both_are_trusted() {
        let (old, new) = (authority(), self::authority());
        let (old_certificate, new_certificate) = (split(&old).1, split(&new).1);
        let certificates = |issuer: &str, other: &str, secrets: &[Secret]| {
            let authorities = Authorities { issuer, other: Some(other) };
            renew(authorities, &shop(DAY), secrets, &[], now(0), &SystemRandom::new()).expect("certificates")
        };
        let known = certificates(&old, &new, &stored(&renewed(&old, DAY, &[], 0)));
        let cart = &known.services["cart"];
        assert_eq!(cart.authority, format!("{old_certificate}{new_certificate}"));
        let moved = certificates(&new, &old, &stored(&known));
        assert_eq!(moved.services["cart"].authority, format!("{new_certificate}{old_certificate}"));
        assert_ne!(moved.services["cart"].certificate, cart.certificate, "the new one issues");
        assert_eq!(certificates(&new, &old, &stored(&moved)), moved);
    }

    #[test]
    fn a_damaged_secret_is_replaced_and_a_damaged_authority_is_an_error_that_says_what_to_do() {
        let authority = authority();
        let first = renewed(&authority, DAY, &[], 0);
        let another = renewed(&authority, DAY, &[], 0).services["cart"].key.clone();
        for (key, value) in [(KEY, None), (KEY, Some(another)), (CERTIFICATE, Some("damaged".to_owned()))] {
            let mut secrets = stored(&first);
            let data = secrets[0].data.as_mut().expect("data");
            data.remove(key);
            data.extend(value.map(|value| (key.to_owned(), ByteString(value.into_bytes()))));
            let second = renewed(&authority, DAY, &secrets, 0);
            assert_ne!(second.services["cart"], first.services["cart"], "{key}");
            assert_eq!(second.services["order"], first.services["order"], "the others are good");
        }
        let error = renew(alone(""), &shop(DAY), &[], &[], now(0), &SystemRandom::new()).expect_err("no authority");
        assert!(error.to_string().contains("from a backup"), "{error}");
    }
}
