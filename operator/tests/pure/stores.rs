//! Stores that are not embedded: what services are told, and what happens while that is not known.

mod tried;

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt;
use shopkeeper_operator::build::build;
use shopkeeper_operator::canary::Canaries;
use shopkeeper_operator::crd::{DataOnDelete, Phase, Shop, ShopStatus, StoreMode};
use shopkeeper_operator::credentials::Credentials;
use shopkeeper_operator::names;
use shopkeeper_operator::objects::{Applied, Live, Objects};
use shopkeeper_operator::rollout::{Rollout, plan};
use shopkeeper_operator::rotation::Wish;
use shopkeeper_operator::status::{Facts, compute};
use shopkeeper_operator::stores::Found;

use crate::support::{EXTERNAL, MINIMAL, OPERATED, done, shop, valid, valid_on};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// Plans a Shop on a cluster that did everything, with what is `found` now.
fn planned(shop: &Shop, found: &Found, change: impl Fn(&mut Objects<Live>)) -> Rollout {
    let mut live = done(&valid(shop));
    change(&mut live);
    let shop = valid_on(shop, Credentials::dummy(), found);
    plan(&shop, build(&shop), &live, &[], &[], NOW)
}

/// The status of the same.
fn status(
    shop: &Shop,
    found: &Found,
    pods: &[Pod],
    previous: Option<&ShopStatus>,
    change: impl Fn(&mut Objects<Applied>),
) -> ShopStatus {
    let shop = valid_on(shop, Credentials::dummy(), found);
    let mut applied = done(&shop);
    let migrations: Vec<String> = applied.jobs.iter().map(ResourceExt::name_any).collect();
    change(&mut applied);
    compute(&Facts {
        shop: &shop,
        generation: Some(1),
        applied: &applied,
        migrations: &migrations,
        former_route: None,
        wish: &Wish::default(),
        given: None,
        returned: None,
        pods,
        ingress_classes: &[],
        canaries: &Canaries::new(),
        previous,
        now: NOW,
    })
}

#[track_caller]
fn check(status: &ShopStatus, reason: &str, in_message: &str) {
    check_that("DependenciesReady", status, reason, in_message);
}

#[track_caller]
fn check_that(type_: &str, status: &ShopStatus, reason: &str, in_message: &str) {
    let condition = status.conditions.iter().find(|condition| condition.type_ == type_).expect(type_);
    assert_eq!(condition.reason, reason, "{}", condition.message);
    assert!(condition.message.contains(in_message), "`{in_message}` is not in `{}`", condition.message);
}

fn set(found: &mut Found, secret: &str, key: &str, value: &str) {
    let data = found.secrets.get_mut(secret).and_then(|secret| secret.data.as_mut()).expect("a Secret");
    data.insert(key.to_owned(), ByteString(value.as_bytes().to_vec()));
}

fn text(secrets: &[Secret], name: &str, key: &str) -> String {
    let secret = secrets.iter().find(|secret| secret.name_any() == name).unwrap_or_else(|| panic!("no {name}"));
    String::from_utf8(secret.data.as_ref().expect("data")[key].0.clone()).expect("text")
}

fn jobs(shop: &Shop, found: &Found) -> Vec<String> {
    build(&valid_on(shop, Credentials::dummy(), found)).jobs.iter().map(ResourceExt::name_any).collect()
}

#[test]
fn a_missing_secret_is_a_condition_that_says_what_to_make_and_changes_nothing() {
    let shop = shop(EXTERNAL);
    let mut found = Found::dummy(&shop);
    found.secrets.remove("hazel-cache");
    let rollout = planned(&shop, &found, |_| ());
    assert!(rollout.objects.jobs.is_empty() && rollout.objects.deployments.is_empty(), "nothing is rolled");
    for kept in ["hazel-cart", "hazel-store-authorities"] {
        assert!(rollout.held.contains(kept), "{kept} would be pruned");
    }
    let live_jobs = done::<Live>(&valid(&shop)).jobs;
    assert!(live_jobs.iter().all(|job| rollout.held.contains(&job.name_any())), "what was migrated stays so");
    let secrets: Vec<String> = rollout.objects.secrets.iter().map(ResourceExt::name_any).collect();
    assert!(!secrets.contains(&"hazel-cart".to_owned()) && secrets.contains(&"hazel-cart-identity".to_owned()));

    let status = status(&shop, &found, &[], None, |_| ());
    check(&status, "StoreSecretMissing", "Secret hazel-cache does not exist");
    check(&status, "StoreSecretMissing", "kubectl explain shop.spec.redis.external");
    assert_eq!(status.phase, Some(Phase::Blocked));
}

