//! What the user service does not take, and what it does not let a client set.

use reqwest::Method;
use serde_json::{Value, json};
use shop_testing::{
    forgeries::{forgeries, genuine},
    limits::{Sample, Try, check},
};
use uuid::Uuid;

use crate::harness::{ADMIN_PASSWORD, PASSWORD, Shop, address};

#[tokio::test]
async fn every_field_of_every_route_has_limits_and_is_named_when_it_breaks_them() {
    let shop = Shop::open().await;
    let admin = shop.admin_session().await;
    let (email, _) = shop.user().await;
    assert_eq!(shop.post("/api/v1/auth/password/forgot", json!({"email": email})).await.status, 200);
    let reset = shop.mailed_token(&email, 2).await;
    let new = address("new");
    assert_eq!(shop.register(&new, PASSWORD).await.status, 201);
    let verify = shop.mailed_token(&new, 1).await;

    let registration =
        json!({"email": address("x"), "password": PASSWORD, "first_name": "Ada", "last_name": "Lovelace"});
    let session = json!({"refresh_token": "unknown"});
    let nobody = json!({"email": address("nobody")});
    let samples = [
        Sample::with_body("POST /api/v1/auth/register", json!({}), registration),
        Sample::with_body("POST /api/v1/auth/verify-email/request", json!({}), nobody.clone()),
        Sample::new("GET /api/v1/auth/verify-email", json!({"token": verify})),
        Sample::with_body("POST /api/v1/auth/login", json!({}), json!({"email": email, "password": PASSWORD})),
        Sample::with_body("POST /api/v1/auth/refresh", json!({}), session.clone()),
        Sample::with_body("POST /api/v1/auth/logout", json!({}), session),
        Sample::with_body("POST /api/v1/auth/password/forgot", json!({}), nobody),
        Sample::with_body("POST /api/v1/auth/password/reset", json!({}), json!({"token": reset, "password": PASSWORD})),
        Sample::with_body(
            "PUT /api/v1/users/me/password",
            json!({}),
            json!({"current": ADMIN_PASSWORD, "new": ADMIN_PASSWORD}),
        ),
        Sample::new("GET /api/v1/users", json!({"email": email, "page": 1, "limit": 20})),
        Sample::new("PUT /api/v1/users/{id}/promote-admin", json!({"id": Uuid::nil()})),
    ];
    let send = async |Try { method, path, body, .. }: Try| {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = shop.send(method, &path, Some(&admin.access), body).await;
        (answer.status.as_u16(), answer.body)
    };
    check(&shop.running.document().await, &samples, send).await;
}

#[tokio::test]
async fn who_registers_is_a_buyer_to_be_verified_whatever_the_request_says() {
    let shop = Shop::open().await;
    let email = address("cheat");
    let mut body = json!({"email": email, "password": PASSWORD, "firstName": "Ada", "lastName": "Lovelace"});
    let cheat = json!({
        "role": "admin", "roles": ["admin", "seller"], "isAdmin": true, "admin": true, "verified": true,
        "emailVerified": true, "id": Uuid::nil(), "_id": Uuid::nil(), "createdAt": "2000-01-01T00:00:00Z",
        "facts": ["admin", "verified"], "$set": {"role": "admin"}, "__proto__": {"admin": true},
    });
    body.as_object_mut().expect("an object").extend(cheat.as_object().expect("an object").clone());
    assert_eq!(shop.post("/api/v1/auth/register", body).await.status, 201);
    assert_eq!(shop.try_login(&email, PASSWORD).await.status, 401, "the address is not verified");

    let token = shop.mailed_token(&email, 1).await;
    assert_eq!(shop.verify(&token).await.status, 200);
    let mut login = json!({"email": email, "password": PASSWORD});
    login.as_object_mut().expect("an object").extend(cheat.as_object().expect("an object").clone());
    let pair = shop.post("/api/v1/auth/login", login).await.pair();
    let me = shop.me(&pair.access).await;
    assert_eq!((&me["roles"], &me["firstName"]), (&json!(["buyer"]), &json!("Ada")));
    assert_ne!(me["id"], json!(Uuid::nil()));

    let mut applied = cheat.clone();
    applied["userId"] = json!(Uuid::nil());
    let seller = shop.send(Method::PUT, "/api/v1/users/apply-seller", Some(&pair.access), Some(applied)).await;
    assert_eq!(seller.status, 200);
    let mut refresh = cheat;
    refresh["refreshToken"] = json!(pair.refresh);
    let next = shop.post("/api/v1/auth/refresh", refresh).await.pair();
    assert_eq!(shop.me(&next.access).await["roles"], json!(["buyer", "seller"]));
    assert_eq!(shop.get("/api/v1/users", &next.access).await.status, 403);
}

#[tokio::test]
async fn operators_of_the_store_in_place_of_texts_are_refused() {
    let shop = Shop::open().await;
    let (email, pair) = shop.user().await;
    for operator in [json!({"$ne": null}), json!({"$gt": ""}), json!({"$regex": ".*"}), json!([email])] {
        for (path, field, body) in [
            ("/api/v1/auth/login", "email", json!({"email": operator, "password": PASSWORD})),
            ("/api/v1/auth/login", "password", json!({"email": email, "password": operator})),
            ("/api/v1/auth/refresh", "refresh_token", json!({"refresh_token": operator})),
            ("/api/v1/auth/password/reset", "token", json!({"token": operator, "password": PASSWORD})),
        ] {
            let answer = shop.post(path, body).await;
            assert_eq!((answer.status.as_u16(), answer.fields()), (400, vec![field]), "{operator}: {answer:?}");
        }
    }
    let query = shop.get("/api/v1/users?email[$ne]=x", &shop.admin_session().await.access).await;
    assert!(query.status == 200, "an unknown parameter is not a filter: {query:?}");
    assert_eq!(shop.me(&pair.access).await["email"], Value::from(email));
}

#[tokio::test]
async fn the_service_that_mints_tokens_takes_no_forged_ones_and_no_refresh_token_for_access() {
    let shop = Shop::open().await;
    let (_, pair) = shop.user().await;
    let mut all = forgeries(shop.tokens());
    all.push(("a refresh token".to_owned(), pair.refresh));
    let mut accepted = Vec::new();
    for (what, token) in all {
        let answer = shop.get("/api/v1/users", &token).await;
        if answer.status != 401 {
            accepted.push(format!("{what}: {}", answer.status));
        }
    }
    assert!(accepted.is_empty(), "{}", accepted.join("\n"));
    assert_eq!(shop.get("/api/v1/users", &genuine(shop.tokens())).await.status, 200);
}
