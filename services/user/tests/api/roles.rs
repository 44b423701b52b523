//! Who may do what.

use futures::future::join;
use reqwest::Method;
use serde_json::json;
use shop_auth::Verifier;
use uuid::Uuid;

use crate::harness::{Setting, Shop};

#[tokio::test]
async fn the_first_admin_is_there_and_makes_another() {
    let shop = Shop::open().await;
    let admin = shop.admin_session().await;
    assert_eq!(shop.me(&admin.access).await["roles"], json!(["buyer", "admin"]));

    let (_, user) = shop.user().await;
    let id = shop.me(&user.access).await["id"].as_str().expect("a user has an id").to_owned();
    let promoted = shop.put(&format!("/api/v1/users/{id}/promote-admin"), &admin.access).await;
    assert_eq!(promoted.status, 200, "{promoted:?}");
    assert!(promoted.body["message"].is_string());

    let next = shop.refresh(&user.refresh).await.pair();
    assert_eq!(shop.get("/api/v1/users", &next.access).await.status, 200);
    let nobody = shop.put(&format!("/api/v1/users/{}/promote-admin", Uuid::nil()), &admin.access).await;
    assert_eq!(nobody.status, 404);
    let malformed = shop.put("/api/v1/users/7/promote-admin", &admin.access).await;
    assert_eq!((malformed.status.as_u16(), malformed.fields()), (400, vec!["id"]));
}

#[tokio::test]
async fn who_is_no_admin_or_nobody_is_refused() {
    let shop = Shop::open().await;
    let (_, user) = shop.user().await;
    let promote = format!("/api/v1/users/{}/promote-admin", Uuid::nil());
    assert_eq!(shop.put(&promote, &user.access).await.status, 403);
    assert_eq!(shop.get("/api/v1/users?email=a@example.com", &user.access).await.status, 403);
    for (method, path) in [
        (Method::PUT, promote.as_str()),
        (Method::GET, "/api/v1/users"),
        (Method::GET, "/api/v1/users/me"),
        (Method::PUT, "/api/v1/users/apply-seller"),
    ] {
        assert_eq!(shop.send(method, path, None, None).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn the_next_token_of_an_applicant_carries_seller() {
    let shop = Shop::open().await;
    let (_, user) = shop.user().await;
    assert_eq!(shop.put("/api/v1/users/apply-seller", &user.access).await.status, 200);
    assert_eq!(shop.put("/api/v1/users/apply-seller", &user.access).await.status, 200, "again is as good");
    let next = shop.refresh(&user.refresh).await.pair();
    let keys = shop.send(Method::GET, "/.well-known/jwks.json", None, None).await.body.to_string();
    let verifier = Verifier::new(&keys, "shopkeeper://test/test", "shopkeeper://test/test").expect("a key set");
    let roles = |token: &str| verifier.verify(token).expect("a good token").roles;
    assert_eq!(roles(&user.access), [shop_auth::Role::Buyer]);
    assert_eq!(roles(&next.access), [shop_auth::Role::Buyer, shop_auth::Role::Seller]);
}

#[tokio::test]
async fn roles_granted_at_the_same_moment_are_all_kept() {
    let shop = Shop::open().await;
    let admin = shop.admin_session().await;
    for _ in 0..5 {
        let (_, user) = shop.user().await;
        let id = shop.me(&user.access).await["id"].as_str().expect("a user has an id").to_owned();
        let promote = format!("/api/v1/users/{id}/promote-admin");
        let (promoted, applied) =
            join(shop.put(&promote, &admin.access), shop.put("/api/v1/users/apply-seller", &user.access)).await;
        assert_eq!((promoted.status.as_u16(), applied.status.as_u16()), (200, 200));
        assert_eq!(shop.me(&user.access).await["roles"], json!(["buyer", "seller", "admin"]));
    }
}

#[tokio::test]
async fn an_admin_finds_users_by_address_and_page_by_page() {
    let shop = Shop::open().await;
    let admin = shop.admin_session().await;
    let (email, _) = shop.user().await;
    shop.user().await;

    let found = shop.get(&format!("/api/v1/users/?email={}", email.to_uppercase()), &admin.access).await;
    assert_eq!((&found.body["total"], &found.body["data"][0]["email"]), (&json!(1), &json!(email)), "{found:?}");

    let first = shop.get("/api/v1/users?page=1&limit=2", &admin.access).await.body;
    let second = shop.get("/api/v1/users?page=2&limit=2", &admin.access).await.body;
    assert_eq!((&first["total"], &second["total"]), (&json!(3), &json!(3)));
    assert_eq!(first["data"].as_array().map(Vec::len), Some(2), "{first}");
    assert_eq!(second["data"].as_array().map(Vec::len), Some(1), "{second}");
    let cursor = first["nextCursor"].as_str().expect("a full page has a cursor");
    let after = shop.get(&format!("/api/v1/users?limit=2&cursor={cursor}"), &admin.access).await.body;
    assert_eq!(after["data"], second["data"]);
    assert_eq!(shop.get("/api/v1/users?limit=101", &admin.access).await.fields(), ["limit"]);
}

#[tokio::test]
async fn a_changed_secret_of_the_first_admin_changes_no_account_that_is_there() {
    let shop = Shop::open().await;
    let changed = Setting { admin_password: "another passphrase of the admin", ..Setting::default() };
    shop.migrate_with(changed.clone()).await;
    assert_eq!(shop.try_login(&shop.admin, changed.admin_password).await.status, 401);
    let admin = shop.admin_session().await;
    let listed = shop.get(&format!("/api/v1/users?email={}", shop.admin), &admin.access).await;
    assert_eq!(listed.body["total"], 1, "{listed:?}");
}
