//! `rotate`: new credentials for a running Shop.

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde::Serialize;
use serde_json::{Value, json};
use shopkeeper_operator::{
    crd::{LifecycleSpec, Shop},
    names,
};

use crate::{
    cluster::Cluster,
    output::{GOOD, NEW, Output, Shown, View, styled},
};

const EXAMPLES: &str = "Examples:
  kubectl shopkeeper rotate
  kubectl shopkeeper rotate demo --namespace shop";

/// Whose credentials.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Rotate {
    /// Name of the Shop. Default: the only one in the namespace.
    shop: Option<String>,
    #[command(flatten)]
    output: Output,
}

impl Rotate {
    /// Notes the wish in the Shop; the operator does the rest.
    pub async fn run(self, cluster: &Cluster) -> anyhow::Result<Shown> {
        let shop = cluster.shop(self.shop.as_deref()).await?;
        let name = shop.name_any();
        // Whole seconds are enough to tell two wishes apart, and easier to read.
        let at = Timestamp::from_second(Timestamp::now().as_second())?;
        let patch = json!({"metadata": {"annotations": {names::ROTATE_ANNOTATION: at}}});
        let patched = cluster.api::<Shop>().patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.with_context(|| format!("the Shop {name} cannot be annotated"))?;
        let LifecycleSpec { paused, hibernated, .. } = shop.spec.lifecycle;
        let wait = cluster.command(&format!("kubectl wait shop/{name}")) + " --for=condition=CredentialsSettled";
        Ok(self.output.of(Rotating { shop: name, requested_at: at, paused, hibernated, wait }))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rotating {
    shop: String,
    requested_at: Timestamp,
    paused: bool,
    hibernated: bool,
    /// The beginning of a command that waits for it.
    #[serde(skip)]
    wait: String,
}

impl View for Rotating {
    fn value(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }

    fn text(&self, _: Timestamp) -> String {
        let Self { shop, requested_at, paused, hibernated, wait } = self;
        let mut text = format!(
            "{} of {shop} at {requested_at}\n\
             The operator makes new passwords and keys beside the old ones, rolls what uses them, and then ends the old ones.\n\
             Requests go on meanwhile; RabbitMQ starts anew twice, and events wait in their outboxes. It takes about half an hour.\n\
             The first admin's password stays.\n",
            styled("Rotation requested", GOOD)
        );
        if !*hibernated && !*paused {
            text += &["Wait for its end with: ", wait, "=False && ", wait, " --timeout=1h\n"].concat();
        }
        if *hibernated {
            text += &styled("The Shop is hibernated: it starts when the Shop was woken and is Ready.\n", NEW);
        }
        if *paused {
            text += &styled("The Shop is paused: it starts when spec.lifecycle.paused is false.\n", NEW);
        }
        text
    }
}
