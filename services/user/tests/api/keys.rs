//! Keys of access tokens that change while the service runs.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::Value;
use shop_testing::eventually;
use shop_user::config::RateLimits;

use crate::harness::{KeyPair, PASSWORD, Setting, Shop};

/// The name of the key that signed a token.
fn kid(token: &str) -> String {
    let header = token.split('.').next().expect("a token has a header");
    let header = URL_SAFE_NO_PAD.decode(header).expect("base64");
    let header: Value = serde_json::from_slice(&header).expect("JSON");
    header["kid"].as_str().expect("a kid").to_owned()
}

async fn published(shop: &Shop) -> Vec<String> {
    let answer = shop.send(Method::GET, "/.well-known/jwks.json", None, None).await;
    let keys = answer.body["keys"].as_array().expect("a key set").clone();
    keys.iter().map(|key| key["kid"].as_str().expect("a kid").to_owned()).collect()
}

async fn published_as(shop: &Shop, wanted: &[&str]) {
    eventually("the key set is followed", || async {
        let found = published(shop).await;
        if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

#[tokio::test]
async fn keys_are_changed_without_a_restart_and_without_logging_anybody_out() {
    let limits = RateLimits { logins_per_account: 1000, ..RateLimits::default() };
    let shop = Shop::with(Setting { limits, ..Setting::default() }).await;
    let (email, before) = shop.user().await;
    assert_eq!(kid(&before.access), "test");

    // The private key is there first: nobody could verify what it signs, so it does not.
    let (first, second) = (shop.keys.first(), KeyPair::new("second"));
    shop.keys.mount("0002.pem", &second);
    assert_eq!(kid(&shop.login(&email, PASSWORD).await.access), "test");

    shop.keys.publish(&[first, &second]);
    published_as(&shop, &["test", "second"]).await;
    let after = eventually("the newest key signs", || async {
        let pair = shop.login(&email, PASSWORD).await;
        if kid(&pair.access) == "second" { Ok(pair) } else { Err("the first still signs".to_owned()) }
    })
    .await;
    shop.me(&before.access).await;
    shop.me(&after.access).await;

    shop.keys.publish(&[&second]);
    published_as(&shop, &["second"]).await;
    assert_eq!(shop.get("/api/v1/users/me", &before.access).await.status, 401);
    shop.me(&after.access).await;
    let next = shop.refresh(&before.refresh).await;
    assert_eq!(next.status, 200, "a session is not bound to a key: {next:?}");
}
