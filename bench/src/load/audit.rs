//! What became of the orders that were accepted: each must be there, and end.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use http::Method;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::visit::Visit;
use crate::http::{Connection, Request};

const POLL: Duration = Duration::from_millis(500);

/// The accepted orders at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Orders {
    /// A checkout named them.
    pub accepted: usize,
    /// They arrived.
    pub delivered: usize,
    /// They ended otherwise.
    pub canceled: usize,
    /// They had not ended when the wait was over.
    pub unfinished: usize,
    /// Their buyer's list does not have them.
    pub missing: usize,
}

/// The orders of all buyers.
pub struct Audit {
    connection: Option<Connection>,
    orders: BTreeMap<String, BTreeSet<String>>,
}

impl Audit {
    /// Collects what visitors remember. Two connections can share a buyer.
    pub fn new(visits: Vec<Visit>) -> Self {
        let mut audit = Self { connection: None, orders: BTreeMap::new() };
        for visit in visits {
            let (connection, token, orders) = visit.into_orders();
            audit.connection = Some(connection);
            audit.orders.entry(token).or_default().extend(orders);
        }
        audit
    }

    /// Asks until every order has ended, for `patience` at most.
    pub async fn settle(self, patience: Duration) -> Orders {
        let Self { connection: Some(connection), orders } = self else { return Orders::default() };
        let deadline = Instant::now() + patience;
        let mut result = Orders::default();
        for (token, orders) in &orders {
            let counted = loop {
                let counted = count(&connection, token, orders).await;
                if counted.unfinished + counted.missing == 0 || Instant::now() >= deadline {
                    break counted;
                }
                sleep(POLL).await;
            };
            result.add(counted);
        }
        result
    }
}

impl Orders {
    fn add(&mut self, other: Self) {
        let Self { accepted, delivered, canceled, unfinished, missing } = other;
        self.accepted += accepted;
        self.delivered += delivered;
        self.canceled += canceled;
        self.unfinished += unfinished;
        self.missing += missing;
    }
}

async fn count(connection: &Connection, token: &str, orders: &BTreeSet<String>) -> Orders {
    let mut counted = Orders { accepted: orders.len(), missing: orders.len(), ..Orders::default() };
    let mut cursor = String::new();
    while counted.missing > 0 {
        let path = format!("/api/v1/orders?limit=100{cursor}");
        // A page that cannot be had leaves its orders missing; the caller asks again.
        let Ok(page) = connection.json(Request::new(Method::GET, &path).by(token)).await else { break };
        for order in page["data"].as_array().into_iter().flatten() {
            if order["id"].as_str().is_some_and(|id| orders.contains(id)) {
                counted.missing -= 1;
                match order["status"].as_str() {
                    Some("DELIVERED") => counted.delivered += 1,
                    Some("CANCELED") => counted.canceled += 1,
                    _ => counted.unfinished += 1,
                }
            }
        }
        let Value::String(next) = &page["nextCursor"] else { break };
        cursor = format!("&cursor={next}");
    }
    counted
}
