//! `report`: everything that helps, and no secret.

use std::{collections::BTreeMap, fs::File, io::Read as _, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::GzDecoder;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Secret},
};
use kube::Api;
use serde_json::{Value, json};

use crate::scene::{client, read, run, target, with_scene};

const CANARY: &str = "cAnAry-7f3a91";

/// Runs `report` and unpacks what it wrote, text by path. What it says of it has to be so.
fn report(namespace: &str, shop: &str, form: &str) -> BTreeMap<String, String> {
    let folder = Folder::new(namespace);
    let path = folder.0.join("report.tar.gz");
    let path = path.to_str().expect("a plain path");
    let contents = read(namespace, &["report", shop, "--file", path], form);
    run(namespace, &["report", shop, "--file", path]).check(2, "cannot be made: it is there already");
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(path).expect("the report")));
    let files = archive.entries().expect("an archive").map(|entry| {
        let mut entry = entry.expect("an entry");
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        (entry.path().expect("a path").display().to_string(), text)
    });
    let files: BTreeMap<String, String> = files.collect();
    assert_eq!(contents["path"], path);
    assert!(contents["missing"].is_array(), "{contents}");
    let listed = contents["files"].as_array().expect("a table of contents");
    // One more lists the others.
    assert_eq!(listed.len() + 1, files.len(), "{contents}");
    for listed in listed {
        let text = &files[&format!("{shop}/{}", listed["path"].as_str().expect("a path"))];
        assert_eq!(listed["bytes"], text.len(), "{listed}");
        assert!(listed["about"].is_string(), "{listed}");
    }
    files
}

/// A folder that is gone when the test is.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("report-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_report_has_what_helps_and_none_of_the_shops_credentials() {
    let target = target();
    let shop = &target.shop;
    let files = report(&target.namespace, shop, "json");
    let has = |begin: &str, end: &str| files.keys().any(|path| path.starts_with(begin) && path.ends_with(end));
    for (begin, end) in [
        ("MANIFEST.txt", ""),
        ("shop.yaml", ""),
        ("versions.yaml", ""),
        ("events.yaml", ""),
        ("nodes.yaml", ""),
        ("objects/deployment/", "-order.yaml"),
        ("objects/persistentvolumeclaim/", "-postgres-0.yaml"),
        ("objects/pod/", ".yaml"),
        ("secrets/", "-credentials.yaml"),
        ("logs/", ".order.log"),
        ("metrics/", ".txt"),
        ("operator/deployment.yaml", ""),
        ("operator/logs/", ".log"),
        ("operator/metrics/", ".txt"),
    ] {
        assert!(has(&format!("{shop}/{begin}"), end), "{begin}*{end} is missing: {:#?}", files.keys());
    }
    let secrets: Api<Secret> = Api::namespaced(client().await, &target.namespace);
    let credentials = secrets.get(&format!("{shop}-credentials")).await.expect("the credentials");
    for (key, value) in credentials.data.expect("credentials") {
        let value = String::from_utf8(value.0).expect("text");
        for (path, text) in &files {
            assert!(!text.contains(value.trim()), "{path} has the value of {key}");
        }
    }
}

#[tokio::test]
async fn a_canary_gets_out_of_no_kind_of_hiding_place() {
    with_scene(async |scene| {
        scene.shop("acorn").await;
        let labels = json!({"app.kubernetes.io/name": "shop", "app.kubernetes.io/instance": "acorn"});
        let data = json!({"data": {"password": CANARY}}).to_string();
        let basic = STANDARD.encode(format!("user:{CANARY}"));
        let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": data, "note": "kept"});
        let _: Secret = scene
            .create(json!({"metadata": {"name": "canary", "labels": labels}, "stringData": {"password": CANARY}}))
            .await;
        let _: ConfigMap = scene
            .create(json!({
                "metadata": {"name": "canary", "labels": labels, "annotations": annotations},
                "data": {"file": format!("plain {CANARY}\nbasic {basic}\nkept: yes\n"), "api-token": "aNoTher-1"},
            }))
            .await;
        let secret = json!({"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "canary", "key": "password"}}});
        let url = json!({"name": "URL", "value": "postgres://u:aNoTher-1@h:5432/d"});
        let container = json!({"name": "c", "image": "i", "env": [secret, url, {"name": "LEVEL", "value": "debug"}]});
        let pod = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [container]}});
        let spec = json!({"replicas": 0, "selector": {"matchLabels": {"app": "a"}}, "template": pod});
        let _: Deployment = scene.create(json!({"metadata": {"name": "canary", "labels": labels}, "spec": spec})).await;

        let files = report(&scene.namespace, "acorn", "yaml");
        for (path, text) in &files {
            for secret in [CANARY, "aNoTher-1", &basic] {
                assert!(!text.contains(secret), "{path}: {text}");
            }
        }
        let outline: Value = serde_saphyr::from_str(&files["acorn/secrets/canary.yaml"]).expect("YAML");
        assert_eq!(outline["keys"], json!([{"key": "password", "bytes": 13}]));
        assert!(files["acorn/objects/configmap/canary.yaml"].contains("kept: yes"), "{files:#?}");
        assert!(files["acorn/objects/configmap/canary.yaml"].contains("note: kept"), "{files:#?}");
        let deployment = &files["acorn/objects/deployment/canary.yaml"];
        assert!(deployment.contains("debug") && deployment.contains("postgres://***@h:5432/d"), "{deployment}");
    })
    .await;
}
