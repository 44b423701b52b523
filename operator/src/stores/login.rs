//! What a Secret says about a store, and the address that services get from it.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::num::NonZeroU16;

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
    let required = |key: &str| text(secret, key)?.ok_or_else(|| format!("has no `{key}`"));
    let host = checked(required("host")?, "host", is_host)?;
    check_servers(store, &host)?;
    let tls = match text(secret, "tls")?.as_deref() {
        None | Some("verify") => true,
        Some("none") => false,
        Some(_) => return Err("has a `tls` that is neither `verify` nor `none`".to_owned()),
    };
    let port = text(secret, "port")?.map(|port| port.parse::<NonZeroU16>()).transpose();
    let port = port.map_err(|_| "has a `port` that is no number from 1 to 65535".to_owned())?;
    let username = if store == REDIS {
        text(secret, "username")?.unwrap_or_else(|| "default".to_owned())
    } else {
        required("username")?
    };
    let space = text(secret, if store == RABBITMQ { "vhost" } else { "database" })?;
    if store == REDIS && space.as_ref().is_some_and(|database| database.parse::<u16>().is_err()) {
        return Err("has a `database` that is no number".to_owned());
    }
    let options = text(secret, "options")?.map(|options| checked(options, "options", is_query)).transpose()?;
    let authority = if tls { text(secret, AUTHORITY)? } else { None };
    Ok(Login {
        server: server(store, &host, port, tls),
        username,
        password: required("password")?,
        tls,
        authority,
        space,
        options,
    })
}

/// Reads what CloudNativePG wrote.
pub(super) fn of_superuser(host: &str, secret: &Secret, authority: &Secret) -> Option<Login> {
    Some(Login {
        server: server(POSTGRES, host, None, true),
        username: text(secret, "username").ok()??,
        password: text(secret, "password").ok()??,
        tls: true,
        authority: Some(text(authority, AUTHORITY).ok()??),
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
fn text(secret: &Secret, key: &str) -> Result<Option<String>, String> {
    let Some(value) = secret.data.as_ref().and_then(|data| data.get(key)) else { return Ok(None) };
    let text = String::from_utf8(value.0.clone()).map_err(|_| format!("has a `{key}` that is not text (UTF-8)"))?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()).filter(|text| !text.is_empty()))
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

/// MongoDB may be several servers, each with its port if it needs one. All others are one, whose port has a key of its own.
fn check_servers(store: &str, host: &str) -> Result<(), String> {
    let several = store == MONGODB;
    let with_port = |server: &str| {
        let parts = server.rsplit_once(':');
        parts.is_some_and(|(name, port)| is_name(name) && port.parse::<NonZeroU16>().is_ok())
    };
    let mut servers = host.split(|c: char| several && c == ',');
    if servers.all(|server| is_name(server) || (several && with_port(server))) {
        Ok(())
    } else if several {
        Err("has a `host` in which a server is neither `name` nor `name:port` with a port from 1 to 65535".to_owned())
    } else {
        Err("has a `host` that is not one name or address: write its port into `port`, and an IPv6 address in brackets"
            .to_owned())
    }
}

/// Whether this is the name of one server or its address, without a port.
fn is_name(server: &str) -> bool {
    match server.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !server.is_empty() && !server.contains([':', ',', '[', ']']),
    }
}

/// A server of MongoDB may have its port with it, and one that has none needs none.
fn server(store: &str, host: &str, port: Option<NonZeroU16>, tls: bool) -> String {
    if store == MONGODB && port.is_none() {
        return host.to_owned();
    }
    let port = port.map_or(store_port(store, tls), |port| i32::from(port.get()));
    let whole = |server: &str| if is_name(server) { format!("{server}:{port}") } else { server.to_owned() };
    host.split(',').map(whole).collect::<Vec<_>>().join(",")
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

    /// What is wrong with a Secret that has these values in the place of good ones.
    fn problem(store: &str, more: &[(&str, &str)]) -> String {
        let all = [&[("host", "h.test"), ("username", "u"), ("password", "p")], more].concat();
        read(store, &secret(&all)).err().unwrap_or_default()
    }

    #[test]
    fn a_host_with_a_port_is_refused_where_the_port_has_a_key_of_its_own() {
        for store in [POSTGRES, REDIS, RABBITMQ] {
            for host in ["db.test:5432", "a.test,b.test", "2001:db8::1", "[db.test]", "[2001:db8::1]:5432"] {
                let told = problem(store, &[("host", host)]);
                assert!(told.contains("write its port into `port`"), "{store} at {host}: {told}");
            }
            assert_eq!(problem(store, &[("host", "[2001:db8::1]"), ("port", "6432")]), "");
        }
    }

    #[test]
    fn a_number_that_no_port_can_be_is_refused_before_it_is_in_a_policy() {
        for port in ["0", "65536", "-1"] {
            let told = problem(POSTGRES, &[("port", port)]);
            assert!(told.contains("`port` that is no number from 1 to 65535"), "{port}: {told}");
        }
        for host in ["db:270177", "db:0", "a.test,b.test:", "a.test,,b.test", "a.test:1:2", "2001:db8::1"] {
            let told = problem(MONGODB, &[("host", host)]);
            assert!(told.contains("with a port from 1 to 65535"), "{host}: {told}");
        }
    }

    #[test]
    fn a_port_of_its_own_is_that_of_every_mongodb_that_names_none() {
        let login = login(MONGODB, &[("host", "a.test,[2001:db8::1],b.test:27018"), ("port", "27019")]);
        assert_eq!(login.server, "a.test:27019,[2001:db8::1]:27019,b.test:27018");
        assert_eq!(login.ports(0), [27018, 27019]);
    }

    #[test]
    fn a_value_that_is_no_text_is_not_called_missing() {
        for key in ["password", AUTHORITY] {
            let mut secret = secret(&[("host", "h.test"), ("username", "u"), ("password", "p")]);
            secret.data.get_or_insert_default().insert(key.to_owned(), ByteString(vec![0x30, 0x82, 0xff]));
            assert_eq!(read(POSTGRES, &secret).err(), Some(format!("has a `{key}` that is not text (UTF-8)")));
        }
    }

    #[test]
    fn redis_needs_no_user() {
        let login = read(REDIS, &secret(&[("host", "h.test"), ("password", "p")]))
            .unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!(login.username, "default");
    }
}
