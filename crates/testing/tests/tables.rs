//! The tables of callers and fields find what they are for.

use serde_json::{Value, json};
use shop_testing::{
    limits::{self, Sample, Try},
    matrix::{self, Cell, Who},
};

const TABLE: &str = "
               nobody  buyer  other-buyer  seller  other-seller  admin
    GET  /a      ok     ok       ok          ok         ok         ok
    PUT  /a own  401    ok       404         ok         404        ok
";

fn document() -> Value {
    let text = json!({"type": "string", "minLength": 1, "maxLength": 9});
    let body = json!({"type": "object", "required": ["full_name"], "properties": {"full_name": text}});
    let put = json!({"requestBody": {"content": {"application/json": {"schema": body}}}});
    json!({"paths": {"/a": {"get": {}, "put": put}}})
}

async fn as_the_table_says(cell: Cell<'_>) -> String {
    let hidden = matches!(cell.who, Who::OtherBuyer | Who::OtherSeller);
    let answer = match (cell.method, cell.who) {
        ("GET", _) => "ok",
        (_, Who::Nobody) => "401",
        (_, _) if hidden => "404",
        (_, _) => "ok",
    };
    answer.to_owned()
}

#[tokio::test]
async fn a_service_that_answers_as_its_table_says_passes() {
    matrix::check(TABLE, &matrix::routes(&document()), as_the_table_says).await;
}

#[tokio::test]
#[should_panic(expected = "routes with a row")]
async fn a_route_without_a_row_fails() {
    let mut document = document();
    document["paths"]["/a"]["delete"] = json!({});
    matrix::check(TABLE, &matrix::routes(&document), as_the_table_says).await;
}

#[tokio::test]
#[should_panic(expected = "routes with a row")]
async fn a_row_without_a_route_fails() {
    let mut routes = matrix::routes(&document());
    routes.remove("PUT /a");
    matrix::check(TABLE, &routes, as_the_table_says).await;
}

#[tokio::test]
#[should_panic(expected = "PUT /a own by other-buyer: ok and not 404")]
async fn a_stranger_who_gets_in_fails() {
    let call = async |cell: Cell<'_>| match cell.who {
        Who::OtherBuyer => "ok".to_owned(),
        _ => as_the_table_says(cell).await,
    };
    matrix::check(TABLE, &matrix::routes(&document()), call).await;
}

#[test]
fn the_methods_of_a_proto_file_are_its_rpcs() {
    let proto = "service A {\n  // No rpc here.\n  rpc One(X) returns (Y);\n  rpc Two(X) returns (Y);\n}";
    assert_eq!(matrix::methods(proto), ["RPC One".to_owned(), "RPC Two".to_owned()].into());
}

/// A service with one field, of 1 to `most` characters that are not blank or control characters.
async fn service(most: usize, name: &str, attempt: Try) -> (u16, Value) {
    let refuse = |rule: &str| (400, json!({"errors": [{"field": name, "rule": rule, "message": "no"}]}));
    let body = attempt.body.unwrap_or_default();
    if !body.is_object() {
        return (400, json!({"errors": []}));
    }
    let Some(text) = body["full_name"].as_str().or_else(|| body["fullName"].as_str()) else { return refuse("type") };
    let blank = text.chars().all(|c| c.is_whitespace() || c == '\u{200b}');
    let fine = !blank && text.chars().count() <= most && !text.chars().any(char::is_control);
    if fine { (200, json!({})) } else { refuse("text") }
}

fn sample() -> [Sample; 1] {
    [Sample::with_body("PUT /a", json!({}), json!({"full_name": "Ada"}))]
}

#[tokio::test]
async fn a_service_that_keeps_its_limits_passes() {
    limits::check(&document(), &sample(), |attempt| service(9, "fullName", attempt)).await;
}

#[tokio::test]
#[should_panic(expected = "full_name = \"xxxxxxxxxx\"")]
async fn a_service_that_takes_more_than_it_says_fails() {
    limits::check(&document(), &sample(), |attempt| service(10, "fullName", attempt)).await;
}

#[tokio::test]
#[should_panic(expected = "fullName = ")]
async fn a_service_that_takes_less_than_it_says_fails() {
    limits::check(&document(), &sample(), |attempt| service(8, "fullName", attempt)).await;
}

#[tokio::test]
#[should_panic(expected = "full_name = nothing")]
async fn a_service_that_names_another_field_fails() {
    limits::check(&document(), &sample(), |attempt| service(9, "name", attempt)).await;
}

#[tokio::test]
#[should_panic(expected = "PUT /a: full_name has no maxLength")]
async fn a_field_without_a_limit_fails() {
    let mut document = document();
    let schema = "/paths/~1a/put/requestBody/content/application~1json/schema/properties/full_name";
    *document.pointer_mut(schema).expect("the field") = json!({"type": "string", "minLength": 1});
    limits::check(&document, &sample(), |attempt| service(9, "fullName", attempt)).await;
}

#[tokio::test]
#[should_panic(expected = "PUT /a: no sample")]
async fn a_route_with_fields_and_without_a_sample_fails() {
    limits::check(&document(), &[], |attempt| service(9, "fullName", attempt)).await;
}
