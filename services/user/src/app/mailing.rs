//! Mails: asked for by use cases, written and sent later by the outbox. Asking takes as long for an address that is known as
//! for one that is not.

use crate::{
    app::Accounts,
    domain::{Account, Email, Fingerprint, Link, MailRequest, Occasion, Purpose, Token},
    error::Error,
    mail::{Mail, MailError},
};

impl Accounts {
    /// Stores that `to` is to be mailed, whether it has an account or not. Nobody's mailbox is flooded through us: beyond the
    /// limit the answer is the same, and there is no mail.
    pub(super) async fn ask_for_mail(
        &self,
        occasion: Occasion,
        to: Email,
        password: Option<String>,
    ) -> Result<(), Error> {
        if self.limits.mail(&to).await.is_err() {
            return Ok(());
        }
        let world = &*self.host.world;
        self.store.add_mail(&MailRequest::new(world.id(), occasion, to, password, world.now())).await?;
        self.mail_waits.notify_one();
        Ok(())
    }

    /// Mails that are to be sent now.
    pub async fn due_mails(&self, limit: i64) -> Result<Vec<MailRequest>, Error> {
        Ok(self.store.due_mails(self.host.world.now(), limit).await?)
    }

    /// Makes the next attempt to send a mail, unless somebody else has. An error says nothing about the mail: none can be
    /// sent at the moment.
    pub async fn deliver(&self, request: &MailRequest) -> Result<(), Error> {
        let leased = request.leased(self.host.world.now());
        if !self.store.begin_attempt(request, &leased).await? {
            return Ok(());
        }
        let failure = match self.send(request).await {
            Ok(outcome) => {
                self.metrics.mail(outcome);
                return Ok(self.store.remove_mail(request).await?);
            }
            Err(failure) => failure,
        };
        let refused = matches!(failure, Error::Mail(MailError::Refused(_)));
        if let Some(next) = leased.postponed(self.host.world.now()).filter(|_| !refused) {
            self.metrics.mail("put_off");
            self.store.set_attempt(&next).await?;
        } else {
            self.metrics.mail("given_up");
            tracing::error!(mail.id = %request.id, error.cause = %failure, "a mail is given up");
            self.store.remove_mail(request).await?;
        }
        match failure {
            Error::Mail(MailError::PutOff(_) | MailError::Refused(_)) => Ok(()),
            away => Err(away),
        }
    }

    async fn send(&self, request: &MailRequest) -> Result<&'static str, Error> {
        let Some(account) = self.store.account_of(&request.to).await? else { return Ok("nobody") };
        let verified = self.store.facts(account.id).await?.verified();
        let mail = match (request.occasion, verified) {
            (Occasion::Reset, _) => self.reset_mail(request, &account).await?,
            (Occasion::Registration | Occasion::Verification, false) => {
                self.verification_mail(request, &account).await?
            }
            (Occasion::Registration, true) => self.mail(
                request,
                "You already have an account",
                "Somebody registered with your e-mail address, which has an account already. If it was you, log in, or ask \
                 for a new password if you have forgotten yours. If it was not you, nothing has changed.",
                self.public_url.clone(),
            ),
            (Occasion::Verification, true) => return Ok("nobody"),
        };
        self.mailer.send(&mail).await?;
        Ok("sent")
    }

    /// Following the link sets the password that was chosen with it, if the account's owner is only known from then on: who
    /// registered first may have been somebody else.
    async fn verification_mail(&self, request: &MailRequest, account: &Account) -> Result<Mail, Error> {
        let url = self.link_url("verify-email", Purpose::Verify, account, request.password.clone()).await?;
        let text = "Open this link to verify your e-mail address; it works once, for 24 hours. If you have not registered, \
                    ignore this mail.";
        Ok(self.mail(request, "Verify your e-mail address", text, url))
    }

    async fn reset_mail(&self, request: &MailRequest, account: &Account) -> Result<Mail, Error> {
        let url = self.link_url("password/reset", Purpose::Reset, account, None).await?;
        let text = "This link sets a new password; it works once, for an hour. If you have not asked for it, ignore this \
                    mail: your password stays as it is.";
        Ok(self.mail(request, "Set a new password", text, url))
    }

    fn mail(&self, request: &MailRequest, subject: &'static str, text: &'static str, url: String) -> Mail {
        Mail { id: request.id, at: self.host.world.now(), to: request.to.clone(), subject, text, url }
    }

    /// Stores a new link and returns its address, the only place where its secret is.
    async fn link_url(
        &self,
        path: &str,
        purpose: Purpose,
        account: &Account,
        new_password: Option<String>,
    ) -> Result<String, Error> {
        let Token { text, hash } = Token::new(self.host.world.random());
        let link = Link::new(hash, purpose, account.id, Fingerprint::of(&account.password), self.host.world.now());
        self.store.add_link(&Link { new_password, ..link }).await?;
        Ok(format!("{}/api/v1/auth/{path}?token={text}", self.public_url))
    }
}
