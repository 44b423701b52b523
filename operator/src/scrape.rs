//! IO in: what the pods of canaries measure, asked of the pods themselves.
//!
//! Not through the API server: that would need the right to reach every port of every pod (`pods/proxy`), and a network policy
//! cannot name the API server. A pod can be named, so the policies of a Shop with a canary let the operator in.

use std::net::IpAddr;
use std::time::Duration;

use futures::future::join_all;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::time::timeout;

use crate::canary::{Measured, Measurements};
use crate::names;

/// Where services tell what they measure.
const ADMIN_PORT: u16 = 8081;
/// A pod answers within a moment, or not at all.
const PATIENCE: Duration = Duration::from_secs(2);
/// Some dozen times what a pod says.
const LARGEST: usize = 4 << 20;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Asks the pods of the canaries of these services.
pub async fn measure<'a>(pods: &[Pod], services: impl Iterator<Item = &'a str>) -> Measurements {
    let asked = services.map(|service| async move { (service.to_owned(), of_canary(pods, service).await) });
    let found = join_all(asked).await.into_iter();
    found.filter_map(|(service, measured)| Some((service, measured?))).collect()
}

/// What all pods of one canary measure; nothing while there is none.
async fn of_canary(pods: &[Pod], service: &str) -> Option<Result<Measured, String>> {
    let component = names::canary(service);
    let of_component = |pod: &&Pod| pod.labels().get(names::COMPONENT_LABEL) == Some(&component);
    let staying = pods.iter().filter(of_component).filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let addresses =
        staying.filter_map(|pod| Some((pod.name_any(), pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?)));
    let answers = join_all(addresses.map(|(name, address)| async move { (name, ask(address).await) })).await;
    let mut measured = (!answers.is_empty()).then(Measured::default)?;
    for (pod, answer) in answers {
        match answer {
            Ok(text) => measured.read(&text),
            Err(error) => return Some(Err(format!("{pod} does not say ({error})"))),
        }
    }
    Some(Ok(measured))
}

async fn ask(address: IpAddr) -> Result<String, Error> {
    let authority = std::net::SocketAddr::new(address, ADMIN_PORT).to_string();
    let uri = Uri::builder().scheme("http").authority(authority).path_and_query("/metrics").build()?;
    let asking = async {
        let answer = Client::builder(TokioExecutor::new()).build_http::<Empty<&[u8]>>().get(uri).await?;
        if answer.status() != StatusCode::OK {
            return Err(answer.status().to_string().into());
        }
        let text = Limited::new(answer.into_body(), LARGEST).collect().await?.to_bytes();
        Ok::<_, Error>(String::from_utf8(text.into())?)
    };
    timeout(PATIENCE, asking).await?
}
