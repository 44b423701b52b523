//! What has served does not stay.

use std::time::Duration;

use serde_json::json;
use shop_testing::eventually;

use crate::harness::{PASSWORD, Shop};

const DAY: Duration = Duration::from_hours(24);
const SWEPT: [&str; 5] = ["sessions", "links", "spent_tokens", "revoked_families", "mail_attempts"];

async fn documents(shop: &Shop) -> Vec<u64> {
    let mut counts = Vec::new();
    for collection in SWEPT {
        counts.push(shop.documents(collection).await);
    }
    counts
}

#[tokio::test]
async fn tokens_links_and_their_marks_are_removed_a_day_after_they_expired_and_accounts_stay() {
    let shop = Shop::open().await;
    let (email, pair) = shop.user().await;
    let next = shop.refresh(&pair.refresh).await.pair();
    let logout = shop.post("/api/v1/auth/logout", json!({"refresh_token": next.refresh})).await;
    assert_eq!(logout.status, 204);
    shop.all_mails_are_sent().await;
    let before = documents(&shop).await;
    assert!(before.iter().all(|count| *count > 0), "{SWEPT:?}: {before:?}");

    // A service sweeps when it starts.
    let shop = shop.restart().await;
    shop.login(&email, PASSWORD).await;
    let after = documents(&shop).await;
    assert_eq!(after[0], before[0] + 1, "nothing has expired yet");
    assert_eq!(after[1..], before[1..]);

    shop.world.advance(DAY * 32);
    let shop = shop.restart().await;
    eventually("everything that expired is gone", || async {
        let counts = documents(&shop).await;
        if counts.iter().sum::<u64>() == 0 { Ok(()) } else { Err(format!("{SWEPT:?}: {counts:?}")) }
    })
    .await;
    shop.login(&email, PASSWORD).await;
}
