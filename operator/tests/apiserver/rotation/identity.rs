//! What a service shows its neighbours, and whom it takes for one.

use k8s_openapi::api::core::v1::Secret;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use shopkeeper_operator::{identities, names};
use shopkeeper_testing::{SHOP, Scene};

/// The files that are mounted into the pods of a service.
#[derive(Clone)]
pub struct Identity {
    host: String,
    certificate: CertificateDer<'static>,
    authorities: Vec<CertificateDer<'static>>,
}

impl Identity {
    /// As they are now.
    pub async fn of(scene: &Scene, service: &str) -> Self {
        let secret: Secret = scene.api().get(&names::identity(SHOP, service)).await.expect("a Secret");
        let files = secret.data.expect("files");
        let certificates = |file: &str| -> Vec<CertificateDer<'static>> {
            CertificateDer::pem_slice_iter(&files[file].0).map(|found| found.expect("PEM")).collect()
        };
        Self {
            host: names::grpc(SHOP, service),
            certificate: certificates(identities::CERTIFICATE).swap_remove(0),
            authorities: certificates(identities::AUTHORITY),
        }
    }

    /// Whether a client with these files talks to a server with those.
    pub fn is_taken_by(&self, client: &Self) -> bool {
        let mut roots = RootCertStore::empty();
        for authority in &client.authorities {
            roots.add(authority.clone()).expect("an authority");
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), default_provider().into());
        let verifier = verifier.build().expect("a verifier");
        let host = ServerName::try_from(self.host.as_str()).expect("a name");
        verifier.verify_server_cert(&self.certificate, &[], &host, &[], UnixTime::now()).is_ok()
    }
}
