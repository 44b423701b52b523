//! Mail to the owners of accounts, and the ways it goes out.

mod log;
mod smtp;

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::{config::MailSettings, domain::Email};

pub use log::LogMailer;
pub use smtp::SmtpMailer;

/// One mail. There is no name in it, neither of its reader nor of who asked for it: whoever registers chooses both, and we
/// would carry that text to somebody who may not know them.
#[derive(Clone, Debug, Serialize)]
pub struct Mail {
    /// The same for every attempt to send it, so that a reader's server can tell.
    #[serde(skip)]
    pub id: Uuid,
    /// When it was written.
    #[serde(skip)]
    pub at: Timestamp,
    /// Its reader.
    pub to: Email,
    /// What it is about.
    pub subject: &'static str,
    /// What its reader is to know before opening the link.
    #[serde(skip)]
    pub text: &'static str,
    /// What its reader is to open.
    pub url: String,
}

/// A mail that did not go out.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// Nobody is there to take mails, or we are not let in: none goes out now.
    #[error("the mail server does not take mails: {0}")]
    Away(String),
    /// This one was not taken now.
    #[error("the mail server put the mail off: {0}")]
    PutOff(String),
    /// This one will not be taken later either.
    #[error("the mail server refused the mail: {0}")]
    Refused(String),
}

/// A way for mail to go out.
pub trait Mailer: Send + Sync {
    /// Sends one mail.
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), MailError>>;
}

/// The way the settings name.
pub(crate) fn mailer(settings: MailSettings) -> anyhow::Result<Arc<dyn Mailer>> {
    Ok(match settings {
        MailSettings::Log => Arc::new(LogMailer::new(std::io::stdout())),
        MailSettings::Smtp(smtp) => Arc::new(SmtpMailer::new(smtp)?),
    })
}
