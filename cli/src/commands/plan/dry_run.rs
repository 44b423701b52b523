//! What `kubectl apply` of a Shop would make of it: the API server is asked, and stores nothing.

use http::{Request, header::CONTENT_TYPE};
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Map, Value, json};

/// What was applied last, for tools that merge on the client's side.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The Shop as it would be: checked, and with defaults.
pub async fn apply(
    shops: &Api<DynamicObject>,
    live: Option<&DynamicObject>,
    wanted: &DynamicObject,
) -> anyhow::Result<DynamicObject> {
    let Some(live) = live else {
        return create(shops, wanted).await;
    };
    let strict = PatchParams { dry_run: true, ..PatchParams::default() }.validation_strict();
    // Whoever applied it so far is who takes fields away.
    let (params, patch) = match manager(live) {
        Some(manager) => {
            (PatchParams { field_manager: Some(manager.to_owned()), ..strict }, Patch::Apply(json!(wanted)))
        }
        None => (strict, Patch::Merge(three_way(&last_applied(live), &json!(wanted)))),
    };
    Ok(shops.patch(&live.name_any(), &params, &patch).await?)
}

/// The same of a Shop that is new. kube's own parameters cannot ask for unknown fields to be refused.
async fn create(shops: &Api<DynamicObject>, wanted: &DynamicObject) -> anyhow::Result<DynamicObject> {
    let post = Request::post(format!("{}?dryRun=All&fieldValidation=Strict", shops.resource_url()));
    let post = post.header(CONTENT_TYPE, "application/json").body(serde_json::to_vec(wanted)?)?;
    Ok(shops.clone().into_client().request(post).await?)
}

/// Who applied the Shop on the server's side.
fn manager(live: &DynamicObject) -> Option<&str> {
    let mut managers = live.managed_fields().iter();
    let applies =
        |operation: Option<&str>, subresource: Option<&str>| operation == Some("Apply") && subresource.is_none();
    let found = managers.find(|entry| applies(entry.operation.as_deref(), entry.subresource.as_deref()))?;
    found.manager.as_deref()
}

fn last_applied(live: &DynamicObject) -> Value {
    let text = live.annotations().get(LAST_APPLIED);
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// A merge patch to what is wanted, which also removes what was wanted last and no longer is.
fn three_way(last: &Value, wanted: &Value) -> Value {
    let (Some(last), Some(wanted)) = (last.as_object(), wanted.as_object()) else { return wanted.clone() };
    let gone = last.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let kept = wanted.iter().map(|(key, wanted)| {
        let patch = last.get(key).map_or_else(|| wanted.clone(), |last| three_way(last, wanted));
        (key.clone(), patch)
    });
    Value::Object(gone.chain(kept).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_left_the_file_is_removed_and_one_of_others_stays() {
        let last = json!({"spec": {"host": "a.test", "services": {"order": {"replicas": 2}, "cart": {}}}});
        let wanted = json!({"spec": {"services": {"order": {"logLevel": "debug"}}, "version": "1"}});
        let patch = json!({"spec": {
            "host": null, "version": "1", "services": {"cart": null, "order": {"replicas": null, "logLevel": "debug"}},
        }});
        assert_eq!(three_way(&last, &wanted), patch);
        assert_eq!(three_way(&Value::Null, &wanted), wanted, "nothing is known of what was applied last");
    }

    #[test]
    fn only_who_applied_the_spec_counts() {
        let entry = |manager: &str, operation: &str, subresource: Option<&str>| {
            json!({"manager": manager, "operation": operation, "subresource": subresource, "apiVersion": "v1",
                   "fieldsType": "FieldsV1", "fieldsV1": {}})
        };
        let live = |entries: Vec<Value>| -> DynamicObject {
            serde_json::from_value(json!({"metadata": {"name": "acorn", "managedFields": entries}})).unwrap()
        };
        let operator = entry("shopkeeper", "Apply", Some("status"));
        let edited = entry("kubectl-edit", "Update", None);
        assert_eq!(manager(&live(vec![operator.clone(), edited.clone()])), None);
        assert_eq!(manager(&live(vec![operator, edited, entry("argocd", "Apply", None)])), Some("argocd"));
    }
}
