//! The account store is away: whoever is logged in stays so, and nobody waits for long.

use std::{sync::Arc, time::Duration};

use reqwest::Method;
use serde_json::json;
use shop_auth::{Role, Signer, Verifier};
use shop_core::World as _;
use shop_server::Host;
use shop_testing::{Running, TestWorld};
use shop_user::mail::LogMailer;
use tokio::{net::TcpListener, time::timeout};
use uuid::Uuid;

use crate::harness::{Answer, Keys, PASSWORD, Setting, address, config};

/// A service whose accounts are at `mongodb`, where nobody answers.
async fn without_mongodb(keys: &Keys, mongodb: &str) -> Running {
    let world = Arc::new(TestWorld::new(1));
    let host = Host::new(Arc::clone(&world) as _);
    let config = config(keys, mongodb, &Setting::default(), "admin@example.com");
    let edge = shop_user::wire(config, &host, Arc::new(LogMailer::new(std::io::sink()))).await.expect("it builds");
    Running::serve(edge, host).await
}

async fn check(mongodb: &str) {
    let keys = Keys::create();
    let service = without_mongodb(&keys, mongodb).await;
    let (login, refresh) = (json!({"email": address("ada"), "password": PASSWORD}), json!({"refresh_token": "x"}));
    let new = json!({"email": address("ada"), "password": PASSWORD, "first_name": "A", "last_name": "L"});
    let forgot = json!({"email": address("ada")});
    for (path, body) in [("login", login), ("refresh", refresh), ("register", new), ("password/forgot", forgot)] {
        let request = service.client.request(Method::POST, service.url(&format!("/api/v1/auth/{path}"))).json(&body);
        let answer = timeout(Duration::from_secs(30), Answer::to(request)).await.expect("nobody waits for ever");
        assert_eq!(answer.status, 503, "{path}: {answer:?}");
        assert!(answer.headers.contains_key("retry-after"), "{path}: {answer:?}");
    }

    let keys_answer = Answer::to(service.client.get(service.url("/.well-known/jwks.json"))).await;
    assert_eq!(keys_answer.status, 200);
    let auth = keys.config();
    let signer = Signer::follow(&keys.folder.join("signing"), &auth).expect("our own keys");
    let token = signer.mint(Uuid::nil(), &[Role::Buyer], Uuid::nil(), TestWorld::new(1).now()).expect("a token");
    let verifier = Verifier::new(&keys_answer.body.to_string(), &auth.issuer, &auth.audience).expect("a key set");
    assert!(verifier.verify(&token).is_ok(), "tokens are verified without the account store");
    let me = service.client.get(service.url("/api/v1/users/me"));
    assert_eq!(Answer::to(me.bearer_auth("no token")).await.status, 401, "also here, and without asking the store");
    service.stop().await;
}

#[tokio::test]
async fn without_mongodb_logins_are_told_to_come_back_and_tokens_are_still_verified() {
    check("mongodb://127.0.0.1:9/user").await;
}

#[tokio::test]
async fn a_mongodb_that_takes_connections_and_says_nothing_holds_nobody_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = silent.local_addr().expect("an address").port();
    check(&format!("mongodb://127.0.0.1:{port}/user")).await;
}
