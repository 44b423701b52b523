//! What a changed Shop would do, told before it happens.

mod later;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};
use ring::rand::SystemRandom;
use serde_json::{Value, json};
use shopkeeper_operator::canary::Measurements;
use shopkeeper_operator::crd::{DataOnDelete, LifecycleSpec, Mtls, ServiceSpec, Shop};
use shopkeeper_operator::objects::{Live, Objects};
use shopkeeper_operator::observe::Observed;
use shopkeeper_operator::plan::{Action, Change, Facts, plan};
use shopkeeper_operator::settings::Settings;
use shopkeeper_operator::stores::Found;

use crate::support::{MINIMAL, OPERATED, credentials, done, shop, valid};

/// Plans an edit of the minimal Shop, on a cluster that did everything.
fn planned(edit: impl Fn(&mut Shop), change: impl Fn(&mut Objects<Live>)) -> Vec<Change> {
    let before = shop(MINIMAL);
    let mut objects = done(&valid(&before));
    change(&mut objects);
    planned_on(Some(&before), edit, objects)
}

pub fn planned_on(before: Option<&Shop>, edit: impl Fn(&mut Shop), objects: Objects<Live>) -> Vec<Change> {
    let mut shop = shop(MINIMAL);
    edit(&mut shop);
    let mut changes = planned_of(before, &shop, Observed { stores: Found::dummy(&shop), ..observed(objects) });
    // The fixture's cluster was made with dummies, so the credentials are always missing.
    changes.retain(|change| change.name != "acorn-credentials");
    changes
}

fn planned_of(before: Option<&Shop>, shop: &Shop, observed: Observed) -> Vec<Change> {
    let facts = Facts {
        shop,
        before,
        others: &Vec::<Arc<Shop>>::new(),
        settings: &Settings::default(),
        now: Timestamp::UNIX_EPOCH,
        random: &SystemRandom::new(),
    };
    plan(&facts, observed).expect("a plan")
}

fn observed(objects: Objects<Live>) -> Observed {
    Observed {
        objects,
        credentials: None,
        pods: Vec::new(),
        ingress_classes: Vec::new(),
        measured: Measurements::new(),
        stores: Found::default(),
        volume_claims: Vec::new(),
    }
}

/// A cluster that did everything for a Shop, with its data and what opens it.
fn with_data(shop: &Shop) -> Observed {
    let mut objects: Objects<Live> = done(&valid(shop));
    for set in &mut objects.stateful_sets {
        set.metadata.uid = Some(format!("uid of {}", set.name_any()));
    }
    let goes = shop.spec.lifecycle.data_on_delete == DataOnDelete::Delete;
    let volume = |set: &StatefulSet| {
        let mut volume = PersistentVolumeClaim::default();
        volume.metadata.name = Some(format!("data-{}-0", set.name_any()));
        volume.metadata.owner_references = set.controller_owner_ref(&()).filter(|_| goes).map(|owner| vec![owner]);
        volume
    };
    let mut credentials = credentials(shop);
    credentials.metadata.owner_references = shop.controller_owner_ref(&()).filter(|_| goes).map(|owner| vec![owner]);
    Observed {
        credentials: Some(credentials),
        volume_claims: objects.stateful_sets.iter().map(volume).collect(),
        stores: Found::dummy(shop),
        ..observed(objects)
    }
}

/// A fixture with this `dataOnDelete`.
fn with_wish(fixture: &str, data_on_delete: DataOnDelete, edit: impl Fn(&mut LifecycleSpec)) -> Shop {
    let mut shop = shop(fixture);
    // The authority of a mesh is no dummy.
    shop.spec.mesh.mtls = Mtls::Off;
    shop.spec.lifecycle.data_on_delete = data_on_delete;
    edit(&mut shop.spec.lifecycle);
    shop
}

