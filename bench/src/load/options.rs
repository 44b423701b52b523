//! What a user says about the load.

use std::{net::IpAddr, path::PathBuf};

use anyhow::{Context as _, ensure};
use clap::Parser;

/// Access tokens live for fifteen minutes; a run with its sign-ups has to end before.
const LONGEST: u64 = 600;
/// The Shop lets one address register 60 accounts a minute, so more would take longer than their tokens live.
const MOST_CONNECTIONS: u64 = 200;

/// Sends the daily mix of a shop (browse, search, look, fill the cart, check out, follow the order) to a running Shop.
///
/// Without --tokens it signs up a seller and one buyer a connection through the public API, and reads the links in their mails
/// from the log of the user pods (`KUBECONFIG`, `SHOP_NAMESPACE`, `SHOP_NAME`). The orders it makes are real ones.
#[derive(Clone, Debug, Parser)]
#[command(name = "shop-load")]
pub struct Options {
    /// The Shop. Without it `SHOP_URL` is used, and only an address of this machine or of a private network is accepted
    #[arg(long)]
    pub url: Option<String>,
    /// Connections, each with a buyer of its own
    #[arg(long, short, default_value_t = 16, value_parser = connections)]
    pub connections: usize,
    /// Requests a second (open loop); without it each connection sends when it has its answer (closed loop)
    #[arg(long, short, value_parser = rate)]
    pub rate: Option<f64>,
    /// Seconds during which requests are sent
    #[arg(long, short, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=LONGEST))]
    pub duration: u64,
    /// No more requests than this
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub requests: u64,
    /// Seconds to wait until accepted orders are delivered
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=LONGEST))]
    pub settle: u64,
    /// The same seed makes the same choices
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Products to put on sale
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub products: u32,
    /// A file with the access token of a buyer on each line: they buy what is on sale, and nobody is signed up
    #[arg(long)]
    pub tokens: Option<PathBuf>,
    /// Write the report to this file as JSON too
    #[arg(long)]
    pub json: Option<PathBuf>,
}

impl Options {
    /// Where the load goes.
    pub fn url(&self) -> anyhow::Result<String> {
        if let Some(url) = &self.url {
            return Ok(url.trim_end_matches('/').to_owned());
        }
        let url = std::env::var("SHOP_URL").context("name the Shop with --url, or start one with `cargo xtask up`")?;
        ensure!(is_private(&url), "{url} is not an address of a private network; if you mean it, write --url {url}");
        Ok(url.trim_end_matches('/').to_owned())
    }
}

fn is_private(url: &str) -> bool {
    let Some(host) = url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)) else { return false };
    match host.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(ip)) => {
            // 198.18.0.0/15 is for benchmarks (RFC 2544), and where the local cluster's node is.
            let for_benchmarks = matches!(ip.octets(), [198, 18 | 19, ..]);
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || for_benchmarks
        }
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Err(_) => host == "localhost" || host.ends_with(".localhost") || host.ends_with(".svc.cluster.local"),
    }
}

fn connections(text: &str) -> Result<usize, String> {
    let connections = text.parse().ok().filter(|number| (1..=MOST_CONNECTIONS).contains(number));
    let connections = connections.and_then(|number| usize::try_from(number).ok());
    connections.ok_or_else(|| format!("not a number from 1 to {MOST_CONNECTIONS}"))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.01..=100_000.0).contains(rate));
    rate.ok_or_else(|| "not a number from 0.01 to 100000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_has_to_be_named_in_words() {
        for private in [
            "http://127.0.0.1:8080",
            "http://localhost",
            "http://198.18.0.2",
            "http://10.96.3.4:80",
            "http://[::1]:8080",
            "http://demo-cart.shop.svc.cluster.local:8080",
        ] {
            assert!(is_private(private), "{private}");
        }
        for public in ["https://shop.example.com", "http://8.8.8.8", "http://localhost.example.com", "nonsense"] {
            assert!(!is_private(public), "{public}");
        }
    }

    #[test]
    fn a_load_without_bounds_is_refused() {
        for arguments in [["--duration", "601"], ["--connections", "0"], ["--connections", "201"], ["--rate", "0"]] {
            assert!(Options::try_parse_from(["shop-load"].iter().chain(&arguments)).is_err(), "{arguments:?}");
        }
    }
}
