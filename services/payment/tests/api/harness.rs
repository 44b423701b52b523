//! The service with a provider of the test's own.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt as _};
use jiff::Timestamp;
use shop_config::Span;
use shop_core::World;
use shop_payment::{
    config::{Config, Provider},
    migrations,
    provider::{Capture, Charge, Outcomes, PaymentProvider, ProviderError, Refund},
};
use shop_proto::events::{OrderCanceled, OrderCreated};
use shop_server::Host;
use shop_testing::{Neighbours, Running, TestBroker, TestDatabase, TestWorld, eventually};
use tokio::sync::watch;
use uuid::Uuid;

/// What an order costs.
pub const TOTAL: i64 = 3998;

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
            provider: Provider { latency: Span(Duration::ZERO), outcomes: Outcomes::Approve },
        }
    }

    /// Starts the service, now.
    pub async fn start(&self, provider: &Arc<CountingProvider>) -> Running {
        start(self.config(), Arc::clone(provider), Arc::new(TestWorld::new(1))).await
    }
}

/// Starts the service in a world of its own.
pub async fn start(config: Config, provider: Arc<CountingProvider>, world: Arc<dyn World>) -> Running {
    let host = Host::new(world);
    let pool = shop_db::pool(&config.postgres, "payment").expect("the URL is good");
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
    open: watch::Sender<bool>,
    fail_next: AtomicBool,
}

#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Whether the money of a key is still here.
    taken: HashMap<Uuid, bool>,
    /// Captures that took money.
    pub charges: usize,
    /// Refunds that gave money back.
    pub refunds: usize,
    /// Captures that wait for their answer.
    pub waiting: usize,
}

impl CountingProvider {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { books: Mutex::default(), open: watch::Sender::new(true), fail_next: AtomicBool::new(false) })
    }

    /// From now on captures count, but nobody hears of it.
    pub fn hold_answers(&self) {
        self.open.send_replace(false);
    }

    pub fn answer(&self) {
        self.open.send_replace(true);
    }

    /// The next call gets no answer, and does nothing.
    pub fn fail_once(&self) {
        self.fail_next.store(true, Ordering::SeqCst);
    }

    fn entries(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("nobody panics while writing")
    }

    pub fn books(&self) -> Books {
        self.entries().clone()
    }

    /// Waits until `count` captures are under way at once.
    pub async fn waiting(&self, count: usize) {
        eventually("captures are under way", || async {
            let books = self.books();
            if books.waiting == count { Ok(()) } else { Err(format!("{books:?}")) }
        })
        .await;
    }
}

impl PaymentProvider for CountingProvider {
    fn capture<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, Result<Capture, ProviderError>> {
        async move {
            if self.fail_next.swap(false, Ordering::SeqCst) {
                return Err(ProviderError("connection reset".into()));
            }
            {
                let mut books = self.entries();
                books.waiting += 1;
                if books.taken.insert(charge.key, true).is_none() {
                    books.charges += 1;
                }
            }
            self.open.subscribe().wait_for(|open| *open).await.expect("the sender is ours");
            self.entries().waiting -= 1;
            Ok(Capture::Taken)
        }
        .boxed()
    }

    fn refund(&self, key: Uuid) -> BoxFuture<'_, Result<Refund, ProviderError>> {
        let mut books = self.entries();
        let answer = match books.taken.insert(key, false) {
            Some(true) => {
                books.refunds += 1;
                Refund::GivenBack
            }
            Some(false) => Refund::GivenBack,
            None => Refund::Nothing,
        };
        async move { Ok(answer) }.boxed()
    }
}
