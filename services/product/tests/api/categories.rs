//! The category tree, as admins and everybody see it.

use serde_json::{Value, json};

use crate::harness::{Person, Shop, fields_of, names_of};

async fn category(shop: &Shop, admin: &Person, name: &str, parent: Option<&Value>) -> Value {
    let (status, created) = shop.post("/api/v1/categories/", admin, &json!({"name": name, "parentId": parent})).await;
    assert_eq!(status, 201, "{created}");
    assert_eq!((&created["name"], &created["parentId"]), (&json!(name), &json!(parent)));
    created["id"].clone()
}

#[tokio::test]
async fn categories_form_a_tree_and_a_category_finds_what_is_filed_below_it() {
    let shop = Shop::start().await;
    let (admin, seller) = (shop.admin(), shop.seller());
    let wear = category(&shop, &admin, "Wear", None).await;
    let shoes = category(&shop, &admin, "Shoes", Some(&wear)).await;
    let boots = category(&shop, &admin, "Boots", Some(&shoes)).await;
    let food = category(&shop, &admin, "Food", None).await;
    let (status, tree) = shop.get("/api/v1/categories/", None).await;
    assert_eq!(status, 200);
    let boots_node = json!({"id": boots, "name": "Boots", "children": []});
    let shoes_node = json!({"id": shoes, "name": "Shoes", "children": [boots_node]});
    let food_node = json!({"id": food, "name": "Food", "children": []});
    assert_eq!(tree, json!([food_node, {"id": wear, "name": "Wear", "children": [shoes_node]}]));

    for (name, filed) in [("hiking boots", &boots), ("bread", &food)] {
        let body = json!({"name": name, "price": 1, "status": "active", "categoryIds": [filed]});
        assert_eq!(shop.post("/api/v1/products", &seller, &body).await.0, 201);
    }
    for (category, found) in [(&wear, vec!["hiking boots"]), (&boots, vec!["hiking boots"]), (&food, vec!["bread"])] {
        let (_, list) = shop.get(&format!("/api/v1/products?category_id={}", category.as_str().unwrap()), None).await;
        assert_eq!((names_of(&list), &list["total"]), (found, &json!(1)));
    }
}

#[tokio::test]
async fn a_category_has_one_name_under_its_parent_a_known_parent_and_an_admin() {
    let shop = Shop::start().await;
    let admin = shop.admin();
    let root = category(&shop, &admin, "Root", None).await;
    category(&shop, &admin, "Child", Some(&root)).await;
    for (body, expected) in [
        (json!({"name": "Root"}), 409),
        (json!({"name": "ROOT"}), 409),
        (json!({"name": "Child", "parent_id": root}), 409),
        (json!({"name": "Child"}), 201),
        (json!({"name": " "}), 400),
        (json!({"name": "Lost", "parentId": "00000000-0000-0000-0000-000000000001"}), 400),
    ] {
        let (status, answer) = shop.post("/api/v1/categories", &admin, &body).await;
        assert_eq!(status, expected, "{body}: {answer}");
    }
    let unknown = json!({"name": "Lost", "parentId": "00000000-0000-0000-0000-000000000001"});
    assert_eq!(fields_of(&shop.post("/api/v1/categories", &admin, &unknown).await.1), ["parentId"]);
    assert_eq!(shop.post("/api/v1/categories", &shop.seller(), &json!({"name": "Mine"})).await.0, 403);
}

#[tokio::test]
async fn of_two_admins_who_create_the_same_category_one_succeeds() {
    let shop = Shop::start().await;
    let admin = shop.admin();
    let body = json!({"name": "Same"});
    let creations = (0..8).map(|_| shop.post("/api/v1/categories", &admin, &body));
    let mut statuses: Vec<u16> =
        futures::future::join_all(creations).await.into_iter().map(|(status, _)| status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn a_tree_that_grows_too_deep_is_stopped_with_a_word_about_it() {
    let shop = Shop::start().await;
    let admin = shop.admin();
    let mut parent = category(&shop, &admin, "1", None).await;
    for depth in 2..=16 {
        parent = category(&shop, &admin, &depth.to_string(), Some(&parent)).await;
    }
    let (status, problem) = shop.post("/api/v1/categories", &admin, &json!({"name": "17", "parentId": parent})).await;
    assert_eq!((status, fields_of(&problem)), (400, vec!["parentId"]), "{problem}");
}
