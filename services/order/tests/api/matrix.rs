//! Who may call what of the order service.

use reqwest::Method;
use serde_json::json;
use shop_proto::orders::{CreateOrderRequest, IdempotencyKey};
use shop_testing::matrix::{Cell, Who, check, methods, routes, told, told_by_rpc};
use uuid::Uuid;

use crate::harness::{Person, Shop, checkout};

/// `own` is an order of the caller's, `buyers` one of the first buyer's with the first seller's product in it.
const HTTP: &str = "
                                       nobody  buyer  other-buyer  seller  other-seller  admin
    GET  /api/v1/orders                  401     ok       ok         ok         ok         ok
    GET  /api/v1/orders/{id}     own     401     ok       ok         ok         ok         ok
    GET  /api/v1/orders/{id}     buyers  401     ok       404        404        404        404
    POST /api/v1/orders/{id}/cancel own    401   ok       ok         ok         ok         ok
    POST /api/v1/orders/{id}/cancel buyers 401   ok       404        404        404        404
    GET  /api/v1/seller/orders           401     403      403        ok         ok         403
";

/// `for_buyer` asks in the name of the first buyer, `buyers_id` under the id of an order of his.
const GRPC: &str = "
                                       nobody  buyer  other-buyer  seller  other-seller  admin
    RPC  CreateOrder             own     401     ok       ok         ok         ok         ok
    RPC  CreateOrder           for_buyer 401     ok       403        403        403        403
    RPC  CreateOrder           buyers_id 401     ok       409        409        409        409
    RPC  GetOrderStatus          own     401     ok       ok         ok         ok         ok
    RPC  GetOrderStatus          buyers  401     ok       404        404        404        404
    RPC  GetOrderByKey           own     401     ok       ok         ok         ok         ok
    RPC  GetOrderByKey           buyers  401     ok       404        404        404        404
    RPC  CloseCheckout           own     401     ok       ok         ok         ok         ok
    RPC  CloseCheckout           buyers  401     ok       409        409        409        409
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

    fn buyer(&self) -> &Person {
        self.get(Who::Buyer).unwrap()
    }
}

#[tokio::test]
async fn every_route_answers_whom_it_should_and_nobody_else() {
    let (shop, _neighbours) = Shop::open().await;
    let people = People::of(&shop);
    let kettle = shop.catalog.stock("Kettle", people.get(Who::Seller).unwrap().id, 1999, 100);
    let document = shop.service.document().await;

    let call = async |cell: Cell<'_>| {
        let caller = people.get(cell.who);
        let owner = if cell.case == "own" { caller.unwrap_or(people.buyer()) } else { people.buyer() };
        let order = Uuid::now_v7();
        shop.create(owner, checkout(owner, order, &[(kettle, 1)])).await.unwrap();
        let url = shop.service.url(&cell.path.replace("{id}", &order.to_string()));
        let method = Method::from_bytes(cell.method.as_bytes()).unwrap();
        let request = shop.service.client.request(method, url);
        let request = caller.iter().fold(request, |request, caller| request.bearer_auth(&caller.token));
        told(request.send().await.unwrap().status().as_u16())
    };
    check(HTTP, &routes(&document), call).await;
}

#[tokio::test]
async fn every_grpc_method_answers_whom_it_should_and_nobody_else() {
    let (shop, _neighbours) = Shop::open().await;
    let people = People::of(&shop);
    let kettle = shop.catalog.stock("Kettle", people.get(Who::Seller).unwrap().id, 1999, 100);
    let proto = include_str!("../../../../proto/ecommerce/orders/orders.proto");

    let call = async |cell: Cell<'_>| {
        let (caller, buyer) = (people.get(cell.who), people.buyer());
        let order = Uuid::now_v7();
        let owner = if cell.case == "own" { caller.unwrap_or(buyer) } else { buyer };
        let key = IdempotencyKey { key: order.to_string(), fingerprint: vec![1; 32] };
        if cell.path != "CreateOrder" || cell.case == "buyers_id" {
            let request = checkout(owner, order, &[(kettle, 1)]);
            shop.create(owner, CreateOrderRequest { idempotency_key: Some(key.clone()), ..request }).await.unwrap();
        }
        let subject = if cell.case == "for_buyer" { buyer } else { caller.unwrap_or(buyer) };
        match cell.path {
            "CreateOrder" => told_by_rpc(&shop.try_create(caller, checkout(subject, order, &[(kettle, 1)])).await),
            "GetOrderByKey" => told_by_rpc(&shop.try_by_key(caller, key).await),
            "CloseCheckout" => told_by_rpc(&shop.try_close(caller, order).await),
            _ => told_by_rpc(&shop.try_status(caller, &order.to_string()).await),
        }
    };
    check(GRPC, &methods(proto), call).await;
}

#[tokio::test]
async fn guessing_ids_tells_a_stranger_nothing_that_an_unknown_id_does_not() {
    let (shop, _neighbours) = Shop::open().await;
    let (owner, other) = (shop.buyer(), shop.buyer());
    let (theirs, unknown) = (shop.order_a_kettle(&owner).await, Uuid::now_v7());
    for (method, path) in [(Method::GET, "/api/v1/orders/{id}"), (Method::POST, "/api/v1/orders/{id}/cancel")] {
        let mut answers = Vec::new();
        for id in [theirs, unknown] {
            let (status, mut problem) = shop.http(method.clone(), &other, &path.replace("{id}", &id.to_string())).await;
            problem["trace_id"].take();
            answers.push((status, problem));
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!((answers[0].0, &answers[0].1["error"]), (404, &json!("Order not found")));
    }
    let told = async |id: Uuid| {
        let status = shop.try_status(Some(&other), &id.to_string()).await.unwrap_err();
        (status.code(), status.message().to_owned())
    };
    assert_eq!(told(theirs).await, told(unknown).await);
    assert_eq!(shop.view(&owner, theirs).await["status"], "CREATED");
}
