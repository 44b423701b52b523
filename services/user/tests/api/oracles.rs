//! Nobody learns from an answer, or from what it costs, which addresses have an account.

use serde_json::json;

use crate::harness::{Answer, PASSWORD, Shop, address};

/// What a request was answered, and how many passwords were hashed for it: the one thing that takes long.
async fn cost(shop: &Shop, path: &str, email: &str, password: &str) -> (Answer, u64) {
    let before = shop.metric("password_hashes_total").await;
    let body = json!({"email": email, "password": password, "first_name": "Ada", "last_name": "Lovelace"});
    let answer = shop.post(path, body).await;
    (answer, shop.metric("password_hashes_total").await - before)
}

async fn assert_alike(shop: &Shop, path: &str, cases: &[(&str, &str)], hashes: u64) {
    let (first, _) = cost(shop, path, cases[0].0, cases[0].1).await;
    for (email, password) in cases {
        let (answer, cost) = cost(shop, path, email, password).await;
        assert_eq!(answer.told(), first.told(), "{path} for {email}");
        assert_eq!(cost, hashes, "{path} for {email}");
    }
}

#[tokio::test]
async fn answers_and_their_cost_are_the_same_for_addresses_with_and_without_an_account() {
    let shop = Shop::open().await;
    let (verified, _) = shop.user().await;
    let (unverified, nobody) = (address("unverified"), address("nobody"));
    shop.register(&unverified, PASSWORD).await;
    let everybody = [(nobody.as_str(), PASSWORD), (verified.as_str(), PASSWORD), (unverified.as_str(), PASSWORD)];

    let refused = [everybody[0], everybody[2], (verified.as_str(), "a wrong passphrase"), (&unverified, "wrong")];
    assert_alike(&shop, "/api/v1/auth/login", &refused, 1).await;
    assert_alike(&shop, "/api/v1/auth/verify-email/request", &everybody, 0).await;
    assert_alike(&shop, "/api/v1/auth/password/forgot", &everybody, 0).await;
    assert_alike(&shop, "/api/v1/auth/register", &everybody, 1).await;
}

#[tokio::test]
async fn asking_for_a_mail_stores_the_same_for_an_address_without_an_account() {
    let shop = Shop::open().await;
    let (verified, _) = shop.user().await;
    shop.all_mails_are_sent().await;
    let attempts = shop.documents("mail_attempts").await;
    for (number, email) in [address("nobody"), verified].iter().enumerate() {
        shop.post("/api/v1/auth/password/forgot", json!({ "email": email })).await;
        shop.all_mails_are_sent().await;
        assert_eq!(shop.documents("mail_attempts").await, attempts + number as u64 + 1, "{email}");
    }
    assert_eq!(shop.metric("mails_total{outcome=\"nobody\"}").await, 1);
}
