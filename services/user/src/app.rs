//! The use cases.

mod mailing;
mod membership;
mod passwords;
mod registration;
mod sessions;

use std::sync::Arc;

use shop_auth::Signer;
use shop_server::Host;
use tokio::sync::Notify;

use crate::{
    domain::{Link, Purpose, TokenHash},
    error::Error,
    hashing::Hashing,
    limits::Limits,
    mail::Mailer,
    metrics::UserMetrics,
    store::Store,
};

pub(crate) use membership::{Listing, Member};
pub(crate) use sessions::Tokens;

/// Everything a use case needs.
pub(crate) struct Accounts {
    pub store: Store,
    pub hashing: Hashing,
    pub limits: Limits,
    pub mailer: Arc<dyn Mailer>,
    /// Wakes the outbox.
    pub mail_waits: Notify,
    pub signer: Signer,
    pub public_url: String,
    pub metrics: UserMetrics,
    pub host: Host,
}

impl Accounts {
    /// The link behind a token's text while it may still be used.
    async fn open_link(&self, text: &str, purpose: Purpose) -> Result<Link, Error> {
        let link = self.store.link(&TokenHash::of(text)).await?;
        link.filter(|link| link.purpose == purpose && link.expires_at > self.host.world.now()).ok_or(Error::BadLink)
    }

    /// Uses a link up; an error for all callers but one.
    async fn spend_link(&self, link: &Link) -> Result<(), Error> {
        let first = self.store.spend(&link.hash, link.expires_at, self.host.world.now()).await?;
        if first { Ok(()) } else { Err(Error::BadLink) }
    }
}
