//! The way to a Shop's broker, whoever runs it: a forwarded port where it is in pods of the cluster, else the address that the
//! services have.

use std::net::IpAddr;

use anyhow::{Context as _, anyhow, bail};
use http::Uri;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Pod, Secret, Service},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::{Api, ResourceExt as _, api::ListParams};
use secrecy::{ExposeSecret as _, SecretString};
use shop_messaging::{Way, dead_letters::DeadLetters};
use shopkeeper_operator::{catalog::RABBITMQ, crd::Shop, names};

use crate::{
    cluster::{Cluster, of_component, selector},
    forward::Forward,
};

/// The port of the broker's pods.
const AMQP_PORT: &str = "amqp";
const AMQP_URL: &str = "SHOP_AMQP__URL";

/// A Shop's broker, and the way to it.
pub struct Broker<'a> {
    cluster: &'a Cluster,
    shop: String,
    authority: Option<String>,
    /// Ends with the value. Without one the broker is asked directly.
    forward: Option<Forward>,
}

impl<'a> Broker<'a> {
    /// Finds the broker of a Shop.
    pub async fn of(cluster: &'a Cluster, shop: &Shop) -> anyhow::Result<Self> {
        let mut broker = Self { cluster, shop: shop.name_any(), authority: None, forward: None };
        broker.forward = if shop.spec.rabbitmq.external.is_some() {
            broker.forward_to_service().await?
        } else {
            let pod = cluster.running(shop, "RabbitMQ", &labels(shop)).await?;
            let port = port_named(&pod, AMQP_PORT);
            let port = port.ok_or_else(|| anyhow!("the pod {} has no port {AMQP_PORT}", pod.name_any()))?;
            Some(Forward::to(cluster.api(), pod.name_any(), port).await?)
        };
        broker.authority = broker.find_authority().await?;
        Ok(broker)
    }

    /// What a service gave up on, with that service's user and rights.
    pub async fn dead_letters(&self, service: &str) -> anyhow::Result<DeadLetters> {
        let url = self.url(service).await?;
        let (host, port) = place(&url)?;
        let way =
            Way { detour: self.forward.as_ref().map(|forward| forward.address), authority: self.authority.clone() };
        let direct = way.detour.is_none();
        DeadLetters::open(&url, way, service).await.with_context(|| {
            let from_here = if direct { ", asked from here and not through the cluster" } else { "" };
            format!("RabbitMQ at {host}:{port}{from_here}, as {service}")
        })
    }

    /// The broker's address for one service.
    async fn url(&self, service: &str) -> anyhow::Result<SecretString> {
        let (name, namespace) = (names::component(&self.shop, service), &self.cluster.namespace);
        let secrets: Api<Secret> = self.cluster.api();
        let secret = secrets.get(&name).await.with_context(|| format!("the Secret {namespace}/{name}"))?;
        let url = secret.data.as_ref().and_then(|data| data.get(AMQP_URL));
        let url = url.ok_or_else(|| anyhow!("the Secret {namespace}/{name} has no {AMQP_URL}"))?;
        Ok(SecretString::from(String::from_utf8(url.0.clone())?))
    }

    /// Who has signed its certificate, if it has one and that is no public authority.
    async fn find_authority(&self) -> anyhow::Result<Option<String>> {
        let (name, namespace) = (names::store_authorities(&self.shop), &self.cluster.namespace);
        let maps: Api<ConfigMap> = self.cluster.api();
        let found = maps.get_opt(&name).await.with_context(|| format!("the ConfigMap {namespace}/{name}"))?;
        Ok(found.and_then(|map| map.data?.remove(&names::authority_file(RABBITMQ))))
    }

    /// A local port that leads to a broker of somebody else, if its host is a Service of the cluster.
    async fn forward_to_service(&self) -> anyhow::Result<Option<Forward>> {
        // All services know it by one address.
        let consumer = Cluster::consumers().next().context("no service consumes events")?;
        let (host, port) = place(&self.url(consumer.name).await?)?;
        let Some((name, namespace)) = service_of(&host, &self.cluster.namespace) else { return Ok(None) };
        let services: Api<Service> = Api::namespaced(self.cluster.client.clone(), namespace);
        // Two words may as well be a name of the internet. Whoever has another one outside of the cluster is to hear no password.
        let is_ambiguous = host.trim_end_matches('.').matches('.').count() == 1;
        let service = match services.get_opt(name).await {
            Ok(None) if is_ambiguous => return Ok(None),
            Err(kube::Error::Api(status)) if status.is_forbidden() && is_ambiguous => return Ok(None),
            found => found.with_context(|| format!("whether {host} is the Service {namespace}/{name}"))?,
        };
        let service =
            service.with_context(|| format!("there is no Service {namespace}/{name}, which pods know as {host}"))?;
        let selected = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        let Some(labels) = selected.filter(|labels| !labels.is_empty()) else {
            bail!(
                "the Service {namespace}/{name} selects no pods to which a port could be forwarded: use the tools of that \
                 broker; dead letters are in the queues named <service>.events.dead"
            );
        };
        let pods: Api<Pod> = Api::namespaced(self.cluster.client.clone(), namespace);
        let running = ListParams::default().labels(&selector(labels)).fields("status.phase=Running");
        let running =
            pods.list(&running).await.with_context(|| format!("the pods of the Service {namespace}/{name}"))?;
        let pod = running.items.into_iter().max_by_key(is_ready);
        let pod = pod.ok_or_else(|| anyhow!("no pod of the Service {namespace}/{name} is running"))?;
        let port = target(&service, port, &pod);
        let port = port.ok_or_else(|| anyhow!("the Service {namespace}/{name} has no port for {host}"))?;
        Forward::to(pods, pod.name_any(), port).await.map(Some)
    }
}