#[test]
fn what_runs_before_a_secret_is_there_is_kept_apart_and_what_runs_already_goes_on_as_before() {
    let shop = shop(EXTERNAL);
    let mut found = Found::dummy(&shop);
    found.secrets.remove("hazel-cache");
    let names = |policies: &[NetworkPolicy]| policies.iter().map(ResourceExt::name_any).collect::<BTreeSet<_>>();
    let wanted = names(&build(&valid(&shop)).network_policies);
    let first = planned(&shop, &found, |live| live.network_policies.clear());
    assert_eq!(names(&first.objects.network_policies), wanted);
    let later = planned(&shop, &found, |_| ());
    assert!(later.objects.network_policies.is_empty() && later.held.is_superset(&wanted));
}

#[test]
fn a_secret_with_a_missing_key_or_of_another_shop_is_refused_without_its_values() {
    let shop = shop(EXTERNAL);
    let mut found = Found::dummy(&shop);
    set(&mut found, "hazel-sql", "port", "dummy-password");
    let wrong = status(&shop, &found, &[], None, |_| ());
    check(&wrong, "StoreSecretInvalid", "Secret hazel-sql has a `port` that is no number");
    assert!(!format!("{wrong:?}").contains("dummy-password"));

    let labels = Some(names::labels("acorn", "user", "1.2.3"));
    found.secrets.get_mut("hazel-sql").expect("the Secret").metadata.labels = labels;
    check(&status(&shop, &found, &[], None, |_| ()), "StoreSecretInvalid", "name one of your own");
}

#[test]
fn a_changed_secret_is_tried_by_other_jobs_and_then_rolls_what_uses_it() {
    let shop = shop(EXTERNAL);
    let services = ["user", "product", "cart", "order", "payment", "delivery"];
    let changed = |secret: &str| {
        let (before, mut after) = (Found::dummy(&shop), Found::dummy(&shop));
        set(&mut after, secret, "password", "changed");
        let (old, new) = (jobs(&shop, &before), jobs(&shop, &after));
        let jobs = services.into_iter().zip(old.into_iter().zip(new));
        let changed: Vec<&str> = jobs.filter(|(_, (old, new))| old != new).map(|(service, _)| service).collect();
        (changed, after)
    };
    assert_eq!(changed("hazel-sql").0, ["product", "order", "payment", "delivery"]);
    assert_eq!(changed("hazel-documents").0, ["user"]);
    assert_eq!(changed("hazel-events").0, ["product", "cart", "order", "payment", "delivery"]);
    let (of_redis, after) = changed("hazel-cache");
    assert_eq!(of_redis, ["user", "cart"]);

    let rollout = planned(&shop, &after, |_| ());
    assert!(rollout.objects.deployments.is_empty(), "pods wait until the new password was tried");
    assert!(text(&rollout.objects.secrets, "hazel-cart", "SHOP_REDIS__URL").contains(":changed@"));
}

#[test]
fn a_pod_that_serves_keeps_the_authorities_that_it_started_with() {
    let deployments = build(&valid(&shop(EXTERNAL))).deployments;
    let cart = deployments.into_iter().find(|found| found.name_any() == "hazel-cart").and_then(|found| found.spec);
    let containers = cart.and_then(|spec| spec.template.spec).expect("cart's pods").containers;
    let mounts = containers.into_iter().flat_map(|container| container.volume_mounts.unwrap_or_default());
    let files = mounts.filter(|mount| mount.name == "stores").map(|mount| (mount.mount_path, mount.sub_path));
    let file = |name: &str| (format!("/etc/shopkeeper/stores/{name}"), Some(name.to_owned()));
    // The kubelet swaps what is mounted as a whole.
    assert_eq!(files.collect::<Vec<_>>(), [file("redis.crt"), file("rabbitmq.crt")]);
}

#[test]
fn shops_that_share_a_server_have_roles_and_databases_of_their_own() {
    let mut shop = shop(EXTERNAL);
    let url = |shop: &Shop| text(&build(&valid(shop)).secrets, "hazel-order", "SHOP_POSTGRES__URL");
    let here = url(&shop);
    assert!(
        here.starts_with("postgres://hazel-order-") && here.contains("?sslmode=verify-full&sslrootcert="),
        "{here}"
    );
    shop.metadata.namespace = Some("elsewhere".to_owned());
    assert_ne!(url(&shop), here);
    let longest = names::on_shared_server("namespace", &"s".repeat(36), "delivery");
    assert!(longest.len() <= 63, "PostgreSQL would cut {longest}");
}

#[test]
fn a_missing_operator_is_a_condition_and_its_kind_is_not_applied() {
    let shop = shop(OPERATED);
    let found = Found { cloud_native_pg: false, ..Found::dummy(&shop) };
    let rollout = planned(&shop, &found, |_| ());
    assert!(rollout.objects.postgres_clusters.is_empty() && !rollout.objects.rabbitmq_clusters.is_empty());
    check(&status(&shop, &found, &[], None, |_| ()), "CloudNativePGMissing", "install it");
    let found = Found { cluster_operator: false, ..Found::dummy(&shop) };
    check(&status(&shop, &found, &[], None, |_| ()), "RabbitMQOperatorMissing", "install it");
}

