//! What the stores say to those who reach their pods: nothing in plain text, and who they are.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{Api, Client, api::Portforwarder};
use shop_e2e::Target;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

use crate::visit;

/// PostgreSQL, in which a connection begins in plain text: with the wish to encrypt, or without it (version 3, `user` postgres).
const SSL_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";
const STARTUP: &[u8] = b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0";
/// The beginning of a TLS record that says why there will be no conversation.
const ALERT: u8 = 0x15;

/// A store, its port, and how a client without encryption begins.
const STORES: [(&str, u16, &[u8]); 5] = [
    ("postgres", 5432, STARTUP),
    ("redis", 6379, b"PING\r\n"),
    ("rabbitmq", 5671, b"AMQP\0\0\x09\x01"),
    ("rabbitmq", 5672, b"AMQP\0\0\x09\x01"),
    // OP_MSG with {ping: 1, $db: "admin"}.
    (
        "mongodb",
        27017,
        b"\x33\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\x1e\0\0\0\x10ping\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0",
    ),
];

/// The pods of the stores as they are seen from inside: the kubelet connects within the pod.
struct Inside {
    client: Client,
    target: Target,
}

impl Inside {
    async fn of_the_shop() -> Self {
        // Installs the provider of cryptography, too.
        visit().await;
        let target = Target::from_env().expect("a Shop");
        Self { client: Client::try_default().await.expect("a cluster"), target }
    }

    async fn reach(&self, store: &str, port: u16) -> (Portforwarder, impl AsyncRead + AsyncWrite + Unpin + use<>) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.target.namespace);
        let name = format!("{}-{store}-0", self.target.shop);
        let mut forwarded = pods.portforward(&name, &[port]).await.expect("a way to the pod");
        let stream = forwarded.take_stream(port).expect("a stream");
        (forwarded, stream)
    }

    async fn trusted(&self, store: &str) -> RootCertStore {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.target.namespace);
        let map = maps.get(&format!("{}-store-authorities", self.target.shop)).await.expect("the authorities");
        let text = map.data.expect("data")[&format!("{store}.crt")].clone();
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(text.as_bytes()) {
            roots.add(authority.expect("PEM")).expect("an authority");
        }
        roots
    }
}

#[tokio::test]
async fn no_store_talks_in_plain_text() {
    let inside = Inside::of_the_shop().await;
    for (store, port, greeting) in STORES {
        let (_forwarded, mut stream) = inside.reach(store, port).await;
        let mut answer = Vec::new();
        // Where nobody listens the connection may end before anything was said.
        if stream.write_all(greeting).await.is_ok() {
            let _ = stream.read_to_end(&mut answer).await;
        }
        let text = String::from_utf8_lossy(&answer);
        let refused = match store {
            "postgres" => answer.starts_with(b"E") && text.contains("no encryption"),
            _ => answer.first().is_none_or(|first| *first == ALERT),
        };
        assert!(refused, "{store} on {port} answers {text:?}");
    }
}

#[tokio::test]
async fn every_store_shows_a_certificate_of_its_shop_for_the_name_it_is_called_by() {
    let inside = Inside::of_the_shop().await;
    for (store, port) in [("postgres", 5432), ("redis", 6379), ("rabbitmq", 5671), ("mongodb", 27017)] {
        let (_forwarded, mut stream) = inside.reach(store, port).await;
        if store == "postgres" {
            stream.write_all(SSL_REQUEST).await.expect("a request");
            assert_eq!(stream.read_u8().await.expect("an answer"), b'S');
        }
        let config = ClientConfig::builder().with_root_certificates(inside.trusted(store).await).with_no_client_auth();
        let name = ServerName::try_from(format!("{}-{store}", inside.target.shop)).expect("a name");
        let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        shaken.unwrap_or_else(|error| panic!("{store}: {error}"));
    }
}
