//! The last known facts about products that are, or lately were, in somebody's cart.

use std::{collections::HashMap, sync::LazyLock};

use jiff::Timestamp;
use redis::Script;
use serde::{Deserialize, Serialize};
use shop_core::{Fault, Money};
use tracing::Instrument as _;
use uuid::Uuid;

use super::{Store, life, span};
use crate::{domain::Product, error::Error};

static LEARN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/learn.lua")));

/// What changes together, in one event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// What the product is called.
    pub name: String,
    /// What one costs, in minor units.
    pub price_minor: i64,
    /// What it looks like.
    pub image_url: String,
}

/// News about one product. What is `None` is not told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Name, price, image.
    pub details: Option<Details>,
    /// Whether it can be bought.
    pub active: Option<bool>,
    /// Units that can be reserved.
    pub available: Option<i64>,
}

impl From<&Product> for Facts {
    fn from(product: &Product) -> Self {
        let Product { name, price, image_url, active, available } = product;
        let details = Details { name: name.clone(), price_minor: price.0, image_url: image_url.clone() };
        Self { details: Some(details), active: Some(*active), available: Some(*available) }
    }
}

/// Which products news is kept of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All of them: somebody asked for them.
    All,
    /// Those that are there already: a shop has more products than its buyers have in their carts.
    Known,
}

impl Store {
    /// Keeps `news` as it was `at` a time; what is already known from a later time stays.
    pub async fn learn(&self, news: &[(Uuid, Facts)], at: Timestamp, reach: Reach) -> Result<(), Error> {
        if news.is_empty() {
            return Ok(());
        }
        let mut learn = LEARN.prepare_invoke();
        learn.arg(at.as_microsecond()).arg(life()).arg(u8::from(reach == Reach::Known));
        for (product, facts) in news {
            let Facts { details, active, available } = facts;
            let details = details.as_ref().map(serde_json::to_string).transpose().map_err(Fault::internal)?;
            learn.key(key(*product));
            learn.arg(details.unwrap_or_default());
            learn.arg(active.map(|active| u8::from(active).to_string()).unwrap_or_default());
            learn.arg(available.map(|available| available.to_string()).unwrap_or_default());
        }
        self.run("EVALSHA learn", &learn).await
    }

    /// The last known facts of those `products` of which there are any.
    pub async fn recall(&self, products: &[Uuid]) -> Result<HashMap<Uuid, Product>, Error> {
        if products.is_empty() {
            return Ok(HashMap::new());
        }
        let mut pipe = redis::pipe();
        for product in products {
            pipe.expire(key(*product), life()).ignore();
            pipe.hmget(key(*product), &["details", "active", "available"]);
        }
        let copies: Vec<(Option<String>, Option<u8>, Option<i64>)> =
            pipe.query_async(&mut self.redis.clone()).instrument(span("HMGET catalog")).await?;
        let known = products.iter().zip(copies).filter_map(|(id, (details, active, available))| {
            // A copy that cannot be read is as good as none.
            let details: Details = serde_json::from_str(&details?).ok()?;
            let product = Product {
                name: details.name,
                price: Money(details.price_minor),
                image_url: details.image_url,
                active: active == Some(1),
                available: available.unwrap_or_default(),
            };
            Some((*id, product))
        });
        Ok(known.collect())
    }
}

fn key(product: Uuid) -> String {
    format!("cart:catalog:{product}")
}