#[test]
fn migrations_wait_for_clusters_of_other_operators() {
    let shop = shop(OPERATED);
    let found = Found::dummy(&shop);
    let starting = |live: &mut Objects<Live>| {
        live.rabbitmq_clusters[0].status = None;
        live.jobs.clear();
    };
    assert!(planned(&shop, &found, starting).objects.jobs.is_empty());
    assert_eq!(planned(&shop, &found, |live| live.jobs.clear()).objects.jobs.len(), 5);

    let failing = status(&shop, &found, &[], None, |applied| {
        let status = applied.postgres_clusters[0].status.as_mut().expect("a status");
        status.current_primary = None;
        status.phase = Some("Failing over".to_owned());
    });
    check(&failing, "StoreNotReady", "postgres is not ready (Failing over)");
    let modes: Vec<Option<StoreMode>> = failing.stores.iter().map(|store| store.mode).collect();
    let wanted =
        [StoreMode::CloudNativePG, StoreMode::Embedded, StoreMode::Embedded, StoreMode::ClusterOperator].map(Some);
    assert_eq!(modes, wanted);
}

#[test]
fn a_cluster_whose_deletion_would_delete_data_belongs_to_the_shop_only_if_that_is_wanted() {
    let owners = |policy: DataOnDelete| {
        let mut shop = shop(OPERATED);
        shop.spec.lifecycle.data_on_delete = policy;
        // What an embedded store says is about its own volume.
        shop.spec.redis.embedded.as_mut().expect("a store").data_on_delete = Some(DataOnDelete::Delete);
        let objects = build(&valid(&shop));
        let definitions =
            objects.secrets.iter().find(|secret| secret.name_any() == "beech-rabbitmq").expect("a Secret");
        [
            objects.postgres_clusters[0].owner_references().len(),
            objects.rabbitmq_clusters[0].owner_references().len(),
            definitions.owner_references().len(),
        ]
    };
    assert_eq!(owners(DataOnDelete::Retain), [0, 0, 0]);
    assert_eq!(owners(DataOnDelete::Delete), [1, 1, 1]);
}

#[test]
fn an_embedded_store_keeps_its_volume_or_lets_it_go_as_it_says_and_else_as_the_shop_says() {
    use DataOnDelete::{Delete, Retain};
    let retention = |of_shop: DataOnDelete, of_redis: Option<DataOnDelete>| -> Vec<String> {
        let mut shop = shop(MINIMAL);
        shop.spec.lifecycle.data_on_delete = of_shop;
        shop.spec.redis.embedded.as_mut().expect("a store").data_on_delete = of_redis;
        let specs = build(&valid(&shop)).stateful_sets.into_iter().filter_map(|set| set.spec);
        let policies = specs.filter_map(|spec| spec.persistent_volume_claim_retention_policy);
        policies.filter_map(|policy| policy.when_deleted).collect()
    };
    assert_eq!(retention(Retain, None), ["Retain"; 4]);
    assert_eq!(retention(Delete, None), ["Delete"; 4]);
    assert_eq!(retention(Retain, Some(Delete)), ["Retain", "Retain", "Delete", "Retain"]);
    assert_eq!(retention(Delete, Some(Retain)), ["Delete", "Delete", "Retain", "Delete"]);
}

#[test]
fn clusters_sleep_when_the_services_do() {
    let mut shop = shop(OPERATED);
    shop.spec.lifecycle.hibernated = true;
    let found = Found::dummy(&shop);
    let asleep = planned(&shop, &found, |_| ()).objects;
    assert_eq!(asleep.postgres_clusters[0].annotations()["cnpg.io/hibernation"], "on");
    assert_eq!(asleep.rabbitmq_clusters[0].spec.replicas, 0);
}

#[test]
fn a_broker_wakes_with_the_nodes_that_it_had_and_then_has_as_many_as_are_wanted() {
    let shop = shop(OPERATED);
    let found = Found::dummy(&shop);
    let nodes = |before: Option<&str>| {
        let slept = |live: &mut Objects<Live>| {
            let noted =
                before.map(|before| ("rabbitmq.com/before-zero-replicas-configured".to_owned(), before.to_owned()));
            live.rabbitmq_clusters[0].annotations_mut().extend(noted);
        };
        planned(&shop, &found, slept).objects.rabbitmq_clusters[0].spec.replicas
    };
    assert_eq!(nodes(Some("1")), 1, "the RabbitMQ cluster operator refuses any other number");
    assert_eq!(nodes(None), 3);
}

#[test]
fn only_external_stores_make_cart_try_something() {
    let with_cart = |fixture: &str| {
        let shop = shop(fixture);
        jobs(&shop, &Found::dummy(&shop)).iter().any(|job| job.contains("-cart-"))
    };
    assert!(with_cart(EXTERNAL) && !with_cart(OPERATED) && !with_cart(MINIMAL));
}
