//! The main job of a shop, step by step.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Method, StatusCode};
use serde::de::IgnoredAny;
use serde_json::json;
use uuid::Uuid;

use crate::{
    Seen, Target,
    cluster::Cluster,
    mail,
    shop::{Call, Checkout, Credentials, LONDON, Order, Shop},
    wait_for,
};

/// A path of each service that a purchase meets at the ingress.
const ROUTES: [&str; 4] = ["/api/v1/users/me", "/api/v1/products", "/api/v1/cart/", "/api/v1/orders/"];
const ROUTE_PATIENCE: Duration = Duration::from_secs(30);
const STOCK: u32 = 1_000;
const PATIENCE: Duration = Duration::from_mins(2);
/// Where a purchase ends.
pub const DELIVERED: &str = "DELIVERED";
const CANCELED: &str = "CANCELED";

/// Somebody at a Shop, with a look behind its counter.
pub struct Visit {
    /// Its HTTP API.
    pub shop: Shop,
    /// Its objects in the cluster.
    pub cluster: Cluster,
    /// Told of each step.
    pub say: fn(&str),
}

/// A seller with one product in stock.
#[derive(Clone, Debug)]
pub struct Stall {
    /// The seller's access token.
    pub seller: String,
    /// The product's id.
    pub product: String,
}

/// A finished checkout.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The buyer's access token.
    pub buyer: String,
    /// What the checkout answered.
    pub checkout: Checkout,
    /// The trace of the checkout, and of everything that follows from it.
    pub trace_id: String,
}

impl Visit {
    /// Goes to the Shop that `target` names.
    pub async fn to(target: Target, say: fn(&str)) -> anyhow::Result<Self> {
        let shop = Shop::at(&target.url, target.host.as_deref())?;
        let visit = Self { shop, cluster: Cluster::connect(target).await?, say };
        visit.routed().await?;
        Ok(visit)
    }

    /// A Shop is Ready when its route is applied; the ingress controller takes it up a moment later, and may do so service by
    /// service, as it hears of their pods. Until then it answers 404 itself.
    async fn routed(&self) -> anyhow::Result<()> {
        for path in ROUTES {
            wait_for("the ingress leads to the Shop", ROUTE_PATIENCE, async || {
                let answer = match self.shop.send::<IgnoredAny>(Call::new(Method::GET, path)).await {
                    Ok(answer) => answer.status,
                    Err(error) => return Ok(Seen::NotYet(format!("{error:#}"))),
                };
                let is_there = answer.is_success() || answer == StatusCode::UNAUTHORIZED;
                Ok(if is_there { Seen::Done(()) } else { Seen::NotYet(format!("{path}: {answer}")) })
            })
            .await?;
        }
        Ok(())
    }

    /// The whole purchase: a stall is opened, somebody else buys from it, the parcel arrives.
    pub async fn purchase(&self) -> anyhow::Result<(Receipt, Order)> {
        let stall = self.open_stall().await?;
        let buyer = self.sign_up().await?;
        let receipt = self.buy(&stall, &buyer, 2, LONDON).await?;
        let order = self.follow(&receipt, DELIVERED).await?;
        Ok((receipt, order))
    }

    /// A buyer the Shop has never seen; gives back the access token.
    pub async fn sign_up(&self) -> anyhow::Result<String> {
        let who = self.verified().await?;
        (self.say)("log in");
        self.log_in(&who).await
    }

    /// Registers a fresh address and follows the link in the mail.
    pub async fn verified(&self) -> anyhow::Result<Credentials> {
        let who = stranger();
        (self.say)(&format!("register {}", who.email));
        self.shop.register(&who).await?.ok()?;
        let link = mail::link_for(&self.cluster, &who.email).await?;
        (self.say)("follow the link in the mail");
        self.shop.verify_email(&link).await?.ok()?;
        Ok(who)
    }

    /// An access token for somebody who is registered.
    pub async fn log_in(&self, who: &Credentials) -> anyhow::Result<String> {
        Ok(self.shop.log_in(who).await?.ok()?.access_token)
    }

