//! Carts, checkout attempts and the catalog copy in Redis. Every operation is one round trip and atomic.
//!
//! | key | is |
//! |---|---|
//! | `cart:items:<user>` | hash: product id to quantity. Up to [`MAX_LINES`] fields keep the order they were put in |
//! | `cart:attempt:<user>` | hash: the checkout under way, see `scripts/begin.lua` |
//! | `cart:done:<user>` | hash: the order the last checkout made, for [`REPEAT_WINDOW`] or until the cart changes |
//! | `cart:added:<user>:<key>` | list: an idempotency key's fingerprint, and the cart after what it added; for a day |
//! | `cart:keys:<user>` | sorted set: those lists by their end, up to [`MOST_KEYS`] |
//! | `cart:catalog:<product>` | hash: groups of facts, each with its time |

mod copy;

use std::{fmt::Write as _, sync::LazyLock, time::Duration};

use redis::{
    AsyncCommands as _, FromRedisValue, Script, ScriptInvocation,
    aio::{ConnectionManager, ConnectionManagerConfig},
    io::tcp::TcpSettings,
};
use shop_config::Url;
use shop_core::RequestKey;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use crate::{
    domain::{Attempt, LIFE, Line, MAX_LINES, MAX_QUANTITY, Placed},
    error::Error,
};

pub use copy::{Details, Facts, Reach};

/// How long a repeated checkout gets the answer of the one before. Longer than a double click and than a client's or
/// proxy's automatic retry after a lost reply; shorter than it takes to read the answer and check out what was left over.
pub const REPEAT_WINDOW: Duration = Duration::from_secs(10);

/// How long an idempotency key is kept.
const KEEP_KEYS: Duration = Duration::from_hours(24);
/// So many idempotency keys of one buyer are kept: enough for a day of clicks, and at a hundred lines a cart a few MiB at most.
pub const MOST_KEYS: u32 = 300;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);
/// What was sent and is not even acknowledged after this time breaks the connection; without it the kernel tries for a quarter
/// of an hour, and every request meanwhile waits for its answer in vain.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);
/// A request does not wait longer for a store that is away; the next one connects again.
const CONNECT_RETRIES: usize = 1;

static ADD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/add.lua")));
static SET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/set.lua")));
static BEGIN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/begin.lua")));
static COMPLETE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/complete.lua")));
static END: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/end.lua")));

/// What a checkout finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The attempt to send, new or joined; this call is registered with it.
    Open(Attempt),
    /// The cart lost lines of an attempt whose outcome is not known.
    Outgrown(Attempt),
    /// Nothing has changed since the last checkout, moments ago.
    Done(Placed),
    /// There is nothing to order.
    Empty,
}

/// The connection; a clone is the same one.
#[derive(Clone)]
pub struct Store {
    redis: ConnectionManager,
}

struct Keys {
    items: String,
    attempt: String,
    done: String,
}

impl Keys {
    fn of(user: Uuid) -> Self {
        Self {
            items: format!("cart:items:{user}"),
            attempt: format!("cart:attempt:{user}"),
            done: format!("cart:done:{user}"),
        }
    }

    fn invoke<'s>(&self, script: &'s Script) -> ScriptInvocation<'s> {
        let mut invocation = script.key(&self.items);
        invocation.key(&self.attempt).key(&self.done);
        invocation
    }
}

