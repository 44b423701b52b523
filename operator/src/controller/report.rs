//! IO: what the operator tells of a Shop, in its status and as events.

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};

use super::{Context, Error, renewal};
use crate::crd::{RolledBack, Shop, ShopStatus};
use crate::names;
use crate::status::{self, Blocked, News};

/// Says that the Shop is not applied, and why. Its certificates are looked after meanwhile.
pub(super) async fn tell_blocked(context: &Context, shop: &Shop, why: &Blocked<'_>) -> Result<(), Error> {
    let now = Timestamp::now();
    let renewed = renewal::renew(context, shop, now).await;
    // What is in the way is more important than that this did not work; the conditions say what was known.
    let renewed = renewed.inspect_err(|error| tracing::warn!(error.cause = %error, "certificates were not renewed"));
    let worries = renewed.ok().and_then(|renewed| renewed.worries);
    let status = status::blocked(shop.status.as_ref(), shop.metadata.generation, why, worries.as_deref(), now);
    tell(context, shop, &status).await
}

/// Says of a new Shop that it was seen: making what it consists of takes a while. What fails here fails again where it counts.
pub(super) async fn greet(context: &Context, shop: &Shop, now: Timestamp) {
    if shop.status.as_ref().is_some_and(ShopStatus::is_seen) {
        return;
    }
    // A Shop that is no longer as it was read may have been told more by now.
    let unchanged = json!({"op": "test", "path": "/metadata/resourceVersion", "value": shop.resource_version()});
    let begun = status::begun(shop.metadata.generation, now);
    if let Err(error) = patch_status(&context.client, shop, &unchanged, &begun).await {
        tracing::debug!(%error, "a new Shop was not greeted");
    }
}

/// Notes a failed attempt before older images run in its place: afterwards nothing on the cluster would tell of it, and it would be
/// made again.
pub(super) async fn record_return(context: &Context, shop: &Shop, returned: Option<&RolledBack>) -> Result<(), Error> {
    let known = shop.status.clone().unwrap_or_default();
    if returned.is_none() || known.rolled_back.as_ref() == returned {
        return Ok(());
    }
    write_status(&context.client, shop, &ShopStatus { rolled_back: returned.cloned(), ..known }).await
}

/// Writes the status if it says anything new, and an event if it is a turn in the Shop's life.
pub(super) async fn tell(context: &Context, shop: &Shop, status: &ShopStatus) -> Result<(), Error> {
    if shop.status.as_ref() == Some(status) {
        return Ok(());
    }
    let mut all = status::canary_news(shop.status.as_ref(), status);
    all.extend(status::news(shop.status.as_ref(), status));
    write_status(&context.client, shop, status).await?;
    for news in all {
        publish(context, shop, news).await;
    }
    Ok(())
}

async fn publish(context: &Context, shop: &Shop, news: News) {
    let event = Event {
        type_: if news.warning { EventType::Warning } else { EventType::Normal },
        reason: news.reason,
        // The API server takes a kilobyte.
        note: Some(news.message.chars().take(250).collect()),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    if let Err(error) = context.recorder.publish(&event, &shop.object_ref(&())).await {
        tracing::warn!(error.cause = %error, "an event was not recorded; the status says the same");
    }
}

/// Writes the status of this Shop, and not of another one that has its name by now.
async fn write_status(client: &Client, shop: &Shop, status: &ShopStatus) -> Result<(), Error> {
    let same = json!({"op": "test", "path": "/metadata/uid", "value": shop.uid()});
    let Err(refusal) = patch_status(client, shop, &same, status).await else { return Ok(()) };
    // Deleted in the meantime: there is nobody left to tell.
    let found = shops(client, shop).get_metadata_opt(&shop.name_any()).await.map_err(Error::Status)?;
    if found.is_some_and(|found| found.uid() == shop.uid()) { Err(Error::Status(refusal)) } else { Ok(()) }
}

/// An applied or merged status may say whose it is, and the API server does not look at it: `test` it does.
async fn patch_status(client: &Client, shop: &Shop, test: &Value, status: &ShopStatus) -> kube::Result<()> {
    let patch = serde_json::from_value(json!([test, {"op": "add", "path": "/status", "value": status}]));
    let patch = Patch::Json::<()>(patch.map_err(kube::Error::SerdeError)?);
    let params = PatchParams { field_manager: Some(names::MANAGER.to_owned()), ..PatchParams::default() };
    shops(client, shop).patch_status(&shop.name_any(), &params, &patch).await.map(drop)
}

fn shops(client: &Client, shop: &Shop) -> Api<Shop> {
    Api::namespaced(client.clone(), &shop.namespace().unwrap_or_default())
}
