//! Who may call what of the product service.

use reqwest::Method;
use serde_json::{Value, json};
use shop_mesh::for_caller;
use shop_proto::catalog::{GetProductsRequest, ReservationLine, ReserveStockRequest};
use shop_testing::matrix::{Cell, Who, check, methods, routes, told, told_by_rpc};
use tonic::Request;
use uuid::Uuid;

use crate::{
    harness::{Person, Shop, answer},
    images,
};

/// Products are the first seller's: for sale, a draft, and one that is deleted.
const HTTP: &str = "
                                               nobody  buyer  other-buyer  seller  other-seller  admin
    GET    /api/v1/products                      ok      ok       ok         ok        ok          ok
    POST   /api/v1/products                      401     403      403        ok        ok          403
    GET    /api/v1/products/{id} active          ok      ok       ok         ok        ok          ok
    GET    /api/v1/products/{id} draft           404     404      404        ok        404         ok
    GET    /api/v1/products/{id} deleted         404     404      404        404       404         404
    PUT    /api/v1/products/{id} active          401     403      403        ok        403         ok
    PUT    /api/v1/products/{id} draft           401     404      404        ok        404         ok
    PUT    /api/v1/products/{id} deleted         401     404      404        404       404         404
    DELETE /api/v1/products/{id} active          401     403      403        ok        403         ok
    DELETE /api/v1/products/{id} draft           401     404      404        ok        404         ok
    DELETE /api/v1/products/{id} deleted         401     404      404        404       404         404
    GET    /api/v1/products/{id}/inventory active  ok    ok       ok         ok        ok          ok
    GET    /api/v1/products/{id}/inventory draft   404   404      404        ok        404         ok
    GET    /api/v1/products/{id}/inventory deleted 404   404      404        404       404         404
    PUT    /api/v1/products/{id}/inventory active  401   403      403        ok        403         ok
    PUT    /api/v1/products/{id}/inventory draft   401   404      404        ok        404         ok
    PUT    /api/v1/products/{id}/inventory deleted 401   404      404        404       404         404
    GET    /api/v1/categories                    ok      ok       ok         ok        ok          ok
    POST   /api/v1/categories                    401     403      403        403       403         ok
    GET    /uploads/{key}                        ok      ok       ok         ok        ok          ok
";

/// `buyers` asks under the id of an order of the first buyer's. A question for products is not made for a user; who may ask
/// at all is the mesh's to say.
const GRPC: &str = "
                                               nobody  buyer  other-buyer  seller  other-seller  admin
    RPC    GetProducts                           ok      ok       ok         ok        ok          ok
    RPC    ReserveStock own                      401     ok       ok         ok        ok          ok
    RPC    ReserveStock buyers                   401     ok       409        409       409         409
";

/// The callers of the tables' columns; nobody has no token.
struct People([Option<Person>; 6]);

impl People {
    fn of(shop: &Shop) -> Self {
        Self(Who::ALL.map(|who| who.roles().map(|roles| shop.person(roles))))
    }

    fn get(&self, who: Who) -> Option<&Person> {
        self.0[who as usize].as_ref()
    }

    fn seller(&self) -> &Person {
        self.get(Who::Seller).expect("a seller has a token")
    }
}

/// A product of the first seller's, as the row's case wants it.
async fn product(shop: &Shop, seller: &Person, case: &str) -> String {
    let status = if case == "draft" { "draft" } else { "active" };
    let (_, made) = shop.post("/api/v1/products", seller, &json!({"name": "Lamp", "price": 1, "status": status})).await;
    let id = made["id"].as_str().expect("a product has an id").to_owned();
    if case == "deleted" {
        let gone = answer(shop.request(Method::DELETE, &format!("/api/v1/products/{id}"), Some(seller))).await;
        assert_eq!(gone.0, 200);
    }
    id
}

