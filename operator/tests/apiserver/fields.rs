//! Every field of a Shop's spec, found in its schema: it does something, what is not valid is refused with an answer, also where
//! the Shop is there already, and the way back leads back.

mod journey;
mod stores;

use std::collections::BTreeSet;

use kube::CustomResourceExt;
use serde_json::{Value, json};
use shopkeeper_operator::crd::{Phase, Shop};
use shopkeeper_operator::render::render;
use shopkeeper_operator::settings::Settings;
use shopkeeper_testing::schema::{self, Bad, Field, Schema};
use shopkeeper_testing::{Scene, is_deep};

use self::journey::{Change, rounds, there_and_back};
use self::stores::lives_in;
use crate::scene::with_scene;
use crate::snapshot::{Snapshot, left_behind, snapshot};
use crate::steady::NOTHING;

/// A name that no Shop has.
const NOBODY: &str = "beech";
/// Fields that change no object, and where they show instead.
const ELSEWHERE: [(&str, &str); 6] = [
    ("credentials.maxAge", "in the time at which a rotation begins"),
    ("telemetry.embedded", "in what is there already: it is the choice of a Shop that chooses nothing"),
    ("users.mail.log", "in what is there already: it is the choice of a Shop that chooses nothing"),
    ("lifecycle.paused", "in the status, and in what is not written any more"),
    ("lifecycle.deletionProtection", "in the admission policy of the chart shopkeeper-crds"),
    ("mesh.certificateLifetime", "in the certificates, of which `render` has dummies"),
];
/// Fields of a type that another field of the same type has a use for.
const NEVER_VALID: [&str; 2] = ["payment.mock.outcomes[].when.city", "delivery.mock.outcomes[].when.amountAbove"];
/// Services that nobody calls, and that have no canary for it.
const NEVER_CALLED: [&str; 2] = ["services.payment.canary.", "services.delivery.canary."];
/// Fields that stay as they are once the Shop exists, and why.
const FIXED: [(&str, &str); 11] = [
    ("currency", "stored prices are amounts of it"),
    ("postgres.embedded.storage", RESIZED),
    ("mongodb.embedded.storage", RESIZED),
    ("redis.embedded.storage", RESIZED),
    ("rabbitmq.embedded.storage", RESIZED),
    ("postgres.embedded.storageClassName", OF_A_CLASS),
    ("postgres.cloudNativePG.storageClassName", OF_A_CLASS),
    ("mongodb.embedded.storageClassName", OF_A_CLASS),
    ("redis.embedded.storageClassName", OF_A_CLASS),
    ("rabbitmq.embedded.storageClassName", OF_A_CLASS),
    ("rabbitmq.clusterOperator.storageClassName", OF_A_CLASS),
];
const RESIZED: &str = "a person expands the claim, because the template of a StatefulSet cannot change";
const OF_A_CLASS: &str = "the volumes are of that class";
/// Fields with a value that the schema takes, and the operator or the API server does not when objects are made of it; in the order
/// of the alphabet. None is known: what fits the schema can be applied.
const NOT_APPLIED: [&str; 0] = [];
/// A field whose way back leads to other certificates than before: `convergence.rs` goes it.
const AFRESH: &str = "mesh.mtls";
/// Fields that a normal run takes there and back together: it costs as much as one alone, and tells less precisely what went wrong.
const AT_ONCE: usize = 16;

fn is_never_valid(name: &str) -> bool {
    NEVER_VALID.contains(&name) || NEVER_CALLED.iter().any(|fields| name.starts_with(fields))
}

fn is_fixed(name: &str) -> bool {
    FIXED.iter().any(|(fixed, _)| *fixed == name)
}

fn base() -> Value {
    json!({"host": "acorn.test"})
}

