//! What a Secret says about a store, and the address that services get from it.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;

use crate::catalog::{MONGODB, POSTGRES, RABBITMQ, REDIS, store_port};

/// Key of the authority that signed the store's certificate, as in every Secret of type kubernetes.io/tls.
pub const AUTHORITY: &str = "ca.crt";

/// How a store is reached. It has no `Debug`: nothing of it belongs into a log.
pub struct Login {
    /// Host and port; of MongoDB several, with commas between them.
    pub server: String,
    /// Who the services are, or who makes the services' roles.
    pub username: String,
    /// That user's password.
    pub password: String,
    /// Whether the connection is encrypted, and the server's certificate checked.
    pub tls: bool,
    /// Who signed that certificate, PEM. Without one the public authorities are asked.
    pub authority: Option<String>,
    /// The database, or RabbitMQ's virtual host, where the Secret names one.
    pub space: Option<String>,
    /// Query part of MongoDB's connection string.
    pub options: Option<String>,
}

/// Reads what a person wrote. What is wrong is said without what is there.
pub(super) fn read(store: &str, secret: &Secret) -> Result<Login, String> {
    let required = |key: &str| text(secret, key).ok_or_else(|| format!("has no `{key}`"));
    let host = checked(required("host")?, "host", is_host)?;
    let tls = match text(secret, "tls").as_deref() {
        None | Some("verify") => true,
        Some("none") => false,
        Some(_) => return Err("has a `tls` that is neither `verify` nor `none`".to_owned()),
    };
    let port = text(secret, "port").map(|port| port.parse::<u16>()).transpose();
    let port = port.map_err(|_| "has a `port` that is no number from 1 to 65535".to_owned())?;
    let username = if store == REDIS {
        text(secret, "username").unwrap_or_else(|| "default".to_owned())
    } else {
        required("username")?
    };
    let space = text(secret, if store == RABBITMQ { "vhost" } else { "database" });
    if store == REDIS && space.as_ref().is_some_and(|database| database.parse::<u16>().is_err()) {
        return Err("has a `database` that is no number".to_owned());
    }
    let options = text(secret, "options").map(|options| checked(options, "options", is_query)).transpose()?;
    Ok(Login {
        server: server(store, &host, port, tls),
        username,
        password: required("password")?,
        tls,
        authority: text(secret, AUTHORITY).filter(|_| tls),
        space,
        options,
    })
}

/// Reads what CloudNativePG wrote.
pub(super) fn of_superuser(host: &str, secret: &Secret, authority: &Secret) -> Option<Login> {
    Some(Login {
        server: server(POSTGRES, host, None, true),
        username: text(secret, "username")?,
        password: text(secret, "password")?,
        tls: true,
        authority: Some(text(authority, AUTHORITY)?),
        space: None,
        options: None,
    })
}

impl Login {
    /// PostgreSQL's address for a role and its database.
    #[must_use]
    pub fn postgres(&self, role: &str, password: &str, database: &str, authority_file: &str) -> String {
        let tls = match (self.tls, &self.authority) {
            (false, _) => String::new(),
            (true, None) => "?sslmode=verify-full".to_owned(),
            (true, Some(_)) => format!("?sslmode=verify-full&sslrootcert={authority_file}"),
        };
        format!("postgres://{}:{}@{}/{}{tls}", escape(role), escape(password), self.server, escape(database))
    }

    /// MongoDB's address, with the database of the services if the Secret names none.
    #[must_use]
    pub fn mongodb(&self, database: &str, authority_file: &str) -> String {
        let database = escape(self.space.as_deref().unwrap_or(database));
        let options = self.options.as_deref().unwrap_or("authSource=admin");
        let tls = match (self.tls, &self.authority) {
            (false, _) => String::new(),
            (true, None) => "&tls=true".to_owned(),
            (true, Some(_)) => format!("&tls=true&tlsCAFile={authority_file}"),
        };
        format!("mongodb://{}@{}/{database}?{options}{tls}", self.user(), self.server)
    }

    /// Redis's address.
    #[must_use]
    pub fn redis(&self) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        format!("{scheme}://{}@{}/{}", self.user(), self.server, self.space.as_deref().unwrap_or("0"))
    }

    /// RabbitMQ's address.
    #[must_use]
    pub fn amqp(&self) -> String {
        let scheme = if self.tls { "amqps" } else { "amqp" };
        format!("{scheme}://{}@{}/{}", self.user(), self.server, escape(self.space.as_deref().unwrap_or("/")))
    }

    /// The ports that are connected to; `usual` where an address names none.
    #[must_use]
    pub fn ports(&self, usual: i32) -> Vec<i32> {
        let port = |server: &str| server.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(usual);
        let ports: BTreeSet<i32> = self.server.split(',').map(port).collect();
        ports.into_iter().collect()
    }

    fn user(&self) -> String {
        format!("{}:{}", escape(&self.username), escape(&self.password))
    }
}

