//! The plugin without a cluster: what it says where there is none, to an API server that refuses, and on a terminal.

mod api;
#[path = "../did/mod.rs"]
mod did;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    api::{Answer, Api, refusal},
    did::Did,
};

const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-shopkeeper");
const SHOPS: &str = "/apis/shopkeeper.dev/v1alpha1/namespaces/oak/shops";
const ACORN: &str = "/apis/shopkeeper.dev/v1alpha1/namespaces/oak/shops/acorn";
const COMMANDS: [&str; 8] = ["status", "plan", "trace", "dlq", "rotate", "hibernate", "wake", "report"];

/// Where nobody listens: whoever asks for a free port gets none of the privileged ones.
const NOBODY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 1);
/// Kubeconfigs so far: two tests may name the same server.
static KUBECONFIGS: AtomicUsize = AtomicUsize::new(0);

/// A kubeconfig that is gone when the test is.
struct Kubeconfig(PathBuf);

impl Kubeconfig {
    fn of(server: SocketAddr) -> Self {
        let number = KUBECONFIGS.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("kubeconfig-{}-{number}", std::process::id()));
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "viewer", "namespace": "oak"}}],
            "clusters": [{"name": "here", "cluster": {"server": format!("http://{server}")}}],
            "users": [{"name": "viewer", "user": {}}],
        });
        fs::write(&path, config.to_string()).expect("a file");
        Self(path)
    }

    /// Runs the plugin with it.
    fn run(&self, arguments: &[&str]) -> Did {
        run(&[arguments, &["--kubeconfig", self.path()]].concat())
    }

    /// Runs the plugin on a terminal.
    fn run_on_terminal(&self, arguments: &str, variables: &[(&str, &str)]) -> Did {
        let line = format!("'{PLUGIN}' {arguments} --kubeconfig '{}'", self.path());
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).stdin(std::process::Stdio::null());
        // The last one makes of any terminal one that shows colours, as logs of continuous integration do.
        for colour in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
            script.env_remove(colour);
        }
        let output = script.env("TERM", "xterm").envs(variables.iter().copied()).output();
        output.expect("util-linux has `script`").into()
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a plain path")
    }
}

