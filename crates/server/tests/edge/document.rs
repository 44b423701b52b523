//! The OpenAPI document tells what every route may answer.

use serde_json::Value;
use shop_server::Limits;

use crate::harness::Shop;

#[tokio::test]
async fn every_route_documents_the_problems_that_the_edge_answers_with() {
    let shop = Shop::open(Limits::default()).await;
    let url = format!("http://{}/openapi.json", shop.service.addresses.admin);
    let document: Value = shop.service.client.get(url).send().await.expect("an answer").json().await.expect("JSON");
    let statuses = |path: &str, method: &str| {
        let answers = document["paths"][path][method]["responses"].as_object().expect("answers");
        answers.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(statuses("/slow", "get"), ["200", "431", "503"]);
    assert_eq!(statuses("/search", "get"), ["200", "400", "431", "503"]);
    assert_eq!(statuses("/notes", "post"), ["200", "400", "413", "415", "431", "503"]);

    let busy = &document["paths"]["/slow"]["get"]["responses"]["503"];
    let schema = &busy["content"]["application/problem+json"]["schema"];
    assert_eq!(schema["$ref"], "#/components/schemas/ProblemBody");
    assert!(busy["headers"]["Retry-After"].is_object(), "{busy}");
    assert!(document["components"]["schemas"]["ProblemBody"].is_object());
    assert!(document["components"]["schemas"]["ProblemField"].is_object());
}
