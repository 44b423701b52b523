//! The service with a provider of the test's own.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt as _};
use jiff::Timestamp;
use shop_config::Span;
use shop_core::World;
use shop_mock::Outcomes;
use shop_payment::{
    App,
    config::{Config, Provider},
    migrations,
    provider::{Capture, Charge, PaymentProvider, ProviderError, Refund},
};
use shop_proto::events::{OrderCanceled, OrderCreated};
use shop_server::Host;
use shop_testing::{Neighbours, Running, TestBroker, TestDatabase, TestWorld, eventually};
use tokio::sync::watch;
use uuid::Uuid;

/// What an order costs.
pub const TOTAL: i64 = 3998;

/// How long an answer is waited for.
const PATIENCE: Span = Span(Duration::from_millis(500));

/// A database and a broker, and the service's neighbours.
pub struct Shop {
    pub neighbours: Neighbours,
    pub broker: TestBroker,
    pub database: TestDatabase,
}

impl Shop {
    pub async fn open() -> Self {
        let (broker, database) = (TestBroker::create().await, TestDatabase::create(&migrations()).await);
        Self { neighbours: Neighbours::of(&broker).await, broker, database }
    }

    pub fn config(&self) -> Config {
        Config {
            postgres: self.database.config.clone(),
            amqp: self.broker.config.clone(),
            currency: "USD".parse().expect("a currency"),
            provider: Provider { latency: Span(Duration::ZERO), ..Provider::default() },
        }
    }

    /// Starts the service with the provider that ships with it, which misbehaves by these rules.
    pub async fn start_mock(&self, outcomes: &str) -> Running {
        let outcomes = Outcomes::try_from(outcomes.to_owned()).expect("rules");
        let provider = Provider { outcomes, patience: PATIENCE, ..self.config().provider };
        let service = Running::start::<App>(Config { provider, ..self.config() }, Host::system()).await;
        service.ready().await;
        service
    }

    /// What the books of that provider say of an order: entry and amount.
    pub async fn booked(&self, order: Uuid) -> Vec<(String, i64)> {
        let query = sqlx::query_as("SELECT entry, amount_minor FROM mock_charges WHERE reference = $1").bind(order);
        query.fetch_all(&self.database.pool).await.expect("the books")
    }

    /// Starts the service, now.
    pub async fn start(&self, provider: &Arc<CountingProvider>) -> Running {
        start(self.config(), Arc::clone(provider), Arc::new(TestWorld::new(1))).await
    }
}

/// Starts the service in a world of its own.
pub async fn start(config: Config, provider: Arc<CountingProvider>, world: Arc<dyn World>) -> Running {
    let host = Host::new(world);
    let pool = shop_db::Pool::new(&config.postgres, "payment").expect("the URL is good");
    let edge = shop_payment::wire(&config, pool, provider, &host);
    let running = Running::serve(edge, host).await;
    running.ready().await;
    running
}

/// An order that may be paid for another ten minutes.
pub fn created(order: Uuid) -> OrderCreated {
    created_until(order, Timestamp::now() + Duration::from_mins(10))
}

pub fn created_until(order: Uuid, expires_at: Timestamp) -> OrderCreated {
    OrderCreated {
        order_id: order.to_string(),
        user_id: Uuid::new_v4().to_string(),
        total_minor: TOTAL,
        currency: "USD".to_owned(),
        lines: Vec::new(),
        expires_at: expires_at.to_string(),
    }
}

pub fn canceled(order: Uuid) -> OrderCanceled {
    let reason = "canceled_by_user".to_owned();
    OrderCanceled { order_id: order.to_string(), user_id: Uuid::new_v4().to_string(), reason }
}

/// A provider that approves everything, remembers every key, and can be made to keep its answers to itself.
pub struct CountingProvider {
    books: Mutex<Books>,
    captures: watch::Sender<bool>,
    refunds: watch::Sender<bool>,
    captures_to_fail: AtomicUsize,
    refunds_to_fail: AtomicUsize,
}

#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Whether the money of a key is still here.
    pub taken: HashMap<Uuid, bool>,
    /// Captures that took money.
    pub charges: usize,
    /// Refunds that gave money back.
    pub refunds: usize,
    /// Calls that got no answer.
    pub failures: usize,
    /// Captures that wait for their answer.
    pub waiting: usize,
}

impl CountingProvider {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            books: Mutex::default(),
            captures: watch::Sender::new(true),
            refunds: watch::Sender::new(true),
            captures_to_fail: AtomicUsize::new(0),
            refunds_to_fail: AtomicUsize::new(0),
        })
    }

    /// From now on captures count, but nobody hears of it.
    pub fn hold_answers(&self) {
        self.captures.send_replace(false);
    }

    pub fn answer(&self) {
        self.captures.send_replace(true);
    }

    /// The same of refunds.
    pub fn hold_refunds(&self) {
        self.refunds.send_replace(false);
    }

    pub fn answer_refunds(&self) {
        self.refunds.send_replace(true);
    }

    /// So many calls that follow get no answer, and do nothing.
    pub fn fail(&self, captures: usize, refunds: usize) {
        self.captures_to_fail.store(captures, Ordering::SeqCst);
        self.refunds_to_fail.store(refunds, Ordering::SeqCst);
    }

    fn entries(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("nobody panics while writing")
    }

    pub fn books(&self) -> Books {
        self.entries().clone()
    }

    /// Waits until `count` captures are under way at once.
    pub async fn waiting(&self, count: usize) {
        self.until("captures are under way", |books| books.waiting == count).await;
    }

    /// Waits until the books are as they should be.
    pub async fn until(&self, what: &str, right: impl Fn(&Books) -> bool) {
        eventually(what, || async {
            let books = self.books();
            if right(&books) { Ok(()) } else { Err(format!("{books:?}")) }
        })
        .await;
    }

    fn fails(&self, left: &AtomicUsize) -> Result<(), ProviderError> {
        if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err() {
            return Ok(());
        }
        self.entries().failures += 1;
        Err(ProviderError("connection reset".into()))
    }
}

impl PaymentProvider for CountingProvider {
    fn capture<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, Result<Capture, ProviderError>> {
        async move {
            self.fails(&self.captures_to_fail)?;
            {
                let mut books = self.entries();
                books.waiting += 1;
                if books.taken.insert(charge.key, true).is_none() {
                    books.charges += 1;
                }
            }
            self.captures.subscribe().wait_for(|open| *open).await.expect("the sender is ours");
            self.entries().waiting -= 1;
            Ok(Capture::Taken)
        }
        .boxed()
    }

    fn refund(&self, key: Uuid) -> BoxFuture<'_, Result<Refund, ProviderError>> {
        async move {
            self.fails(&self.refunds_to_fail)?;
            let taken = {
                let mut books = self.entries();
                let taken = books.taken.insert(key, false);
                books.refunds += usize::from(taken == Some(true));
                taken
            };
            self.refunds.subscribe().wait_for(|open| *open).await.expect("the sender is ours");
            Ok(if taken.is_some() { Refund::GivenBack } else { Refund::Nothing })
        }
        .boxed()
    }
}
