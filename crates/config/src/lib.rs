//! Settings from the environment: `SHOP_` first, `__` between a section and its field.
//!
//! `SHOP_POSTGRES__URL` is the field `url` of the section `postgres`. Each service composes its own `Config` from the
//! sections here, so one setting has one name everywhere.

mod peer;

use std::{fs, io, net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

pub use peer::{Canary, FaultCode, Faults, Peer, Percent, Retries};

/// A setting that is missing or cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the environment is not complete: {0} (settings are variables such as SHOP_POSTGRES__URL)")]
pub struct ConfigError(#[from] config::ConfigError);

/// Reads a service's settings.
pub fn load<T: DeserializeOwned>() -> Result<T, ConfigError> {
    from_source(environment())
}

/// Reads a service's settings from `variables` instead of the environment.
pub fn load_from<T: DeserializeOwned>(variables: impl IntoIterator<Item = (String, String)>) -> Result<T, ConfigError> {
    from_source(environment().source(Some(variables.into_iter().collect())))
}

fn environment() -> config::Environment {
    config::Environment::with_prefix("SHOP").prefix_separator("_").separator("__")
}

fn from_source<T: DeserializeOwned>(source: config::Environment) -> Result<T, ConfigError> {
    Ok(config::Config::builder().add_source(source).build()?.try_deserialize()?)
}

/// Where the server listens: on every interface unless told otherwise.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub struct Listeners {
    /// The public API.
    pub listen_http: SocketAddr,
    /// Probes and metrics.
    pub listen_admin: SocketAddr,
    /// gRPC, where the service has it.
    pub listen_grpc: SocketAddr,
}

impl Default for Listeners {
    fn default() -> Self {
        let on = |port| SocketAddr::from(([0, 0, 0, 0], port));
        Self { listen_http: on(8080), listen_admin: on(8081), listen_grpc: on(9090) }
    }
}

impl Listeners {
    /// Free ports of the loopback interface, for tests.
    #[must_use]
    pub fn loopback() -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { listen_http: free, listen_admin: free, listen_grpc: free }
    }
}

/// Who verifies access tokens, and against what.
#[derive(Clone, Debug, Deserialize)]
pub struct Auth {
    /// The public keys, a JWK set (RFC 7517).
    pub jwks_file: PathBuf,
    /// Expected `iss`.
    pub issuer: String,
    /// Expected `aud`.
    pub audience: String,
}

/// A database, and who logs in there.
#[derive(Clone, Debug, Deserialize)]
pub struct Database {
    /// With user and password; the path names the database.
    pub url: SecretString,
    /// The URL of whoever may make users; only the migration Job has it.
    pub admin_url: Option<SecretString>,
    /// The same with the password that the one in `admin_url` takes the place of; the migration Job sees to it.
    pub former_admin_url: Option<SecretString>,
    /// A user that must not log in any more; the migration Job sees to it.
    pub retired: Option<String>,
}

impl From<String> for Database {
    fn from(url: String) -> Self {
        Self { url: SecretString::from(url), admin_url: None, former_admin_url: None, retired: None }
    }
}

/// A PostgreSQL database.
#[derive(Clone, Debug, Deserialize)]
pub struct Postgres {
    /// `postgres://user:password@host:port/database`, and so on.
    #[serde(flatten)]
    pub database: Database,
    /// Most connections at once.
    #[serde(default = "default_pool")]
    pub pool: u32,
}

fn default_pool() -> u32 {
    6
}

/// A store that is one URL.
#[derive(Clone, Debug, Deserialize)]
pub struct Url {
    /// With user and password.
    pub url: SecretString,
    /// The authority of the store's certificate, PEM, where it is not a public one.
    pub ca_file: Option<PathBuf>,
}

impl From<String> for Url {
    fn from(url: String) -> Self {
        Self { url: SecretString::from(url), ca_file: None }
    }
}

impl Url {
    /// The store's own authority, read anew each time: it may have changed.
    pub fn authority(&self) -> io::Result<Option<String>> {
        self.ca_file.as_ref().map(fs::read_to_string).transpose()
    }
}

/// The service's own certificate and key, and the authority of its neighbours. Without it gRPC is plain text.
#[derive(Clone, Debug, Deserialize)]
pub struct Mesh {
    /// Folder with `tls.crt`, `tls.key` and `ca.crt`, all PEM; they are read again when they change.
    pub mesh_identity: Option<PathBuf>,
}

