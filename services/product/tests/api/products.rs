//! Products: made, changed, read and removed.

use reqwest::Method;
use serde_json::{Value, json};
use shop_auth::Role;
use shop_proto::events::{ProductCreated, ProductDeleted, ProductStatusChanged, ProductUpdated};

use crate::harness::{Shop, answer, fields_of, names_of};

#[tokio::test]
async fn a_product_lives_from_its_creation_to_its_deletion_and_the_shop_hears_of_it() {
    let shop = Shop::start().await;
    let (seller, admin) = (shop.seller(), shop.admin());
    let (_, category) = shop.post("/api/v1/categories", &admin, &json!({"name": "Lamps"})).await;
    let body = json!({
        "name": " Desk lamp ", "description": "Bright.", "price": 19.99, "currency": "USD", "status": "active",
        "category_ids": [category["id"]], "attributes": {"color": "red", "watts": 7}, "imageUrl": "https://example.com/lamp.png",
        "sellerId": "00000000-0000-0000-0000-000000000000",
    });
    let (status, created) = shop.post("/api/v1/products/", &seller, &body).await;
    assert_eq!(status, 201, "{created}");
    let expected = json!({
        "id": created["id"], "sellerId": seller.id, "name": "Desk lamp", "description": "Bright.", "price": 19.99,
        "currency": "USD", "status": "active", "imageUrl": "https://example.com/lamp.png",
        "createdAt": created["createdAt"], "updatedAt": created["createdAt"],
    });
    assert_eq!(created, expected);
    let heard: ProductCreated = shop.hear().await;
    assert_eq!((heard.name.as_str(), heard.price_minor, heard.status.as_str()), ("Desk lamp", 1999, "active"));

    let path = format!("/api/v1/products/{}", created["id"].as_str().unwrap());
    let (status, read) = shop.get(&path, None).await;
    assert_eq!(status, 200, "{read}");
    let inventory = &read["product"]["inventory"];
    let expected = json!({"product": {
        "product": created,
        "attributes": {"productId": created["id"], "attributes": {"color": "red", "watts": 7}},
        "categories": [{"id": category["id"], "name": "Lamps", "parentId": null, "createdAt": category["createdAt"]}],
        "inventory": {"productId": created["id"], "stock": 0, "reserved": 0, "available": 0, "updatedAt": inventory["updatedAt"]},
    }});
    assert_eq!(read, expected);

    let (status, changed) = shop.put(&path, &seller, &json!({"price": 25, "status": "inactive"})).await;
    assert_eq!((status, changed), (200, json!({"message": "Product updated"})));
    assert_eq!(shop.hear::<ProductUpdated>().await.price_minor, 2500);
    assert_eq!(shop.hear::<ProductStatusChanged>().await.status, "inactive");
    let (_, read) = shop.get(&path, Some(&seller)).await;
    let product = &read["product"]["product"];
    assert_eq!((&product["price"], &product["name"]), (&json!(25.0), &json!("Desk lamp")));
    assert_eq!(read["product"]["categories"].as_array().map(Vec::len), Some(1));

    let (status, deleted) = answer(shop.request(Method::DELETE, &path, Some(&seller))).await;
    assert_eq!((status, deleted), (200, json!({"message": "Product deleted"})));
    assert_eq!(Some(shop.hear::<ProductDeleted>().await.product_id.as_str()), created["id"].as_str());
    assert_eq!(shop.get(&path, Some(&seller)).await.0, 404);
    assert_eq!(shop.get("/api/v1/products", Some(&seller)).await.1["total"], 0);
}

