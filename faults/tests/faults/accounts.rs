//! The account store is away: who is logged in shops on.

use reqwest::Method;
use serde_json::{Value, json};
use shop_testing::eventually;
use uuid::Uuid;

use crate::harness::{
    buyer::{Outcome, Person, read_id},
    link::Mode,
    member::Settings,
    shop::Shop,
};

const PASSWORD: &str = "a perfectly fine passphrase";

/// Asks the user service without a token.
async fn post(shop: &Shop, path: &str, body: &Value) -> (u16, Value) {
    let url = shop.member("user").url(path);
    let answer = shop.client.post(url).json(body).send().await.expect("an answer in time");
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

/// A user who came by registration, mail and login; with the refresh token.
async fn logged_in(shop: &Shop, email: &str) -> (Person, String) {
    let new = json!({"email": email, "password": PASSWORD, "first_name": "Ada", "last_name": "Lovelace"});
    assert_eq!(post(shop, "/api/v1/auth/register", &new).await.0, 201);
    let link = eventually("the mail is there", || async {
        let log = shop.member("user").log();
        let mail = log.lines().filter(|line| line.contains(email)).find_map(|line| line.split_once("?token="));
        mail.map(|(_, rest)| rest.split('"').next().unwrap().to_owned()).ok_or_else(|| log.clone())
    })
    .await;
    let verify = shop.member("user").url(&format!("/api/v1/auth/verify-email?token={link}"));
    assert_eq!(shop.client.get(verify).send().await.unwrap().status(), 200);
    let (status, pair) = post(shop, "/api/v1/auth/login", &json!({"email": email, "password": PASSWORD})).await;
    assert_eq!(status, 200, "{pair}");
    let token = pair["accessToken"].as_str().unwrap().to_owned();
    let me = shop.client.get(shop.member("user").url("/api/v1/users/me")).bearer_auth(&token);
    let me: Value = me.send().await.unwrap().json().await.unwrap();
    (shop.holder(read_id(&me["id"]), token), pair["refreshToken"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn without_mongodb_nobody_logs_in_and_who_is_logged_in_browses_and_buys() {
    let shop = Shop::open(Settings { accounts: true, ..Settings::default() }).await;
    let product = shop.product("Kettle", 1999, 10).await;
    let email = format!("ada-{}@example.com", Uuid::new_v4().simple());
    let (buyer, refresh) = logged_in(&shop, &email).await;
    let (login, refresh) = (json!({"email": email, "password": PASSWORD}), json!({"refresh_token": refresh}));

    for mode in [Mode::Cut, Mode::Stalled] {
        shop.links(Some("mongodb")).for_each(|link| link.set(mode));
        assert_eq!(post(&shop, "/api/v1/auth/login", &login).await.0, 503, "{mode:?}");
        assert_eq!(post(&shop, "/api/v1/auth/refresh", &refresh).await.0, 503, "{mode:?}");
        let (status, found) = shop.ask("product", Method::GET, "/api/v1/products", &buyer, None).await.unwrap();
        assert_eq!(status, 200, "{found}");
        let Outcome::Ordered(order) = shop.buy(&buyer, product, 1, "London").await else { panic!("refused") };
        shop.becomes(&buyer, order, "DELIVERED").await;
    }

    shop.heal().await;
    assert_eq!(post(&shop, "/api/v1/auth/refresh", &refresh).await.0, 200, "a refusal did not use it up");
    assert_eq!(post(&shop, "/api/v1/auth/login", &login).await.0, 200);
    assert_eq!(shop.settles().await.orders.len(), 2);
}