impl Drop for Kubeconfig {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn run(arguments: &[&str]) -> Did {
    Command::new(PLUGIN).args(arguments).output().expect("the plugin starts").into()
}

fn missing_right() -> Answer {
    let message = "things is forbidden: User \"viewer\" cannot list resource \"things\" in the namespace \"oak\"";
    refusal(403, "Forbidden", message)
}

/// A cluster in which one may see one Shop, and nothing else.
fn one_shop() -> Api {
    let shop = json!({
        "apiVersion": "shopkeeper.dev/v1alpha1", "kind": "Shop", "spec": {},
        "metadata": {"name": "acorn", "namespace": "oak", "generation": 1},
    });
    Api::answering(vec![(ACORN, (200, shop))], missing_right())
}

#[test]
fn every_command_helps_with_examples_and_knows_its_formats() {
    for command in COMMANDS {
        let help = run(&[command, "-h"]);
        help.check(0, "Examples:");
        help.check(0, "--namespace");
        help.check(0, "[possible values: table, json, yaml]");
        run(&[command, "-o", "xml"]).check(2, "[possible values: table, json, yaml]");
    }
}

#[test]
fn a_kubeconfig_that_is_not_there_and_a_context_that_is_not_in_it_are_named() {
    run(&["status", "--kubeconfig", "/no/such/file"]).check(2, "/no/such/file");
    let kubeconfig = Kubeconfig::of(NOBODY.into());
    let did = kubeconfig.run(&["status", "--context", "elsewhere"]);
    did.check(2, "there is no usable kubeconfig");
    did.check(2, "elsewhere");
}

#[test]
fn a_cluster_that_does_not_answer_is_named_with_its_address() {
    let address = SocketAddr::from(NOBODY);
    let kubeconfig = Kubeconfig::of(address);
    for arguments in [&["status"][..], &["status", "acorn"], &["dlq", "ls"], &["report"], &["rotate"]] {
        let did = kubeconfig.run(arguments);
        did.check(2, &format!("Shops cannot be read from http://{address}"));
        did.check(2, "Connection refused");
        did.check(2, "is the cluster running");
    }
}

#[test]
fn a_missing_right_is_told_once_and_with_its_verb() {
    let api = Api::answering(Vec::new(), missing_right());
    let did = Kubeconfig::of(api.address).run(&["status"]);
    did.check(2, "cannot list resource");
    did.check(2, "ask for this right");
    assert_eq!(did.err.matches("forbidden").count(), 1, "{}", did.err);
}

#[test]
fn a_cluster_that_knows_no_shops_is_told_from_one_that_has_none() {
    let api = Api::answering(Vec::new(), (404, json!("404 page not found")));
    for arguments in [&["status"][..], &["status", "acorn"]] {
        Kubeconfig::of(api.address).run(arguments).check(2, "is the chart shopkeeper-crds installed there?");
    }
    let none = json!({"apiVersion": "shopkeeper.dev/v1alpha1", "kind": "ShopList", "metadata": {}, "items": []});
    let empty = Api::answering(vec![(SHOPS, (200, none))], missing_right());
    let did = Kubeconfig::of(empty.address).run(&["status"]);
    did.check(2, "there is no Shop in the namespace oak");
    assert!(!did.err.contains("chart"), "{}", did.err);
}

#[test]
fn what_one_may_not_see_of_a_shop_is_a_note_in_json_and_yaml_too() {
    let api = one_shop();
    let kubeconfig = Kubeconfig::of(api.address);
    let (json, yaml) =
        (kubeconfig.run(&["status", "acorn", "-o", "json"]), kubeconfig.run(&["status", "acorn", "-oyaml"]));
    assert_eq!((json.code, yaml.code), (1, 1), "the Shop is not Ready: {}", json.err);
    let status = json.json();
    assert_eq!(status, yaml.yaml());
    assert_eq!(status["name"], "acorn");
    let notes: Vec<&str> = status["notes"].as_array().expect("notes").iter().filter_map(Value::as_str).collect();
    for what in ["images", "restarts", "volumes", "events", "certificates"] {
        let told = |note: &&str| note.starts_with(what) && note.contains("cannot list resource");
        assert!(notes.iter().any(told), "{what}: {notes:?}");
    }
}

#[test]
fn an_event_and_a_volume_without_labels_are_seen_with_the_rights_that_kubernetes_own_roles_give() {
    let shop = json!({
        "apiVersion": "shopkeeper.dev/v1alpha1", "kind": "Shop", "metadata": {"name": "acorn", "namespace": "oak"},
        "spec": {}, "status": {"phase": "Ready", "stores": [
            {"name": "redis", "mode": "Embedded", "ready": true}, {"name": "mongodb", "mode": "External", "ready": true},
        ]},
    });
    // Of this group, and not of events.k8s.io, roles to view and edit know.
    let event = json!({
        "metadata": {"name": "a"}, "involvedObject": {"kind": "Shop", "name": "acorn"}, "type": "Warning", "reason": "Dry",
        "message": "it has not rained", "lastTimestamp": "2026-01-01T00:00:00Z",
    });
    let other = json!({"metadata": {"name": "b"}, "involvedObject": {"kind": "Shop", "name": "beech"}});
    let events = json!({"apiVersion": "v1", "kind": "EventList", "metadata": {}, "items": [event, other]});
    let claim = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "status": {"capacity": {"storage": "1Gi"}},
        })
    };
    let of_store = |store: &str| (200, claim(&format!("data-acorn-{store}-0")));
    let api = Api::answering(
        vec![
            (ACORN, (200, shop)),
            ("/api/v1/namespaces/oak/events", (200, events)),
            ("/api/v1/namespaces/oak/persistentvolumeclaims/data-acorn-redis-0", of_store("redis")),
            ("/api/v1/namespaces/oak/persistentvolumeclaims/data-acorn-mongodb-0", of_store("mongodb")),
        ],
        refusal(404, "NotFound", "nothing of this name is there"),
    );
    let status = Kubeconfig::of(api.address).run(&["status", "acorn", "-o", "json"]).json();
    let seen = json!([{
        "at": "2026-01-01T00:00:00Z", "kind": "Warning", "reason": "Dry", "object": "Shop acorn",
        "message": "it has not rained",
    }]);
    assert_eq!(status["events"], seen);
    assert_eq!(status["stores"][0]["volume"], "1Gi");
    assert_eq!(status["stores"][1]["volume"], Value::Null, "the volume is not one of a store that somebody else runs");
}

#[test]
fn commands_to_type_next_lead_to_the_same_cluster_and_namespace() {
    let api = one_shop();
    let kubeconfig = Kubeconfig::of(api.address);
    let same = format!("-n oak --context here --kubeconfig {}", kubeconfig.path());
    let told = |command: &str| kubeconfig.run(&[command, "acorn", "--context", "here"]);
    let look = format!("kubectl shopkeeper status acorn {same}");
    let hibernate = told("hibernate");
    hibernate.check(0, "");
    assert_eq!(hibernate.out, format!("acorn was told to hibernate; follow it with: {look}\n"));
    let wait = format!("kubectl wait shop/acorn {same} --for=condition=CredentialsSettled");
    told("rotate").check(0, &format!("\nWait for its end with: {wait}=False && {wait} --timeout=1h\n"));
}