#[tokio::test]
async fn fields_that_break_a_rule_are_named() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    let good = json!({"name": "Lamp", "price": 1});
    for (change, field) in [
        (json!({"name": ""}), "name"),
        (json!({"name": "x".repeat(201)}), "name"),
        (json!({"name": "a\u{0}b"}), "name"),
        (json!({"description": "a\u{0}b"}), "description"),
        (json!({"price": -1}), "price"),
        (json!({"price": 19.999}), "price"),
        (json!({"price": "cheap"}), "price"),
        (json!({"price": null}), "price"),
        (json!({"status": "sold"}), "status"),
        (json!({"currency": "EUR"}), "currency"),
        (json!({"categoryIds": ["00000000-0000-0000-0000-000000000001"]}), "categoryIds"),
        (json!({"categoryIds": ["lamps"]}), "categoryIds[0]"),
        (json!({"attributes": {"deep": {"er": 1}}}), "attributes"),
        (json!({"imageUrl": "javascript:alert(1)"}), "imageUrl"),
    ] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, problem) = shop.post("/api/v1/products", &seller, &body).await;
        assert_eq!((status, fields_of(&problem)), (400, vec![field]), "{change}: {problem}");
    }
    let (status, problem) = shop.post("/api/v1/products", &seller, &json!({"name": "Lamp"})).await;
    assert_eq!((status, fields_of(&problem)), (400, vec!["price"]), "{problem}");
    let (status, problem) =
        shop.post("/api/v1/products", &seller, &json!({"name": "", "price": 1, "imageUrl": "x"})).await;
    assert_eq!((status, fields_of(&problem).contains(&"imageUrl")), (400, true), "{problem}");
    assert_eq!(shop.get("/api/v1/products", Some(&seller)).await.1["total"], 0);
}

#[tokio::test]
async fn only_its_seller_and_admins_change_a_product_and_only_they_see_a_draft() {
    let shop = Shop::start().await;
    let (seller, other, buyer, admin) = (shop.seller(), shop.seller(), shop.buyer(), shop.admin());
    assert_eq!(shop.post("/api/v1/products", &buyer, &json!({"name": "Lamp", "price": 1})).await.0, 403);
    let (_, draft) = shop.post("/api/v1/products", &seller, &json!({"name": "Draft", "price": 1})).await;
    assert_eq!(draft["status"], "draft");
    let active = shop.product(&seller, "Active", 1).await;
    let path = |id: &str| format!("/api/v1/products/{id}");
    let draft = path(draft["id"].as_str().unwrap());

    for (person, seen) in
        [(None, 404), (Some(&other), 404), (Some(&buyer), 404), (Some(&seller), 200), (Some(&admin), 200)]
    {
        assert_eq!(shop.get(&draft, person).await.0, seen);
        assert_eq!(shop.get(&format!("{draft}/inventory"), person).await.0, seen);
        let (_, list) = shop.get("/api/v1/products?status=draft", person).await;
        assert_eq!(names_of(&list).is_empty(), seen == 404, "{list}");
    }
    let change = json!({"price": 2});
    for (person, of_draft, of_active) in
        [(&other, 404, 403), (&buyer, 404, 403), (&seller, 200, 200), (&admin, 200, 200)]
    {
        assert_eq!(shop.put(&draft, person, &change).await.0, of_draft);
        assert_eq!(shop.put(&path(&active), person, &change).await.0, of_active);
        assert_eq!(shop.put(&format!("{}/inventory", path(&active)), person, &json!({"stock": 5})).await.0, of_active);
    }
    assert_eq!(answer(shop.request(Method::DELETE, &path(&active), Some(&other))).await.0, 403);
    assert_eq!(answer(shop.request(Method::DELETE, &path(&active), None)).await.0, 401);
    let forged = crate::harness::Person { token: "forged".to_owned(), ..shop.person(&[Role::Admin]) };
    assert_eq!(shop.get(&path(&active), Some(&forged)).await.0, 401);
}

#[tokio::test]
async fn the_openapi_document_describes_every_route() {
    let shop = Shop::start().await;
    let url = format!("http://{}/openapi.json", shop.service.addresses.admin);
    let (status, document) = answer(shop.service.client.get(url)).await;
    assert_eq!(status, 200);
    let paths: Vec<&String> = document["paths"].as_object().map(|paths| paths.keys().collect()).unwrap_or_default();
    let expected = [
        "/api/v1/categories",
        "/api/v1/products",
        "/api/v1/products/{id}",
        "/api/v1/products/{id}/inventory",
        "/uploads/{key}",
    ];
    assert_eq!(paths, expected);
    let form = &document["paths"]["/api/v1/products"]["post"]["requestBody"]["content"]["multipart/form-data"];
    assert_ne!(form, &Value::Null);
}
