//! The service with a carrier of the test's own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt as _};
use shop_config::Span;
use shop_core::World;
use shop_delivery::{
    App,
    config::{Config, Provider},
    migrations,
    provider::{DeliveryProvider, Parcel, ProviderError, Recall, Shipment, Tracking},
};
use shop_mock::Outcomes;
use shop_proto::events::{OrderCanceled, OrderPaid, ShippingAddress};
use shop_server::Host;
use shop_testing::{Neighbours, Running, TestBroker, TestDatabase, TestWorld, eventually};
use tokio::sync::watch;
use uuid::Uuid;

/// Where every order goes.
pub const CITY: &str = "London";

/// How long an answer is waited for.
const PATIENCE: Span = Span(Duration::from_millis(500));

/// A database with its clock, a broker and ids, and the service's neighbours.
pub struct Shop {
    pub neighbours: Neighbours,
    pub world: Arc<TestWorld>,
    pub broker: TestBroker,
    pub database: TestDatabase,
}

impl Shop {
    pub async fn open() -> Self {
        let (broker, database) = (TestBroker::create().await, TestDatabase::create(&migrations()).await);
        let world = Arc::new(TestWorld::new(1));
        Self { neighbours: Neighbours::of(&broker).await, world, broker, database }
    }

    pub fn config(&self) -> Config {
        Config {
            postgres: self.database.config.clone(),
            amqp: self.broker.config.clone(),
            provider: Provider { latency: Span(Duration::ZERO), ..Provider::default() },
        }
    }

    /// Starts the service with the carrier that ships with it, which misbehaves by these rules.
    pub async fn start_mock(&self, outcomes: &str) -> Running {
        let outcomes = Outcomes::try_from(outcomes.to_owned()).expect("rules");
        self.start_app(Provider { outcomes, patience: PATIENCE, ..self.config().provider }).await
    }

    /// Starts the service with that carrier; its parcels are on their way for ten weeks.
    pub async fn start_slow(&self) -> Running {
        self.start_app(Provider { latency: Span(Duration::from_hours(10 * 7 * 24)), ..Provider::default() }).await
    }

    async fn start_app(&self, provider: Provider) -> Running {
        let world: Arc<dyn World> = self.world.clone();
        let service = Running::start::<App>(Config { provider, ..self.config() }, Host::new(world)).await;
        service.ready().await;
        service
    }

    /// What the books of that carrier say of an order.
    pub async fn booked(&self, order: Uuid) -> Vec<String> {
        let query = sqlx::query_scalar("SELECT entry FROM mock_parcels WHERE reference = $1").bind(order);
        query.fetch_all(&self.database.pool).await.expect("the books")
    }

    /// Waits until they say so.
    pub async fn until_booked(&self, order: Uuid, entries: &[&str]) {
        eventually(&format!("the books say {entries:?}"), || async {
            let booked = self.booked(order).await;
            if booked == entries { Ok(()) } else { Err(format!("{booked:?}")) }
        })
        .await;
    }

    /// What the service told of an order, in the order it was heard.
    pub fn told(&self, order: Uuid) -> Vec<String> {
        let kinds = self.neighbours.seen(order).into_iter().map(|event| event.kind);
        kinds.filter(|kind| kind.starts_with("delivery.")).collect()
    }

    /// Starts the service.
    pub async fn start(&self, carrier: &Arc<CountingCarrier>) -> Running {
        let world: Arc<dyn World> = self.world.clone();
        start(self.config(), Arc::clone(carrier), world).await
    }
}

/// Starts the service in a world of its own.
pub async fn start(config: Config, carrier: Arc<CountingCarrier>, world: Arc<dyn World>) -> Running {
    let host = Host::new(world);
    let pool = shop_db::Pool::new(&config.postgres, "delivery").expect("the URL is good");
    let edge = shop_delivery::wire(&config, pool, carrier, &host);
    let running = Running::serve(edge, host).await;
    running.ready().await;
    running
}

pub fn paid(order: Uuid) -> OrderPaid {
    OrderPaid {
        order_id: order.to_string(),
        user_id: Uuid::new_v4().to_string(),
        total_minor: 3998,
        currency: "USD".to_owned(),
        shipping_address: Some(ShippingAddress {
            full_name: "Ada Tester".to_owned(),
            phone: "+442071234567".to_owned(),
            city: CITY.to_owned(),
            street: "12 St James's Square".to_owned(),
        }),
    }
}

pub fn canceled(order: Uuid) -> OrderCanceled {
    let reason = "canceled_by_user".to_owned();
    OrderCanceled { order_id: order.to_string(), user_id: Uuid::new_v4().to_string(), reason }
}

/// A carrier that takes everything, remembers every key, and can be made to keep its answers to itself.
pub struct CountingCarrier {
    takes: Duration,
    books: Mutex<Books>,
    open: watch::Sender<bool>,
}

#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Whether the parcel of a key is still out there.
    pub parcels: HashMap<Uuid, bool>,
    /// Parcels that were taken.
    pub shipments: usize,
    /// Parcels that were called back.
    pub recalls: usize,
    /// Shipments that wait for their answer.
    pub waiting: usize,
}

impl CountingCarrier {
    /// Its parcels are on their way for as long as this.
    pub fn new(takes: Duration) -> Arc<Self> {
        Arc::new(Self { takes, books: Mutex::default(), open: watch::Sender::new(true) })
    }

    /// From now on parcels are taken, but nobody hears of it.
    pub fn hold_answers(&self) {
        self.open.send_replace(false);
    }

    pub fn answer(&self) {
        self.open.send_replace(true);
    }

    fn entries(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("nobody panics while writing")
    }

    pub fn books(&self) -> Books {
        self.entries().clone()
    }

    /// Waits until the books are as they should be.
    pub async fn until(&self, what: &str, right: impl Fn(&Books) -> bool) {
        eventually(what, || async {
            let books = self.books();
            if right(&books) { Ok(()) } else { Err(format!("{books:?}")) }
        })
        .await;
    }
}

impl DeliveryProvider for CountingCarrier {
    fn ship<'a>(&'a self, parcel: &'a Parcel) -> BoxFuture<'a, Result<Shipment, ProviderError>> {
        async move {
            {
                let mut books = self.entries();
                books.waiting += 1;
                if books.parcels.insert(parcel.key, true).is_none() {
                    books.shipments += 1;
                }
            }
            self.open.subscribe().wait_for(|open| *open).await.expect("the sender is ours");
            self.entries().waiting -= 1;
            Ok(Shipment::Accepted { takes: self.takes })
        }
        .boxed()
    }

    fn track(&self, _: Uuid) -> BoxFuture<'_, Result<Tracking, ProviderError>> {
        async { Ok(Tracking::Arrived) }.boxed()
    }

    fn recall(&self, key: Uuid) -> BoxFuture<'_, Result<Recall, ProviderError>> {
        let mut books = self.entries();
        let answer = match books.parcels.insert(key, false) {
            Some(true) => {
                books.recalls += 1;
                Recall::ComesBack
            }
            Some(false) => Recall::ComesBack,
            None => Recall::Nothing,
        };
        async move { Ok(answer) }.boxed()
    }
}
