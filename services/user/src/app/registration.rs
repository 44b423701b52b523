//! From a stranger to an account whose owner reads its mail.

use std::{net::IpAddr, sync::Arc};

use secrecy::SecretString;

use crate::{
    app::Accounts,
    domain::{Account, Email, Fact, Profile, Purpose},
    error::Error,
};

impl Accounts {
    /// Makes an account, or mails the owner of the one that is there. Who asks cannot tell which.
    pub async fn register(
        self: &Arc<Self>,
        profile: Profile,
        password: SecretString,
        from: IpAddr,
    ) -> Result<(), Error> {
        self.limits.registration(from).await?;
        let world = &*self.host.world;
        let password = self.hashing.hash(password, world.random()).await?;
        let Profile { email, first_name, last_name } = profile;
        let account = Account { id: world.id(), email, first_name, last_name, password, created_at: world.now() };
        let added = self.store.add_account(&account).await?;
        let this = Arc::clone(self);
        self.later("no mail after a registration", async move {
            if added { this.mail_verification(&account, None).await } else { this.mail_owner(account).await }
        });
        Ok(())
    }

    /// Mails a link to verify the address, if it has an account that still needs one.
    pub async fn request_verification(self: &Arc<Self>, email: Email, from: IpAddr) -> Result<(), Error> {
        self.limits.mail_request(from).await?;
        let this = Arc::clone(self);
        self.later("no mail to verify an address", async move {
            match this.store.account_of(&email).await? {
                Some(account) if !this.store.facts(account.id).await?.verified() => {
                    this.mail_verification(&account, None).await
                }
                _ => Ok(()),
            }
        });
        Ok(())
    }

    /// The address of a link's account is verified. A link works once.
    pub async fn verify(&self, token: &str) -> Result<(), Error> {
        let link = self.open_link(token, Purpose::Verify).await?;
        // The effect first, which may happen twice: a link that was spent without it would be lost.
        if let Some(password) = &link.new_password
            && !self.store.facts(link.user).await?.verified()
        {
            self.store.set_password(link.user, password).await?;
        }
        self.store.establish(link.user, Fact::Verified, self.host.world.now()).await?;
        self.spend_link(&link).await
    }

    /// Somebody registered with an address that has an account. If nobody has shown to own it, this may be its owner as
    /// well as whoever was first: each link brings the password that was chosen with it.
    async fn mail_owner(&self, claimed: Account) -> Result<(), Error> {
        let Some(account) = self.store.account_of(&claimed.email).await? else { return Ok(()) };
        if self.store.facts(account.id).await?.verified() {
            self.mail(&account, "You already have an account", self.public_url.clone(), None).await
        } else {
            self.mail_verification(&account, Some(claimed.password)).await
        }
    }
}
