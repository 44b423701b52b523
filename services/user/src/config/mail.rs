//! How mail goes out: `SHOP_MAIL__*`.

use lettre::message::Mailbox;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

/// How mail goes out.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Variables")]
pub enum MailSettings {
    /// One JSON line on stdout for each mail, for development.
    Log,
    /// Through a mail server.
    Smtp(Smtp),
}

/// A mail server.
#[derive(Clone, Debug)]
pub struct Smtp {
    /// Its name, which its certificate must have.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who we are there.
    pub login: Option<Login>,
    /// The sender of every mail.
    pub from: Mailbox,
    /// How the connection is protected.
    pub tls: Tls,
}

/// Who we are at the mail server.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// TLS after a greeting in the clear (RFC 3207); without it nothing is sent.
    #[default]
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// Not at all, for a relay on the same machine or network.
    None,
}

impl Tls {
    const fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

#[derive(Deserialize)]
struct Variables {
    kind: Kind,
    host: Option<String>,
    port: Option<u16>,
    username: Option<String>,
    password: Option<SecretString>,
    from: Option<String>,
    #[serde(default)]
    tls: Tls,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Log,
    Smtp,
}

impl TryFrom<Variables> for MailSettings {
    type Error = String;

    fn try_from(variables: Variables) -> Result<Self, String> {
        let Variables { kind: Kind::Smtp, host, port, username, password, from, tls } = variables else {
            return Ok(Self::Log);
        };
        let host = host.filter(|host| !host.is_empty()).ok_or("SHOP_MAIL__HOST must name the mail server")?;
        let from = from.ok_or("SHOP_MAIL__FROM must be the sender, for instance Shop <shop@example.com>")?;
        let from = from.parse().map_err(|error| format!("SHOP_MAIL__FROM `{from}` is no sender: {error}"))?;
        // A key of a Secret that is there but empty is as good as none.
        let username = username.filter(|username| !username.is_empty());
        let password = password.filter(|password| !password.expose_secret().is_empty());
        let login = match (username, password) {
            (Some(username), Some(password)) => Some(Login { username, password }),
            (None, None) => None,
            _ => return Err("SHOP_MAIL__USERNAME and SHOP_MAIL__PASSWORD must be set both, or neither".to_owned()),
        };
        Ok(Self::Smtp(Smtp { host, port: port.unwrap_or(tls.port()), login, from, tls }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(variables: Value) -> Result<Smtp, String> {
        match serde_json::from_value(variables).map_err(|error| error.to_string())? {
            MailSettings::Smtp(smtp) => Ok(smtp),
            MailSettings::Log => Err("log".to_owned()),
        }
    }

    #[test]
    fn a_host_and_a_sender_are_enough_and_tls_is_the_default() {
        let smtp = parse(json!({"kind": "smtp", "host": "mail.test", "from": "Café <shop@shop.test>"})).unwrap();
        assert_eq!((smtp.port, smtp.tls), (587, Tls::StartTls));
        assert!(smtp.login.is_none());
        assert_eq!(smtp.from.name.as_deref(), Some("Café"));
        let wrapped = json!({"kind": "smtp", "host": "mail.test", "from": "shop@shop.test", "tls": "tls"});
        assert_eq!(parse(wrapped).unwrap().port, 465);
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |variables| parse(variables).unwrap_err();
        assert!(missing(json!({"kind": "smtp", "from": "a@b.test"})).contains("SHOP_MAIL__HOST"));
        assert!(missing(json!({"kind": "smtp", "host": "mail.test"})).contains("SHOP_MAIL__FROM"));
        assert!(missing(json!({"kind": "smtp", "host": "mail.test", "from": "nobody"})).contains("`nobody`"));
        let half = json!({"kind": "smtp", "host": "mail.test", "from": "a@b.test", "username": "shop"});
        assert!(missing(half).contains("SHOP_MAIL__PASSWORD"));
        let injected = json!({"kind": "smtp", "host": "mail.test", "from": "a@b.test\r\nBcc: c@d.test"});
        assert!(parse(injected).is_err());
    }
}
