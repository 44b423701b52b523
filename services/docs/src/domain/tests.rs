//! What merging documents must and must not do.

use serde_json::{Value, json};

use super::merge;

fn document(path: &str, answer: &str, schemas: &Value) -> Value {
    let content = json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{answer}") } } });
    let operation = json!({
        "operationId": "list",
        "tags": ["whatever"],
        "security": [{ "token": ["x"] }],
        "responses": { "200": { "description": "", "content": content } },
    });
    let mut item = json!({ path: { "get": operation, "summary": "kept" } });
    json!({ "openapi": "3.1.0", "info": {}, "paths": item.take(), "components": { "schemas": schemas } })
}

fn answer_of<'a>(merged: &'a Value, path: &str) -> &'a Value {
    &merged["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
}

fn names(merged: &Value) -> Vec<&str> {
    merged["components"]["schemas"].as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn equal_components_are_shared() {
    let problem = json!({ "Problem": { "type": "object" } });
    let merged = merge(
        [("user", Some(document("/a", "Problem", &problem))), ("cart", Some(document("/b", "Problem", &problem)))],
        "1",
    );
    assert_eq!(names(&merged), ["Problem"]);
}

#[test]
fn different_components_of_one_name_are_told_apart_and_every_reference_follows() {
    let of_order =
        json!({ "Item": { "type": "object" }, "List": { "items": { "$ref": "#/components/schemas/Item" } } });
    let of_cart = json!({
        "Item": { "type": "string" },
        "List": { "items": { "$ref": "#/components/schemas/Item" } },
        "CartItem": { "discriminator": { "mapping": { "x": "#/components/schemas/Item" } } },
    });
    let merged = merge(
        [("order", Some(document("/a", "List", &of_order))), ("cart", Some(document("/b", "List", &of_cart)))],
        "1",
    );
    let schemas = &merged["components"]["schemas"];
    assert_eq!(names(&merged), ["CartItem", "CartItem_", "CartList", "Item", "List"]);
    assert_eq!(schemas["CartItem_"], json!({ "type": "string" }));
    assert_eq!(schemas["CartItem"]["discriminator"]["mapping"]["x"], "#/components/schemas/CartItem_");
    assert_eq!(schemas["CartList"]["items"]["$ref"], "#/components/schemas/CartItem_");
    assert_eq!(schemas["List"]["items"]["$ref"], "#/components/schemas/Item");
    assert_eq!(answer_of(&merged, "/a"), "#/components/schemas/List");
    assert_eq!(answer_of(&merged, "/b"), "#/components/schemas/CartList");
}

#[test]
fn every_operation_has_its_services_tag_a_unique_id_and_the_one_security_scheme() {
    let merged =
        merge([("user", Some(document("/a", "A", &json!({})))), ("cart", Some(document("/b", "B", &json!({}))))], "1");
    let operation = &merged["paths"]["/b"]["get"];
    assert_eq!(operation["tags"], json!(["Cart"]));
    assert_eq!(operation["operationId"], "cart_list");
    assert_eq!(operation["security"], json!([{ "bearer": [] }]));
    assert_eq!(merged["paths"]["/b"]["summary"], "kept");
    assert_eq!(merged["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    assert_eq!(merged["tags"], json!([{ "name": "User" }, { "name": "Cart" }]));
}

#[test]
fn a_route_that_also_serves_strangers_still_says_so() {
    let mut open = document("/a", "A", &json!({}));
    open["paths"]["/a"]["get"]["security"] = json!([{}, { "token": [] }]);
    let merged = merge([("product", Some(open))], "1");
    assert_eq!(merged["paths"]["/a"]["get"]["security"], json!([{}, { "bearer": [] }]));
}

#[test]
fn two_services_may_share_a_path_with_different_methods() {
    let mut other = document("/a", "B", &json!({}));
    let get = other["paths"]["/a"]["get"].take();
    other["paths"]["/a"] = json!({ "post": get });
    let merged = merge([("user", Some(document("/a", "A", &json!({})))), ("cart", Some(other))], "1");
    assert_eq!(merged["paths"]["/a"]["get"]["operationId"], "user_list");
    assert_eq!(merged["paths"]["/a"]["post"]["operationId"], "cart_list");
}

#[test]
fn a_service_not_seen_yet_is_named_and_a_document_that_is_none_adds_nothing() {
    let merged = merge([("user", None), ("cart", Some(json!([1])))], "2.3.4");
    assert_eq!(merged["x-unavailable"], json!(["user"]));
    assert_eq!(merged["paths"], json!({}));
    assert_eq!(merged["info"], json!({ "title": "Shopkeeper", "version": "2.3.4" }));
    assert_eq!(merged["openapi"], "3.1.0");
}
