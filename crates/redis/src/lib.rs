//! The one way to a Redis: with the store's own authority where the settings name one.

use redis::{Client, IntoConnectionInfo as _, RedisResult, TlsCertificates, io::tcp::TcpSettings};
use secrecy::ExposeSecret as _;
use shop_config::Url;

/// A client; it does not connect yet.
pub fn client(config: &Url, tcp: TcpSettings) -> RedisResult<Client> {
    let store = config.url.expose_secret().into_connection_info()?.set_tcp_settings(tcp);
    match config.authority()? {
        // Nobody but that authority is trusted then.
        Some(authority) => {
            Client::build_with_tls(store, TlsCertificates { client_tls: None, root_cert: Some(authority.into_bytes()) })
        }
        None => Client::open(store),
    }
}
