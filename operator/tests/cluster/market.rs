//! People who go on buying while something happens to a Shop, and the audit of what came of it.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use shop_e2e::purchase::{DELIVERED, Stall, Visit};
use shop_e2e::shop::{Answer, Call, Credentials, LONDON};
use shop_e2e::{Seen, Target, wait_for};
use shop_faults::{Account, Witness, audit};
use shopkeeper_testing::{SHOP, Scene};
use tokio::time::{MissedTickBehavior, interval};

use crate::logins::Logins;

/// People who buy at the same time.
const BUYERS: usize = 3;
/// How often each of them buys.
const PACE: Duration = Duration::from_millis(750);
/// After so many purchases somebody logs in anew: often enough to notice when it fails, and within the limit of an account.
const PURCHASES_OF_A_LOG_IN: usize = 15;
/// More than can be sold.
const STOCK: u32 = 100_000;
/// A moment after the Shop is ready its route is known, and minutes after a purchase the parcel is there.
const PATIENCE: Duration = Duration::from_mins(2);
const CART: &str = "/api/v1/cart/";

/// A stall of the scene's Shop, and those who buy there.
pub struct Market {
    visit: Visit,
    stall: Stall,
    buyers: Vec<Buyer>,
}

/// Somebody who buys, and remembers.
struct Buyer {
    who: Credentials,
    token: String,
    account: Account,
    refusals: Vec<String>,
}

/// The host of the scene's Shop; no other Shop has it.
pub fn host(scene: &Scene) -> String {
    format!("{}.test", scene.namespace)
}

/// The spec of a Shop that has a market, with more fields.
pub fn spec(scene: &Scene, more: &Value) -> Value {
    let mut spec = json!({"host": host(scene), "lifecycle": {"dataOnDelete": "Delete"}});
    let fields = spec.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("fields").clone());
    spec
}

/// A visit to the scene's Shop.
pub async fn visit(scene: &Scene) -> Visit {
    let (namespace, shop) = (scene.namespace.clone(), SHOP.to_owned());
    let target = Target::from_env().expect("SHOP_URL: run these tests by `cargo xtask test`");
    let target = Target { host: Some(host(scene)), namespace, shop, ..target };
    Visit::to(target, |_| {}).await.expect("a route")
}

impl Market {
    /// Opens a stall, and lets the buyers sign up.
    pub async fn open(scene: &Scene) -> Self {
        let visit = visit(scene).await;
        let admin = visit.cluster.admin().await.expect("the first admin");
        routed(&visit, &admin).await.expect("a route to this Shop and no other");
        let stall = visit.open_stall().await.expect("a stall");
        let stocked = visit.shop.set_stock(&stall.seller, &stall.product, STOCK).await.expect("an answer");
        stocked.ok().expect("stock");
        let mut buyers = Vec::new();
        for _ in 0..BUYERS {
            buyers.push(Buyer::new(&visit).await.expect("a buyer"));
        }
        Self { visit, stall, buyers }
    }

    /// Lets everybody buy for as long as `change` goes on, and until what they began then is finished. Nothing may be refused.
    pub async fn during<T>(&mut self, change: impl Future<Output = T>) -> T {
        let (outcome, refusals) = self.buying(change).await;
        assert!(refusals.is_empty(), "the Shop refused:\n{}", refusals.join("\n"));
        outcome
    }

    /// The same where something may be refused.
    pub async fn during_trouble<T>(&mut self, change: impl Future<Output = T>) -> T {
        self.buying(change).await.0
    }

    /// Everybody buys once, at the same time. Gives back what was refused.
    pub async fn everybody_buys_once(&mut self) -> Vec<String> {
        self.buying(async {}).await.1
    }

    async fn buying<T>(&mut self, change: impl Future<Output = T>) -> (T, Vec<String>) {
        let before = self.bought();
        let over = Cell::new(false);
        let change = async {
            let outcome = change.await;
            over.set(true);
            outcome
        };
        let (visit, stall) = (&self.visit, &self.stall);
        let buying = self.buyers.iter_mut().map(|buyer| buyer.buy_until(&over, visit, stall));
        let (outcome, _) = tokio::join!(Box::pin(change), futures::future::join_all(buying));
        let refusals: Vec<String> = self.buyers.iter_mut().flat_map(|buyer| buyer.refusals.drain(..)).collect();
        assert!(self.bought() > before, "nothing was bought meanwhile: {refusals:?}");
        (outcome, refusals)
    }

    /// Waits until requests reach the Shop again.
    pub async fn routed(&self) {
        let admin = self.visit.cluster.admin().await.expect("the first admin");
        routed(&self.visit, &admin).await.expect("a route to this Shop and no other");
    }

    /// Everybody puts something into the cart, and leaves it there.
    pub async fn fill_carts(&self) {
        for Buyer { token, .. } in &self.buyers {
            let added = self.visit.shop.add_to_cart(token, &self.stall.product, 1).await;
            added.expect("an answer").ok().expect("a cart");
        }
    }

