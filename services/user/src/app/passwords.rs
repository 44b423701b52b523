//! New passwords for old ones, and for forgotten ones. Either ends every session: a session remembers the password's
//! fingerprint.

use std::net::IpAddr;

use secrecy::SecretString;
use uuid::Uuid;

use crate::{
    app::Accounts,
    domain::{Email, Fact, Fingerprint, Occasion, Purpose},
    error::Error,
};

impl Accounts {
    /// Mails a link to set a new password, if the address has an account.
    pub async fn forgot_password(&self, email: Email, from: IpAddr) -> Result<(), Error> {
        self.limits.mail_request(from).await?;
        self.ask_for_mail(Occasion::Reset, email, None).await
    }

    /// Sets a new password with a mailed link. Who has the link reads the account's mail, so the address is verified too.
    pub async fn reset_password(&self, token: &str, new: SecretString) -> Result<(), Error> {
        let link = self.open_link(token, Purpose::Reset).await?;
        let account = self.store.account(link.user).await?;
        let account =
            account.filter(|account| Fingerprint::of(&account.password) == link.password).ok_or(Error::BadLink)?;
        let hash = self.hashing.hash(new, self.host.world.random()).await?;
        self.spend_link(&link).await?;
        self.store.set_password(account.id, &hash).await?;
        Ok(self.store.establish(account.id, Fact::Verified, self.host.world.now()).await?)
    }

    /// Sets a new password with the current one.
    pub async fn change_password(
        &self,
        user: Uuid,
        current: SecretString,
        new: SecretString,
        from: IpAddr,
    ) -> Result<(), Error> {
        let account = self.store.account(user).await?.ok_or(Error::NoSuchUser)?;
        // Guessing it here is guessing it at the login.
        self.limits.login(&account.email, from).await?;
        if !self.hashing.verify(current, Some(account.password)).await? {
            return Err(Error::WrongPassword);
        }
        let hash = self.hashing.hash(new, self.host.world.random()).await?;
        Ok(self.store.set_password(user, &hash).await?)
    }
}
