//! Every field of a Shop's spec, found in its schema: it does something, what is not valid is refused with an answer, and
//! the way back leads back.

mod schema;

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResourceExt;
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use shopkeeper_operator::controller::reconcile;
use shopkeeper_operator::crd::Shop;
use shopkeeper_operator::render::render;
use shopkeeper_operator::settings::Settings;
use shopkeeper_testing::Scene;

use self::schema::{Field, Schema};
use crate::chance::{is_deep, random};
use crate::scene::with_scene;
use crate::snapshot::{differences_now, snapshot};

/// A name that no Shop has.
const NOBODY: &str = "beech";
/// Fields that change no object, and where they show instead.
const ELSEWHERE: [(&str, &str); 6] = [
    ("credentials.maxAge", "in the time at which a rotation begins"),
    ("telemetry.embedded", "in what is there already: it is the choice of a Shop that chooses nothing"),
    ("users.mail.log", "in what is there already: it is the choice of a Shop that chooses nothing"),
    ("lifecycle.paused", "in the status, and in what is not written any more"),
    ("lifecycle.deletionProtection", "in the chart's admission policy"),
    ("mesh.certificateLifetime", "in the certificates, which snapshots leave out"),
];
/// Fields of a type that another field of the same type has a use for.
const NEVER_VALID: [&str; 2] = ["payment.mock.outcomes[].when.city", "delivery.mock.outcomes[].when.amountAbove"];
/// Services that nobody calls, and that have no canary for it.
const NEVER_CALLED: [&str; 2] = ["services.payment.canary.", "services.delivery.canary."];
/// Fields that a Shop is made with, or of whose values nothing else is possible on this API server.
const FIXED: [&str; 5] = ["currency", "postgres.", "mongodb.", "redis.", "rabbitmq."];
/// Fields that a normal run takes there and back.
const SAMPLE: usize = 8;

fn is_never_valid(name: &str) -> bool {
    NEVER_VALID.contains(&name) || NEVER_CALLED.iter().any(|fields| name.starts_with(fields))
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
        for field in schema.fields() {
            for bad in field.invalid() {
                let spec = schema.with(&field, &bad.value, 0, base());
                let refusal = match created(&scene, spec).await {
                    Err(kube::Error::Api(status)) if status.code == 422 => status.message,
                    outcome => panic!("{field}: {} was not refused: {outcome:?}", bad.value),
                };
                assert!(refusal.contains(field.name()), "{field}: {refusal}");
                assert!(refusal.contains(&bad.help), "{field}: `{}` is not in {refusal}", bad.help);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_changed_field_that_is_changed_back_leaves_everything_as_it_was() {
    with_scene(async |scene, _kubelet| {
        let schema = Schema::of(&Shop::crd());
        scene.create(&base()).await.expect("a Shop");
        let operator = scene.operate();
        scene.until_shop("Ready", "True", None).await;
        drop(operator);
        let mut fields = schema.fields();
        // All services have the same fields.
        fields.retain(|field| !field.to_string().starts_with("services.") || field.to_string().contains(".order."));
        fields.retain(|field| ELSEWHERE.iter().all(|(elsewhere, _)| field.to_string() != *elsewhere));
        if !is_deep() {
            fields.shuffle(&mut random());
            fields.truncate(SAMPLE);
        }
        let mut stayed = Vec::new();
        for field in fields {
            if !there_and_back(&scene, &schema, &field).await {
                stayed.push(field.to_string());
            }
        }
        stayed.retain(|name| !FIXED.iter().any(|fixed| name.starts_with(fixed)) && !is_never_valid(name));
        assert!(stayed.is_empty(), "no other value was taken for {stayed:?}");
    })
    .await;
}

/// Gives a field another value and takes it back; answers whether there was one that a Shop may change to.
async fn there_and_back(scene: &Scene, schema: &Schema, field: &Field) -> bool {
    let before = snapshot(scene).await;
    let generation = scene.shop().await.metadata.generation;
    for value in field.candidates() {
        for pick in 0..schema::PICKS {
            let change = schema.patch(field, &value, pick);
            let Ok(shop) = scene.edit(&change).await else { continue };
            if shop.metadata.generation == generation {
                // It is the value that the field has.
                continue;
            }
            let outcome = reconcile(&scene.context(), &shop).await;
            if let Err(error) = outcome {
                // What only the API server of an object refuses.
                let shop = scene.shop().await;
                let told =
                    shop.status.iter().flat_map(|status| &status.conditions).any(|c| tells(c, &error.to_string()));
                assert!(told, "{field} {value}: {error} is not in the status");
            }
            scene.edit(&Schema::without(field)).await.expect("the way back");
            let mut left = Vec::new();
            for _ in 0..100 {
                let shop = scene.shop().await;
                reconcile(&scene.context(), &shop).await.unwrap_or_else(|error| panic!("{field} {value}: {error}"));
                left = differences_now(&before, &snapshot(scene).await);
                if left.is_empty() {
                    return true;
                }
            }
            panic!("{field} {value} leaves {left:?}");
        }
    }
    false
}

fn tells(condition: &Condition, message: &str) -> bool {
    condition.type_ == "Ready" && condition.status == "False" && condition.message == message
}

/// Whether values of a field make a difference; `None` when none of them is valid.
async fn does_something(scene: &Scene, schema: &Schema, field: &Field) -> Option<bool> {
    let mut valid = None;
    for pick in 0..schema::PICKS {
        let mut effects = BTreeSet::new();
        for value in field.candidates() {
            let shop = created(scene, schema.with(field, &value, pick, base())).await;
            effects.extend(shop.iter().map(objects));
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
