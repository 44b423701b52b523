//! The ingress, after the Shop has said how it is to treat those who come: with encryption, and not without.

use std::sync::Arc;

use anyhow::Context as _;
use http::Uri;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use shop_e2e::{Seen, Target, wait_for};
use shopkeeper_testing::Scene;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::PATIENCE;
use super::guests::{Guests, ME};
use super::outside::write_secret;
use super::sights::Sights;
use crate::market;

/// What Traefik takes as the wish to let in nobody without encryption. Who begins with encryption is heard on any port.
const ENCRYPTED_ONLY: &str = "traefik.ingress.kubernetes.io/router.tls";
const PORT: u16 = 80;

pub async fn opens_with_the_certificate_of_the_shop(scene: &Scene, guests: &Guests, sights: &Sights) {
    let host = market::host(scene);
    let made = rcgen::generate_simple_self_signed(vec![host.clone()]).expect("a certificate");
    let keys = json!({"tls.crt": made.cert.pem(), "tls.key": made.signing_key.serialize_pem()});
    write_secret(scene, "certificate", "kubernetes.io/tls", &keys).await;
    let ingress = json!({"annotations": {ENCRYPTED_ONLY: "true"}, "tls": {"secretName": "certificate"}});
    scene.edit(&json!({"ingress": ingress})).await.expect("an edit");

    let mut trusted = RootCertStore::empty();
    trusted.add(made.cert.der().clone()).expect("an authority");
    let client = ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
    let client = TlsConnector::from(Arc::new(client));
    let answer = wait_for("the Shop behind its certificate", PATIENCE, async || {
        let answer = ask(&client, &host, &guests.keeper).await.unwrap_or_else(|error| format!("{error:#}"));
        Ok(if answer.starts_with("HTTP/1.1 200") { Seen::Done(answer) } else { Seen::NotYet(answer) })
    });
    let answer = answer.await.map(drop).map_err(|error| format!("{error:#}"));
    sights.same("ingress.tls.secretName", answer, Ok(()));
    // The token is good, as was just seen.
    sights.same("ingress.annotations", guests.is_let_in_without_encryption().await, false);
}

/// The first line of the answer to the holder of a token, who trusts that certificate and no other.
async fn ask(client: &TlsConnector, host: &str, token: &str) -> anyhow::Result<String> {
    let gate: Uri = Target::from_env()?.url.parse()?;
    let address = (gate.host().context("SHOP_URL has a host")?, gate.port_u16().unwrap_or(PORT));
    let name = ServerName::try_from(host.to_owned())?;
    let stream = client.connect(name, TcpStream::connect(address).await?).await?;
    let mut stream = BufReader::new(stream);
    let request =
        format!("GET {ME} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    Ok(line)
}
