//! The settings of the user service.

mod mail;

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use shop_config::{Auth, Database, Url};

use crate::domain::Email;

pub use mail::{Login, MailSettings, Smtp, Tls};

/// Everything the environment says.
#[derive(Debug, Deserialize)]
pub struct Config {
    /// Where accounts and sessions are.
    pub mongodb: Database,
    /// Where rate limits are counted.
    pub redis: Url,
    /// What access tokens say and who checks them.
    pub auth: Auth,
    /// The keys that sign access tokens.
    pub signing: Signing,
    /// Where clients reach the shop; links in mails begin with it.
    pub public_url: String,
    /// Who may manage the shop from the start; only the migration reads it.
    pub admin_user: Option<FirstAdmin>,
    /// How mail goes out.
    pub mail: MailSettings,
    /// How many proxies of ours append to `X-Forwarded-For` before a request is here.
    #[serde(default = "one_hop")]
    pub trusted_proxy_hops: usize,
    /// How often somebody may try.
    #[serde(default)]
    pub rate_limits: RateLimits,
}

/// The keys that sign access tokens.
#[derive(Debug, Deserialize)]
pub struct Signing {
    /// Ed25519 keys, each a file `*.pem` with PKCS#8. The last by name that the key set publishes signs.
    pub folder: PathBuf,
}

/// The first admin's account.
#[derive(Debug, Deserialize)]
pub struct FirstAdmin {
    /// The address to log in with.
    pub email: Email,
    /// The password to begin with.
    pub password: SecretString,
}

/// Attempts in one minute.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub struct RateLimits {
    /// Logins, and mails, to one account.
    pub logins_per_account: u32,
    /// Logins from one client address.
    pub logins_per_address: u32,
    /// Registrations, and as many requests for mail, from one client address.
    pub registrations_per_address: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { logins_per_account: 10, logins_per_address: 300, registrations_per_address: 60 }
    }
}

fn one_hop() -> usize {
    1
}