/// What an edit of `dataOnDelete` changes about the credentials and a store; the other stores are as this one.
fn fate_of_redis(data_on_delete: DataOnDelete, edit: fn(&mut LifecycleSpec)) -> Vec<String> {
    let was = if data_on_delete == DataOnDelete::Delete { DataOnDelete::Retain } else { DataOnDelete::Delete };
    let before = with_wish(MINIMAL, was, edit);
    let lines = told(&planned_of(Some(&before), &with_wish(MINIMAL, data_on_delete, edit), with_data(&before)));
    let of_others = |line: &String| ["postgres", "mongodb", "rabbitmq"].iter().any(|store| line.contains(store));
    let (others, lines): (Vec<String>, Vec<String>) = lines.into_iter().partition(of_others);
    let of_redis = lines.iter().filter(|line| line.contains("redis")).count();
    assert_eq!(others.len(), 3 * of_redis, "{others:#?}");
    lines
}

fn service(edit: impl Fn(&mut ServiceSpec)) -> impl Fn(&mut Shop) {
    move |shop| edit(shop.spec.services.order.get_or_insert_default())
}

/// One line a change, as people would tell it.
pub fn told(changes: &[Change]) -> Vec<String> {
    let mut lines = Vec::new();
    for Change { kind, name, action, later } in changes {
        let later = if *later { " later" } else { "" };
        match action {
            Action::Create => lines.push(format!("create {kind} {name}{later}")),
            Action::Delete => lines.push(format!("delete {kind} {name}{later}")),
            Action::Taken => lines.push(format!("taken {kind} {name}{later}")),
            Action::Change { fields } => lines.extend(fields.iter().map(|field| {
                let text = |value: &Option<Value>| value.as_ref().map_or_else(|| "-".to_owned(), Value::to_string);
                format!("{kind} {name}{later} {}: {} -> {}", field.path, text(&field.old), text(&field.new))
            })),
        }
    }
    lines
}

/// Without what two pods have that one has not: a wish to run on different nodes.
fn told_but_for_spread(changes: &[Change]) -> Vec<String> {
    told(changes).into_iter().filter(|line| !line.contains("topologySpreadConstraints")).collect()
}

#[test]
fn a_shop_that_is_as_wanted_has_no_plan() {
    assert_eq!(told(&planned(|_| {}, |_| {})), [""; 0]);
}

#[test]
fn more_replicas_are_a_field_and_a_disruption_budget() {
    let changes = planned(service(|order| order.replicas = Some(2)), |_| {});
    let expected = ["Deployment acorn-order spec.replicas: 1 -> 2", "create PodDisruptionBudget acorn-order"];
    assert_eq!(told_but_for_spread(&changes), expected);
}

#[test]
fn fewer_replicas_take_the_disruption_budget_away() {
    let edited = service(|order| order.replicas = Some(2));
    let mut before = shop(MINIMAL);
    edited(&mut before);
    let changes = planned_on(Some(&before), |_| {}, done(&valid(&before)));
    let expected = ["Deployment acorn-order spec.replicas: 2 -> 1", "delete PodDisruptionBudget acorn-order"];
    assert_eq!(told_but_for_spread(&changes), expected);
}

#[test]
fn services_of_a_new_version_wait_for_their_migrations() {
    let changes = planned(|shop| shop.spec.version = Some("9.9.9".to_owned()), |_| {});
    let lines = told(&changes);
    let has = |begin: &str| lines.iter().any(|line| line.starts_with(begin));
    assert!(has("create Job acorn-order-migrate-"), "{lines:#?}");
    assert!(has("delete Job acorn-order-migrate-"), "{lines:#?}");
    let image = "Deployment acorn-order later spec.template.spec.containers[order].image: \"shopkeeper/order:0.1.0\" -> \
                 \"shopkeeper/order:9.9.9\"";
    assert!(has(image), "{lines:#?}");
    assert!(!has("Service acorn-order later"), "a Service does not wait");
}

#[test]
fn a_setting_that_leaves_the_shop_leaves_the_pods() {
    let mut before = shop(MINIMAL);
    before.spec.ingress.annotations.insert("acorn.test/limit".to_owned(), "5".to_owned());
    let changes = planned_on(Some(&before), |_| {}, done(&valid(&before)));
    assert_eq!(told(&changes), ["Ingress acorn metadata.annotations: {\"acorn.test/limit\":\"5\"} -> -"]);
}

