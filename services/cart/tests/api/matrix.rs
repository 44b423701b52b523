//! Who may call what of the cart service: everybody with a token, and everybody their own cart only.

use reqwest::Method;
use serde_json::{Value, json};
use shop_testing::matrix::{Cell, Who, check, routes, told};

use crate::harness::{Buyer, Shop, order};

/// `own` is in the caller's cart, `buyers` in the first buyer's only. What is not in the caller's cart can be taken out of
/// it as often as one likes, and an empty cart cannot be checked out.
const HTTP: &str = "
                                                nobody  buyer  other-buyer  seller  other-seller  admin
    GET    /api/v1/cart                           401     ok       ok         ok        ok          ok
    POST   /api/v1/cart                           401     ok       ok         ok        ok          ok
    DELETE /api/v1/cart                           401     ok       ok         ok        ok          ok
    PUT    /api/v1/cart/items/{productId} own     401     ok       ok         ok        ok          ok
    PUT    /api/v1/cart/items/{productId} buyers  401     ok       404        404       404         404
    DELETE /api/v1/cart/items/{productId} own     401     ok       ok         ok        ok          ok
    DELETE /api/v1/cart/items/{productId} buyers  401     ok       ok         ok        ok          ok
    POST   /api/v1/cart/checkout own              401     ok       ok         ok        ok          ok
    POST   /api/v1/cart/checkout buyers           401     ok       400        400       400         400
";

#[tokio::test]
async fn every_route_answers_whom_it_should_and_reaches_nobody_elses_cart() {
    let shop = Shop::open().await;
    let people = Who::ALL.map(|who| who.roles().map(|roles| shop.person(roles)));
    let person = |who: Who| people[who as usize].as_ref();
    let buyer = person(Who::Buyer).expect("a buyer has a token");
    let desk = shop.neighbours.sell("desk", 1999);

    let call = async |cell: Cell<'_>| {
        let caller = person(cell.who);
        let owner = if cell.case == "own" { caller.unwrap_or(buyer) } else { buyer };
        empty(people.iter().flatten()).await;
        owner.add(desk, 2).await;
        let path = cell.path.replace("{productId}", &desk.to_string());
        let body = match (cell.method, cell.path) {
            ("POST", "/api/v1/cart") => Some(json!({"productId": desk, "quantity": 1})),
            ("POST", _) => Some(order()),
            ("PUT", _) => Some(json!({"quantity": 3})),
            _ => None,
        };
        let method = Method::from_bytes(cell.method.as_bytes()).expect("a method");
        let token = caller.map(|caller| caller.token.as_str());
        let (status, _) = shop.call(token, method, &path, body).await;
        if caller.is_none_or(|caller| caller.id != owner.id) {
            assert_eq!(owner.contents().await, [("desk".to_owned(), 2)], "{cell:?} changed somebody else's cart");
        }
        told(status)
    };
    check(HTTP, &routes(&shop.document().await), call).await;
}

async fn empty<'a>(people: impl Iterator<Item = &'a Buyer<'a>>) {
    for person in people {
        let (status, answer) = person.call(Method::DELETE, "/api/v1/cart", None).await;
        assert_eq!((status, answer), (204, Value::Null));
    }
}
