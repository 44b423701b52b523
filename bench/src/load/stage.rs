//! Who visits, and what is on sale.

use std::{fs, sync::Arc};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::Method;
use serde_json::json;
use shop_e2e::{Target, purchase::Visit};

use super::Options;
use crate::http::{Connection, Request};

/// Never the reason why an order is refused.
const STOCK: u32 = 100_000_000;
/// The Shop hashes two passwords at once.
const SIGN_UPS_AT_ONCE: usize = 4;
/// Of what the products' names are made, and what is searched for.
const WORDS: [&str; 10] =
    ["Walnut", "Copper", "Linen", "Harbour", "Winter", "Teapot", "Lantern", "Blanket", "Compass", "Kettle"];

/// Something to buy.
#[derive(Debug)]
pub struct Product {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// What visitors find.
#[derive(Debug)]
pub struct Stage {
    buyers: Vec<String>,
    goods: Arc<[Product]>,
}

impl Stage {
    /// The access token of a connection's buyer; given tokens go round.
    pub fn buyer(&self, connection: usize) -> String {
        self.buyers[connection % self.buyers.len()].clone()
    }

    /// What is on sale; never empty.
    pub fn goods(&self) -> Arc<[Product]> {
        Arc::clone(&self.goods)
    }
}

/// Prepares users and products, or takes what there is.
pub async fn set(options: &Options, url: &str, connection: &Connection, say: fn(&str)) -> anyhow::Result<Stage> {
    let stage = if let Some(file) = &options.tokens {
        let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let buyers = text.split_whitespace().map(str::to_owned).collect();
        Stage { buyers, goods: on_sale(connection).await? }
    } else {
        let target = Target::from_env().context("without --tokens buyers have to be signed up")?;
        let visit = Visit::to(Target { url: url.to_owned(), ..target }, |_| {}).await?;
        say(&format!("sign up a seller with {} products", options.products));
        let goods = put_on_sale(options, &visit).await?;
        say(&format!("sign up {} buyers", options.connections));
        let buyers = stream::iter(0..options.connections).map(|_| visit.sign_up()).buffer_unordered(SIGN_UPS_AT_ONCE);
        Stage { buyers: buyers.try_collect().await?, goods }
    };
    ensure!(!stage.buyers.is_empty(), "there is no token in the file");
    ensure!(!stage.goods.is_empty(), "nothing is on sale at {url}");
    Ok(stage)
}

async fn on_sale(connection: &Connection) -> anyhow::Result<Arc<[Product]>> {
    let list = connection.json(Request::new(Method::GET, "/api/v1/products?limit=100")).await?;
    let products = list["data"].as_array().context("a list of products has no data")?.iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Ok(products.map(|product| Product { id: text(&product["id"]), name: text(&product["name"]) }).collect())
}

async fn put_on_sale(options: &Options, visit: &Visit) -> anyhow::Result<Arc<[Product]>> {
    let seller = visit.become_seller().await?;
    let mut goods = Vec::new();
    for number in 0..options.products as usize {
        let (first, second) =
            (WORDS[number % WORDS.len()], WORDS[(number / WORDS.len() + number * 3 + 1) % WORDS.len()]);
        let name = format!("{first} {second} {number}");
        let description = format!("{first} and {second}, on sale for a load test.");
        let product = json!({"name": name, "description": description, "price": 9.95, "status": "active"});
        let id = visit.shop.create_product(&seller, product).await?.ok()?.id;
        visit.shop.set_stock(&seller, &id, STOCK).await?.ok()?;
        goods.push(Product { id, name });
    }
    Ok(goods.into())
}
