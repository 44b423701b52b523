//! From a stranger to a user.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{PASSWORD, PUBLIC_URL, Shop, address};

#[tokio::test]
async fn a_stranger_registers_verifies_logs_in_and_is_known() {
    let shop = Shop::open().await;
    let email = address("Ada");

    let registered = shop.register(&email, PASSWORD).await;
    assert_eq!(registered.status, 201);
    assert!(registered.body["message"].is_string(), "{registered:?}");

    let mail = shop.mail(&email.to_lowercase(), 1).await;
    let keys: Vec<_> = mail.as_object().expect("a mail is an object").keys().map(String::as_str).collect();
    assert_eq!(keys, ["mail", "subject", "to", "url"]);
    assert!(
        mail["url"]
            .as_str()
            .is_some_and(|url| url.starts_with(&format!("{PUBLIC_URL}/api/v1/auth/verify-email?token=")))
    );

    let token = shop.mailed_token(&email.to_lowercase(), 1).await;
    let verified = shop.verify(&token).await;
    assert_eq!(verified.status, 200, "{verified:?}");

    let pair = shop.login(&email.to_uppercase(), PASSWORD).await;
    let me = shop.me(&pair.access).await;
    assert_eq!(me["email"], email.to_lowercase());
    assert_eq!((&me["firstName"], &me["lastName"]), (&json!("Ada"), &json!("Lovelace")));
    assert_eq!((&me["verified"], &me["roles"]), (&json!(true), &json!(["buyer"])));
    assert!(me["createdAt"].as_str().is_some_and(|time| time.parse::<jiff::Timestamp>().is_ok()), "{me}");
    let fields = me.as_object().expect("a user is an object");
    assert_eq!(fields.len(), 7, "nothing else, above all no password: {me}");
}

#[tokio::test]
async fn the_published_keys_verify_the_tokens() {
    let shop = Shop::open().await;
    let (_, pair) = shop.user().await;
    let answer = shop.send(Method::GET, "/.well-known/jwks.json", None, None).await;
    assert_eq!(answer.status, 200);
    let verifier =
        shop_auth::Verifier::new(&answer.body.to_string(), "shopkeeper://test/test", "shopkeeper://test/test");
    let caller = verifier.expect("a key set").verify(&pair.access).expect("a good token");
    assert_eq!(caller.id.to_string(), shop.me(&pair.access).await["id"]);
}

#[tokio::test]
async fn a_known_address_gets_the_same_answer_and_its_owner_a_mail() {
    let shop = Shop::open().await;
    let (email, _) = shop.user().await;
    let unknown = shop.register(&address("new"), PASSWORD).await;
    let known = shop.register(&email.to_uppercase(), "another fine passphrase").await;
    assert_eq!((known.status, &known.body), (unknown.status, &unknown.body));
    assert_eq!(shop.mail(&email, 2).await["subject"], "You already have an account");
    shop.login(&email, PASSWORD).await;
    assert_eq!(shop.try_login(&email, "another fine passphrase").await.status, 401);
}

#[tokio::test]
async fn thirty_two_registrations_of_one_address_make_one_account() {
    let shop = Shop::open().await;
    let email = address("ada");
    let answers = join_all((0..32).map(|_| shop.register(&email, PASSWORD))).await;
    // So many passwords at once may keep a slow machine busy for longer than somebody waits.
    assert!(answers.iter().all(|answer| answer.status == 201 || answer.status == 503), "{answers:?}");
    assert!(answers.iter().any(|answer| answer.status == 201), "{answers:?}");
    let admin = shop.admin_session().await;
    let listed = shop.get(&format!("/api/v1/users?email={email}"), &admin.access).await;
    assert_eq!(listed.body["total"], 1, "{listed:?}");
}

#[tokio::test]
async fn an_account_that_is_not_verified_cannot_log_in_and_the_answer_does_not_say_why() {
    let shop = Shop::open().await;
    let email = address("ada");
    shop.register(&email, PASSWORD).await;
    let text = |answer: crate::harness::Answer| {
        assert_eq!(answer.status, 401);
        let Value::Object(mut problem) = answer.body else { panic!("a problem is an object") };
        problem.remove("trace_id");
        problem
    };
    let unverified = text(shop.try_login(&email, PASSWORD).await);
    assert_eq!(unverified, text(shop.try_login(&email, "a wrong passphrase").await));
    assert_eq!(unverified, text(shop.try_login(&address("nobody"), PASSWORD).await));
}

