//! Forgotten and changed passwords.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, PASSWORD, Shop, address};

const NEW: &str = "an even finer passphrase";

async fn reset(shop: &Shop, token: &str, password: &str) -> Answer {
    shop.post("/api/v1/auth/password/reset", json!({"token": token, "password": password})).await
}

async fn change(shop: &Shop, token: &str, body: Value) -> Answer {
    shop.send(Method::PUT, "/api/v1/users/me/password", Some(token), Some(body)).await
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_once_and_every_session_ends() {
    let shop = Shop::open().await;
    let (email, pair) = shop.user().await;
    let forgot = |email: String| shop.post("/api/v1/auth/password/forgot", json!({ "email": email }));
    let (known, unknown) = (forgot(email.clone()).await, forgot(address("nobody")).await);
    assert_eq!((known.status, &known.body), (unknown.status, &unknown.body));
    forgot(email.clone()).await;
    let (first, second) = (shop.mailed_token(&email, 2).await, shop.mailed_token(&email, 3).await);

    assert_eq!(reset(&shop, &first, "short").await.fields(), ["password"]);
    assert_eq!(reset(&shop, &first, NEW).await.status, 200);
    assert_eq!(reset(&shop, &first, PASSWORD).await.fields(), ["token"], "used");
    assert_eq!(reset(&shop, &second, PASSWORD).await.fields(), ["token"], "asked for with the old password");
    assert_eq!(shop.refresh(&pair.refresh).await.status, 401);
    assert_eq!(shop.try_login(&email, PASSWORD).await.status, 401);
    shop.login(&email, NEW).await;
}

#[tokio::test]
async fn a_link_to_verify_cannot_set_a_password_nor_the_other_way_round() {
    let shop = Shop::open().await;
    let email = address("ada");
    shop.register(&email, PASSWORD).await;
    let verify = shop.mailed_token(&email, 1).await;
    assert_eq!(reset(&shop, &verify, NEW).await.fields(), ["token"]);
    shop.post("/api/v1/auth/password/forgot", json!({ "email": email })).await;
    let forgotten = shop.mailed_token(&email, 2).await;
    assert_eq!(shop.verify(&forgotten).await.fields(), ["token"]);
}

#[tokio::test]
async fn a_password_is_changed_with_the_current_one_only() {
    let shop = Shop::open().await;
    let (email, pair) = shop.user().await;
    let wrong = change(&shop, &pair.access, json!({"current": "a wrong passphrase", "new": NEW})).await;
    assert_eq!((wrong.status.as_u16(), wrong.fields()), (400, vec!["current"]));
    let changed = change(&shop, &pair.access, json!({"current": PASSWORD, "new": NEW})).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(shop.refresh(&pair.refresh).await.status, 401);
    shop.login(&email, NEW).await;
}

#[tokio::test]
async fn of_thirty_two_resets_with_one_link_exactly_one_sets_its_password() {
    let shop = Shop::open().await;
    let (email, _) = shop.user().await;
    shop.post("/api/v1/auth/password/forgot", json!({ "email": email })).await;
    let token = shop.mailed_token(&email, 2).await;
    let password = |number: usize| format!("{NEW} number {number}");
    let answers = join_all((0..32).map(async |number| reset(&shop, &token, &password(number)).await)).await;
    let won: Vec<usize> = (0..32).filter(|number| answers[*number].status == 200).collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    // So many passwords at once may keep a slow machine busy for longer than somebody waits.
    let lost = |answer: &&Answer| answer.status == 400 || answer.status == 503;
    assert_eq!(answers.iter().filter(lost).count(), 31, "{answers:?}");
    shop.login(&email, &password(won[0])).await;
}