    /// Makes a seller, a category by the admin, and a product of the seller with stock.
    pub async fn open_stall(&self) -> anyhow::Result<Stall> {
        let seller = self.become_seller().await?;
        (self.say)("the admin creates a category");
        let admin = self.log_in(&self.cluster.admin().await?).await?;
        let category = self.shop.create_category(&admin, &unique("Teapots")).await?.ok()?.id;
        (self.say)("the seller creates a product and puts it in stock");
        let product = json!({
            "name": unique("Teapot"), "description": "Holds six cups.", "price": 19.99, "status": "active",
            "category_ids": [category],
        });
        let product = self.shop.create_product(&seller, product).await?.ok()?.id;
        self.shop.set_stock(&seller, &product, STOCK).await?.ok()?;
        Ok(Stall { seller, product })
    }

    /// A seller the Shop has never seen; gives back the access token.
    pub async fn become_seller(&self) -> anyhow::Result<String> {
        let who = self.verified().await?;
        (self.say)("log in, become a seller, log in again");
        let buyer = self.log_in(&who).await?;
        self.shop.apply_seller(&buyer).await?.ok()?;
        self.log_in(&who).await
    }

    /// Fills the buyer's cart at the stall and checks out.
    pub async fn buy(&self, stall: &Stall, buyer: &str, quantity: u32, city: &str) -> anyhow::Result<Receipt> {
        (self.say)("fill the cart and check out");
        self.shop.add_to_cart(buyer, &stall.product, quantity).await?.ok()?;
        let answer = self.shop.checkout(buyer, city).await?;
        let trace_id = answer.trace_id.clone().context("the answer to the checkout has no x-trace-id")?;
        Ok(Receipt { buyer: buyer.to_owned(), checkout: answer.ok()?, trace_id })
    }

    /// Follows the order to the state in which it is to end.
    pub async fn follow(&self, receipt: &Receipt, end: &str) -> anyhow::Result<Order> {
        let id = &receipt.checkout.order_id;
        (self.say)(&format!("follow order {id}"));
        let mut moves = 0;
        wait_for(end, PATIENCE, async || {
            let order = self.shop.order(&receipt.buyer, id).await?.ok()?;
            for moved in order.history.iter().skip(moves) {
                (self.say)(&format!("  {}", moved.status));
            }
            moves = order.history.len();
            match order.status.as_str() {
                status if status == end => Ok(Seen::Done(order)),
                status @ (DELIVERED | CANCELED) => bail!("the order ended as {status}:\n{}", self.diagnosis(&order)),
                _ => Ok(Seen::NotYet(self.diagnosis(&order))),
            }
        })
        .await
    }

    /// The order, and where to look for the reason why it does not move on.
    fn diagnosis(&self, order: &Order) -> String {
        let culprit = match order.status.as_str() {
            "CREATED" | "PENDING" => "payment",
            "PAID" | "SHIPPED" => "delivery",
            _ => "order",
        };
        let order = serde_json::to_string_pretty(order).unwrap_or_default();
        let commands = ["order", culprit].map(|component| self.cluster.log_command(component));
        format!("{order}\nlook at:\n  {}", commands.join("\n  "))
    }
}

/// Somebody the Shop has never seen.
#[must_use]
pub fn stranger() -> Credentials {
    let name = Uuid::new_v4().simple();
    Credentials { email: format!("{name}@shop.test"), password: format!("correct-{name}") }
}

fn unique(name: &str) -> String {
    format!("{name} {}", Uuid::new_v4().simple())
}

/// When the order moved, in seconds since the checkout.
#[must_use]
pub fn timeline(receipt: &Receipt, order: &Order) -> String {
    let mut text = format!("order {} over {} {}\n", order.id, order.total_amount, order.currency);
    for moved in &order.history {
        let since = moved.at.duration_since(receipt.checkout.created_at).as_secs_f64();
        let reason = moved.reason.as_deref().unwrap_or_default();
        let line = format!("  {since:>8.3} s  {:<10} {reason}", moved.status);
        text += line.trim_end();
        text.push('\n');
    }
    text
}
