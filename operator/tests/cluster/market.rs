//! People who go on buying while something happens to a Shop, and the audit of what came of it.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shop_e2e::purchase::{DELIVERED, Stall, Visit};
use shop_e2e::shop::{Answer, Call, Credentials, LONDON};
use shop_e2e::{Seen, Target, wait_for};
use shop_faults::{Account, Witness, audit};
use shopkeeper_testing::{SHOP, Scene};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::logins::Logins;

/// People who buy at the same time.
const BUYERS: usize = 3;
/// How often each of them buys.
const PACE: Duration = Duration::from_millis(750);
/// After so many purchases somebody logs in anew: often enough to notice when it fails, and within the limit of an account.
const PURCHASES_OF_A_LOG_IN: usize = 15;
/// Of so many requests one may have to be made again.
const REQUESTS_OF_A_REPETITION: usize = 100;
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
    answers: Answers,
}

/// What those who buy were answered.
#[derive(Default)]
struct Answers {
    /// So many times somebody asked for something.
    requests: usize,
    /// What was answered well at the second time.
    repeated: Vec<String>,
    refused: Vec<String>,
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
    ///
    /// Who is answered 503 with the wish to come again does so once: cart waits a second for Redis, and on a machine that has
    /// much else to do Redis stalls for longer. A rollout is to lose no request, so connections that break, and answers of
    /// others than the Shop, are refusals at once.
    pub async fn during<T>(&mut self, change: impl Future<Output = T>) -> T {
        let (outcome, answers) = self.buying(change).await;
        let complaints = answers.complaints();
        assert!(complaints.is_empty(), "the Shop refused:\n{}", complaints.join("\n"));
        outcome
    }

    /// The same where something may be refused.
    pub async fn during_trouble<T>(&mut self, change: impl Future<Output = T>) -> T {
        self.buying(change).await.0
    }

    /// Everybody buys once, at the same time. Gives back what was refused, as [`Self::during`] sees it.
    pub async fn everybody_buys_once(&mut self) -> Vec<String> {
        self.buying(async {}).await.1.complaints()
    }

    /// The same where every answer counts that was not good at the first time.
    pub async fn everybody_buys_at_the_first_try(&mut self) -> Vec<String> {
        let Answers { refused, repeated, .. } = self.buying(async {}).await.1;
        [refused, repeated].concat()
    }

    async fn buying<T>(&mut self, change: impl Future<Output = T>) -> (T, Answers) {
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
        let mut answers = Answers::default();
        for buyer in &mut self.buyers {
            answers.add(std::mem::take(&mut buyer.answers));
        }
        assert!(self.bought() > before, "nothing was bought meanwhile: {:?}", answers.refused);
        (outcome, answers)
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
            let books = match Logins::of(scene).await.read(scene).await {
                Ok(books) => books,
                Err(error) => return Ok(Seen::NotYet(format!("{error:#}"))),
            };
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
        let answer = visit.shop.log_in(admin).await.and_then(Answer::ok);
        Ok(answer.map_or_else(|error| Seen::NotYet(format!("{error:#}")), Seen::Done))
    });
    let token = token.await?.access_token;
    for path in ["/api/v1/orders/", CART] {
        wait_for(path, PATIENCE, async || {
            Ok(match visit.shop.send::<Value>(Call::new(http::Method::GET, path).by(&token)).await {
                Ok(answer) if answer.status.is_success() => Seen::Done(()),
                Ok(answer) => Seen::NotYet(answer.status.to_string()),
                Err(error) => Seen::NotYet(format!("{error:#}")),
            })
        })
        .await?;
    }
    Ok(token)
}

impl Answers {
    /// Asks for something, and once more if the answer is to come again.
    async fn insist<T: DeserializeOwned>(
        &mut self,
        ask: impl AsyncFn() -> anyhow::Result<Answer<T>>,
    ) -> anyhow::Result<T> {
        self.requests += 1;
        let answer = ask().await?;
        let again = answer.retry_after.filter(|_| answer.status == StatusCode::SERVICE_UNAVAILABLE);
        match (answer.ok(), again) {
            (Err(error), Some(pause)) => {
                let first = dated(&error);
                sleep(pause).await;
                let value = ask().await?.ok()?;
                self.repeated.push(first);
                Ok(value)
            }
            (outcome, _) => outcome,
        }
    }

    fn add(&mut self, more: Self) {
        self.requests += more.requests;
        self.repeated.extend(more.repeated);
        self.refused.extend(more.refused);
    }

    /// What nobody who buys should notice: what was refused, and what was answered late if that was too often.
    fn complaints(self) -> Vec<String> {
        let allowed = (self.requests / REQUESTS_OF_A_REPETITION).max(1);
        let late = if self.repeated.len() > allowed { self.repeated } else { Vec::new() };
        [self.refused, late].concat()
    }
}

/// What went wrong just now.
fn dated(error: &anyhow::Error) -> String {
    format!("{}: {error:#}", Timestamp::now())
}

impl Buyer {
    async fn new(visit: &Visit) -> anyhow::Result<Self> {
        let who = visit.verified().await?;
        let token = visit.log_in(&who).await?;
        let claims = token.split('.').nth(1).context("a token has three parts")?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
        let user_id = claims["sub"].as_str().context("a token has a subject")?.parse()?;
        Ok(Self { who, token, account: Account { user_id, ..Account::default() }, answers: Answers::default() })
    }

    async fn buy_until(&mut self, over: &Cell<bool>, visit: &Visit, stall: &Stall) {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for purchase in 1.. {
            pace.tick().await;
            let stale = purchase % PURCHASES_OF_A_LOG_IN == 0;
            if let Err(error) = self.buy(stale, visit, stall).await {
                self.answers.refused.push(dated(&error));
                // A token that was refused is not tried again.
                self.token.clear();
            }
            if over.get() {
                break;
            }
        }
    }

    async fn buy(&mut self, stale: bool, visit: &Visit, stall: &Stall) -> anyhow::Result<()> {
        let Self { who, token, account, answers } = self;
        if stale || token.is_empty() {
            *token = answers.insist(async || visit.shop.log_in(who).await).await?.access_token;
        }
        let token = token.as_str();
        answers.insist(async || visit.shop.add_to_cart(token, &stall.product, 1).await).await?;
        let checkout = answers.insist(async || visit.shop.checkout(token, LONDON).await).await;
        if checkout.is_err() {
            account.uncertain += 1;
        }
        account.acknowledged.push(checkout?.order_id.parse()?);
        Ok(())
    }
}
