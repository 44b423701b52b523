//! Generated files are fresh. `UPDATE_GENERATED=1` rewrites them instead.

use std::collections::BTreeSet;
use std::path::Path;

use kube::ResourceExt;
use shopkeeper_operator::crd::Shop;
use shopkeeper_operator::render;
use shopkeeper_operator::settings::Settings;

use crate::support::{
    EXTERNAL, FULL, HIBERNATED, MINIMAL, NEIGHBOUR, OPERATED, PLAIN_TEXT, SCALED, project, read, shop, tests_folder,
};

/// Images and versions of the fixtures do not follow those of a release.
fn settings() -> Settings {
    Settings { version: "1.2.3".to_owned(), ..Settings::default() }
}

fn updating() -> bool {
    std::env::var_os("UPDATE_GENERATED").is_some()
}

fn check_file(path: &Path, wanted: &str) {
    if updating() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        std::fs::write(path, wanted).expect("the file");
        return;
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let stale = "is stale: run UPDATE_GENERATED=1 cargo test --workspace --target x86_64-unknown-linux-musl --test pure, and look at the difference";
    assert_eq!(found, wanted, "{} {stale}", path.display());
}

fn check_golden(fixture: &str) {
    let folder = tests_folder().join("golden").join(fixture);
    let mut wanted = BTreeSet::new();
    for object in render::render(&shop(fixture), &settings()).expect("a valid Shop") {
        let file = format!("{}-{}.yaml", object.kind.to_lowercase(), object.name);
        check_file(&folder.join(&file), &object.yaml);
        assert!(wanted.insert(file), "{} {} was built twice", object.kind, object.name);
    }
    for entry in std::fs::read_dir(&folder).expect("golden files") {
        let entry = entry.expect("a file");
        if wanted.contains(&entry.file_name().into_string().expect("a name")) {
            continue;
        }
        assert!(updating(), "{} is not built any more", entry.path().display());
        std::fs::remove_file(entry.path()).expect("the stale file");
    }
}

#[test]
fn the_smallest_shop_becomes_the_objects_on_record() {
    check_golden(MINIMAL);
}

#[test]
fn a_shop_that_says_most_of_what_it_can_becomes_the_objects_on_record() {
    check_golden(FULL);
}

#[test]
fn a_shop_that_scales_becomes_the_objects_on_record() {
    check_golden(SCALED);
}

#[test]
fn a_shop_on_external_stores_becomes_the_objects_on_record() {
    check_golden(EXTERNAL);
}

#[test]
fn a_shop_on_stores_of_other_operators_becomes_the_objects_on_record() {
    check_golden(OPERATED);
}

#[test]
fn a_shop_without_mutual_tls_becomes_the_objects_on_record() {
    check_golden(PLAIN_TEXT);
}

#[test]
fn a_shop_that_sleeps_becomes_the_objects_on_record() {
    check_golden(HIBERNATED);
}

#[test]
fn two_shops_in_one_namespace_become_the_objects_on_record_and_share_none() {
    check_golden(NEIGHBOUR);
    let (first, second) = (shop(MINIMAL), shop(NEIGHBOUR));
    assert_eq!([&first, &second].map(ResourceExt::namespace), [Some("oak".to_owned()), Some("oak".to_owned())]);
    assert!(names(&first).is_disjoint(&names(&second)));
}

#[test]
fn a_shop_whose_name_is_that_of_an_object_of_another_one_shares_none_with_it() {
    let first = shop(FULL);
    let objects = names(&first);
    for (_, name) in objects.iter().filter(|(_, name)| *name != first.name_any()) {
        let mut second = shop(MINIMAL);
        second.metadata.name = Some(name.clone());
        let both: Vec<_> = names(&second).intersection(&objects).cloned().collect();
        assert_eq!(both, [], "a Shop of the name {name}");
    }
}

/// Kind and name of everything that a Shop becomes.
fn names(shop: &Shop) -> BTreeSet<(String, String)> {
    let objects = render::render(shop, &settings()).expect("a valid Shop");
    objects.into_iter().map(|object| (object.kind, object.name)).collect()
}

#[test]
fn the_resource_definition_is_fresh_in_both_places() {
    let crd = render::crd().expect("yaml");
    check_file(&project().join("crds/shops.shopkeeper.dev.yaml"), &crd);
    let template = render::crd_template().expect("yaml");
    check_file(&project().join("charts/shopkeeper-crds/templates/shops.shopkeeper.dev.yaml"), &template);
    assert!(template.contains("helm.sh/resource-policy: keep"), "uninstalling the chart would delete every Shop");
    assert!(!crd.contains("{{"), "Helm would take that for a template");
}

#[test]
fn the_examples_are_shops() {
    for example in ["minimal.yaml", "shop.yaml", "mishaps.yaml", "stores.yaml", "canary.yaml"] {
        let text = read(&project().join("examples").join(example));
        let shop = render::parse(&text).expect("a Shop");
        assert!(!render::render(&shop, &settings()).expect("a valid Shop").is_empty());
    }
}
