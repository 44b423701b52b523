//! Another service, and how it is called: `SHOP_CATALOG__URL`, `SHOP_CATALOG__RETRIES__ATTEMPTS`, and so on.

use std::{num::NonZeroU32, path::PathBuf};

use serde::Deserialize;

use crate::Span;

/// Another service's gRPC address, and what the Shop says of calls to it.
#[derive(Clone, Debug, Deserialize)]
pub struct Peer {
    /// `http://host:port`; the host is a headless Service, every address of it is used.
    pub url: String,
    /// A call is answered within this time or fails, retries included. Without it each method has its own.
    pub timeout: Option<Span>,
    /// When a call is tried again.
    #[serde(default)]
    pub retries: Retries,
    /// What goes wrong on purpose.
    pub faults: Option<Faults>,
    /// Where a share of the calls goes while another version is tried.
    pub canary: Option<Canary>,
}

impl Peer {
    /// The service at `url`, called as usual.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), timeout: None, retries: Retries::default(), faults: None, canary: None }
    }
}

/// Pods of another version of a service, which get a share of its calls.
#[derive(Clone, Debug, Deserialize)]
pub struct Canary {
    /// `http://host:port`, a headless Service like that of the others. Its certificates are for the host of the others.
    pub url: String,
    /// A file with the share in percent. It is followed, so that a share that changes restarts nobody.
    pub weight_file: PathBuf,
}

/// When a call is tried again. Only calls that may be made twice are.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub struct Retries {
    /// Tries of one call, the first one included.
    pub attempts: NonZeroU32,
    /// One try takes this long at most. Without it the tries that are left share the time that is left.
    pub per_try_timeout: Option<Span>,
    /// So many of a hundred calls may be tried again, and a few a second besides.
    pub budget: Percent,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: NonZeroU32::MIN.saturating_add(2), per_try_timeout: None, budget: Percent(20) }
    }
}

/// What goes wrong on purpose, in so many of a hundred tries.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Faults {
    /// How many.
    pub percent: Percent,
    /// They are sent this much later.
    pub delay: Option<Span>,
    /// They are answered with this instead of being sent.
    pub error: Option<FaultCode>,
    /// Their connection breaks instead.
    #[serde(default)]
    pub reset: bool,
}

/// An answer nobody wants.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum FaultCode {
    /// The service is away.
    Unavailable,
    /// It was too slow.
    DeadlineExceeded,
    /// It has had enough.
    ResourceExhausted,
    /// It failed.
    Internal,
}

/// A number from 0 to 100.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "u8")]
pub struct Percent(u8);

impl Percent {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Percent {
    type Error = String;

    fn try_from(value: u8) -> Result<Self, String> {
        if value <= 100 { Ok(Self(value)) } else { Err(format!("{value} is no percentage: write 0 to 100")) }
    }
}