#[test]
fn of_a_paused_shop_is_told_that_it_does_not_go_to_sleep() {
    let shop = json!({
        "apiVersion": "shopkeeper.dev/v1alpha1", "kind": "Shop", "metadata": {"name": "acorn", "namespace": "oak"},
        "spec": {"lifecycle": {"paused": true}},
    });
    let api = Api::answering(vec![(ACORN, (200, shop))], missing_right());
    let kubeconfig = Kubeconfig::of(api.address);
    let paused = "The Shop is paused: nothing happens until spec.lifecycle.paused is false.\n";
    kubeconfig.run(&["hibernate", "acorn"]).check(0, paused);
    kubeconfig.run(&["wake", "acorn"]).check(0, paused);
    let json = kubeconfig.run(&["hibernate", "acorn", "-o", "json"]).json();
    assert_eq!(json, json!({"shop": "acorn", "hibernated": true, "changed": true, "waited": false, "paused": true}));
}

/// A cluster with a Shop whose services know a broker of somebody else by this host.
fn with_broker(host: &str, mut known: Vec<(&'static str, Answer)>) -> Api {
    let shop = json!({
        "apiVersion": "shopkeeper.dev/v1alpha1", "kind": "Shop", "metadata": {"name": "acorn", "namespace": "oak"},
        "spec": {"rabbitmq": {"external": {"secretName": "broker"}}},
    });
    let url = STANDARD.encode(format!("amqp://squirrel:hunter2@{host}/%2F"));
    let secret = json!({"metadata": {"name": "acorn-product"}, "data": {"SHOP_AMQP__URL": url}});
    known.extend([(ACORN, (200, shop)), ("/api/v1/namespaces/oak/secrets/acorn-product", (200, secret))]);
    Api::answering(known, refusal(404, "NotFound", "nothing of this name is there"))
}

#[test]
fn a_broker_that_is_no_service_of_the_cluster_is_asked_where_its_address_says() {
    let address = SocketAddr::from(NOBODY);
    let api = with_broker(&address.to_string(), Vec::new());
    let did = Kubeconfig::of(api.address).run(&["dlq", "show", "product", "--shop", "acorn"]);
    did.check(2, &format!("RabbitMQ at {address}, asked from here and not through the cluster, as product"));
    did.check(2, "Connection refused");
    assert!(!did.err.contains("hunter2"), "{}", did.err);
}

#[test]
fn a_broker_behind_a_service_that_no_port_can_be_forwarded_to_is_told_with_what_to_do_instead() {
    let service = |spec: Value| {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "broker"}, "spec": spec});
        ("/api/v1/namespaces/elm/services/broker", (200, service))
    };
    let none = json!({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": []});
    let no_pods = ("/api/v1/namespaces/elm/pods", (200, none));
    let selects = json!({"selector": {"app": "broker"}, "ports": [{"port": 5672}]});
    for (known, told) in [
        (
            vec![service(json!({"type": "ExternalName", "externalName": "mq.test"}))],
            "the Service elm/broker selects no pods to which a port could be forwarded: use the tools of that broker",
        ),
        (vec![service(selects), no_pods], "no pod of the Service elm/broker is running"),
    ] {
        let api = with_broker("broker.elm.svc:5672", known);
        Kubeconfig::of(api.address).run(&["dlq", "ls", "--shop", "acorn"]).check(2, told);
    }
}

#[test]
fn colours_are_for_terminals_of_people_who_want_them() {
    let api = one_shop();
    let kubeconfig = Kubeconfig::of(api.address);
    let title = "\u{1b}[1moak/acorn\u{1b}[0m";
    kubeconfig.run_on_terminal("status acorn", &[]).check(1, title);
    for plain in [
        kubeconfig.run(&["status", "acorn"]),
        kubeconfig.run_on_terminal("status acorn", &[("NO_COLOR", "1")]),
        kubeconfig.run_on_terminal("status acorn", &[("TERM", "dumb")]),
        kubeconfig.run_on_terminal("status acorn -o json", &[]),
    ] {
        plain.check(1, "acorn");
        assert!(!plain.out.contains('\u{1b}'), "{:?}", plain.out);
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let api = one_shop();
    let kubeconfig = Kubeconfig::of(api.address);
    let line = format!("'{PLUGIN}' status acorn --kubeconfig '{}' | true", kubeconfig.path());
    let output = Command::new("sh").args(["-c", &line]).output().expect("a shell");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
