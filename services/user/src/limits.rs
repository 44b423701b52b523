//! How often somebody may try. Counted in Redis, so that replicas share it; a replica that cannot reach Redis counts alone,
//! and nobody is locked out.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use redis::{
    aio::{ConnectionManager, ConnectionManagerConfig},
    io::tcp::TcpSettings,
};
use shop_config::Url;
use shop_core::World;
use tokio::time::timeout;
use tracing::Instrument as _;

use crate::{
    config::RateLimits,
    domain::{Email, TokenHash},
};

/// Attempts are counted by the minute of the clock.
const WINDOW_SECONDS: i64 = 60;
/// Redis answers in well under a millisecond; a login does not wait for one that hangs.
const REDIS_PATIENCE: Duration = Duration::from_millis(300);
/// After a failure Redis is left alone for this long: otherwise every request would wait for it.
const REDIS_PAUSE: Duration = Duration::from_secs(1);
/// Enough keys for the accounts and addresses of a minute; beyond it memory matters more than counting alone.
const MAX_LOCAL_KEYS: usize = 20_000;

/// Somebody tried too often.
#[derive(Debug, thiserror::Error)]
#[error("too many attempts")]
pub(crate) struct Limited {
    /// When the next minute begins.
    pub retry_after: Duration,
}

/// Counts attempts.
pub(crate) struct Limits {
    settings: RateLimits,
    client: redis::Client,
    redis: Mutex<ConnectionManager>,
    alone: Mutex<Alone>,
    world: Arc<dyn World>,
}

/// What a replica counts while Redis is away.
#[derive(Default)]
struct Alone {
    until: Option<Timestamp>,
    window: i64,
    counts: HashMap<String, u32>,
}

/// One thing that is counted.
struct Bucket {
    key: String,
    most: u32,
}

impl Limits {
    /// Does not connect yet.
    pub fn new(config: &Url, settings: RateLimits, world: Arc<dyn World>) -> redis::RedisResult<Self> {
        let client = shop_redis::client(config, TcpSettings::default())?;
        let redis = Mutex::new(connection(&client)?);
        Ok(Self { settings, client, redis, alone: Mutex::default(), world })
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> redis::RedisResult<()> {
        let mut redis = lock(&self.redis).clone();
        redis::cmd("PING").exec_async(&mut redis).await
    }

    /// One login, whether the account exists or not.
    pub async fn login(&self, email: &Email, from: IpAddr) -> Result<(), Limited> {
        let account = Bucket { key: format!("login:{}", secret_key(email)), most: self.settings.logins_per_account };
        let address = Bucket { key: format!("login:{}", group(from)), most: self.settings.logins_per_address };
        self.count(&[account, address]).await
    }

    /// One registration.
    pub async fn registration(&self, from: IpAddr) -> Result<(), Limited> {
        let most = self.settings.registrations_per_address;
        self.count(&[Bucket { key: format!("register:{}", group(from)), most }]).await
    }

    /// One request for a mail.
    pub async fn mail_request(&self, from: IpAddr) -> Result<(), Limited> {
        let most = self.settings.registrations_per_address;
        self.count(&[Bucket { key: format!("mail:{}", group(from)), most }]).await
    }

    /// One mail: nobody's mailbox is flooded through us.
    pub async fn mail(&self, to: &Email) -> Result<(), Limited> {
        let most = self.settings.logins_per_account;
        self.count(&[Bucket { key: format!("mail:{}", secret_key(to)), most }]).await
    }

    async fn count(&self, buckets: &[Bucket]) -> Result<(), Limited> {
        let now = self.world.now();
        let (window, elapsed) = (now.as_second() / WINDOW_SECONDS, now.as_second() % WINDOW_SECONDS);
        let counts = match self.count_shared(buckets, window, now).await {
            Some(counts) => counts,
            None => self.alone().count(buckets, window),
        };
        if counts.iter().zip(buckets).all(|(count, bucket)| *count <= bucket.most) {
            return Ok(());
        }
        let left = u64::try_from(WINDOW_SECONDS - elapsed).unwrap_or(1);
        Err(Limited { retry_after: Duration::from_secs(left) })
    }

    /// The counts in Redis, `None` when it is away.
    async fn count_shared(&self, buckets: &[Bucket], window: i64, now: Timestamp) -> Option<Vec<u32>> {
        if self.alone().until.is_some_and(|until| now < until) {
            return None;
        }
        let mut pipeline = redis::pipe();
        for Bucket { key, .. } in buckets {
            let key = format!("user:limit:{key}:{window}");
            // The window is in the key, so its life may begin anew with each attempt.
            pipeline.incr(&key, 1).expire(&key, WINDOW_SECONDS).ignore();
        }
        let mut redis = lock(&self.redis).clone();
        let span = shop_telemetry::command_span("redis", "INCR limit");
        let outcome = match timeout(REDIS_PATIENCE, pipeline.query_async(&mut redis)).instrument(span).await {
            Ok(outcome) => outcome.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {REDIS_PATIENCE:?}")),
        };
        let mut alone = self.alone();
        match outcome {
            Ok(counts) => {
                if alone.until.take().is_some() {
                    tracing::info!("Redis is back: rate limits are shared by all replicas again");
                }
                Some(counts)
            }
            Err(cause) => {
                // A connection that was refused at its greeting (a password, say) would stay refused for ever.
                if let Ok(fresh) = connection(&self.client) {
                    *lock(&self.redis) = fresh;
                }
                if alone.until.replace(now + REDIS_PAUSE).is_none() {
                    tracing::warn!(error.cause = cause, "Redis is away: this replica counts rate limits alone");
                }
                None
            }
        }
    }

    fn alone(&self) -> MutexGuard<'_, Alone> {
        lock(&self.alone)
    }
}

