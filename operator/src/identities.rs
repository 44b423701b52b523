//! The Shop's own authority, and the short-lived certificates by which its services know each other.
//!
//! A certificate is a leaf under the authority with two names: the SPIFFE id of the service, by which servers know a caller,
//! and the host name under which others call it. It is renewed when two thirds of its life have passed.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use ring::rand::SecureRandom;
use time::OffsetDateTime;

use crate::catalog::{SERVICES, Service};
use crate::crd::Shop;
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
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// The authority outlives every Shop that is upgraded now and then.
const AUTHORITY_LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);

/// The certificates of a Shop's services, by service.
pub type Identities = BTreeMap<&'static str, Leaf>;

/// What a service proves who it is with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The certificate, PEM.
    pub certificate: String,
    /// Its private key, PEM.
    pub key: String,
    /// The authorities that neighbours are verified against, PEM.
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
struct Scope {
    namespace: String,
    shop: String,
    lifetime: Duration,
    now: Timestamp,
}

/// A new authority: its private key and its certificate, one PEM text.
pub fn new_authority(namespace: &str, shop: &str, now: Timestamp, random: &dyn SecureRandom) -> Result<String, Error> {
    let pem = keys::generate(random).ok_or(Error::Random)?;
    let key = KeyPair::from_pem(&pem)?;
    let certificate = authority_params(namespace, shop, now).self_signed(&key)?;
    Ok(format!("{pem}{}", certificate.pem()))
}