/// Selects the pods of a broker that is run for one Shop.
fn labels(shop: &Shop) -> String {
    let name = shop.name_any();
    if shop.spec.rabbitmq.cluster_operator.is_some() {
        // The RabbitMQ cluster operator labels its pods itself.
        let cluster = names::component(&name, RABBITMQ);
        return format!("app.kubernetes.io/name={cluster},app.kubernetes.io/component=rabbitmq");
    }
    of_component(&name, RABBITMQ)
}

/// Host and port of an address.
fn place(url: &SecretString) -> anyhow::Result<(String, u16)> {
    let uri: Uri = url.expose_secret().parse().context("the address of RabbitMQ cannot be read")?;
    let place = uri.host().map(str::to_owned).zip(uri.port_u16());
    place.context("the address of RabbitMQ has no host with a port")
}

/// Name and namespace of the Service that a host is for pods in the namespace `home`, if there is such a Service.
fn service_of<'a>(host: &'a str, home: &'a str) -> Option<(&'a str, &'a str)> {
    if host.contains(':') || host.parse::<IpAddr>().is_ok() {
        return None;
    }
    let words: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    match words[..] {
        [name] => Some((name, home)),
        [name, namespace] | [name, namespace, "svc", ..] => Some((name, namespace)),
        _ => None,
    }
}

/// Whether Services lead to it.
fn is_ready(pod: &Pod) -> bool {
    let mut told = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none() && told.any(|told| told.type_ == "Ready" && told.status == "True")
}

/// The port of a pod to which a port of its Service leads.
fn target(service: &Service, port: u16, pod: &Pod) -> Option<u16> {
    // The name of one without an address leads to the pods themselves, whatever it says of ports.
    if service.spec.as_ref().is_some_and(|spec| spec.cluster_ip.as_deref() == Some("None")) {
        return Some(port);
    }
    let mut ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let found = ports.find(|found| found.port == i32::from(port))?;
    match &found.target_port {
        Some(IntOrString::String(name)) => port_named(pod, name),
        Some(IntOrString::Int(number)) => u16::try_from(*number).ok(),
        None => Some(port),
    }
}

fn port_named(pod: &Pod, name: &str) -> Option<u16> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let found = ports.find(|port| port.name.as_deref() == Some(name))?;
    u16::try_from(found.container_port).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn labels_of(rabbitmq: &Value) -> String {
        let shop = json!({
            "apiVersion": "shopkeeper.dev/v1alpha1", "kind": "Shop", "metadata": {"name": "acorn"},
            "spec": {"rabbitmq": rabbitmq},
        });
        labels(&serde_json::from_value(shop).expect("a Shop"))
    }

    #[test]
    fn the_broker_is_looked_for_where_its_maker_puts_it() {
        let embedded = labels_of(&json!({"embedded": {}}));
        assert!(embedded.contains("app.kubernetes.io/instance=acorn"), "{embedded}");
        let operated = labels_of(&json!({"clusterOperator": {}}));
        assert_eq!(operated, "app.kubernetes.io/name=acorn-rabbitmq,app.kubernetes.io/component=rabbitmq");
    }

    #[test]
    fn an_address_is_read_whatever_its_password_is() {
        let url = SecretString::from("amqps://u%40x:p%2Fw%20d@broker.test:5671/%2F");
        assert_eq!(place(&url).expect("a place"), ("broker.test".to_owned(), 5671));
    }

    #[test]
    fn a_host_is_a_service_where_pods_would_find_one() {
        for (host, service) in [
            ("broker", Some(("broker", "oak"))),
            ("broker.elm", Some(("broker", "elm"))),
            ("broker.elm.svc", Some(("broker", "elm"))),
            ("broker.elm.svc.cluster.local.", Some(("broker", "elm"))),
            ("mq.example.com", None),
            ("10.0.0.1", None),
            ("[fd00::1]", None),
        ] {
            assert_eq!(service_of(host, "oak"), service, "{host}");
        }
    }

    #[test]
    fn a_port_of_a_service_leads_to_the_one_of_its_pods() {
        let pod: Pod = serde_json::from_value(json!({
            "spec": {"containers": [{"name": "broker", "ports": [{"name": "plain", "containerPort": 35672}]}]},
        }))
        .expect("a pod");
        for (target_port, port) in [(json!("plain"), Some(35672)), (json!(5), Some(5)), (json!("tls"), None)] {
            let ports = json!([{"port": 1}, {"port": 5672, "targetPort": target_port}]);
            let service: Service = serde_json::from_value(json!({"spec": {"ports": ports}})).expect("a Service");
            assert_eq!(target(&service, 5672, &pod), port);
            assert_eq!((target(&service, 1, &pod), target(&service, 2, &pod)), (Some(1), None));
        }
    }
}
