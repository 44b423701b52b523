//! Finding products.

use std::{collections::HashSet, time::Duration};

use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::harness::{Person, Shop, answer, fields_of, names_of};

async fn offer(shop: &Shop, seller: &Person, name: &str, more: Value) {
    let mut body = json!({"name": name, "price": 10, "status": "active"});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let (status, answer) = shop.post("/api/v1/products", seller, &body).await;
    assert_eq!(status, 201, "{answer}");
    // Ids of one millisecond have no order.
    shop.world.advance(Duration::from_millis(2));
}

#[tokio::test]
async fn a_product_is_found_by_its_words_and_despite_one_slip_in_a_long_one() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    offer(&shop, &seller, "Bluetooth speaker", json!({"description": "Plays for the whole evening."})).await;
    offer(&shop, &seller, "Red shoes", json!({"description": "For running."})).await;
    for (q, found) in [
        ("speaker", vec!["Bluetooth speaker"]),
        ("SPEAKERS bluetooth", vec!["Bluetooth speaker"]),
        ("the evening", vec!["Bluetooth speaker"]),
        ("blutooth", vec!["Bluetooth speaker"]),
        ("bluettooth", vec!["Bluetooth speaker"]),
        ("bluetoith", vec!["Bluetooth speaker"]),
        ("bleutooth spekaer", vec!["Bluetooth speaker"]),
        ("sheos", vec!["Red shoes"]),
        ("run", vec!["Red shoes"]),
        ("erd", vec![]),
        ("blutoth", vec![]),
        ("speaker shoes", vec![]),
        ("!!!", vec![]),
        ("'); DROP TABLE products; --", vec![]),
    ] {
        let url = reqwest::Url::parse_with_params(&shop.service.url("/api/v1/products"), [("q", q)]).unwrap();
        let (status, list) = answer(shop.service.client.get(url)).await;
        assert_eq!(status, 200, "{list}");
        assert_eq!((names_of(&list), &list["total"]), (found.clone(), &json!(found.len())), "{q}");
    }
}

#[tokio::test]
async fn what_fits_the_words_better_comes_first() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    offer(&shop, &seller, "Lantern", json!({})).await;
    offer(&shop, &seller, "Candle", json!({"description": "Fits every lantern."})).await;
    offer(&shop, &seller, "Lanterna", json!({})).await;
    let (_, list) = shop.get("/api/v1/products?q=lantern", None).await;
    assert_eq!(names_of(&list)[0], "Lantern");
    assert_eq!(list["total"], 3);
    // A changed product is found by its new words, and no longer by the old.
    let id = list["data"][0]["id"].as_str().unwrap();
    shop.put(&format!("/api/v1/products/{id}"), &seller, &json!({"name": "Torch"})).await;
    assert_eq!(names_of(&shop.get("/api/v1/products?q=trochs", None).await.1), Vec::<&str>::new());
    assert_eq!(names_of(&shop.get("/api/v1/products?q=torhc", None).await.1), ["Torch"]);
}

#[tokio::test]
async fn filters_are_combined() {
    let shop = Shop::start().await;
    let (seller, other) = (shop.seller(), shop.seller());
    offer(&shop, &seller, "Red mug", json!({"price": 5, "attributes": {"color": "red", "size": 2}})).await;
    offer(&shop, &seller, "Red pot", json!({"price": 9.5, "attributes": {"color": "red", "size": 3}})).await;
    offer(&shop, &other, "Blue mug", json!({"price": 7, "attributes": {"color": "blue", "size": 2}})).await;
    for (query, found) in [
        (format!("seller_id={}&sort=price_asc", seller.id), vec!["Red mug", "Red pot"]),
        ("min_price=5.01&max_price=9.5&sort=price_desc".to_owned(), vec!["Red pot", "Blue mug"]),
        ("attributes=%7B%22color%22%3A%22red%22%2C%22size%22%3A2%7D".to_owned(), vec!["Red mug"]),
        ("q=mug&sort=newest".to_owned(), vec!["Blue mug", "Red mug"]),
        ("q=mug&max_price=5".to_owned(), vec!["Red mug"]),
        ("status=inactive".to_owned(), vec![]),
    ] {
        let (_, list) = shop.get(&format!("/api/v1/products?{query}"), None).await;
        assert_eq!((names_of(&list), &list["total"]), (found.clone(), &json!(found.len())), "{query}");
    }
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("page=0", "page"),
        ("min_price=1.001", "minPrice"),
        ("max_price=NaN", "maxPrice"),
        ("attributes=red", "attributes"),
        ("attributes=%7B%22a%22%3A%22%5Cu0000%22%7D", "attributes"),
        ("q=%00", "q"),
        ("cursor=abc", "cursor"),
    ] {
        let (status, problem) = shop.get(&format!("/api/v1/products?{query}"), None).await;
        assert_eq!((status, fields_of(&problem)), (400, vec![field]), "{query}: {problem}");
    }
    assert_eq!(shop.get("/api/v1/products?seller_id=me", None).await.0, 400);
}

