//! What the stores say, read once. Statements name their columns: the auditor outlives migrations that add some.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, Result};
use lapin::{
    Connection, ConnectionProperties,
    options::QueueDeclareOptions,
    protocol::{AMQPErrorKind, AMQPSoftError},
    runtime::default_runtime,
    tcp::OwnedTLSConfig,
    types::FieldTable,
};
use redis::TlsCertificates;
use sqlx::{ConnectOptions as _, Connection as _, FromRow, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

/// The consumers whose queues are looked at.
const CONSUMERS: [&str; 5] = ["product", "cart", "order", "payment", "delivery"];
/// How long a message waits in each retry queue, as their names say.
const RETRIES: [&str; 4] = ["1s", "5s", "30s", "120s"];

/// Where the stores are: URLs with user and password.
#[derive(Clone, clap::Args)]
pub struct Addresses {
    /// The order service's PostgreSQL database
    #[arg(long, env = "SHOP_AUDIT_ORDER_URL", hide_env_values = true)]
    pub order: String,
    /// The payment service's PostgreSQL database
    #[arg(long, env = "SHOP_AUDIT_PAYMENT_URL", hide_env_values = true)]
    pub payment: String,
    /// The delivery service's PostgreSQL database
    #[arg(long, env = "SHOP_AUDIT_DELIVERY_URL", hide_env_values = true)]
    pub delivery: String,
    /// The product service's PostgreSQL database
    #[arg(long, env = "SHOP_AUDIT_PRODUCT_URL", hide_env_values = true)]
    pub product: String,
    /// The virtual host; without it queues are not looked at
    #[arg(long, env = "SHOP_AUDIT_AMQP_URL", hide_env_values = true)]
    pub amqp: Option<String>,
    /// The carts' Redis; without it checkouts under way are not looked at
    #[arg(long, env = "SHOP_AUDIT_REDIS_URL", hide_env_values = true)]
    pub redis: Option<String>,
    /// A file with the authorities of the stores' certificates, PEM, where these are not public ones
    #[arg(long, env = "SHOP_AUDIT_CA_FILE", value_parser = |file: &str| std::fs::read_to_string(file))]
    pub authorities: Option<String>,
}

impl Addresses {
    async fn database(&self, url: &str) -> Result<PgConnection> {
        let options: PgConnectOptions = url.parse()?;
        let options = match &self.authorities {
            Some(authorities) => options.ssl_root_cert_from_pem(authorities.clone().into_bytes()),
            None => options,
        };
        Ok(options.connect().await?)
    }

    async fn broker(&self, url: &str) -> Result<Connection> {
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.authorities.clone() };
        Ok(Connection::connect_with_config(url, ConnectionProperties::default(), tls, default_runtime()?).await?)
    }

    fn carts(&self, url: &str) -> Result<redis::Client> {
        Ok(match &self.authorities {
            Some(authorities) => {
                let root_cert = Some(authorities.clone().into_bytes());
                redis::Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert })?
            }
            None => redis::Client::open(url)?,
        })
    }
}

/// An order.
#[derive(Clone, Debug, FromRow)]
pub struct Order {
    /// Its id.
    pub id: Uuid,
    /// Who bought.
    pub user_id: Uuid,
    /// How far it came.
    pub status: String,
    /// Where its money is.
    pub payment_status: String,
    /// What it costs.
    pub total_minor: i64,
}

/// A line of an order, or of a reservation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, FromRow)]
pub struct Line {
    /// Whose.
    pub order_id: Uuid,
    /// Which product.
    pub product_id: Uuid,
    /// For one.
    pub unit_price_minor: i64,
    /// How many.
    pub quantity: i64,
}

/// One row of an order's history.
#[derive(Clone, Debug, FromRow)]
pub struct Move {
    /// Whose.
    pub order_id: Uuid,
    /// Into which status.
    pub status: String,
}

/// A payment.
#[derive(Clone, Debug, FromRow)]
pub struct Payment {
    /// Its id, and the provider's key.
    pub id: Uuid,
    /// Whose.
    pub order_id: Uuid,
    /// Where it is.
    pub state: String,
    /// How much.
    pub amount_minor: i64,
}

/// What the payment provider says of a key.
#[derive(Clone, Debug, FromRow)]
pub struct Charge {
    /// The payment's id.
    pub key: Uuid,
    /// How much.
    pub amount_minor: i64,
    /// What was done.
    pub entry: String,
}

