//! The plugin in the hands of somebody who administers no cluster.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::{
    events::v1::Event,
    rbac::v1::{Role, RoleBinding},
};
use kube::config::Kubeconfig;
use serde_json::{Value, json};
use shop_e2e::{Seen, wait_for};
use shopkeeper_operator::crd::Shop;

use crate::{
    did::Did,
    scene::{File, Scene, run, with_scene},
};

/// The API server hears of rights within moments.
const PATIENCE: Duration = Duration::from_mins(1);
const NO_CLASSES: &str = "note: whether there is such an ingress class, and which one is the default, is not known";
const NO_ROUTES: &str = "note: HTTPRoutes are not considered";

/// Somebody with one role in the namespace of a test.
struct Somebody<'a> {
    scene: &'a Scene,
    kubeconfig: File,
}

impl<'a> Somebody<'a> {
    /// Gives them the role, and waits until they may look at the Shop acorn.
    async fn with(scene: &'a Scene, kind: &str, role: &str) -> Self {
        let user = format!("{role}-of-{}", scene.namespace);
        let group = "rbac.authorization.k8s.io";
        let binding = json!({
            "metadata": {"name": role}, "roleRef": {"apiGroup": group, "kind": kind, "name": role},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        });
        scene.create::<RoleBinding>(binding).await;
        let mut config = Kubeconfig::read().expect("KUBECONFIG names a cluster");
        for known in &mut config.auth_infos {
            known.auth_info.get_or_insert_default().impersonate = Some(user.clone());
        }
        let somebody = Self { scene, kubeconfig: File::with(&user, &json!(config)) };
        wait_for("the right to look", PATIENCE, async || {
            let did = somebody.run(&["status", "acorn"]);
            Ok(if did.code == 2 { Seen::NotYet(did.err) } else { Seen::Done(()) })
        })
        .await
        .expect("the role has it");
        somebody
    }

    fn run(&self, arguments: &[&str]) -> Did {
        run(&self.scene.namespace, &[arguments, &["--kubeconfig", self.kubeconfig.path()]].concat())
    }

    /// Plans a Shop.
    fn plan(&self, shop: &Value) -> Did {
        let file = File::with(&format!("plan-of-{}", self.scene.namespace), shop);
        self.run(&["plan", "-f", file.path()])
    }
}

fn wanted(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "shopkeeper.dev/v1alpha1", "kind": "Shop", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn somebody_who_edits_a_namespace_plans_what_is_in_it_and_is_told_what_is_not_known() {
    with_scene(async |scene| {
        scene.shop("acorn").await;
        let editor = Somebody::with(scene, "ClusterRole", "edit").await;
        for (name, ingress) in [("acorn", json!({})), ("beech", json!({"className": "elm"}))] {
            let did = editor.plan(&wanted(name, &json!({"host": format!("{name}.test"), "ingress": ingress})));
            did.check(1, &format!("+ create Deployment {name}-order "));
            did.check(1, &format!("+ create Ingress {name}\n"));
            did.check(1, NO_CLASSES);
            assert!(!did.out.contains(NO_ROUTES), "the chart lets them look: {}", did.out);
        }
    })
    .await;
}

#[tokio::test]
async fn somebody_whose_role_knows_no_gateway_api_plans_a_route_through_one() {
    with_scene(async |scene| {
        scene.shop("acorn").await;
        let groups = ["", "apps", "batch", "autoscaling", "policy", "networking.k8s.io", "shopkeeper.dev"];
        let rules = json!([{"apiGroups": groups, "resources": ["*"], "verbs": ["get", "list", "create", "patch"]}]);
        scene.create::<Role>(json!({"metadata": {"name": "squirrel"}, "rules": rules})).await;
        let squirrel = Somebody::with(scene, "Role", "squirrel").await;
        let spec = json!({"host": "acorn.test", "ingress": {"gateway": {"parentRefs": [{"name": "edge"}]}}});
        let did = squirrel.plan(&wanted("acorn", &spec));
        did.check(1, "+ create HTTPRoute acorn\n");
        did.check(1, NO_ROUTES);
        did.check(1, NO_CLASSES);
    })
    .await;
}

#[tokio::test]
async fn somebody_who_views_a_namespace_sees_what_the_operator_tells_of_a_shop() {
    with_scene(async |scene| {
        let Shop { metadata, .. } = scene.shop("acorn").await;
        let regarding = json!({
            "apiVersion": "shopkeeper.dev/v1alpha1", "kind": "Shop", "name": metadata.name, "uid": metadata.uid,
            "namespace": scene.namespace,
        });
        scene
            .create::<Event>(json!({
                "metadata": {"name": "acorn.1"}, "eventTime": Timestamp::now(), "type": "Normal", "reason": "Fell",
                "action": "Fall", "note": "it fell", "reportingController": "shopkeeper.dev/oak",
                "reportingInstance": "oak", "regarding": regarding,
            }))
            .await;
        let viewer = Somebody::with(scene, "ClusterRole", "view").await;
        let status = viewer.run(&["status", "acorn", "-o", "json"]).json();
        let told: Vec<&Value> =
            status["events"].as_array().expect("events").iter().map(|event| &event["message"]).collect();
        assert_eq!(told, ["it fell"], "{status}");
    })
    .await;
}
