//! The authority of a Shop, as the operator would be one.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use time::{Duration, OffsetDateTime};

/// Issues certificates to services.
pub struct TestAuthority {
    /// Its own certificate.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl TestAuthority {
    /// A new one, which nobody trusts yet.
    #[must_use]
    pub fn create() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.distinguished_name.push(DnType::CommonName, "acorn");
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Writes what the operator would write for the service with this SPIFFE id, on this host.
    pub fn write(&self, folder: &Path, host: &str, id: &str, valid_for: Duration) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a name or an address");
        params.subject_alt_names.push(SanType::URI(id.try_into().expect("ASCII")));
        params.not_before = OffsetDateTime::now_utc() - Duration::hours(2);
        params.not_after = OffsetDateTime::now_utc() + valid_for;
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        for (file, text) in
            [("tls.key", key.serialize_pem()), ("ca.crt", self.pem.clone()), ("tls.crt", certificate.pem())]
        {
            fs::write(folder.join(file), text).expect("a file");
        }
    }
}