#[tokio::test]
async fn of_thirty_two_clicks_on_a_verification_link_one_counts() {
    let shop = Shop::open().await;
    let email = address("ada");
    shop.register(&email, PASSWORD).await;
    let token = shop.mailed_token(&email, 1).await;
    let answers = join_all((0..32).map(|_| shop.verify(&token))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    let again = shop.verify(&token).await;
    assert_eq!((again.status.as_u16(), again.fields()), (400, vec!["token"]));
    shop.login(&email, PASSWORD).await;
}

#[tokio::test]
async fn a_verification_link_ends_after_a_day_and_another_can_be_had() {
    let shop = Shop::open().await;
    let email = address("ada");
    shop.register(&email, PASSWORD).await;
    let late = shop.mailed_token(&email, 1).await;
    shop.world.advance(Duration::from_hours(24) + Duration::from_secs(1));
    assert_eq!(shop.verify(&late).await.status, 400);

    let request = |email: String| shop.post("/api/v1/auth/verify-email/request", json!({ "email": email }));
    let (known, unknown) = (request(email.clone()).await, request(address("nobody")).await);
    assert_eq!((known.status, &known.body), (unknown.status, &unknown.body));
    assert_eq!(known.status, 200);
    assert_eq!(shop.verify(&shop.mailed_token(&email, 2).await).await.status, 200);
}

#[tokio::test]
async fn who_registers_again_before_verifying_logs_in_with_the_password_of_the_link_that_was_followed() {
    let shop = Shop::open().await;
    let email = address("ada");
    shop.register(&email, "somebody else's passphrase").await;
    shop.mail(&email, 1).await;
    shop.register(&email, PASSWORD).await;
    let token = shop.mailed_token(&email, 2).await;
    assert_eq!(shop.verify(&token).await.status, 200);
    shop.login(&email, PASSWORD).await;
    assert_eq!(shop.try_login(&email, "somebody else's passphrase").await.status, 401);
}

#[tokio::test]
async fn names_are_read_in_camel_case_too_and_a_role_is_not_for_the_asking() {
    let shop = Shop::open().await;
    let email = address("ada");
    let body = json!({"email": email, "password": PASSWORD, "firstName": "Ada", "lastName": "Lovelace", "role": "admin",
        "roles": ["admin"], "verified": true});
    assert_eq!(shop.post("/api/v1/auth/register/", body).await.status, 201);
    assert_eq!(shop.try_login(&email, PASSWORD).await.status, 401, "not verified for the asking either");
    shop.verify(&shop.mailed_token(&email, 1).await).await;
    let pair = shop.login(&email, PASSWORD).await;
    assert_eq!(shop.me(&pair.access).await["roles"], json!(["buyer"]));
    let refreshed = shop.post("/api/v1/auth/refresh", json!({"refreshToken": pair.refresh})).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
}

#[tokio::test]
async fn bad_input_is_refused_with_the_names_of_the_fields() {
    let shop = Shop::open().await;
    let bad = json!({"email": "ada", "password": "short", "first_name": " ", "last_name": "x".repeat(101)});
    let answer = shop.post("/api/v1/auth/register", bad).await;
    assert_eq!(answer.status, 400);
    let mut fields = answer.fields();
    fields.sort_unstable();
    assert_eq!(fields, ["email", "firstName", "lastName", "password"], "{answer:?}");
    assert_eq!(answer.body["error"], answer.body["detail"]);

    let common = json!({"email": address("ada"), "password": "Password123", "first_name": "A", "last_name": "B"});
    assert_eq!(shop.post("/api/v1/auth/register", common).await.fields(), ["password"]);
    let missing = json!({"email": address("ada"), "password": PASSWORD, "last_name": "B"});
    assert_eq!(shop.post("/api/v1/auth/register", missing).await.fields(), ["firstName"]);
    let number = json!({"email": 7, "password": PASSWORD});
    assert_eq!(shop.post("/api/v1/auth/login", number).await.fields(), ["email"]);
    let nothing = shop.send(Method::GET, "/api/v1/auth/verify-email", None, None).await;
    assert_eq!((nothing.status.as_u16(), nothing.fields()), (400, vec!["token"]));
}
