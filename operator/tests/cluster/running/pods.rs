//! The Shop's pods: what they are made of, how many there are, what they keep, and what they say.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodSpec};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};
use shop_e2e::{Seen, wait_for};
use shopkeeper_operator::catalog::{SERVICES, STORES};
use shopkeeper_operator::names;
use shopkeeper_testing::{SHOP, Scene};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::PATIENCE;
use super::guests::Guests;
use super::sights::Sights;
use super::wishes;

/// A service, how many pods it should have, and what says so.
const NUMBERS: [(&str, i32, &str); 3] = [
    ("order", 2, "services.*.replicas"),
    ("delivery", 2, "services.*.autoscaling.minReplicas"),
    ("docs", 3, "services.*.autoscaling.maxReplicas services.*.autoscaling.targetCPUUtilization"),
];
/// Of these levels each service says something by now, if it may.
const LEVELS: [(&str, &[&str]); 7] = [
    ("user", &[]),
    ("product", &[]),
    ("cart", &[]),
    ("order", &["DEBUG", "INFO"]),
    ("payment", &["DEBUG", "INFO"]),
    ("delivery", &["INFO"]),
    ("docs", &[]),
];

pub async fn are_made_of_what_they_should_be(scene: &Scene, spec: &Value, sights: &Sights) {
    let pods = of_services(scene).await;
    let seen = |look: fn(&PodSpec) -> Value| -> Vec<_> { pods.iter().map(|(of, pod)| (*of, look(pod))).collect() };
    let wanted = |say: &dyn Fn(&str) -> Value| -> Vec<_> { pods.iter().map(|(of, _)| (*of, say(of))).collect() };
    let image = |service: &str| match &spec["services"][service]["image"] {
        Value::Null => json!(format!("{}/{service}:{}", wishes::registry(scene), scene.settings.version)),
        image => image.clone(),
    };
    sights.same("image.registry services.*.image", seen(|pod| json!(pod.containers[0].image)), wanted(&image));
    let policy = |_: &str| spec["image"]["pullPolicy"].clone();
    sights.same("image.pullPolicy", seen(|pod| json!(pod.containers[0].image_pull_policy)), wanted(&policy));
    let secrets = |_: &str| json!([{"name": spec["image"]["pullSecrets"][0]}]);
    sights.same("image.pullSecrets", seen(|pod| json!(pod.image_pull_secrets)), wanted(&secrets));
    let resources = |service: &str| spec["services"][service]["resources"].clone();
    let amounts = "services.*.resources.limits.cpu services.*.resources.limits.memory \
                   services.*.resources.requests.cpu services.*.resources.requests.memory";
    sights.same(amounts, seen(|pod| json!(pod.containers[0].resources)), wanted(&resources));
}

/// The pods that run services, each with its service.
async fn of_services(scene: &Scene) -> Vec<(&'static str, PodSpec)> {
    let mut found = Vec::new();
    for service in &SERVICES {
        for pod in scene.pods(service.name).await {
            let pod: Pod = scene.api().get(&pod).await.expect("the pod");
            found.push((service.name, pod.spec.expect("a spec")));
        }
    }
    found
}

/// Of those of which the load decides it, one has as few as it may have, and one as many.
pub async fn are_as_many_as_they_should_be(scene: &Scene, sights: &Sights) {
    let ready = |found: Option<&Deployment>| found.and_then(|found| found.status.as_ref()?.ready_replicas);
    for (service, number, fields) in NUMBERS {
        let (name, what) = (names::component(SHOP, service), format!("has {number} pods"));
        let found = scene.until(&name, &what, |found: Option<&Deployment>| ready(found) == Some(number)).await;
        sights.same(fields, ready(found.as_ref()), Some(number));
    }
    let lets_one_go = |found: Option<&PodDisruptionBudget>| {
        found.and_then(|found| found.status.as_ref()).is_some_and(|status| status.disruptions_allowed == 1)
    };
    scene.until(&names::component(SHOP, "order"), "lets one pod go", lets_one_go).await;
}

/// Volumes are of the size and the class that the Shop says, and the Ingress, through which guests came, of its own class.
pub async fn have_the_volumes_they_should(scene: &Scene, spec: &Value, sights: &Sights) {
    for store in STORES {
        let claim: PersistentVolumeClaim = scene.api().get(&claim(store)).await.expect("a claim");
        let (class, status) = (claim.spec.and_then(|spec| spec.storage_class_name), claim.status.unwrap_or_default());
        let wanted = &spec[store]["embedded"];
        let capacity = status.capacity.unwrap_or_default();
        sights.same(&format!("{store}.embedded.storage"), json!(capacity.get("storage")), wanted["storage"].clone());
        sights.same(&format!("{store}.embedded.storageClassName"), json!(class), wanted["storageClassName"].clone());
    }
    let ingress: Ingress = scene.api().get(SHOP).await.expect("an Ingress");
    let class = ingress.spec.and_then(|spec| spec.ingress_class_name);
    sights.same("ingress.className", json!(class), spec["ingress"]["className"].clone());
}

/// The claim of a store.
pub fn claim(store: &str) -> String {
    format!("data-{SHOP}-{store}-0")
}

/// They log what they should, and mails where nobody sends them.
pub async fn say_what_they_should(guests: &Guests, sights: &Sights) {
    for (service, wanted) in LEVELS {
        let log = guests.visit.cluster.logs(service).await.expect("a log");
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let levels: BTreeSet<String> = lines.filter_map(|line| line["level"].as_str().map(str::to_owned)).collect();
        let seen: Vec<&str> = ["DEBUG", "INFO"].into_iter().filter(|level| levels.contains(*level)).collect();
        sights.same("services.*.logLevel", (service, seen), (service, wanted.to_vec()));
    }
    let log = guests.visit.cluster.logs("user").await.expect("a log");
    sights.same("users.mail.log", log.contains(r#""mail":true"#), true);
}

/// Waits until there are none of these any more.
pub async fn have_stopped(scene: &Scene, which: fn(&Pod) -> bool) {
    let stopped = wait_for("the last of them", PATIENCE, async || {
        let pods = scene.api::<Pod>().list(&ListParams::default()).await?.items;
        let left: Vec<String> = pods.iter().filter(|pod| which(pod)).map(ResourceExt::name_any).collect();
        Ok(if left.is_empty() { Seen::Done(()) } else { Seen::NotYet(left.join(", ")) })
    });
    stopped.await.expect("pods stop");
}

/// A store answers those who do not encrypt. Services that are ready have found all of them.
pub async fn talk_in_plain_text(scene: &Scene, sights: &Sights) {
    let redis: Pod = scene.api().get(&format!("{SHOP}-redis-0")).await.expect("the pod");
    let address = redis.status.and_then(|status| status.pod_ip).expect("an address");
    let mut stream = TcpStream::connect((address.as_str(), 6379)).await.expect("a connection");
    stream.write_all(b"PING\r\n").await.expect("a question");
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).await.expect("an answer");
    sights.same("mesh.mtls", String::from_utf8_lossy(&answer).into_owned(), "-NOAUTH".to_owned());
}