/// The certificate of every service of the mesh: those found in `secrets` as long as they are good, new ones in their place.
pub fn renew(
    authorities: Authorities<'_>,
    shop: &Shop,
    secrets: &[Secret],
    now: Timestamp,
    random: &dyn SecureRandom,
) -> Result<Identities, Error> {
    let scope = Scope {
        namespace: shop.namespace().unwrap_or_default(),
        shop: shop.name_any(),
        lifetime: shop.spec.mesh.lifetime(),
        now,
    };
    let (key, certificate) = split(authorities.issuer);
    // The issuer comes first: with another issuer the text is another one, and every certificate is made anew.
    let trusted = [certificate, authorities.other.map_or("", |other| split(other).1)].concat();
    let issuer = Issuer::new(authority_params(&scope.namespace, &scope.shop, now), KeyPair::from_pem(key)?);
    let members = SERVICES.iter().filter(|service| service.in_mesh());
    members
        .map(|service| {
            let name = names::identity(&scope.shop, service.name);
            let found = secrets.iter().find(|secret| secret.name_any() == name).and_then(Leaf::read);
            let leaf = match found {
                Some(leaf) if scope.is_good(&leaf, &trusted) => leaf,
                _ => scope.issue(service, &issuer, &trusted, random)?,
            };
            Ok((service.name, leaf))
        })
        .collect()
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

impl Scope {
    fn is_good(&self, leaf: &Leaf, authority: &str) -> bool {
        // A life that was made shorter counts at once.
        leaf.authority == authority && self.now < leaf.renew_after && leaf.renew_after <= self.due()
    }

    fn due(&self) -> Timestamp {
        self.now + self.lifetime * 2 / 3
    }

    fn issue(
        &self,
        service: &Service,
        issuer: &Issuer<'_, KeyPair>,
        authority: &str,
        random: &dyn SecureRandom,
    ) -> Result<Leaf, Error> {
        let Self { namespace, shop, lifetime, now } = self;
        let id = format!("spiffe://cluster.local/ns/{namespace}/shop/{shop}/{}", service.name);
        let mut params = CertificateParams::new(vec![names::grpc(shop, service.name)])?;
        params.subject_alt_names.push(SanType::URI(id.try_into()?));
        params.distinguished_name = named(service.name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.not_before = at(*now - SKEW);
        params.not_after = at(*now + *lifetime);
        let key = keys::generate(random).ok_or(Error::Random)?;
        let certificate = params.signed_by(&KeyPair::from_pem(&key)?, issuer)?.pem();
        Ok(Leaf { certificate, key, authority: authority.to_owned(), renew_after: self.due() })
    }
}

impl Leaf {
    /// A leaf as it is stored in a Secret.
    fn read(secret: &Secret) -> Option<Self> {
        let data = secret.data.as_ref()?;
        let text = |key: &str| String::from_utf8(data.get(key)?.0.clone()).ok();
        Some(Self {
            certificate: text(CERTIFICATE)?,
            key: text(KEY)?,
            authority: text(AUTHORITY)?,
            renew_after: text(RENEW_AFTER)?.parse().ok()?,
        })
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
}

/// Fixed texts for `render` and tests, recognisable as such.
#[must_use]
pub fn dummies() -> Identities {
    let dummy = |service: &Service| Leaf {
        certificate: format!("dummy certificate of {}", service.name),
        key: format!("dummy key of {}", service.name),
        authority: "dummy authority".to_owned(),
        renew_after: Timestamp::UNIX_EPOCH,
    };
    SERVICES.iter().filter(|service| service.in_mesh()).map(|service| (service.name, dummy(service))).collect()
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

    fn now(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000).expect("a time") + SignedDuration::from_hours(hours)
    }

    fn authority() -> String {
        new_authority("oak", "acorn", now(0), &SystemRandom::new()).expect("an authority")
    }

    fn stored(identities: &Identities) -> Vec<Secret> {
        let encode = |(key, value): (&str, String)| (key.to_owned(), ByteString(value.into_bytes()));
        let secret = |(service, leaf): (&&str, &Leaf)| Secret {
            metadata: ObjectMeta { name: Some(names::identity("acorn", service)), ..ObjectMeta::default() },
            data: Some(leaf.data().into_iter().map(encode).collect()),
            ..Secret::default()
        };
        identities.iter().map(secret).collect()
    }

    fn shop(lifetime: &str) -> Shop {
        let mut shop = Shop::new("acorn", ShopSpec::default());
        shop.metadata.namespace = Some("oak".to_owned());
        shop.spec.mesh.certificate_lifetime = lifetime.to_owned();
        shop
    }

    fn alone(issuer: &str) -> Authorities<'_> {
        Authorities { issuer, other: None }
    }

    fn renewed(authority: &str, lifetime: &str, secrets: &[Secret], hours: i64) -> Identities {
        renew(alone(authority), &shop(lifetime), secrets, now(hours), &SystemRandom::new()).expect("certificates")
    }

    #[test]
    fn a_certificate_stays_for_two_thirds_of_its_life() {
        let authority = authority();
        let first = renewed(&authority, DAY, &[], 0);
        assert_eq!(first.keys().copied().collect::<Vec<_>>(), ["cart", "order", "product"]);
        assert_eq!(renewed(&authority, DAY, &stored(&first), 15), first);
        let second = renewed(&authority, DAY, &stored(&first), 17);
        assert!(first.iter().all(|(service, leaf)| second[service] != *leaf), "each is due");
    }

    #[test]
    fn a_shorter_life_and_another_authority_count_at_once() {
        let authority = authority();
        let first = renewed(&authority, DAY, &[], 0);
        assert_ne!(renewed(&authority, "1h", &stored(&first), 0), first);
        assert_ne!(renewed(&self::authority(), DAY, &stored(&first), 0), first);
    }

    #[test]
    fn one_authority_takes_over_from_another_while_both_are_trusted() {
        let (old, new) = (authority(), self::authority());
        let (old_certificate, new_certificate) = (split(&old).1, split(&new).1);
        let certificates = |issuer: &str, other: &str, secrets: &[Secret]| {
            let authorities = Authorities { issuer, other: Some(other) };
            renew(authorities, &shop(DAY), secrets, now(0), &SystemRandom::new()).expect("certificates")
        };
        let known = certificates(&old, &new, &stored(&renewed(&old, DAY, &[], 0)));
        assert_eq!(known["cart"].authority, format!("{old_certificate}{new_certificate}"));
        let moved = certificates(&new, &old, &stored(&known));
        assert_eq!(moved["cart"].authority, format!("{new_certificate}{old_certificate}"));
        assert_ne!(moved["cart"].certificate, known["cart"].certificate, "the new one issues");
        assert_eq!(certificates(&new, &old, &stored(&moved)), moved);
    }

    #[test]
    fn a_damaged_secret_is_replaced_and_a_damaged_authority_is_an_error_that_says_what_to_do() {
        let authority = authority();
        let mut secrets = stored(&renewed(&authority, DAY, &[], 0));
        secrets[0].data.as_mut().expect("data").remove(KEY);
        assert_eq!(renewed(&authority, DAY, &secrets, 0).len(), 3);
        let error = renew(alone(""), &shop(DAY), &[], now(0), &SystemRandom::new()).expect_err("no authority");
        assert!(error.to_string().contains("from a backup"), "{error}");
    }
}
