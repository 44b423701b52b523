//! Pictures in the bucket that the Shop names.

use std::net::Ipv4Addr;

use bytes::Bytes;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::Value;
use shop_product::config::Bucket;
use shop_testing::s3_server::{BUCKET, KEY, REGION, S3Server, SECRET};

use crate::{
    harness::{Person, Shop},
    images::{create, form, photo},
};

/// A server with a bucket, and the settings of a service that keeps its pictures there.
async fn bucket() -> (S3Server, Bucket) {
    let server = S3Server::start(Ipv4Addr::LOCALHOST.into()).await;
    let settings = Bucket {
        bucket: BUCKET.to_owned(),
        region: REGION.to_owned(),
        endpoint: Some(server.endpoint()),
        access_key_id: SecretString::from(KEY),
        secret_access_key: SecretString::from(SECRET),
    };
    (server, settings)
}

/// Creates a product with a picture; the address of the picture.
async fn upload(shop: &Shop, seller: &Person) -> String {
    let (status, product) = create(shop, seller, form(photo())).await;
    assert_eq!(status, 201, "{product}");
    product["imageUrl"].as_str().expect("an address").to_owned()
}

/// Status and body of a picture.
async fn picture(shop: &Shop, url: &str) -> (u16, Bytes) {
    let answer = shop.request(Method::GET, url, None).send().await.expect("the service answers");
    (answer.status().as_u16(), answer.bytes().await.expect("a body"))
}

/// An upload is refused with a time to come back, and leaves nothing.
async fn refuses_uploads(shop: &Shop, seller: &Person) -> Value {
    let before = shop.get("/api/v1/products", Some(seller)).await;
    let request = shop.request(Method::POST, "/api/v1/products", Some(seller)).multipart(form(photo()));
    let answer = request.send().await.expect("the service answers");
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(shop.get("/api/v1/products", Some(seller)).await, before);
    answer.json().await.expect("a problem")
}

#[tokio::test]
async fn an_uploaded_picture_is_in_the_bucket_and_served_from_it() {
    let (server, settings) = bucket().await;
    let shop = Shop::start_with(Some(settings)).await;
    let seller = shop.seller();
    let url = upload(&shop, &seller).await;
    let object = server.object(&url[1..]).expect("the address is the object's key");
    assert_eq!(object.content_type.as_deref(), Some("image/jpeg"));
    assert_eq!(picture(&shop, &url).await, (200, object.bytes));

    let in_database: i64 =
        sqlx::query_scalar("SELECT count(*) FROM images").fetch_one(&shop.database.pool).await.unwrap();
    assert_eq!(in_database, 0);
    assert_eq!(upload(&shop, &seller).await, url, "the same picture has the same address");
    let (status, _) = picture(&shop, &format!("/uploads/{}.jpg", "0".repeat(64))).await;
    assert_eq!(status, 404, "a picture that nobody uploaded");
}

#[tokio::test]
async fn while_the_bucket_is_away_uploads_and_its_pictures_are_a_503_and_all_else_goes_on() {
    let (mut server, settings) = bucket().await;
    let shop = Shop::start_with(Some(settings)).await;
    let url = upload(&shop, &shop.seller()).await;
    server.go_away().await;

    refuses_uploads(&shop, &shop.seller()).await;
    let (status, problem) = picture(&shop, &url).await;
    assert_eq!(status, 503, "{problem:?}");
    shop.service.ready().await;
    shop.product(&shop.seller(), "Lamp", 1).await;
}

#[tokio::test]
async fn what_the_bucket_says_to_a_wrong_key_is_a_503_and_told_nobody() {
    let (_server, settings) = bucket().await;
    let wrong = Bucket { secret_access_key: SecretString::from("a-guess"), ..settings };
    let shop = Shop::start_with(Some(wrong)).await;
    let problem = refuses_uploads(&shop, &shop.seller()).await.to_string();
    assert!(!problem.contains("Signature") && !problem.contains("squirrels"), "{problem}");
    let url = format!("/uploads/{}.jpg", "0".repeat(64));
    let (status, problem) = picture(&shop, &url).await;
    assert_eq!(status, 503, "{problem:?}");
}

#[tokio::test]
async fn nothing_of_the_bucket_is_served_but_our_pictures() {
    let (server, settings) = bucket().await;
    let shop = Shop::start_with(Some(settings)).await;
    let huge = format!("{}.png", "f".repeat(64));
    for key in ["ledger.csv", "uploads/ledger.csv", "uploads/../ledger.csv"] {
        server.put(key, Bytes::from_static(b"secret"));
    }
    server.put(&format!("uploads/{huge}"), vec![0; 8 * 1024 * 1024 + 1].into());
    for key in [
        "ledger.csv",
        "..%2Fledger.csv",
        "..%2f..%2fpictures%2fledger.csv",
        "%2e%2e%2fledger.csv",
        "ledger.csv%00.jpg",
        ".",
    ] {
        let (status, body) = picture(&shop, &format!("/uploads/{key}")).await;
        assert_eq!(status, 404, "{key}: {body:?}");
    }
    let (status, body) = picture(&shop, &format!("/uploads/{huge}")).await;
    assert_eq!(status, 503, "{body:?}");
}

#[tokio::test]
async fn pictures_from_before_the_shop_had_a_bucket_are_served_whatever_becomes_of_it() {
    let shop = Shop::start().await;
    let url = upload(&shop, &shop.seller()).await;
    let (_, before) = picture(&shop, &url).await;
    let (mut server, settings) = bucket().await;
    let shop = shop.restart_with(Some(settings)).await;
    assert_eq!(picture(&shop, &url).await, (200, before.clone()));
    server.go_away().await;
    assert_eq!(picture(&shop, &url).await, (200, before));
}
