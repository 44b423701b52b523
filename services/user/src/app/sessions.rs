//! Logins, and the families of refresh tokens that follow from them.

use std::net::IpAddr;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::try_join;

use crate::{
    app::Accounts,
    domain::{Account, Email, Facts, Fingerprint, Session, Token, TokenHash},
    error::Error,
};

/// What a client gets for a login or a refresh.
pub(crate) struct Tokens {
    pub access: String,
    pub refresh: String,
}

impl Accounts {
    /// Begins a session. Every reason to refuse takes the same queries, the same hash and the same words.
    pub async fn login(&self, email: &Email, password: SecretString, from: IpAddr) -> Result<Tokens, Error> {
        self.limits.login(email, from).await?;
        let account = self.store.account_of(email).await?;
        let id = account.as_ref().map(|account| account.id).unwrap_or_default();
        let hash = account.as_ref().map(|account| account.password.clone());
        let facts = async { Ok::<_, Error>(self.store.facts(id).await?) };
        let matches = async { Ok::<_, Error>(self.hashing.verify(password, hash).await?) };
        let (facts, matches) = try_join!(facts, matches)?;
        let account = account.filter(|_| matches && facts.verified()).ok_or(Error::WrongCredentials)?;
        let world = &*self.host.world;
        let token = Token::new(world.random());
        let fingerprint = Fingerprint::of(&account.password);
        let session = Session::begin(token.hash, account.id, world.id(), fingerprint, world.now());
        self.store.add_session(&session).await?;
        self.tokens(&account, &facts, token.text)
    }

    /// The next pair of a session. A refresh token is spent once: of several callers one gets the pair, and a token that
    /// comes back later was copied, so its family ends.
    pub async fn refresh(&self, token: &SecretString) -> Result<Tokens, Error> {
        let arrived = self.host.world.now();
        let hash = TokenHash::of(token.expose_secret());
        let session = self.store.session(&hash).await?;
        let session = session.filter(|session| arrived < session.expires_at).ok_or(Error::SessionOver)?;
        let (account, facts, revoked) = try_join!(
            self.store.account(session.user),
            self.store.facts(session.user),
            self.store.is_revoked(session.family)
        )?;
        let account = account
            .filter(|account| !revoked && Fingerprint::of(&account.password) == session.password)
            .ok_or(Error::SessionOver)?;
        let next = Token::new(self.host.world.random());
        let now = self.host.world.now();
        // Nobody knows the next token yet. Spending the old one comes last, so that a failure before it costs nothing.
        self.store.add_session(&session.next(next.hash, now)).await?;
        if !self.store.spend(&hash, session.expires_at, now).await? {
            self.end_if_reused(&session, arrived).await?;
            return Err(Error::SessionOver);
        }
        self.tokens(&account, &facts, next.text)
    }

    /// Ends a session; one that is over or never was is as good.
    pub async fn logout(&self, token: &SecretString) -> Result<(), Error> {
        let session = self.store.session(&TokenHash::of(token.expose_secret())).await?;
        if let Some(session) = session {
            self.store.revoke(&session).await?;
        }
        Ok(())
    }

    /// Two tabs of one browser refresh at the same moment: the one that loses had asked before the token was spent, and
    /// the session lives. Whoever asks afterwards has a copy.
    async fn end_if_reused(&self, session: &Session, arrived: Timestamp) -> Result<(), Error> {
        let spent_at = self.store.spent_at_micros(&session.hash).await?;
        if spent_at.is_none_or(|spent_at| arrived.as_microsecond() > spent_at) {
            tracing::warn!(user.id = %session.user, "a spent refresh token came back: its session ends");
            self.store.revoke(session).await?;
        }
        Ok(())
    }

    fn tokens(&self, account: &Account, facts: &Facts, refresh: String) -> Result<Tokens, Error> {
        let world = &*self.host.world;
        let access = self.signer.mint(account.id, &facts.roles(), world.id(), world.now())?;
        Ok(Tokens { access, refresh })
    }
}