    /// What everybody put into the cart is there.
    pub async fn carts_are_full(&self) {
        for Buyer { token, .. } in &self.buyers {
            let cart = self.visit.shop.send::<Value>(Call::new(http::Method::GET, CART).by(token)).await;
            let cart = cart.expect("an answer").ok().expect("a cart");
            assert_eq!(cart["items"][0]["productId"], self.stall.product, "{cart}");
        }
    }

    /// How many checkouts were answered with an order.
    pub fn bought(&self) -> usize {
        self.buyers.iter().map(|buyer| buyer.account.acknowledged.len()).sum()
    }

    /// Everybody logs in anew. Gives back the tokens from before.
    pub async fn log_in(&mut self) -> Vec<String> {
        let mut before = Vec::new();
        for buyer in &mut self.buyers {
            let token = self.visit.log_in(&buyer.who).await.expect("a token");
            before.push(std::mem::replace(&mut buyer.token, token));
        }
        before
    }

    /// Waits until a token is not good any more.
    pub async fn until_unknown(&self, token: &str) {
        let unknown = wait_for("the token is refused", PATIENCE, async || {
            let status = self.visit.shop.orders(token).await?.status;
            Ok(if status.as_u16() == 401 { Seen::Done(()) } else { Seen::NotYet(status.to_string()) })
        });
        unknown.await.expect("nobody lets it in");
    }

    /// Waits until the auditor finds nothing, and everything that was bought is delivered.
    pub async fn audit(&self, scene: &Scene) {
        let product = self.stall.product.parse().expect("an id");
        let accounts = self.buyers.iter().map(|buyer| buyer.account.clone()).collect();
        let witness = Witness { accounts, stock: HashMap::from([(product, i64::from(STOCK))]) };
        let books = wait_for("books without a violation", PATIENCE, async || {
            let books = Logins::of(scene).await.read(scene).await?;
            let violations = audit(&books, &witness);
            let found: Vec<String> = violations.iter().take(20).map(ToString::to_string).collect();
            let clean = found.is_empty();
            Ok(if clean { Seen::Done(books) } else { Seen::NotYet(found.join("\n")) })
        });
        let books = books.await.expect("the audit");
        let bought = self.buyers.iter().flat_map(|buyer| &buyer.account.acknowledged);
        for id in bought {
            let order = books.orders.iter().find(|order| order.id == *id).expect("the auditor has seen it");
            assert_eq!(order.status, DELIVERED, "order {id}");
        }
    }
}

/// Another Shop on the cluster may take every host, and answers as long as the ingress controller does not know this one. Gives
/// back a token of this Shop's admin.
pub async fn routed(visit: &Visit, admin: &Credentials) -> anyhow::Result<String> {
    let token = wait_for("this Shop's admin can log in", PATIENCE, async || {
        let answer = visit.shop.log_in(admin).await?.ok();
        Ok(answer.map_or_else(|error| Seen::NotYet(error.to_string()), Seen::Done))
    });
    let token = token.await?.access_token;
    for path in ["/api/v1/orders/", CART] {
        wait_for(path, PATIENCE, async || {
            let answer = visit.shop.send::<Value>(Call::new(http::Method::GET, path).by(&token)).await?;
            Ok(if answer.status.is_success() { Seen::Done(()) } else { Seen::NotYet(answer.status.to_string()) })
        })
        .await?;
    }
    Ok(token)
}

impl Buyer {
    async fn new(visit: &Visit) -> anyhow::Result<Self> {
        let who = visit.verified().await?;
        let token = visit.log_in(&who).await?;
        let claims = token.split('.').nth(1).context("a token has three parts")?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
        let user_id = claims["sub"].as_str().context("a token has a subject")?.parse()?;
        Ok(Self { who, token, account: Account { user_id, ..Account::default() }, refusals: Vec::new() })
    }

    async fn buy_until(&mut self, over: &Cell<bool>, visit: &Visit, stall: &Stall) {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for purchase in 1.. {
            pace.tick().await;
            let stale = purchase % PURCHASES_OF_A_LOG_IN == 0;
            if let Err(error) = self.buy(stale, visit, stall).await {
                self.refusals.push(format!("{}: {error:#}", Timestamp::now()));
                // A token that was refused is not tried again.
                self.token.clear();
            }
            if over.get() {
                break;
            }
        }
    }

    async fn buy(&mut self, stale: bool, visit: &Visit, stall: &Stall) -> anyhow::Result<()> {
        if stale || self.token.is_empty() {
            self.token = visit.log_in(&self.who).await?;
        }
        visit.shop.add_to_cart(&self.token, &stall.product, 1).await?.ok()?;
        let checkout = visit.shop.checkout(&self.token, LONDON).await.and_then(Answer::ok);
        if checkout.is_err() {
            self.account.uncertain += 1;
        }
        self.account.acknowledged.push(checkout?.order_id.parse()?);
        Ok(())
    }
}