/// A delivery.
#[derive(Clone, Debug, FromRow)]
pub struct Delivery {
    /// Its id, and the carrier's key.
    pub id: Uuid,
    /// Whose.
    pub order_id: Uuid,
    /// Where it is.
    pub state: String,
}

/// What the carrier says of a key.
#[derive(Clone, Debug, FromRow)]
pub struct Parcel {
    /// The delivery's id.
    pub key: Uuid,
    /// What was done.
    pub entry: String,
}

/// The stock of a product.
#[derive(Clone, Debug, FromRow)]
pub struct Inventory {
    /// Which product.
    pub product_id: Uuid,
    /// On hand and not sold.
    pub stock: i64,
    /// Of it, set aside.
    pub reserved: i64,
}

/// Stock set aside for an order.
#[derive(Clone, Debug, FromRow)]
pub struct Reservation {
    /// For which order.
    pub order_id: Uuid,
    /// Where it is in its life.
    pub state: String,
}

/// An event that was written to an outbox.
#[derive(Clone, Debug)]
pub struct Event {
    /// By whom.
    pub service: &'static str,
    /// Its id.
    pub id: Uuid,
    /// What happened.
    pub key: String,
    /// Whether the broker has it.
    pub sent: bool,
}

/// A queue with something in it, or a queue of dead letters.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// How much is in it.
    pub messages: u32,
}

/// A checkout as the cart remembers it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Whose cart.
    pub user_id: Uuid,
    /// The order it made or may make.
    pub order_id: Uuid,
    /// Whether the cart holds it to be made.
    pub done: bool,
}

/// Everything the auditor reads.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// All orders.
    pub orders: Vec<Order>,
    /// Their lines.
    pub lines: Vec<Line>,
    /// Their histories, oldest row first.
    pub moves: Vec<Move>,
    /// All payments.
    pub payments: Vec<Payment>,
    /// The payment provider's ledger.
    pub charges: Vec<Charge>,
    /// All deliveries.
    pub deliveries: Vec<Delivery>,
    /// The carrier's ledger.
    pub parcels: Vec<Parcel>,
    /// All stock.
    pub inventory: Vec<Inventory>,
    /// All reservations.
    pub reservations: Vec<Reservation>,
    /// Their lines.
    pub reserved: Vec<Line>,
    /// All events that have not been swept.
    pub events: Vec<Event>,
    /// The ids each consumer has handled.
    pub handled: HashMap<&'static str, HashSet<Uuid>>,
    /// Queues that are not empty.
    pub queues: Vec<Queue>,
    /// Checkouts as the carts of these buyers remember them.
    pub attempts: Vec<Attempt>,
}

impl Books {
    /// Reads all stores. They are not one snapshot: what is under way looks unfinished.
    pub async fn read(at: &Addresses) -> Result<Self> {
        let mut books = Self::default();
        books.read_orders(at).await.context("the order service's database")?;
        books.read_payments(at).await.context("the payment service's database")?;
        books.read_deliveries(at).await.context("the delivery service's database")?;
        books.read_stock(at).await.context("the product service's database")?;
        if let Some(url) = &at.amqp {
            books.queues = queues(at.broker(url).await.context("the broker")?).await.context("the broker")?;
        }
        if let Some(url) = &at.redis {
            books.attempts = attempts(&at.carts(url)?, &books.orders).await.context("the carts")?;
        }
        Ok(books)
    }

    async fn read_orders(&mut self, at: &Addresses) -> Result<()> {
        let mut database = at.database(&at.order).await?;
        self.lines = all(
            &mut database,
            "SELECT order_id, product_id, unit_price_minor, quantity::bigint AS quantity FROM order_lines ORDER BY order_id, line",
        )
        .await?;
        self.moves = all(&mut database, "SELECT order_id, status FROM order_history ORDER BY order_id, seq").await?;
        self.orders =
            all(&mut database, "SELECT id, user_id, status, payment_status, total_minor FROM orders ORDER BY id")
                .await?;
        self.read_events("order", database).await
    }

    async fn read_payments(&mut self, at: &Addresses) -> Result<()> {
        let mut database = at.database(&at.payment).await?;
        self.payments =
            all(&mut database, "SELECT id, order_id, state, amount_minor FROM payments ORDER BY id").await?;
        self.charges = all(&mut database, "SELECT key, amount_minor, entry FROM mock_charges ORDER BY key").await?;
        self.read_events("payment", database).await
    }

