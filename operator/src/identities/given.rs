//! Certificates that somebody else made and a Shop rests on: the authorities of stores that are not ours, and what the Ingress
//! shows. The operator only reads them, and says in time what is wrong.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::parse_x509_certificate;
use x509_parser::time::ASN1Time;

use super::health::NOTICE;
use super::{CERTIFICATE, KEY, Worry, text};
use crate::catalog::{MONGODB, POSTGRES, RABBITMQ, REDIS};
use crate::crd::Shop;
use crate::stores::{AUTHORITY, Found};

/// The reason while nobody has made the certificate that the Ingress is to show.
pub const MISSING: &str = "IngressCertificateMissing";

/// The time for which a certificate is good.
struct Life {
    begin: Timestamp,
    end: Timestamp,
}

/// Everything that is wrong with them; `None` where the Shop rests on none.
#[must_use]
pub fn worries(shop: &Shop, found: &Found, now: Timestamp) -> Option<Vec<Worry>> {
    let spec = &shop.spec;
    let external = [
        (POSTGRES, &spec.postgres.external),
        (MONGODB, &spec.mongodb.external),
        (REDIS, &spec.redis.external),
        (RABBITMQ, &spec.rabbitmq.external),
    ];
    let authorities = external.into_iter().filter_map(|(store, external)| {
        let external = external.as_ref()?;
        // What is wrong with the rest of the Secret is told with the store.
        let authority = found.external(store, external).ok()?.authority?;
        Some(of_authority(store, &external.secret_name, &authority, now))
    });
    let shown = spec.ingress.tls.as_ref().and_then(|tls| tls.secret_name.as_ref());
    let shown = shown.map(|name| of_ingress(name, found.ingress_certificate.as_ref(), now));
    let judged: Vec<Option<Worry>> = authorities.chain(shown).collect();
    (!judged.is_empty()).then(|| judged.into_iter().flatten().collect())
}

fn of_authority(store: &str, secret: &str, pem: &str, now: Timestamp) -> Option<Worry> {
    let what = format!("`{AUTHORITY}` in Secret {secret}, which vouches for {store},");
    let Some(lives) = lives(pem) else {
        let message = format!(
            "{what} is no certificate that can be read, so whoever starts now does not reach {store}: write the \
             certificate of the authority there, PEM"
        );
        return Some(Worry { reason: "StoreAuthorityUnreadable", breaks: true, message });
    };
    // While one authority takes over from another both are there.
    let last = lives.into_iter().max_by_key(|life| life.end)?;
    let end = last.end;
    let help = format!("write the one that signs the next certificate of {store} there");
    if end <= now {
        // Who is trusted without further proof is not asked for its age (webpki, `anchor_from_trusted_cert`).
        let message = format!(
            "{what} ran out at {end}; services go by the age of what {store} shows, other clients refuse it by now: \
             {help}"
        );
        return Some(Worry { reason: "StoreAuthorityExpired", breaks: false, message });
    }
    let message = format!("{what} runs out at {end}: {help}, beside this one, before {store} shows that");
    last.is_ending(now).then_some(Worry { reason: "StoreAuthorityExpires", breaks: false, message })
}

fn of_ingress(name: &str, secret: Option<&Secret>, now: Timestamp) -> Option<Worry> {
    let what = format!("Secret {name}, which spec.ingress.tls names,");
    let otherwise = "the ingress controller shows a certificate of its own, which no customer trusts";
    let Some(secret) = secret else {
        let message = format!("{what} does not exist: {otherwise}; make it, or see what keeps whoever is to make it");
        return Some(Worry { reason: MISSING, breaks: true, message });
    };
    let first = text(secret, CERTIFICATE).and_then(|pem| lives(&pem)?.into_iter().next());
    let Some(life) = first.filter(|_| text(secret, KEY).is_some_and(|key| !key.is_empty())) else {
        let message = format!(
            "{what} holds no certificate that can be read, with its key: {otherwise}; write both there, PEM, as \
             `{CERTIFICATE}` and `{KEY}`"
        );
        return Some(Worry { reason: "IngressCertificateUnreadable", breaks: true, message });
    };
    let (end, help) = (life.end, "put another one there, or see why whoever renews it does not");
    if end <= now {
        let message = format!("the certificate in {what} ran out at {end}, and customers are warned off: {help}");
        return Some(Worry { reason: "IngressCertificateExpired", breaks: true, message });
    }
    let message = format!("the certificate in {what} runs out at {end}, and then customers are warned off: {help}");
    life.is_ending(now).then_some(Worry { reason: "IngressCertificateExpires", breaks: false, message })
}

/// The lives of the certificates in a PEM text, read as the services' clients read it; nothing if there is none, or one that
/// they could not read.
fn lives(pem: &str) -> Option<Vec<Life>> {
    let lives: Option<Vec<Life>> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).map(|certificate| Life::of(&certificate.ok()?)).collect();
    lives.filter(|lives| !lives.is_empty())
}

impl Life {
    fn of(certificate: &[u8]) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(certificate).ok()?;
        let validity = certificate.validity();
        Some(Self { begin: moment(validity.not_before), end: moment(validity.not_after) })
    }

    /// What is renewed by a program is so when a third of its life is left. Half of that has passed, or the last month has begun.
    fn is_ending(&self, now: Timestamp) -> bool {
        let notice = self.end.duration_since(self.begin) / 6;
        self.end - notice.min(NOTICE) <= now
    }
}

/// What never runs out is good until the end of the year 9999 (RFC 5280, section 4.1.2.5), a day after the last time that there is.
fn moment(time: ASN1Time) -> Timestamp {
    Timestamp::from_second(time.timestamp()).unwrap_or(Timestamp::MAX)
}
