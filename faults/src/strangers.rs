//! I8 is about answers, not about stores.

use anyhow::Result;
use uuid::Uuid;

use crate::Violation;

/// Asks the order service for each of `orders` with the token of somebody who bought none of them.
pub async fn strangers_read(shop: &str, token: &str, orders: &[Uuid]) -> Result<Vec<Violation>> {
    let client = reqwest::Client::new();
    let mut found = Vec::new();
    for order in orders {
        for (method, path) in [(reqwest::Method::GET, ""), (reqwest::Method::POST, "/cancel")] {
            let url = format!("{}/api/v1/orders/{order}{path}", shop.trim_end_matches('/'));
            let status = client.request(method.clone(), url).bearer_auth(token).send().await?.status();
            if status != reqwest::StatusCode::NOT_FOUND {
                let what = format!("order {order}: a stranger's {method} is answered by {status}");
                found.push(Violation { rule: "I8", what });
            }
        }
    }
    Ok(found)
}