fn body(cell: Cell<'_>) -> Value {
    match (cell.method, cell.path) {
        ("POST", "/api/v1/products") => json!({"name": "Lamp", "price": 1}),
        ("POST", "/api/v1/categories") => json!({"name": Uuid::new_v4()}),
        ("PUT", "/api/v1/products/{id}") => json!({"price": 2}),
        ("PUT", "/api/v1/products/{id}/inventory") => json!({"stock": 5}),
        _ => Value::Null,
    }
}

#[tokio::test]
async fn every_route_answers_whom_it_should_and_nobody_else() {
    let shop = Shop::start().await;
    let people = People::of(&shop);
    let (_, pictured) = images::create(&shop, people.seller(), images::form(images::photo())).await;
    let picture = pictured["imageUrl"].as_str().expect("a picture has an address");

    let call = async |cell: Cell<'_>| {
        let mut path = cell.path.replace("/uploads/{key}", picture);
        if path.contains("{id}") {
            path = path.replace("{id}", &product(&shop, people.seller(), cell.case).await);
        }
        let method = Method::from_bytes(cell.method.as_bytes()).expect("a method");
        let request = shop.request(method, &path, people.get(cell.who));
        let body = body(cell);
        let request = if body.is_null() { request } else { request.json(&body) };
        told(request.send().await.expect("the service answers").status().as_u16())
    };
    check(HTTP, &routes(&shop.service.document().await), call).await;
}

#[tokio::test]
async fn every_grpc_method_answers_whom_it_should_and_nobody_else() {
    let shop = Shop::start().await;
    let people = People::of(&shop);
    let product = shop.product(people.seller(), "Lamp", 1000).await;
    let buyer = people.get(Who::Buyer).expect("a buyer has a token");
    let proto = include_str!("../../../../proto/shop/catalog/v1/catalog.proto");

    let call = async |cell: Cell<'_>| {
        let caller = people.get(cell.who);
        let order = Uuid::new_v4();
        if cell.case == "buyers" {
            shop.reserve(buyer, order, &[(&product, 1)]).await.expect("there is enough");
        }
        let mut catalog = shop.catalog.clone();
        if cell.path == "GetProducts" {
            let message = GetProductsRequest { product_ids: vec![product.clone()] };
            return told_by_rpc(&catalog.get_products(by(caller, message)).await);
        }
        let lines = vec![ReservationLine { product_id: product.clone(), quantity: 1 }];
        let message = ReserveStockRequest { order_id: order.to_string(), lines };
        told_by_rpc(&catalog.reserve_stock(by(caller, message)).await)
    };
    check(GRPC, &methods(proto), call).await;
}

fn by<T>(caller: Option<&Person>, message: T) -> Request<T> {
    match caller {
        Some(caller) => for_caller(message, &caller.token.clone().into()).expect("an ASCII token"),
        None => Request::new(message),
    }
}

#[tokio::test]
async fn guessing_ids_tells_a_stranger_nothing_that_an_unknown_id_does_not() {
    let shop = Shop::start().await;
    let (seller, other) = (shop.seller(), shop.seller());
    let (draft, unknown) = (product(&shop, &seller, "draft").await, Uuid::new_v4().to_string());
    for (method, path) in [
        (Method::GET, "/api/v1/products/{id}"),
        (Method::PUT, "/api/v1/products/{id}"),
        (Method::DELETE, "/api/v1/products/{id}"),
        (Method::GET, "/api/v1/products/{id}/inventory"),
        (Method::PUT, "/api/v1/products/{id}/inventory"),
    ] {
        let mut answers = Vec::new();
        for id in [&draft, &unknown] {
            let request = shop.request(method.clone(), &path.replace("{id}", id), Some(&other));
            let (status, mut problem) = answer(request.json(&json!({"stock": 1, "price": 1}))).await;
            problem["trace_id"].take();
            answers.push((status, problem));
        }
        assert_eq!(answers[0], answers[1], "{method} {path}");
        assert_eq!(answers[0].0, 404, "{method} {path}");
    }
    let (_, list) = shop.get(&format!("/api/v1/products?seller_id={}&status=draft", seller.id), Some(&other)).await;
    assert_eq!(list["total"], 0);
}