/// A length of time as people write it: `30s`, `10m`, `500ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span: jiff::SignedDuration = text.parse().map_err(|_| {
            serde::de::Error::custom(format!("`{text}` is not a length of time: write for instance 30s, 10m or 500ms"))
        })?;
        Duration::try_from(span)
            .map(Self)
            .map_err(|_| serde::de::Error::custom("a length of time must not be negative"))
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[derive(Deserialize)]
    struct Sample {
        postgres: Postgres,
        expiry: Span,
    }

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn sections_and_lengths_of_time_are_read_from_the_environment() {
        let set = variables(&[
            ("SHOP_POSTGRES__URL", "postgres://u:123@h/d"),
            ("SHOP_POSTGRES__RETIRED", "order_b"),
            ("SHOP_POSTGRES__POOL", "4"),
            ("SHOP_EXPIRY", "10m"),
            ("SHOP_LISTEN_HTTP", "127.0.0.1:1"),
        ]);
        let sample: Sample = load_from(set.clone()).unwrap();
        let listeners: Listeners = load_from(set).unwrap();
        let Postgres { database, pool } = sample.postgres;
        assert_eq!(database.url.expose_secret(), "postgres://u:123@h/d");
        assert_eq!((database.retired.as_deref(), pool), (Some("order_b"), 4));
        assert_eq!(sample.expiry, Span(Duration::from_mins(10)));
        assert_eq!(listeners.listen_http.port(), 1);
        assert_eq!(listeners.listen_grpc.port(), 9090);
    }

    #[test]
    fn a_setting_that_cannot_be_read_is_named_with_what_to_write() {
        let set = variables(&[("SHOP_POSTGRES__URL", "postgres://u@h/d"), ("SHOP_EXPIRY", "soon")]);
        let error = load_from::<Sample>(set).err().unwrap().to_string();
        assert!(error.contains("`soon` is not a length of time: write for instance 30s"), "{error}");
    }

    #[derive(Debug, Deserialize)]
    struct Calls {
        catalog: Peer,
    }

    #[test]
    fn how_a_neighbour_is_called_is_read_from_its_section() {
        let set = variables(&[
            ("SHOP_CATALOG__URL", "http://walnut-product-grpc:9090"),
            ("SHOP_CATALOG__TIMEOUT", "800ms"),
            ("SHOP_CATALOG__RETRIES__ATTEMPTS", "2"),
            ("SHOP_CATALOG__RETRIES__PER_TRY_TIMEOUT", "300ms"),
            ("SHOP_CATALOG__FAULTS__PERCENT", "10"),
            ("SHOP_CATALOG__FAULTS__ERROR", "DeadlineExceeded"),
            ("SHOP_CATALOG__CANARY__URL", "http://walnut-product-canary-grpc:9090"),
            ("SHOP_CATALOG__CANARY__WEIGHT_FILE", "/etc/shopkeeper/traffic/product"),
        ]);
        let Peer { timeout, retries, faults, canary, .. } = load_from::<Calls>(set).unwrap().catalog;
        assert_eq!(timeout, Some(Span(Duration::from_millis(800))));
        assert_eq!((retries.attempts.get(), retries.budget.get()), (2, 20));
        assert_eq!(retries.per_try_timeout, Some(Span(Duration::from_millis(300))));
        let faults = faults.unwrap();
        assert_eq!((faults.percent.get(), faults.error), (10, Some(FaultCode::DeadlineExceeded)));
        assert_eq!((faults.delay, faults.reset), (None, false));
        assert_eq!(canary.unwrap().weight_file, PathBuf::from("/etc/shopkeeper/traffic/product"));
    }

    #[test]
    fn more_than_a_hundred_percent_and_no_attempt_at_all_are_refused() {
        for (variable, value, expected) in [
            ("SHOP_CATALOG__RETRIES__BUDGET", "120", "120 is no percentage: write 0 to 100"),
            ("SHOP_CATALOG__RETRIES__ATTEMPTS", "0", "nonzero"),
        ] {
            let set = variables(&[("SHOP_CATALOG__URL", "http://product:9090"), (variable, value)]);
            let error = load_from::<Calls>(set).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
