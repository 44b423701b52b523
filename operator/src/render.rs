//! Every object of a Shop as YAML, without a cluster: what `shopkeeper-operator render` prints and golden files hold.

use std::marker::PhantomData;

use k8s_openapi::api::core::v1::Secret;
use kube::{CustomResourceExt, ResourceExt};
use serde::Serialize;

use crate::build::build;
use crate::crd::Shop;
use crate::credentials::Credentials;
use crate::objects::Objects;
use crate::observe::Child;
use crate::settings::Settings;
use crate::stores::Found;
use crate::validate::{Invalid, validate};

/// One object.
pub struct Rendered {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its YAML.
    pub yaml: String,
}

/// Why a Shop could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Shop is not valid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// An object has no YAML form.
    #[error("writing YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
    /// The text is no Shop.
    #[error("reading the Shop: {0}")]
    Parse(#[from] serde_saphyr::Error),
}

/// Reads a Shop from YAML, with what only an API server gives it filled in.
pub fn parse(yaml: &str) -> Result<Shop, Error> {
    let mut shop: Shop = serde_saphyr::from_str(yaml)?;
    shop.metadata.namespace.get_or_insert_with(|| "default".to_owned());
    shop.metadata.uid.get_or_insert_with(|| "00000000-0000-0000-0000-000000000000".to_owned());
    Ok(shop)
}

/// Renders everything that would be applied for a Shop, with dummy credentials.
pub fn render(shop: &Shop, settings: &Settings) -> Result<Vec<Rendered>, Error> {
    let valid =
        validate(shop, &Vec::<std::sync::Arc<Shop>>::new(), settings, Credentials::dummy(), &Found::dummy(shop))?;
    let Objects {
        service_accounts,
        secrets,
        config_maps,
        services,
        stateful_sets,
        postgres_clusters,
        rabbitmq_clusters,
        jobs,
        deployments,
        horizontal_pod_autoscalers,
        pod_disruption_budgets,
        network_policies,
        ingresses,
        http_routes,
        stage: PhantomData,
    } = build(&valid);
    let mut rendered = Vec::new();
    add(&mut rendered, &service_accounts)?;
    add(&mut rendered, &secrets.iter().map(readable).collect::<Vec<_>>())?;
    add(&mut rendered, &config_maps)?;
    add(&mut rendered, &services)?;
    add(&mut rendered, &stateful_sets)?;
    add(&mut rendered, &postgres_clusters)?;
    add(&mut rendered, &rabbitmq_clusters)?;
    add(&mut rendered, &jobs)?;
    add(&mut rendered, &deployments)?;
    add(&mut rendered, &horizontal_pod_autoscalers)?;
    add(&mut rendered, &pod_disruption_budgets)?;
    add(&mut rendered, &network_policies)?;
    add(&mut rendered, &ingresses)?;
    add(&mut rendered, &http_routes)?;
    Ok(rendered)
}

fn add<K: Child>(rendered: &mut Vec<Rendered>, objects: &[K]) -> Result<(), Error> {
    for object in objects {
        let (kind, name) = (K::kind(&()).into_owned(), object.name_any());
        rendered.push(Rendered { kind, name, yaml: yaml(object)? });
    }
    Ok(())
}

/// A Secret as a person writes it: values as text. They are dummies.
fn readable(secret: &Secret) -> Secret {
    let data = secret.data.iter().flatten();
    let text = data.map(|(key, value)| (key.clone(), String::from_utf8_lossy(&value.0).into_owned()));
    Secret { string_data: Some(text.collect()), data: None, ..secret.clone() }
}

/// The `CustomResourceDefinition` as it is kept in `crds/`.
pub fn crd() -> Result<String, serde_saphyr::ser::Error> {
    const HEADER: &str = "# Generated from operator/src/crd.rs: `UPDATE_GENERATED=1 cargo test --workspace --target x86_64-unknown-linux-musl --test pure` rewrites it.\n";
    Ok(format!("{HEADER}{}", yaml(&Shop::crd())?))
}

/// The same as a template of the chart shopkeeper-crds, which leaves it when it is uninstalled: deleting it would delete
/// every Shop.
pub fn crd_template() -> Result<String, serde_saphyr::ser::Error> {
    let keep = "metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n";
    Ok(crd()?.replacen("metadata:\n", keep, 1))
}

/// YAML of anything, with keys in a fixed order.
pub fn yaml(value: &impl Serialize) -> Result<String, serde_saphyr::ser::Error> {
    serde_saphyr::to_string(value)
}