impl Store {
    /// Connects when the first command needs it.
    pub fn connect(config: &Url) -> redis::RedisResult<Self> {
        let tcp = TcpSettings::default().set_user_timeout(UNACKNOWLEDGED);
        let client = shop_redis::client(config, tcp)?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(CONNECT_RETRIES)
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        Ok(Self { redis: client.get_connection_manager_lazy(config)? })
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> redis::RedisResult<()> {
        self.redis.clone().ping().await
    }

    /// What is in the cart; looking at it prolongs its life.
    pub async fn lines(&self, user: Uuid) -> Result<Vec<Line>, Error> {
        let keys = Keys::of(user);
        let (flat,): (Vec<String>,) = redis::pipe()
            .atomic()
            .expire(&keys.items, life())
            .ignore()
            .expire(&keys.attempt, life())
            .ignore()
            .hgetall(&keys.items)
            .query_async(&mut self.redis.clone())
            .instrument(span("HGETALL items"))
            .await?;
        lines(&flat)
    }

    /// Adds to what is there, once for a key.
    pub async fn add(&self, user: Uuid, line: Line, key: Option<&RequestKey>) -> Result<Vec<Line>, Error> {
        let mut add = Keys::of(user).invoke(&ADD);
        if let Some(key) = key {
            add.key(added(user, key)).key(format!("cart:keys:{user}"));
        }
        add.arg(life()).arg(line.product.to_string()).arg(line.quantity).arg(MAX_QUANTITY).arg(MAX_LINES);
        add.arg(key.map(hex).unwrap_or_default()).arg(KEEP_KEYS.as_secs()).arg(MOST_KEYS);
        let answer: Vec<String> = self.run("EVALSHA add", &add).await?;
        match answer.split_first() {
            Some((word, flat)) if word == "ok" => lines(flat),
            Some((word, [])) if word == "key_reused" => Err(Error::KeyReused),
            Some((word, [seconds])) if word == "too_many_keys" => {
                Err(Error::TooManyKeys(Duration::from_secs(number(seconds)?)))
            }
            Some((word, [had])) if word == "too_many" => Err(Error::TooMany(number(had)?)),
            Some((word, [])) if word == "full" => Err(Error::Full),
            _ => Err(Error::Answer(answer)),
        }
    }

    /// Changes the quantity of what is there.
    pub async fn set(&self, user: Uuid, line: Line) -> Result<Vec<Line>, Error> {
        let mut set = Keys::of(user).invoke(&SET);
        set.arg(life()).arg(line.product.to_string()).arg(line.quantity);
        let answer: Vec<String> = self.run("EVALSHA set", &set).await?;
        match answer.split_first() {
            Some((word, flat)) if word == "ok" => lines(flat),
            Some((word, [])) if word == "absent" => Err(Error::NotInCart),
            _ => Err(Error::Answer(answer)),
        }
    }

    /// What the cart held after what was added under `key`, if that was before.
    pub async fn added_before(&self, user: Uuid, key: Option<&RequestKey>) -> Result<Option<Vec<Line>>, Error> {
        let Some(key) = key else { return Ok(None) };
        let kept: Vec<String> =
            self.redis.clone().lrange(added(user, key), 0, -1).instrument(span("LRANGE added")).await?;
        match kept.split_first() {
            Some((fingerprint, flat)) if *fingerprint == hex(key) => lines(flat).map(Some),
            Some(_) => Err(Error::KeyReused),
            None => Ok(None),
        }
    }

    /// Takes a product out; nothing happens when it is not there.
    pub async fn remove(&self, user: Uuid, product: Uuid) -> Result<Vec<Line>, Error> {
        let keys = Keys::of(user);
        let (flat,): (Vec<String>,) = redis::pipe()
            .atomic()
            .hdel(&keys.items, product.to_string())
            .ignore()
            .del(&keys.done)
            .ignore()
            .expire(&keys.items, life())
            .ignore()
            .expire(&keys.attempt, life())
            .ignore()
            .hgetall(&keys.items)
            .query_async(&mut self.redis.clone())
            .instrument(span("HDEL items"))
            .await?;
        lines(&flat)
    }

    /// Empties the cart. An attempt stays: its order may exist.
    pub async fn clear(&self, user: Uuid) -> Result<(), Error> {
        let keys = Keys::of(user);
        Ok(self.redis.clone().del(&[keys.items, keys.done]).instrument(span("DEL items")).await?)
    }

    /// Joins the attempt there is, or starts one as `order`. This `call` of it can make an order for so long.
    pub async fn begin(&self, user: Uuid, order: Uuid, call: Uuid, for_so_long: Duration) -> Result<Begun, Error> {
        let mut begin = Keys::of(user).invoke(&BEGIN);
        begin.arg(life()).arg(order.to_string()).arg(call.to_string()).arg(for_so_long.as_secs() * 1000);
        let answer: Vec<String> = self.run("EVALSHA begin", &begin).await?;
        let words: Vec<&str> = answer.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["empty"] => Ok(Begun::Empty),
            ["open", order, ..] => Ok(Begun::Open(Attempt { order: id(order)?, lines: lines(&answer[2..])? })),
            ["outgrown", order, ..] => Ok(Begun::Outgrown(Attempt { order: id(order)?, lines: lines(&answer[2..])? })),
            ["done", order, status, created_at] => {
                let (status, created_at) = ((*status).to_owned(), (*created_at).to_owned());
                Ok(Begun::Done(Placed { order: id(order)?, status, created_at }))
            }
            _ => Err(Error::Answer(answer)),
        }
    }

    /// Takes what `placed` holds out of the cart and ends its attempt; nothing happens the second time.
    pub async fn complete(&self, user: Uuid, placed: &Placed) -> Result<(), Error> {
        let mut complete = Keys::of(user).invoke(&COMPLETE);
        complete
            .arg(placed.order.to_string())
            .arg(&placed.status)
            .arg(&placed.created_at)
            .arg(REPEAT_WINDOW.as_secs() * 1000);
        self.run("EVALSHA complete", &complete).await
    }

    /// Ends the attempt as `order`: if a call of it was `refused`, unless another may still succeed, and else because order
    /// has closed it.
    pub async fn end(&self, user: Uuid, order: Uuid, refused: Option<Uuid>) -> Result<(), Error> {
        let mut end = END.key(Keys::of(user).attempt);
        end.arg(order.to_string()).arg(refused.map(|call| call.to_string()).unwrap_or_default());
        self.run("EVALSHA end", &end).await
    }

    async fn run<T: FromRedisValue>(
        &self,
        summary: &'static str,
        invocation: &ScriptInvocation<'_>,
    ) -> Result<T, Error> {
        Ok(invocation.invoke_async(&mut self.redis.clone()).instrument(span(summary)).await?)
    }
}

fn span(summary: &'static str) -> Span {
    shop_telemetry::command_span("redis", summary)
}

fn added(user: Uuid, key: &RequestKey) -> String {
    format!("cart:added:{user}:{}", key.key())
}

fn hex(key: &RequestKey) -> String {
    key.fingerprint().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// [`LIFE`] as `EXPIRE` reads it.
fn life() -> i64 {
    i64::try_from(LIFE.as_secs()).unwrap_or(i64::MAX)
}

/// A flat list of product, quantity, product, quantity.
fn lines(flat: &[String]) -> Result<Vec<Line>, Error> {
    let line = |pair: &[String]| match pair {
        [product, quantity] => Ok(Line { product: id(product)?, quantity: number(quantity)? }),
        _ => Err(Error::Answer(flat.to_vec())),
    };
    flat.chunks(2).map(line).collect()
}

fn id(text: &str) -> Result<Uuid, Error> {
    text.parse().map_err(|_| Error::Answer(vec![text.to_owned()]))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::Answer(vec![text.to_owned()]))
}
