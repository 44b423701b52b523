//! Refresh tokens and their families.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use crate::harness::{PASSWORD, Shop};

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn of_thirty_two_refreshes_at_once_exactly_one_wins() {
    let shop = Shop::open().await;
    let (_, pair) = shop.user().await;
    let answers = join_all((0..32).map(|_| shop.refresh(&pair.refresh))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1, "{answers:?}");
    assert!(lost.iter().all(|answer| answer.status == 401), "{answers:?}");
}

#[tokio::test]
async fn a_spent_refresh_token_ends_its_session_and_no_other() {
    let shop = Shop::open().await;
    let (email, stolen) = shop.user().await;
    let other = shop.login(&email, PASSWORD).await;
    let next = shop.refresh(&stolen.refresh).await.pair();
    let last = shop.refresh(&next.refresh).await.pair();
    assert_eq!(shop.refresh(&stolen.refresh).await.status, 401);
    assert_eq!(shop.refresh(&last.refresh).await.status, 401, "the newest token of the family is worthless too");
    assert_eq!(shop.refresh(&other.refresh).await.status, 200);
}

#[tokio::test]
async fn logging_out_ends_the_session_and_may_be_done_again() {
    let shop = Shop::open().await;
    let (_, pair) = shop.user().await;
    let logout = || shop.post("/api/v1/auth/logout", json!({"refresh_token": pair.refresh}));
    assert_eq!(logout().await.status, 204);
    assert_eq!(logout().await.status, 204);
    assert_eq!(shop.refresh(&pair.refresh).await.status, 401);
    let unknown = shop.post("/api/v1/auth/logout", json!({"refresh_token": "unknown"})).await;
    assert_eq!(unknown.status, 204);
}

#[tokio::test]
async fn a_refresh_token_ends_after_seven_days() {
    let shop = Shop::open().await;
    let (_, pair) = shop.user().await;
    shop.world.advance(DAY * 7 + Duration::from_secs(1));
    assert_eq!(shop.refresh(&pair.refresh).await.status, 401);
}

#[tokio::test]
async fn a_session_ends_after_thirty_days_however_often_it_is_refreshed() {
    let shop = Shop::open().await;
    let (_, mut pair) = shop.user().await;
    for _ in 0..4 {
        shop.world.advance(DAY * 6);
        let answer = shop.refresh(&pair.refresh).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        pair = answer.pair();
    }
    shop.world.advance(DAY * 6);
    assert_eq!(shop.refresh(&pair.refresh).await.status, 401);
}

#[tokio::test]
async fn an_access_token_is_no_refresh_token() {
    let shop = Shop::open().await;
    let (_, pair) = shop.user().await;
    let answer = shop.refresh(&pair.access).await;
    assert!(answer.status == 401 || answer.status == 400, "{answer:?}");
    assert_eq!(shop.get("/api/v1/users/me", &pair.refresh).await.status, 401);
}
