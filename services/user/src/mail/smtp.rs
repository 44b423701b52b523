//! Mail through an SMTP server, such as that of a mail provider (RFC 5321, RFC 6409).

use std::{
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use futures::future::{BoxFuture, FutureExt as _};
use lettre::{
    Address, Message,
    address::AddressError,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, TlsParameters},
        extension::ClientId,
    },
};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use super::{Mail, MailError, Mailer};
use crate::config::{Smtp, Tls};

/// A server that does not answer the connection within this time is away.
const CONNECT: Duration = Duration::from_secs(10);
/// The whole conversation.
const CONVERSATION: Duration = Duration::from_secs(45);
/// The server wants a login, or another one (RFC 4954): this is about us and not about the mail.
const NOT_LET_IN: RangeInclusive<u16> = 530..=538;

/// Sends each mail over a connection of its own. In two steps, because they fail for two reasons: a server that is away or
/// does not let us in says nothing about the mail.
pub struct SmtpMailer {
    server: Smtp,
    hello: ClientId,
    tls: Option<TlsParameters>,
}

impl SmtpMailer {
    /// Does not connect yet.
    pub fn new(server: Smtp) -> anyhow::Result<Self> {
        let tls = match server.tls {
            Tls::None => None,
            Tls::StartTls | Tls::Tls => Some(TlsParameters::new(server.host.clone())?),
        };
        if tls.is_none() && server.login.is_some() {
            tracing::warn!(
                server.address = server.host,
                "mail is sent without TLS: the password can be read on the way"
            );
        }
        let hello = ClientId::Domain(server.from.email.domain().to_owned());
        Ok(Self { server, hello, tls })
    }

    async fn converse(&self, mail: &Mail) -> Result<(), MailError> {
        let message = self.message(mail)?;
        let mut connection = self.connect().await.map_err(|error| MailError::Away(error.to_string()))?;
        let sent = connection.send(message.envelope(), &message.formatted()).await;
        // The server has answered for the mail already; how it takes the end of the conversation changes nothing.
        let _ = connection.quit().await;
        sent.map(|_| ()).map_err(|error| match error.status().map(u16::from) {
            Some(code) if NOT_LET_IN.contains(&code) => MailError::Away(error.to_string()),
            Some(500..) => MailError::Refused(error.to_string()),
            _ => MailError::PutOff(error.to_string()),
        })
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, lettre::transport::smtp::Error> {
        let Smtp { host, port, login, tls, .. } = &self.server;
        let from_the_start = self.tls.clone().filter(|_| *tls == Tls::Tls);
        let address = (host.as_str(), *port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(address, Some(CONNECT), &self.hello, from_the_start, None).await?;
        if let Some(parameters) = self.tls.clone().filter(|_| *tls == Tls::StartTls) {
            connection.starttls(parameters, &self.hello).await?;
        }
        if let Some(login) = login {
            let credentials = Credentials::new(login.username.clone(), login.password.expose_secret().to_owned());
            connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await?;
        }
        Ok(connection)
    }

    fn message(&self, mail: &Mail) -> Result<Message, MailError> {
        let to: Address =
            mail.to.as_str().parse().map_err(|error: AddressError| MailError::Refused(error.to_string()))?;
        let from = &self.server.from;
        let mut message = Message::builder()
            .from(from.clone())
            .to(Mailbox::new(None, to))
            .subject(mail.subject)
            .date(SystemTime::from(mail.at))
            .message_id(Some(format!("<{}@{}>", mail.id, from.email.domain())))
            .header(ContentType::TEXT_PLAIN)
            .body(format!("{}\n\n{}\n", mail.text, mail.url))
            .map_err(|error| MailError::Refused(error.to_string()))?;
        // Vacation notices and the like do not answer such mail (RFC 3834).
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        message.headers_mut().insert_raw(HeaderValue::new(automatic, "auto-generated".to_owned()));
        Ok(message)
    }
}

impl Mailer for SmtpMailer {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), MailError>> {
        let conversation = timeout(CONVERSATION, self.converse(mail));
        conversation
            .map(|outcome| outcome.unwrap_or_else(|_| Err(MailError::Away(format!("no end within {CONVERSATION:?}")))))
            .boxed()
    }
}
