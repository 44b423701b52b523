//! Who tries too often, and stores that are away.

use serde_json::json;
use shop_user::config::RateLimits;

use crate::harness::{Answer, PASSWORD, Setting, Shop, address};

/// Nobody listens on the discard port.
const NOWHERE: &str = "redis://127.0.0.1:9/0";

fn limits(logins_per_account: u32) -> RateLimits {
    RateLimits { logins_per_account, ..RateLimits::default() }
}

/// A limit counts by the minute of the clock, so the minute may turn once while we try.
async fn until_refused(shop: &Shop, email: &str, most: usize) -> Answer {
    for attempt in 0..=2 * most {
        let answer = shop.try_login(email, "a wrong passphrase").await;
        if answer.status == 429 {
            assert!(attempt >= most, "refused after {attempt} attempts");
            return answer;
        }
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    panic!("never refused");
}

fn assert_says_when_to_come_back(answer: &Answer) {
    let seconds = answer.headers["retry-after"].to_str().ok().and_then(|text| text.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| (1..=60).contains(&seconds)), "{answer:?}");
    assert!(answer.fields().is_empty());
}

#[tokio::test]
async fn too_many_logins_to_one_account_wait_and_others_do_not() {
    let shop = Shop::with(Setting { limits: limits(3), ..Setting::default() }).await;
    let (other, _) = shop.user().await;
    let answer = until_refused(&shop, &address("victim"), 3).await;
    assert_says_when_to_come_back(&answer);
    shop.login(&other, PASSWORD).await;
}

#[tokio::test]
async fn too_many_registrations_from_one_address_wait() {
    let settings = RateLimits { registrations_per_address: 2, ..RateLimits::default() };
    let shop = Shop::with(Setting { limits: settings, ..Setting::default() }).await;
    shop.begin_a_minute();
    for _ in 0..2 {
        assert_eq!(shop.register(&address("ada"), PASSWORD).await.status, 201);
    }
    assert_says_when_to_come_back(&shop.register(&address("ada"), PASSWORD).await);
}

#[tokio::test]
async fn without_redis_everybody_logs_in_and_the_limit_still_holds() {
    let shop = Shop::with(Setting { limits: limits(3), redis: NOWHERE.to_owned(), ..Setting::default() }).await;
    let (email, _) = shop.user().await;
    shop.login(&email, PASSWORD).await;
    assert_says_when_to_come_back(&until_refused(&shop, &address("victim"), 3).await);
}

#[tokio::test]
async fn one_mailbox_gets_no_more_mails_than_the_limit() {
    let shop = Shop::with(Setting { limits: limits(2), ..Setting::default() }).await;
    let email = address("ada");
    shop.begin_a_minute();
    for _ in 0..4 {
        assert_eq!(shop.register(&email, PASSWORD).await.status, 201);
        let body = json!({ "email": email });
        assert_eq!(shop.post("/api/v1/auth/password/forgot", body).await.status, 200);
    }
    shop.all_mails_are_sent().await;
    assert_eq!(shop.mails_to(&email), 2);
}

#[tokio::test]
async fn replicas_count_together() {
    let shop = Shop::with(Setting { limits: limits(4), ..Setting::default() }).await;
    let other = shop.replica().await;
    let victim = address("victim");
    shop.begin_a_minute();
    for _ in 0..2 {
        assert_eq!(shop.try_login(&victim, "a wrong passphrase").await.status, 401);
        assert_eq!(other.try_login(&victim, "a wrong passphrase").await.status, 401);
    }
    assert_says_when_to_come_back(&shop.try_login(&victim, "a wrong passphrase").await);
    assert_says_when_to_come_back(&other.try_login(&victim, "a wrong passphrase").await);
}

#[tokio::test]
async fn who_writes_addresses_of_others_into_the_header_is_still_one_client() {
    let settings = RateLimits { registrations_per_address: 2, ..RateLimits::default() };
    let shop = Shop::with(Setting { limits: settings, ..Setting::default() }).await;
    shop.begin_a_minute();
    let mut statuses = Vec::new();
    for spoofed in ["192.0.2.1", "192.0.2.2", "192.0.2.3, 192.0.2.4", "nonsense"] {
        let forwarded = format!("{spoofed}, {}", shop.client_address);
        let request = shop.running.client.post(shop.running.url("/api/v1/auth/password/forgot"));
        let request = request.header("x-forwarded-for", forwarded).json(&json!({ "email": address("ada") }));
        statuses.push(Answer::to(request).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
}
