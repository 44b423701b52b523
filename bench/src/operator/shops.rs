//! Shops: made by the hundred, and watched for what becomes of them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, CustomResourceExt as _, ResourceExt as _,
    api::{DynamicObject, ObjectMeta, Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::json;
use shopkeeper_operator::crd::Shop;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

/// Shops are dealt out to these in turn.
const NAMESPACES: u32 = 20;
/// Shops that are being made or changed at the same time.
const AT_ONCE: usize = 8;
const REMINDER: &str = "shopkeeper.dev/figures";
/// The API server, its controllers and the pods of a Shop share two cores with the operator.
const PATIENCE: Duration = Duration::from_mins(3);
const PATIENCE_FOR_EACH: Duration = Duration::from_secs(4);

/// What became of a Shop, and when the watch told.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    noticed: Option<Instant>,
    ready: Option<Instant>,
    generation: i64,
}

/// All Shops that there are.
pub struct Shops {
    client: Client,
    created: u32,
    reminders: u32,
    seen: watch::Receiver<BTreeMap<String, Seen>>,
    watching: JoinHandle<()>,
}

/// How soon a Shop was noticed, and how soon it was ready.
#[derive(Clone, Copy, Debug)]
pub struct Welcome {
    /// From the request that makes it to the first status.
    pub noticed: Duration,
    /// From the same request to Ready.
    pub ready: Duration,
}

impl Shops {
    /// Makes their namespaces, and no Shop yet.
    pub async fn new(client: Client) -> anyhow::Result<Self> {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        for number in 0..NAMESPACES {
            let metadata = ObjectMeta { name: Some(namespace(number)), ..ObjectMeta::default() };
            let namespace = Namespace { metadata, ..Namespace::default() };
            namespaces.create(&PostParams::default(), &namespace).await?;
        }
        let (sender, seen) = watch::channel(BTreeMap::new());
        let watching = tokio::spawn(note_all(client.clone(), sender));
        Ok(Self { client, created: 0, reminders: 0, seen, watching })
    }

    /// Makes as many as are missing to `count`.
    pub async fn grow_to(&mut self, count: u32) -> anyhow::Result<()> {
        let client = &self.client;
        let missing = stream::iter(self.created..count).map(anyhow::Ok);
        missing.try_for_each_concurrent(AT_ONCE, |number| create(client, number)).await?;
        self.created = self.created.max(count);
        Ok(())
    }

    /// Waits until all are ready.
    pub async fn until_ready(&mut self) -> anyhow::Result<()> {
        let count = self.created;
        let ready = |seen: &BTreeMap<String, Seen>| seen.values().filter(|shop| shop.ready.is_some()).count();
        let all = usize::try_from(count)?;
        let waited = timeout(PATIENCE + PATIENCE_FOR_EACH * count, self.seen.wait_for(|seen| ready(seen) >= all)).await;
        let waited = waited.map(|outcome| outcome.map(drop));
        waited.with_context(|| format!("{} of {count} Shops became ready in time", ready(&self.seen.borrow())))??;
        Ok(())
    }

    /// Makes one more and waits until it is ready.
    pub async fn welcome(&mut self) -> anyhow::Result<Welcome> {
        let (number, asked) = (self.created, Instant::now());
        self.grow_to(number + 1).await?;
        self.until_ready().await?;
        let seen = self.seen.borrow().get(&name(number)).copied().unwrap_or_default();
        let since = |then: Option<Instant>| then.map(|then| then - asked).context("a Shop that is ready was not seen");
        Ok(Welcome { noticed: since(seen.noticed)?, ready: since(seen.ready)? })
    }

    /// Changes what no object shows of the first Shop, and waits until its status is about that change.
    pub async fn touch(&mut self, protected: bool) -> anyhow::Result<()> {
        let shops: Api<Shop> = Api::namespaced(self.client.clone(), &namespace(0));
        let change = Patch::Merge(json!({"spec": {"lifecycle": {"deletionProtection": protected}}}));
        let wanted = shops.patch(&name(0), &PatchParams::default(), &change).await?.metadata.generation;
        let done = |seen: &BTreeMap<String, Seen>| seen.get(&name(0)).map(|shop| shop.generation) >= wanted;
        timeout(PATIENCE, self.seen.wait_for(done)).await.context("a changed Shop was not looked at")??;
        Ok(())
    }

    /// Gives every Shop an annotation that means nothing, so that the operator looks at it.
    pub async fn remind_all(&mut self) -> anyhow::Result<()> {
        self.reminders += 1;
        let annotation = json!({REMINDER: self.reminders.to_string()});
        let (client, change) = (&self.client, &Patch::Merge(json!({"metadata": {"annotations": annotation}})));
        let remind = |number| async move {
            let shops: Api<Shop> = Api::namespaced(client.clone(), &namespace(number));
            shops.patch_metadata(&name(number), &PatchParams::default(), change).await?;
            Ok(())
        };
        stream::iter(0..self.created).map(anyhow::Ok).try_for_each_concurrent(AT_ONCE, remind).await
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.created
    }
}

impl Drop for Shops {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// The namespace of a Shop.
pub fn namespace(number: u32) -> String {
    format!("figures-{}", number % NAMESPACES)
}

fn name(number: u32) -> String {
    format!("shop-{number}")
}

/// A Shop as `examples/shop.yaml` has it, with a host: only one Shop can have the route of every host.
async fn create(client: &Client, number: u32) -> anyhow::Result<()> {
    let kind = Shop::api_resource();
    let mut shop = DynamicObject::new(&name(number), &kind);
    shop.data = json!({"spec": {"host": format!("{}.example.com", name(number))}});
    let shops: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace(number), &kind);
    shops.create(&PostParams::default(), &shop).await.with_context(|| format!("Shop {number}"))?;
    Ok(())
}

/// Notes what becomes of Shops, until nobody wants to know any more.
async fn note_all(client: Client, notes: watch::Sender<BTreeMap<String, Seen>>) {
    let shops = watcher(Api::<Shop>::all(client), watcher::Config::default()).default_backoff().applied_objects();
    shops
        .for_each(|shop| {
            // An error is one of the watch, which begins anew.
            if let Ok(shop) = shop {
                notes.send_modify(|seen| note(seen.entry(shop.name_any()).or_default(), &shop));
            }
            std::future::ready(())
        })
        .await;
}

fn note(seen: &mut Seen, shop: &Shop) {
    let Some(status) = &shop.status else { return };
    let ready = status.conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let now = Instant::now();
    seen.noticed.get_or_insert(now);
    if ready {
        seen.ready.get_or_insert(now);
    }
    seen.generation = status.observed_generation.unwrap_or_default();
}
