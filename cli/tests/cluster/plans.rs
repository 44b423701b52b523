//! `plan`: told before it happens, and nothing happens.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::json;
use shopkeeper_operator::{crd::Shop, names};

use crate::scene::{File, client, run, target, with_scene};

async fn live() -> Shop {
    let target = target();
    let shops: Api<Shop> = Api::namespaced(client().await, &target.namespace);
    shops.get(&target.shop).await.expect("the Shop")
}

#[tokio::test]
async fn a_shop_as_it_is_has_no_differences() {
    let file = File::with("unchanged", &json!(live().await));
    run(&target().namespace, &["plan", "-f", file.path()]).check(0, "no differences");
}

#[tokio::test]
async fn a_changed_shop_is_told_field_by_field_and_stays_as_it_is() {
    let shop = live().await;
    let mut changed = json!(shop);
    changed["spec"]["services"]["order"] = json!({"replicas": 2});
    let file = File::with("changed", &changed);
    let did = run(&target().namespace, &["plan", "-f", file.path()]);
    did.check(1, "spec.services.order ");
    did.check(1, &format!("~ change Deployment {}-order   (replaces its pods)", target().shop));
    did.check(1, "1 -> 2");
    did.check(1, &format!("+ create PodDisruptionBudget {}-order", target().shop));
    did.check(1, "1 to create, 1 to change, 0 to delete. Nothing was written.");
    assert_eq!(live().await.metadata.generation, shop.metadata.generation);

    let plan = run(&target().namespace, &["plan", "-f", file.path(), "-o", "json"]).json();
    let actions: Vec<&str> =
        plan["objects"].as_array().expect("objects").iter().filter_map(|o| o["action"].as_str()).collect();
    assert_eq!(actions, ["change", "create"]);
    assert_eq!(run(&target().namespace, &["plan", "-f", file.path(), "-o", "yaml"]).yaml(), plan);
}

#[tokio::test]
async fn what_the_api_server_would_refuse_is_refused_with_its_words() {
    let mut changed = json!(live().await);
    changed["spec"]["currency"] = json!("XTS");
    let file = File::with("refused", &changed);
    run(&target().namespace, &["plan", "-f", file.path()]).check(2, "currency cannot change once the Shop exists");
    changed["spec"]["colour"] = json!("green");
    let file = File::with("unknown", &changed);
    run(&target().namespace, &["plan", "-f", file.path()]).check(2, "colour");
    changed["metadata"] = json!({"name": "no-such-shop"});
    changed["spec"] = json!({"colour": "green"});
    let file = File::with("unknown-and-new", &changed);
    run(&target().namespace, &["plan", "-f", file.path()]).check(2, "unknown field \"spec.colour\"");
    run(&target().namespace, &["plan", "-f", "/no/such/file"]).check(2, "/no/such/file cannot be read");
}

#[tokio::test]
async fn of_a_paused_shop_is_told_what_goes_with_it_and_that_nothing_else_changes() {
    with_scene(async |scene| {
        let mut shop = json!(scene.shop("acorn").await);
        let labels = names::labels("acorn", names::SHOP_COMPONENT, "0.1.0");
        let metadata = json!({"name": names::credentials("acorn"), "labels": labels});
        scene.create::<Secret>(json!({"metadata": metadata})).await;
        shop["spec"]["lifecycle"] = json!({"paused": true, "dataOnDelete": "Delete"});
        let file = File::with("paused", &shop);
        let did = run(&scene.namespace, &["plan", "-f", file.path()]);
        did.check(1, "~ change Secret acorn-credentials\n");
        did.check(1, "metadata.ownerReferences   none: it stays -> Shop acorn: it goes with the Shop");
        did.check(1, "0 to create, 1 to change, 0 to delete. Nothing was written.");
        did.check(1, "note: the Shop is paused: ");
    })
    .await;
}

#[tokio::test]
async fn a_new_shop_is_planned_as_a_whole_and_not_made() {
    with_scene(async |scene| {
        let shop = json!({
            "apiVersion": "shopkeeper.dev/v1alpha1", "kind": "Shop", "metadata": {"name": "acorn"},
            "spec": {"host": "acorn.test"},
        });
        let file = File::with("new", &shop);
        let did = run(&scene.namespace, &["plan", "-f", file.path()]);
        did.check(1, &format!("Shop {}/acorn is new", scene.namespace));
        did.check(1, "+ create Secret acorn-credentials");
        did.check(1, "+ create Deployment acorn-order   (later: stores and migrations come first)");
        did.check(1, "+ create Ingress acorn");
        did.check(1, " 0 to change, 0 to delete");
        let shops = scene.api::<Shop>().list(&ListParams::default()).await.expect("a list");
        let secrets = scene.api::<Secret>().list(&ListParams::default()).await.expect("a list");
        let made: Vec<String> =
            shops.iter().map(ResourceExt::name_any).chain(secrets.iter().map(ResourceExt::name_any)).collect();
        assert_eq!(made, [""; 0]);
    })
    .await;
}
