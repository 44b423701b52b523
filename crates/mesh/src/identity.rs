//! Who this process is to its neighbours: a certificate from the Shop's own authority, with a SPIFFE id in it.
//!
//! The operator writes `tls.crt`, `tls.key` and `ca.crt` into a Secret and renews them there; the kubelet swaps the files, and
//! this module reads them again. New connections use the new certificate, those that are open stay as they are.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};
use tokio::sync::watch;
use tonic::transport::{Certificate, ClientTlsConfig};
use webpki::EndEntityCert;

/// How soon renewed files are taken up; the kubelet itself takes up to a minute.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Files that are no identity.
#[derive(Debug, thiserror::Error)]
pub enum BadIdentity {
    /// A file is missing.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// A file holds something else.
    #[error("the certificate, its key or the authority cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// PEM was expected.
    #[error("the certificate, its key or the authority is not PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// No usable client verification.
    #[error("the authority cannot verify anybody: {0}")]
    Authority(#[from] rustls::server::VerifierBuilderError),
    /// A certificate without `spiffe://<trust domain>/ns/<namespace>/shop/<shop>/<service>`.
    #[error("the certificate has no SPIFFE id of a service")]
    Nameless,
}

/// A SPIFFE id: the Shop it belongs to, and the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceId {
    /// Everything before the service: `spiffe://<trust domain>/ns/<namespace>/shop/<shop>`.
    pub shop: String,
    /// For example `cart`.
    pub service: String,
}

/// The identity of this process; a clone is the same one.
#[derive(Clone)]
pub struct Identity(watch::Receiver<Arc<Credentials>>);

/// What one set of files amounts to.
pub(crate) struct Credentials {
    pub id: ServiceId,
    pub server: Arc<ServerConfig>,
    client: ClientTlsConfig,
    files: Files,
}

#[derive(PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authority: Vec<u8>,
}

impl Identity {
    /// Reads the files in `folder`, and follows them from now on.
    pub fn follow(folder: &Path) -> Result<Self, BadIdentity> {
        let (announce, current) = watch::channel(Arc::new(Credentials::of(Files::read(folder)?)?));
        tokio::spawn(follow(folder.to_owned(), announce));
        Ok(Self(current))
    }

    /// Who this process is.
    #[must_use]
    pub fn id(&self) -> ServiceId {
        self.0.borrow().id.clone()
    }

    pub(crate) fn current(&self) -> Arc<Credentials> {
        self.0.borrow().clone()
    }

    /// The certificate in use, PEM.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        self.current().files.certificate.clone()
    }

    /// Ends when there is another certificate.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn follow(folder: PathBuf, announce: watch::Sender<Arc<Credentials>>) {
    loop {
        tokio::select! {
            () = announce.closed() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let renewed = match Files::read(&folder) {
            Ok(files) if files == announce.borrow().files => continue,
            Ok(files) => Credentials::of(files),
            Err(error) => Err(error),
        };
        match renewed {
            Ok(credentials) => {
                tracing::info!("the certificate was renewed");
                announce.send_replace(Arc::new(credentials));
            }
            // The kubelet swaps all files at once; whatever this is, the certificate in use goes on.
            Err(error) => tracing::warn!(error.cause = %error, "the new certificate is not used"),
        }
    }
}

impl Files {
    fn read(folder: &Path) -> Result<Self, BadIdentity> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|error| BadIdentity::File(path, error))
        };
        Ok(Self { certificate: read("tls.crt")?, key: read("tls.key")?, authority: read("ca.crt")? })
    }
}

impl Credentials {
    fn of(files: Files) -> Result<Self, BadIdentity> {
        let chain = CertificateDer::pem_slice_iter(&files.certificate).collect::<Result<Vec<_>, _>>()?;
        let id = chain.first().and_then(ServiceId::of).ok_or(BadIdentity::Nameless)?;
        let client = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&files.authority))
            .identity(tonic::transport::Identity::from_pem(&files.certificate, &files.key));
        Ok(Self { id, server: Arc::new(server_config(chain, &files)?), client, files })
    }

    /// For connections to the neighbour whose certificate is for `host`.
    pub(crate) fn client(&self, host: &str) -> ClientTlsConfig {
        self.client.clone().domain_name(host)
    }
}

fn server_config(chain: Vec<CertificateDer<'static>>, files: &Files) -> Result<ServerConfig, BadIdentity> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(&files.authority) {
        roots.add(authority?)?;
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(&files.key)?)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would outlive the certificate that opened it.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

impl ServiceId {
    /// The id in a certificate that has been verified.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        EndEntityCert::try_from(certificate).ok()?.valid_uri_names().find_map(Self::parse)
    }

    fn parse(uri: &str) -> Option<Self> {
        let (shop, service) = uri.rsplit_once('/')?;
        let mut parts = shop.strip_prefix("spiffe://")?.split('/');
        let well_formed = parts.next().is_some_and(|domain| !domain.is_empty())
            && parts.next() == Some("ns")
            && parts.next().is_some()
            && parts.next() == Some("shop")
            && parts.next().is_some()
            && parts.next().is_none();
        (well_formed && !service.is_empty()).then(|| Self { shop: shop.to_owned(), service: service.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_of_a_shops_service_is_one() {
        let id = ServiceId::parse("spiffe://cluster.local/ns/oak/shop/acorn/cart").unwrap();
        assert_eq!((id.shop.as_str(), id.service.as_str()), ("spiffe://cluster.local/ns/oak/shop/acorn", "cart"));
        for other in ["", "spiffe://cluster.local", "https://a/ns/oak/shop/acorn/cart", "spiffe://a/ns/oak/sa/x/cart"] {
            assert_eq!(ServiceId::parse(other), None, "{other}");
        }
        assert_eq!(ServiceId::parse("spiffe://a/ns/oak/shop/acorn/cart/order"), None);
    }
}