/// The value of a key, without the line break that editors and `echo` put at its end.
fn text(secret: &Secret, key: &str) -> Option<String> {
    let value = secret.data.as_ref()?.get(key)?;
    let text = String::from_utf8(value.0.clone()).ok()?;
    Some(text.trim_end_matches(['\r', '\n']).to_owned()).filter(|text| !text.is_empty())
}

fn checked(value: String, key: &str, good: impl Fn(char) -> bool) -> Result<String, String> {
    if value.chars().all(good) {
        Ok(value)
    } else {
        Err(format!("has a `{key}` with a character that cannot be in it"))
    }
}

fn is_host(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._:[],".contains(c)
}

fn is_query(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~=&%,:".contains(c)
}

/// MongoDB's hosts have their ports with them, and one that has none needs none.
fn server(store: &str, host: &str, port: Option<u16>, tls: bool) -> String {
    if store == MONGODB && port.is_none() {
        return host.to_owned();
    }
    format!("{host}:{}", port.map_or(store_port(store, tls), i32::from))
}

/// Percent-encoding (RFC 3986): everything but what is never special.
fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    fn secret(values: &[(&str, &str)]) -> Secret {
        let encode = |(key, value): &(&str, &str)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()));
        Secret { data: Some(values.iter().map(encode).collect()), ..Secret::default() }
    }

    fn login(store: &str, more: &[(&str, &str)]) -> Login {
        let all = [&[("host", "h.test"), ("username", "u@x"), ("password", "p/w d\n")], more].concat();
        read(store, &secret(&all)).unwrap_or_else(|problem| panic!("{problem}"))
    }

    #[test]
    fn an_address_has_the_usual_port_and_is_encrypted_unless_the_secret_says_otherwise() {
        let file = "/ca";
        assert_eq!(
            login(POSTGRES, &[]).postgres("role", "word", "base", file),
            "postgres://role:word@h.test:5432/base?sslmode=verify-full"
        );
        assert_eq!(
            login(POSTGRES, &[(AUTHORITY, "PEM"), ("port", "6432")]).postgres("role", "word", "base", file),
            "postgres://role:word@h.test:6432/base?sslmode=verify-full&sslrootcert=/ca"
        );
        assert_eq!(login(REDIS, &[]).redis(), "rediss://u%40x:p%2Fw%20d@h.test:6379/0");
        assert_eq!(
            login(REDIS, &[("tls", "none"), ("database", "3")]).redis(),
            "redis://u%40x:p%2Fw%20d@h.test:6379/3"
        );
        assert_eq!(login(RABBITMQ, &[]).amqp(), "amqps://u%40x:p%2Fw%20d@h.test:5671/%2F");
        assert_eq!(
            login(RABBITMQ, &[("tls", "none"), ("vhost", "my shop")]).amqp(),
            "amqp://u%40x:p%2Fw%20d@h.test:5672/my%20shop"
        );
    }

    #[test]
    fn mongodb_may_be_several_servers_with_options_of_their_own() {
        let several = [("host", "a.test:27017,b.test:27018"), ("options", "replicaSet=rs0&authSource=shop")];
        let all =
            [&several[..], &[("username", "u"), ("password", "p"), ("database", "mine"), (AUTHORITY, "PEM")]].concat();
        let login = read(MONGODB, &secret(&all)).unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!(login.ports(0), [27017, 27018]);
        let wanted =
            "mongodb://u:p@a.test:27017,b.test:27018/mine?replicaSet=rs0&authSource=shop&tls=true&tlsCAFile=/ca";
        assert_eq!(login.mongodb("other", "/ca"), wanted);
        let plain = self::login(MONGODB, &[("tls", "none")]).mongodb("other", "/ca");
        assert_eq!(plain, "mongodb://u%40x:p%2Fw%20d@h.test/other?authSource=admin");
    }

    #[test]
    fn what_is_wrong_is_named_and_what_is_there_is_not() {
        let full = [("host", "h.test"), ("username", "u"), ("password", "hunter2")];
        for missing in 0..full.len() {
            let mut some = full.to_vec();
            let (key, _) = some.remove(missing);
            assert_eq!(read(POSTGRES, &secret(&some)).err(), Some(format!("has no `{key}`")));
        }
        for (key, value) in [
            ("host", "hunter2@evil.test/?"),
            ("port", "hunter2"),
            ("tls", "hunter2"),
            ("options", "a=b#hunter2"),
            ("database", "hunter2"),
        ] {
            let mut all = full.to_vec();
            all.retain(|(other, _)| *other != key);
            all.push((key, value));
            let problem = read(REDIS, &secret(&all)).err().unwrap_or_else(|| panic!("{key} is fine"));
            assert!(problem.contains(&format!("`{key}`")) && !problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn redis_needs_no_user() {
        let login = read(REDIS, &secret(&[("host", "h.test"), ("password", "p")]))
            .unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!(login.username, "default");
    }
}
