//! From a stranger to an account whose owner reads its mail.

use std::net::IpAddr;

use secrecy::SecretString;

use crate::{
    app::Accounts,
    domain::{Account, Email, Fact, Occasion, Profile, Purpose},
    error::Error,
};

impl Accounts {
    /// Makes an account, or mails the owner of the one that is there. Who asks cannot tell which.
    pub async fn register(&self, profile: Profile, password: SecretString, from: IpAddr) -> Result<(), Error> {
        self.limits.registration(from).await?;
        let world = &*self.host.world;
        let password = self.hashing.hash(password, world.random()).await?;
        let Profile { email, first_name, last_name } = profile;
        let account = Account { id: world.id(), email, first_name, last_name, password, created_at: world.now() };
        self.store.add_account(&account).await?;
        self.ask_for_mail(Occasion::Registration, account.email, Some(account.password)).await
    }

    /// Mails a link to verify the address, if it has an account that still needs one.
    pub async fn request_verification(&self, email: Email, from: IpAddr) -> Result<(), Error> {
        self.limits.mail_request(from).await?;
        self.ask_for_mail(Occasion::Verification, email, None).await
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
}
