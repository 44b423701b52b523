//! Where a request really comes from.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{HeaderMap, request::Parts};
use shop_core::Fault;
use shop_server::http::Problem;

use super::Api;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address, as the outermost proxy of ours saw it.
pub(super) struct ClientAddress(pub IpAddr);

impl FromRequestParts<Api> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let ConnectInfo(peer) = peer.ok_or_else(|| Fault::internal("the server does not say who connected"))?;
        Ok(Self(client(&parts.headers, peer.ip(), api.trusted_hops)))
    }
}

/// Each proxy appends the address it was called from, so the last entries are ours and what is left of them is whatever
/// the client wrote. Without an entry of ours nobody forwarded the request.
fn client(headers: &HeaderMap, peer: IpAddr, trusted_hops: usize) -> IpAddr {
    let values = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let entries: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let entry = trusted_hops.checked_sub(1).and_then(|hop| entries.iter().rev().nth(hop));
    entry.and_then(|entry| parse(entry)).unwrap_or(peer)
}

/// Some proxies write the port too.
fn parse(entry: &str) -> Option<IpAddr> {
    entry.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn client_of(values: &[&'static str], trusted_hops: usize) -> String {
        let header = HeaderName::from_static(FORWARDED_FOR);
        let headers = values.iter().map(|value| (header.clone(), HeaderValue::from_static(value))).collect();
        client(&headers, "10.0.0.9".parse().unwrap(), trusted_hops).to_string()
    }

    #[test]
    fn what_a_client_writes_itself_does_not_count() {
        assert_eq!(client_of(&["1.1.1.1, 192.0.2.7"], 1), "192.0.2.7");
        assert_eq!(client_of(&["1.1.1.1", "192.0.2.7"], 1), "192.0.2.7");
        assert_eq!(client_of(&["1.1.1.1, 192.0.2.7, 10.1.1.1"], 2), "192.0.2.7");
    }

    #[test]
    fn without_a_proxy_of_ours_it_is_the_peer() {
        assert_eq!(client_of(&[], 1), "10.0.0.9");
        assert_eq!(client_of(&["192.0.2.7"], 0), "10.0.0.9");
        assert_eq!(client_of(&["192.0.2.7"], 2), "10.0.0.9");
        assert_eq!(client_of(&["nonsense"], 1), "10.0.0.9");
    }

    #[test]
    fn a_port_is_left_out() {
        assert_eq!(client_of(&["192.0.2.7:4711"], 1), "192.0.2.7");
        assert_eq!(client_of(&["[2001:db8::1]:4711"], 1), "2001:db8::1");
    }
}
