//! A Shop that returned to older images.

use shopkeeper_operator::crd::{Phase, RolledBack};
use shopkeeper_operator::stores::Found;

use super::events::events;
use super::{Scene, check, scene};
use crate::support::{EXTERNAL, certified, shop, valid_on};

fn failed() -> RolledBack {
    RolledBack { attempt: "a1".to_owned(), message: "order 9.9.9 did not".to_owned() }
}

#[test]
fn a_shop_that_returned_to_older_images_serves_and_is_not_ready() {
    let mut scene = scene();
    let ready = scene.status(|_| ());
    scene.previous = Some(ready.clone());
    scene.returned = Some(failed());
    let status = scene.status(|_| ());
    check(&status, "RolledBack", "True", "RolledBack", "order 9.9.9");
    check(&status, "Ready", "False", "RolledBack", "order 9.9.9");
    check(&status, "Progressing", "False", "RolledBack", "");
    check(&status, "ServicesReady", "True", "ServicesReady", "");
    assert_eq!((status.phase, &status.last_ready), (Some(Phase::Blocked), &ready.last_ready));
    assert_eq!(events(Some(&ready), &status), ["Warning RolledBack"]);
}

#[test]
fn without_the_secret_of_a_store_older_images_stay_and_when_it_is_back_they_need_no_jobs() {
    let mut scene = Scene { shop: shop(EXTERNAL), returned: Some(failed()), ..scene() };
    let mut found = Found::dummy(&scene.shop);
    found.secrets.remove("hazel-cache");
    let blind = valid_on(&scene.shop, certified(&scene.shop), &found);
    let missing = scene.status_of(&blind, |applied| applied.jobs.clear());
    check(&missing, "DependenciesReady", "False", "StoreSecretMissing", "hazel-cache");
    let stay = format!("the images of {} run as before", blind.version);
    check(&missing, "RolledBack", "True", "StoreSecretMissing", &stay);
    check(&missing, "RolledBack", "True", "StoreSecretMissing", "Secret hazel-cache does not exist");
    assert_eq!(missing.rolled_back, scene.returned, "what failed is not forgotten");
    scene.previous = Some(missing);
    let back = scene.status(|applied| applied.jobs.clear());
    check(&back, "DependenciesReady", "True", "StoresReady", "");
    check(&back, "RolledBack", "True", "RolledBack", "order 9.9.9");
}