#[test]
fn values_of_secrets_are_never_told() {
    let changes = planned(
        |_| {},
        |live| {
            for secret in &mut live.secrets {
                secret.data.iter_mut().flatten().for_each(|(_, value)| value.0 = b"canary".to_vec());
            }
        },
    );
    let lines = told(&changes);
    assert!(
        lines.contains(&r#"Secret acorn-order data.SHOP_AMQP__URL: "(hidden)" -> "(hidden)""#.to_owned()),
        "{lines:#?}"
    );
    let text = serde_json::to_string(&changes).expect("JSON");
    let values = ["Y2FuYXJ5", "canary", "dummy"];
    assert!(values.iter().all(|value| !text.contains(value)), "{text}");
}

#[test]
fn a_new_shop_is_created_from_its_credentials_to_its_route() {
    let nothing = Objects::<Live>::default();
    let lines = told(&planned_on(None, |_| {}, nothing));
    assert!(lines.iter().all(|line| line.starts_with("create ")), "{lines:#?}");
    assert_eq!(lines.first().map(String::as_str), Some("create ServiceAccount acorn-user"));
    assert_eq!(lines.last().map(String::as_str), Some("create Ingress acorn"));
    assert!(lines.contains(&"create Deployment acorn-order later".to_owned()), "{lines:#?}");
}

/// The lines about Redis of a Shop that is to let its data go, and about the credentials.
const GOES: [&str; 3] = [
    "StatefulSet acorn-redis spec.persistentVolumeClaimRetentionPolicy.whenDeleted: \"Retain\" -> \"Delete\"",
    "PersistentVolumeClaim data-acorn-redis-0 metadata.ownerReferences: \"none: it stays\" -> \
     \"StatefulSet acorn-redis: it goes with the Shop\"",
    "Secret acorn-credentials later metadata.ownerReferences: \"none: it stays\" -> \
     \"Shop acorn: it goes with the Shop\"",
];
/// The same of one that is to keep it.
const STAYS: [&str; 3] = [
    "Secret acorn-credentials metadata.ownerReferences: \"Shop acorn: it goes with the Shop\" -> \"none: it stays\"",
    "StatefulSet acorn-redis spec.persistentVolumeClaimRetentionPolicy.whenDeleted: \"Delete\" -> \"Retain\"",
    "PersistentVolumeClaim data-acorn-redis-0 metadata.ownerReferences: \
     \"StatefulSet acorn-redis: it goes with the Shop\" -> \"none: it stays\"",
];

#[test]
fn what_goes_with_the_shop_and_what_stays_is_told_in_the_order_of_the_writes() {
    let awake: [fn(&mut LifecycleSpec); 2] = [|_| (), |lifecycle| lifecycle.paused = true];
    for edit in awake {
        assert_eq!(fate_of_redis(DataOnDelete::Delete, edit), [GOES[0], GOES[2]], "Kubernetes writes into its volume");
        assert_eq!(fate_of_redis(DataOnDelete::Retain, edit), STAYS);
    }
    let asleep: [fn(&mut LifecycleSpec); 2] =
        [|lifecycle| lifecycle.hibernated = true, |lifecycle| (lifecycle.hibernated, lifecycle.paused) = (true, true)];
    for edit in asleep {
        assert_eq!(fate_of_redis(DataOnDelete::Delete, edit), GOES);
        assert_eq!(fate_of_redis(DataOnDelete::Retain, edit), STAYS);
    }
}

#[test]
fn credentials_do_not_wait_for_volumes_that_go_already() {
    let [before, wanted] = [DataOnDelete::Retain, DataOnDelete::Delete].map(|wish| with_wish(MINIMAL, wish, |_| ()));
    let observed = Observed { credentials: with_data(&before).credentials, ..with_data(&wanted) };
    assert_eq!(told(&planned_of(Some(&before), &wanted, observed)), [GOES[2].replace(" later", "")]);
}

#[test]
fn clusters_of_other_operators_and_what_their_nodes_read_go_and_stay_with_the_data() {
    let [keeps, lets_go] = [DataOnDelete::Retain, DataOnDelete::Delete].map(|wish| with_wish(OPERATED, wish, |_| ()));
    let owned = |before: &Shop, wanted: &Shop, new: &str| -> Vec<String> {
        let lines = told(&planned_of(Some(before), wanted, with_data(before)));
        let ends = lines.iter().filter(|line| line.ends_with(new));
        ends.filter_map(|line| Some(line.split_once(" metadata.ownerReferences: ")?.0.to_owned())).collect()
    };
    assert_eq!(
        owned(&keeps, &lets_go, "-> \"Shop beech: it goes with the Shop\""),
        [
            "Secret beech-rabbitmq",
            "RabbitmqCluster beech-rabbitmq",
            "Cluster beech-postgres",
            "Secret beech-credentials later"
        ]
    );
    assert_eq!(
        owned(&lets_go, &keeps, "-> \"none: it stays\""),
        [
            "Secret beech-credentials",
            "PersistentVolumeClaim data-beech-mongodb-0",
            "PersistentVolumeClaim data-beech-redis-0",
            "Secret beech-rabbitmq",
            "RabbitmqCluster beech-rabbitmq",
            "Cluster beech-postgres",
        ]
    );
}

#[test]
fn nothing_else_happens_to_a_paused_shop_and_nothing_of_others_is_deleted() {
    let paused = |shop: &mut Shop| {
        shop.spec.lifecycle.paused = true;
        shop.spec.version = Some("9.9.9".to_owned());
    };
    assert_eq!(told(&planned(paused, |_| {})), [""; 0]);
    let theirs = planned(
        |_| {},
        |live| {
            let mut theirs = live.services[0].clone();
            theirs.metadata.name = Some("acorn-theirs".to_owned());
            theirs.owner_references_mut().clear();
            live.services.push(theirs);
        },
    );
    assert_eq!(told(&theirs), [""; 0]);
}

#[test]
fn an_object_of_somebody_else_that_has_a_name_of_the_shops_is_told_and_not_changed() {
    let changes = planned(
        |_| {},
        |live| {
            let order = live.secrets.iter_mut().find(|secret| secret.name_any() == "acorn-order").expect("a Secret");
            order.metadata.labels = None;
            order.owner_references_mut().clear();
            order.data = None;
        },
    );
    assert_eq!(told(&changes), ["taken Secret acorn-order"]);
    assert_eq!(serde_json::to_value(&changes).expect("JSON")[0]["action"], "taken");
}

#[test]
fn an_object_that_another_controller_has_is_told_where_the_shop_is_to_be_its_controller() {
    let [keeps, lets_go] = [DataOnDelete::Retain, DataOnDelete::Delete].map(|wish| with_wish(OPERATED, wish, |_| ()));
    let of_cluster = |wanted: &Shop| -> Vec<String> {
        let mut observed = with_data(&keeps);
        observed.objects.postgres_clusters[0].owner_references_mut().push(OwnerReference {
            kind: "Backup".to_owned(),
            name: "nightly".to_owned(),
            uid: "uid of a backup".to_owned(),
            controller: Some(true),
            ..OwnerReference::default()
        });
        let lines = told(&planned_of(Some(&keeps), wanted, observed));
        lines.into_iter().filter(|line| line.contains(" beech-postgres") && !line.contains("Secret")).collect()
    };
    assert_eq!(of_cluster(&keeps), [""; 0]);
    let owners = "Cluster beech-postgres metadata.ownerReferences: \"Backup nightly: it stays\" -> \
                  \"Backup nightly, Shop beech: it stays\"";
    assert_eq!(of_cluster(&lets_go), [owners, "taken Cluster beech-postgres"]);
}

#[test]
fn a_change_reads_as_json_for_programs() {
    let changes = planned(service(|order| order.replicas = Some(2)), |_| {});
    let value = serde_json::to_value(&changes).expect("JSON");
    let deployment = &value[0];
    assert_eq!(deployment["fields"][0], json!({"path": "spec.replicas", "old": 1, "new": 2}));
    for (key, expected) in [("kind", "Deployment"), ("name", "acorn-order"), ("action", "change")] {
        assert_eq!(deployment[key], expected);
    }
    assert_eq!(deployment["later"], false);
}