/// Connects when it is first used.
fn connection(client: &redis::Client) -> redis::RedisResult<ConnectionManager> {
    client.get_connection_manager_lazy(ConnectionManagerConfig::new().set_number_of_retries(1))
}

/// What a panic left half done is still a connection, or a count.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Alone {
    fn count(&mut self, buckets: &[Bucket], window: i64) -> Vec<u32> {
        if self.window != window {
            self.window = window;
            self.counts = HashMap::new();
        }
        buckets.iter().map(|bucket| self.add(&bucket.key)).collect()
    }

    fn add(&mut self, key: &str) -> u32 {
        if let Some(count) = self.counts.get_mut(key) {
            *count = count.saturating_add(1);
            return *count;
        }
        if self.counts.len() < MAX_LOCAL_KEYS {
            self.counts.insert(key.to_owned(), 1);
        }
        1
    }
}

/// An address of people is not written where rate limits are.
fn secret_key(email: &Email) -> String {
    TokenHash::of(email.as_str()).as_str().to_owned()
}

/// One household or office: IPv6 hands out networks of 64 bits, and whoever has one has all its addresses.
fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(key: &str) -> [Bucket; 1] {
        [Bucket { key: key.to_owned(), most: 1 }]
    }

    #[test]
    fn a_replica_alone_counts_each_key_and_begins_anew_every_minute() {
        let mut alone = Alone::default();
        assert_eq!(alone.count(&bucket("a"), 1), [1]);
        assert_eq!(alone.count(&bucket("a"), 1), [2]);
        assert_eq!(alone.count(&bucket("b"), 1), [1]);
        assert_eq!(alone.count(&bucket("a"), 2), [1]);
    }

    #[test]
    fn all_addresses_of_one_ipv6_network_are_one_client() {
        let group = |text: &str| group(text.parse().unwrap());
        assert_eq!(group("2001:db8:0:1::1"), group("2001:db8:0:1:ffff::2"));
        assert_ne!(group("2001:db8:0:1::1"), group("2001:db8:0:2::1"));
        assert_eq!(group("::ffff:192.0.2.1"), group("192.0.2.1"));
        assert_ne!(group("192.0.2.1"), group("192.0.2.2"));
    }
}