    async fn read_deliveries(&mut self, at: &Addresses) -> Result<()> {
        let mut database = at.database(&at.delivery).await?;
        self.deliveries = all(&mut database, "SELECT id, order_id, state FROM deliveries ORDER BY id").await?;
        self.parcels = all(&mut database, "SELECT key, entry FROM mock_parcels ORDER BY key").await?;
        self.read_events("delivery", database).await
    }

    async fn read_stock(&mut self, at: &Addresses) -> Result<()> {
        let mut database = at.database(&at.product).await?;
        self.inventory =
            all(&mut database, "SELECT product_id, stock, reserved FROM inventory ORDER BY product_id").await?;
        self.reservations = all(&mut database, "SELECT order_id, state FROM reservations ORDER BY order_id").await?;
        self.reserved = all(
            &mut database,
            "SELECT order_id, product_id, unit_price_minor, quantity FROM reservation_lines ORDER BY order_id, position",
        )
        .await?;
        self.read_events("product", database).await
    }

    async fn read_events(&mut self, service: &'static str, mut database: PgConnection) -> Result<()> {
        let rows: Vec<(Uuid, String, bool)> =
            all(&mut database, "SELECT id, routing_key, sent_at IS NOT NULL FROM outbox ORDER BY seq").await?;
        self.events.extend(rows.into_iter().map(|(id, key, sent)| Event { service, id, key, sent }));
        let handled: Vec<(Uuid,)> = all(&mut database, "SELECT event_id FROM inbox").await?;
        self.handled.insert(service, handled.into_iter().map(|(id,)| id).collect());
        Ok(database.close().await?)
    }
}

/// Whether a store knows who [`Books::read`] asked as, and lets them in no more; else it was away.
#[must_use]
pub fn is_refused(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let database = cause.downcast_ref::<sqlx::Error>().and_then(|error| error.as_database_error()?.code());
        // Class 28 of SQLSTATE: invalid authorization.
        database.is_some_and(|code| code.starts_with("28"))
            || cause
                .downcast_ref()
                .is_some_and(|error: &redis::RedisError| error.kind() == redis::ErrorKind::AuthenticationFailed)
            || cause.downcast_ref().is_some_and(|error: &lapin::Error| {
                matches!(error.kind(), lapin::ErrorKind::ProtocolError(error)
                    if *error.kind() == AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED))
            })
    })
}

async fn all<T>(database: &mut PgConnection, sql: &'static str) -> Result<Vec<T>>
where
    T: for<'r> FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin,
{
    sqlx::query_as(sql).fetch_all(database).await.context(sql)
}

async fn queues(connection: Connection) -> Result<Vec<Queue>> {
    let mut found = Vec::new();
    for consumer in CONSUMERS {
        let events = format!("{consumer}.events");
        let waiting = RETRIES.iter().map(|pause| format!("{events}.retry.{pause}"));
        for name in [events.clone(), format!("{events}.dead")].into_iter().chain(waiting) {
            // A channel dies of a queue that is not there.
            let channel = connection.create_channel().await?;
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            if let Ok(queue) = channel.queue_declare(name.as_str().into(), passive, FieldTable::default()).await {
                let messages = queue.message_count();
                channel.close(200, "read".into()).await?;
                if messages > 0 {
                    found.push(Queue { name, messages });
                }
            }
        }
    }
    connection.close(200, "read".into()).await?;
    Ok(found)
}

async fn attempts(carts: &redis::Client, orders: &[Order]) -> Result<Vec<Attempt>> {
    let buyers: HashSet<Uuid> = orders.iter().map(|order| order.user_id).collect();
    let mut connection = carts.get_multiplexed_async_connection().await?;
    let mut found = Vec::new();
    for user_id in buyers {
        let (attempt, done): (Option<String>, Option<String>) = redis::pipe()
            .hget(format!("cart:attempt:{user_id}"), "order")
            .hget(format!("cart:done:{user_id}"), "order")
            .query_async(&mut connection)
            .await?;
        for (order, done) in [(attempt, false), (done, true)] {
            if let Some(order) = order {
                found.push(Attempt { user_id, order_id: order.parse().context("an order id in a cart")?, done });
            }
        }
    }
    Ok(found)
}
