//! The use cases.

mod membership;
mod passwords;
mod registration;
mod sessions;

use std::sync::Arc;

use shop_auth::Signer;
use shop_server::Host;
use tracing::{Instrument as _, Span};

use crate::{
    domain::{Account, Fingerprint, Link, Purpose, Token, TokenHash},
    error::Error,
    hashing::Hashing,
    limits::Limits,
    mail::{Mail, Mailer},
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
    pub signer: Signer,
    pub public_url: String,
    pub host: Host,
}

impl Accounts {
    /// Goes on after the answer, which then takes as long for an address that is known as for one that is not.
    fn later(self: &Arc<Self>, what: &'static str, work: impl Future<Output = Result<(), Error>> + Send + 'static) {
        let work = async move {
            if let Err(error) = work.await {
                tracing::warn!(error.cause = %error, "{what}");
            }
        };
        self.host.spawn(work.instrument(Span::current()));
    }

    /// Mails a link to verify an address. With `password`, following it sets that password on an account whose owner is
    /// only known from then on.
    async fn mail_verification(&self, account: &Account, password: Option<String>) -> Result<(), Error> {
        let (token, link) = self.link(account, Purpose::Verify);
        let url = self.link_url("verify-email", &token);
        self.mail(account, "Verify your e-mail address", url, Some(&Link { new_password: password, ..link })).await
    }

    /// Mails a link to set a new password.
    async fn mail_reset(&self, account: &Account) -> Result<(), Error> {
        let (token, link) = self.link(account, Purpose::Reset);
        self.mail(account, "Set a new password", self.link_url("password/reset", &token), Some(&link)).await
    }

    async fn mail(
        &self,
        account: &Account,
        subject: &'static str,
        url: String,
        link: Option<&Link>,
    ) -> Result<(), Error> {
        self.limits.mail(&account.email).await?;
        if let Some(link) = link {
            self.store.add_link(link).await?;
        }
        Ok(self.mailer.send(&Mail { to: account.email.clone(), subject, url }).await?)
    }

    fn link(&self, account: &Account, purpose: Purpose) -> (String, Link) {
        let Token { text, hash } = Token::new(self.host.world.random());
        (text, Link::new(hash, purpose, account.id, Fingerprint::of(&account.password), self.host.world.now()))
    }

    fn link_url(&self, path: &str, token: &str) -> String {
        format!("{}/api/v1/auth/{path}?token={token}", self.public_url)
    }

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