#[tokio::test]
async fn pages_and_cursors_show_every_product_once_in_every_order() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    for index in 0..7 {
        // Prices and scores that are equal are the hard part.
        offer(&shop, &seller, &format!("Plate {index}"), json!({"price": index / 3})).await;
    }
    for order in ["sort=newest", "sort=price_asc", "sort=price_desc", "q=plate"] {
        let (_, all) = shop.get(&format!("/api/v1/products?{order}&limit=100"), None).await;
        let all: Vec<String> = names_of(&all).into_iter().map(str::to_owned).collect();
        assert_eq!(all.len(), 7, "{order}");

        let mut by_page = Vec::new();
        for page in 1..=4 {
            let (_, list) = shop.get(&format!("/api/v1/products?{order}&limit=2&page={page}"), None).await;
            assert_eq!(list["total"], 7);
            by_page.extend(names_of(&list).into_iter().map(str::to_owned));
        }
        assert_eq!(by_page, all, "{order}");

        let (mut by_cursor, mut cursor) = (Vec::new(), String::new());
        loop {
            let (_, list) = shop.get(&format!("/api/v1/products?{order}&limit=2{cursor}"), None).await;
            assert_eq!(list["total"], 7);
            by_cursor.extend(names_of(&list).into_iter().map(str::to_owned));
            match list["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(by_cursor, all, "{order}");
    }
}

/// Every name that a list shows, page after page; `between` happens after each.
async fn walk(shop: &Shop, query: &str, between: impl AsyncFn()) -> Vec<Value> {
    let (mut products, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, list) = shop.get(&format!("/api/v1/products?{query}{cursor}"), None).await;
        assert_eq!(status, 200, "{list}");
        products.extend(list["data"].as_array().expect("a list").iter().cloned());
        let Some(next) = list["nextCursor"].as_str() else { return products };
        cursor = format!("&cursor={next}");
        between().await;
    }
}

#[tokio::test]
async fn a_cursor_shows_every_product_once_while_others_are_added() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    for index in 0..12 {
        offer(&shop, &seller, &format!("Plate {index}"), json!({"price": 5 + index / 4})).await;
    }
    for order in ["sort=newest", "sort=price_asc", "sort=price_desc", "q=plate", "q=plate&sort=price_asc"] {
        let query = format!("{order}&limit=5");
        let found = walk(&shop, &query, async || {
            for price in [1, 6, 20] {
                offer(&shop, &seller, "Plate of later", json!({"price": price})).await;
            }
        });
        let names: Vec<String> =
            found.await.iter().map(|product| product["name"].as_str().unwrap_or_default().to_owned()).collect();
        let ids = names.iter().filter(|name| *name != "Plate of later").collect::<HashSet<_>>();
        let first = names.iter().filter(|name| *name != "Plate of later").count();
        assert_eq!((ids.len(), first), (12, 12), "{order}: {names:?}");
    }
}

#[tokio::test]
async fn in_a_large_catalog_filters_words_and_pages_find_what_a_plain_query_finds() {
    let shop = Shop::start().await;
    let mut connection = shop.database.pool.acquire().await.unwrap();
    connection.execute("SELECT set_config('shop.products', '2000', false)").await.unwrap();
    connection.execute(sqlx::raw_sql(include_str!("../data/many_products.sql"))).await.unwrap();
    for (query, plain) in [
        ("q=headphones", "name ILIKE '%headphones%'"),
        ("q=haedphones", "name ILIKE '%headphones%'"),
        ("q=haedphones&sort=price_desc", "name ILIKE '%headphones%'"),
        ("q=rubber%20red", "name ILIKE '% red %' AND name ILIKE '% rubber %'"),
        ("min_price=10&max_price=50&sort=price_asc", "price_minor BETWEEN 1000 AND 5000"),
        ("attributes=%7B%22material%22%3A%22steel%22%2C%22size%22%3A%22M%22%7D",
         "attributes->>'material' = 'steel' AND attributes->>'size' = 'M'"),
        ("category_id=504f8dab-17fd-3cf7-9344-68c59734996d&min_price=10&sort=newest",
         "price_minor >= 1000 AND EXISTS (SELECT FROM product_categories pc JOIN categories c ON c.id = pc.category_id
          WHERE pc.product_id = p.id AND c.name LIKE 'Category 3%')"),
        ("q=red&category_id=504f8dab-17fd-3cf7-9344-68c59734996d",
         "name ILIKE '% red %' AND EXISTS (SELECT FROM product_categories pc JOIN categories c ON c.id = pc.category_id
          WHERE pc.product_id = p.id AND c.name LIKE 'Category 3%')"),
    ] {
        let sql = sqlx::AssertSqlSafe(format!("SELECT p.id FROM products p WHERE p.status = 'active' AND {plain}"));
        let expected: Vec<uuid::Uuid> = sqlx::query_scalar(sql).fetch_all(&mut *connection).await.unwrap();
        let found = walk(&shop, &format!("{query}&limit=7"), async || {}).await;
        let ids: HashSet<uuid::Uuid> = found.iter().map(|p| p["id"].as_str().unwrap().parse().unwrap()).collect();
        assert!(!ids.is_empty(), "{query} finds nothing");
        assert_eq!(ids.len(), found.len(), "{query} shows a product twice");
        assert_eq!(ids, expected.into_iter().collect(), "{query}");
        let (_, list) = shop.get(&format!("/api/v1/products?{query}&limit=1"), None).await;
        assert_eq!(list["total"], found.len(), "{query}");
        let prices: Vec<f64> = found.iter().map(|product| product["price"].as_f64().unwrap()).collect();
        let sorted = prices.is_sorted() || !query.contains("price_asc");
        assert!(sorted && (prices.is_sorted_by(|a, b| a >= b) || !query.contains("price_desc")), "{query}: {prices:?}");
    }
}
