//! `Idempotency-Key`: a request that is sent again creates nothing more, and is answered as it was.

use std::{collections::HashSet, time::Duration};

use futures::future::join_all;
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use shop_testing::eventually;

use crate::{
    harness::{Person, Shop, answer, fields_of},
    images::photo,
};

const PRODUCTS: &str = "/api/v1/products";
const DAY: Duration = Duration::from_hours(24);

async fn send(shop: &Shop, person: &Person, path: &str, key: &str, body: &Value) -> (u16, Value) {
    answer(shop.request(Method::POST, path, Some(person)).header("Idempotency-Key", key).json(body)).await
}

async fn products_of(shop: &Shop, seller: &Person) -> Value {
    shop.get(&format!("{PRODUCTS}?seller_id={}", seller.id), Some(seller)).await.1["total"].clone()
}

fn lamp(price: u32) -> Value {
    json!({"name": "Lamp", "price": price, "status": "active"})
}

#[tokio::test]
async fn twenty_requests_with_one_key_at_once_make_one_product_and_get_one_answer_also_after_a_restart() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    let body = lamp(5);
    let answers = join_all((0..20).map(|_| send(&shop, &seller, PRODUCTS, "k", &body))).await;
    let distinct: HashSet<String> = answers.iter().map(|answer| format!("{answer:?}")).collect();
    assert_eq!((answers[0].0, distinct.len()), (201, 1), "{distinct:?}");
    assert_eq!(products_of(&shop, &seller).await, 1);

    let path = format!("{PRODUCTS}/{}", answers[0].1["id"].as_str().unwrap());
    shop.put(&path, &seller, &json!({"price": 6})).await;
    let shop = shop.restart().await;
    assert_eq!(send(&shop, &seller, PRODUCTS, "k", &body).await, answers[0]);
    assert_eq!(products_of(&shop, &seller).await, 1);
}

#[tokio::test]
async fn a_key_is_its_users_and_its_routes_and_good_for_one_body() {
    let shop = Shop::start().await;
    let (seller, other, admin) = (shop.seller(), shop.seller(), shop.admin());
    let (status, first) = send(&shop, &seller, PRODUCTS, "k", &lamp(5)).await;
    assert_eq!(status, 201);
    let (status, problem) = send(&shop, &seller, PRODUCTS, "k", &lamp(6)).await;
    assert_eq!((status, &problem["type"]), (409, &json!("urn:shopkeeper:problem:idempotency_key_reused")));
    for (person, key) in [(&other, "k"), (&seller, "another")] {
        let (status, answer) = send(&shop, person, PRODUCTS, key, &lamp(5)).await;
        assert_eq!(status, 201);
        assert_ne!(answer["id"], first["id"]);
    }
    let category = json!({"name": "Lamps"});
    let made = join_all((0..8).map(|_| send(&shop, &admin, "/api/v1/categories", "k", &category))).await;
    assert!(made.iter().all(|answer| *answer == made[0]), "{made:?}");
    assert_eq!((made[0].0, &made[0].1["name"]), (201, &json!("Lamps")));
    assert_eq!(send(&shop, &admin, "/api/v1/categories", "k2", &category).await.0, 409);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_by_name() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    for key in ["", "two words", &"k".repeat(256)] {
        let (status, problem) = send(&shop, &seller, PRODUCTS, key, &lamp(5)).await;
        assert_eq!((status, fields_of(&problem)), (400, vec!["Idempotency-Key"]), "{key:?}: {problem}");
    }
    let twice = shop.request(Method::POST, PRODUCTS, Some(&seller)).json(&lamp(5));
    let (status, problem) = answer(twice.header("Idempotency-Key", "a").header("Idempotency-Key", "b")).await;
    assert_eq!((status, fields_of(&problem)), (400, vec!["Idempotency-Key"]), "{problem}");
    assert_eq!(products_of(&shop, &seller).await, 0);
}

#[tokio::test]
async fn a_first_request_that_failed_or_was_refused_does_not_use_up_its_key() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    let rename = |from, to| {
        let sql = sqlx::AssertSqlSafe(format!("ALTER TABLE {from} RENAME TO {to}"));
        sqlx::raw_sql(sql).execute(&shop.database.pool)
    };
    rename("outbox", "outbox_away").await.unwrap();
    let (status, problem) = send(&shop, &seller, PRODUCTS, "k", &lamp(5)).await;
    assert_eq!(status, 500, "{problem}");
    rename("outbox_away", "outbox").await.unwrap();
    assert_eq!(send(&shop, &seller, PRODUCTS, "k", &lamp(5)).await.0, 201);

    let bad = json!({"name": "Lamp", "price": 5, "categoryIds": ["00000000-0000-0000-0000-000000000001"]});
    assert_eq!(send(&shop, &seller, PRODUCTS, "refused", &bad).await.0, 400);
    assert_eq!(send(&shop, &seller, PRODUCTS, "refused", &lamp(5)).await.0, 201);
    assert_eq!(products_of(&shop, &seller).await, 2);
}

#[tokio::test]
async fn a_form_is_the_same_whatever_its_boundary_and_another_with_another_picture() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    let upload = |image: Vec<u8>| {
        let form = Form::new().text("name", "Lamp").text("price", "5").part("image", Part::bytes(image));
        answer(shop.request(Method::POST, PRODUCTS, Some(&seller)).header("Idempotency-Key", "k").multipart(form))
    };
    let first = upload(photo()).await;
    assert_eq!(first.0, 201, "{first:?}");
    assert_eq!(upload(photo()).await, first);
    let mut other = photo();
    other.push(0);
    assert_eq!(upload(other).await.0, 409);
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM images").fetch_one(&shop.database.pool).await.unwrap();
    assert_eq!((kept, products_of(&shop, &seller).await), (1, json!(1)));
}

#[tokio::test]
async fn after_a_day_a_key_is_new_again_and_its_record_is_swept() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    let first = send(&shop, &seller, PRODUCTS, "k", &lamp(5)).await;
    shop.database.advance(DAY.saturating_sub(Duration::from_mins(1))).await;
    assert_eq!(send(&shop, &seller, PRODUCTS, "k", &lamp(5)).await, first);
    shop.database.advance(Duration::from_mins(1)).await;
    let (status, second) = send(&shop, &seller, PRODUCTS, "k", &lamp(6)).await;
    assert_eq!((status, products_of(&shop, &seller).await), (201, json!(2)));
    assert_ne!(second["id"], first.1["id"]);

    shop.database.advance(DAY).await;
    let shop = shop.restart().await;
    eventually("the record is swept", || async {
        let left = sqlx::query_scalar("SELECT count(*) FROM idempotency_keys").fetch_one(&shop.database.pool).await;
        if matches!(left, Ok(0_i64)) { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}