#[tokio::test]
async fn every_field_of_the_spec_does_something() {
    with_scene(async |scene, _kubelet| {
        let schema = Schema::of(&Shop::crd());
        let mut useless = Vec::new();
        for field in schema.fields() {
            let name = field.to_string();
            let valid = does_something(&scene, &schema, &field).await;
            let wanted = if is_never_valid(&name) {
                None
            } else {
                Some(ELSEWHERE.iter().all(|(elsewhere, _)| *elsewhere != name))
            };
            if valid != wanted {
                useless.push(format!("{name}: {valid:?}"));
            }
        }
        assert!(
            useless.is_empty(),
            "fields that change nothing (`Some(false)`), or of which no value is known (`None`; a rule's message that says \
             `for example ...` gives one): {useless:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn every_value_that_the_schema_rules_out_is_refused_and_the_field_is_named() {
    with_scene(async |scene, _kubelet| {
        let schema = Schema::of(&Shop::crd());
        for field in schema.limited() {
            for bad in field.invalid() {
                let spec = schema.with(&field, &bad.value, 0, base());
                check_refusal(created(&scene, spec).await, &field, &bad);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_shop_takes_no_value_that_is_ruled_out_takes_any_other_and_finds_back_to_what_it_was() {
    with_scene(async |scene, _kubelet| {
        let schema = Schema::of(&Shop::crd());
        scene.create(&base()).await.expect("a Shop");
        let _operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        let before = snapshot(&scene).await;
        let is_looked_at = |field: &Field| {
            let name = field.to_string();
            // All services have the same fields.
            !name.starts_with("services.") || name.contains(".order.")
        };
        let mut limited = schema.limited();
        limited.retain(is_looked_at);
        Box::pin(takes_nothing_wrong(&scene, &schema, &limited)).await;
        assert_eq!(left_behind(&scene, &before).await, NOTHING, "what was refused changes nothing");

        let elsewhere: Vec<&str> = ELSEWHERE.iter().map(|(field, _)| *field).chain([AFRESH]).collect();
        let mut fields = schema.fields();
        fields.retain(|field| is_looked_at(field) && lives_in(&base(), &field.to_string()));
        fields.retain(|field| !elsewhere.contains(&&*field.to_string()));
        Box::pin(find_back(&scene, &schema, &base(), &before, &fields)).await;
    })
    .await;
}

#[tokio::test]
async fn what_only_the_cluster_can_refuse_blocks_the_shop_until_it_is_corrected_and_leaves_nothing() {
    with_scene(async |scene, _kubelet| {
        scene.create(&base()).await.expect("a Shop");
        let _operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        let before = snapshot(&scene).await;
        for (mistake, correction, reason) in [
            (
                json!({"ingress": {"className": "squirrel"}}),
                json!({"ingress": {"className": null}}),
                "NoSuchIngressClass",
            ),
            (
                json!({"ingress": {"annotations": {"no key": "1"}}, "services": {"order": {"replicas": 2}}}),
                json!({"ingress": {"annotations": null}, "services": null}),
                "ApplyFailed",
            ),
        ] {
            scene.edit(&mistake).await.expect("an edit");
            let shop = scene.until_shop("Ready", "False", Some(reason)).await;
            assert_eq!(shop.status.expect("a status").phase, Some(Phase::Blocked), "{mistake}");
            scene.edit(&correction).await.expect("an edit");
            scene.until_shop("Ready", "True", None).await;
            assert_eq!(left_behind(&scene, &before).await, NOTHING, "{mistake}");
        }
    })
    .await;
}

/// The Shop that is there is not changed to what is ruled out.
async fn takes_nothing_wrong(scene: &Scene, schema: &Schema, fields: &[Field]) {
    for field in fields {
        for bad in field.invalid() {
            check_refusal(scene.edit(&schema.patch(field, &bad.value, 0)).await, field, &bad);
        }
    }
}

/// Takes fields of a Shop that was made of a spec there and back, all but those that are known to stay.
async fn find_back(scene: &Scene, schema: &Schema, spec: &Value, before: &Snapshot, fields: &[Field]) {
    let mut stayed = Vec::new();
    let mut changes = Vec::new();
    for field in fields {
        match Change::of(scene, schema, field, spec).await {
            Some(change) => changes.push(change),
            None => stayed.push(field.to_string()),
        }
    }
    let mut known: Vec<String> = fields.iter().map(Field::to_string).collect();
    known.retain(|name| is_fixed(name) || is_never_valid(name));
    assert_eq!(stayed, known, "fields for which no other value was taken, and those that are known for it");
    let mut refused = Vec::new();
    for round in rounds(scene, changes, if is_deep() { 1 } else { AT_ONCE }).await {
        refused.extend(Box::pin(there_and_back(scene, before, round)).await);
    }
    refused.sort_unstable();
    assert_eq!(refused, NOT_APPLIED, "fields whose values were not applied, and those that are known for it");
}

/// The API server refuses a value, names its field, and says what is wrong.
#[track_caller]
fn check_refusal(outcome: Result<Shop, kube::Error>, field: &Field, bad: &Bad) {
    let refusal = match outcome {
        Err(kube::Error::Api(status)) if status.code == 422 => status.message,
        outcome => panic!("{field}: {} was not refused: {outcome:?}", bad.value),
    };
    assert!(refusal.contains(field.name()), "{field}: {refusal}");
    assert!(refusal.contains(&bad.help), "{field}: `{}` is not in {refusal}", bad.help);
}

/// Whether values of a field make a difference; `None` when none of them is valid.
async fn does_something(scene: &Scene, schema: &Schema, field: &Field) -> Option<bool> {
    let mut valid = None;
    for pick in 0..schema::PICKS {
        let mut effects = BTreeSet::new();
        for value in field.candidates() {
            let shop = created(scene, schema.with(field, &value, pick, base())).await;
            effects.extend(shop.iter().map(objects));
            // A deep run goes on: each value that is taken has to be one that objects can be made of.
            if effects.len() > 1 && !is_deep() {
                return Some(true);
            }
        }
        if effects.len() == 1 {
            effects.insert(objects(&created(scene, base()).await.expect("a Shop")));
        }
        match effects.len() {
            0 => {}
            1 => valid = Some(false),
            _ => return Some(true),
        }
    }
    valid
}

/// What the API server would make of a spec.
async fn created(scene: &Scene, spec: Value) -> Result<Shop, kube::Error> {
    let mut shop = scene.create_named(NOBODY, &spec, true).await?;
    shop.metadata.uid = Some("00000000-0000-0000-0000-000000000000".to_owned());
    Ok(shop)
}

fn objects(shop: &Shop) -> String {
    let rendered = render(shop, &Settings::default()).expect("a valid Shop");
    rendered.into_iter().map(|object| object.yaml).collect()
}
