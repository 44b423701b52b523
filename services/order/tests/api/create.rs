//! Placing orders.

use std::{collections::HashSet, time::Duration};

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use shop_mesh::from_status;
use shop_proto::events::OrderCreated;
use tokio::time::sleep;
use tonic::Code;
use uuid::Uuid;

use crate::harness::{Shop, checkout};

#[tokio::test]
async fn an_order_has_the_catalogs_prices_names_and_sellers_whatever_the_request_says() {
    let (shop, neighbours) = Shop::open().await;
    let (buyer, seller, order) = (shop.buyer(), Uuid::now_v7(), Uuid::now_v7());
    let kettle = shop.catalog.stock("Kettle", seller, 1999, 10);
    let cup = shop.catalog.stock("Cup", seller, 550, 10);

    let made = shop.create(&buyer, checkout(&buyer, order, &[(kettle, 2), (cup, 1)])).await.unwrap();
    assert_eq!((made.order_id.as_str(), made.status.as_str()), (order.to_string().as_str(), "CREATED"));
    assert_eq!((made.total_minor, made.currency.as_str()), (4548, "USD"));
    assert_eq!(shop.status(&buyer, order).await.unwrap(), made);

    let view = shop.view(&buyer, order).await;
    let item = |id, name, price, quantity| {
        json!({"productId": id, "sellerId": seller, "productName": name, "unitPrice": price, "quantity": quantity,
               "imageUrl": "/uploads/kettle"})
    };
    assert_eq!(
        view,
        json!({
            "id": order,
            "status": "CREATED",
            "payment_status": "none",
            "total_amount": 45.48,
            "currency": "USD",
            "items": [item(kettle, "Kettle", 19.99, 2), item(cup, "Cup", 5.5, 1)],
            "shippingAddress": {
                "full_name": "Ada Lovelace", "phone": "+44 20 7946 0000", "city": "London", "street": "12 St James's Square"
            },
            "history": [{"status": "CREATED", "at": made.created_at, "reason": "placed"}],
            "created_at": made.created_at,
        })
    );

    let created: OrderCreated = neighbours.receive(order).await;
    assert_eq!((created.total_minor, created.user_id), (4548, buyer.id.to_string()));
    assert_eq!((created.lines.len(), created.lines[0].unit_price_minor), (2, 1999));
    let time = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let unpaid = time(&created.expires_at).duration_since(time(&made.created_at));
    assert_eq!(unpaid, jiff::SignedDuration::from_mins(10));
}

#[tokio::test]
async fn one_order_id_twenty_times_at_once_is_one_order_one_reservation_and_one_event() {
    let (shop, neighbours) = Shop::open().await;
    let (buyer, order) = (shop.buyer(), Uuid::now_v7());
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 10);

    let answers = join_all((0..20).map(|_| shop.create(&buyer, checkout(&buyer, order, &[(kettle, 1)])))).await;
    let first = answers[0].clone().unwrap();
    for answer in answers {
        assert_eq!(answer.unwrap(), first);
    }
    let (_, list) = shop.http(Method::GET, &buyer, "/api/v1/orders").await;
    assert_eq!((&list["total"], shop.catalog.available(kettle)), (&json!(1), 9));
    shop.tells(&neighbours, order, &["order.created"]).await;
}

#[tokio::test]
async fn an_order_without_an_id_gets_one() {
    let (shop, _neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 10);
    let request = || {
        let mut request = checkout(&buyer, Uuid::nil(), &[(kettle, 1)]);
        request.order_id.clear();
        request
    };
    let (first, second) =
        (shop.create(&buyer, request()).await.unwrap(), shop.create(&buyer, request()).await.unwrap());
    assert_ne!(first.order_id, second.order_id);
}

#[tokio::test]
async fn somebody_elses_order_is_not_there() {
    let (shop, _neighbours) = Shop::open().await;
    let (owner, other) = (shop.buyer(), shop.buyer());
    let order = shop.order_a_kettle(&owner).await;
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 10);

    assert_eq!(shop.status(&other, order).await.unwrap_err().code(), Code::NotFound);
    let path = format!("/api/v1/orders/{order}");
    let (status, problem) = shop.http(Method::GET, &other, &path).await;
    assert_eq!((status, &problem["error"]), (404, &json!("Order not found")));
    assert_eq!(shop.cancel(&other, order).await.0, 404);
    let taken = shop.create(&other, checkout(&other, order, &[(kettle, 1)])).await.unwrap_err();
    assert_eq!(from_status("order", taken).code(), "order_id_taken");
    let (_, list) = shop.http(Method::GET, &other, "/api/v1/orders").await;
    assert_eq!(list, json!({"data": [], "total": 0, "nextCursor": null}));
    assert_eq!(shop.view(&owner, order).await["status"], "CREATED");
}

#[tokio::test]
async fn a_total_that_is_not_the_one_shown_is_refused_for_good_and_its_stock_released() {
    let (shop, neighbours) = Shop::open().await;
    let (buyer, order) = (shop.buyer(), Uuid::now_v7());
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 10);
    let request = |expected_total_minor| {
        let mut request = checkout(&buyer, order, &[(kettle, 1)]);
        request.expected_total_minor = expected_total_minor;
        shop.create(&buyer, request)
    };

    // The same id with the right total comes too late: the release of its stock is on its way.
    for expected in [Some(1899), Some(1899), Some(1999), None] {
        let status = request(expected).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(from_status("order", status).code(), "price_changed");
    }
    shop.cancels(&neighbours, order, "price_changed").await;
    shop.tells(&neighbours, order, &["order.canceled"]).await;
    assert_eq!(shop.status(&buyer, order).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn the_total_that_was_shown_is_accepted() {
    let (shop, _neighbours) = Shop::open().await;
    let (buyer, order) = (shop.buyer(), Uuid::now_v7());
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 10);
    let mut request = checkout(&buyer, order, &[(kettle, 3)]);
    request.expected_total_minor = Some(5997);
    assert_eq!(shop.create(&buyer, request).await.unwrap().total_minor, 5997);
}

#[tokio::test]
async fn what_is_out_of_stock_is_named_line_by_line_and_can_be_ordered_later() {
    let (shop, _neighbours) = Shop::open().await;
    let (buyer, order) = (shop.buyer(), Uuid::now_v7());
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 2);
    let cup = shop.catalog.stock("Cup", Uuid::now_v7(), 550, 10);

    let status = shop.create(&buyer, checkout(&buyer, order, &[(cup, 1), (kettle, 3)])).await.unwrap_err();
    let fault = from_status("order", status);
    let field = &fault.fields()[0];
    assert_eq!((fault.code(), fault.fields().len()), ("out_of_stock", 1));
    assert_eq!((field.field.as_str(), field.message.as_str()), (kettle.to_string().as_str(), "3 wanted, 2 left"));

    shop.create(&buyer, checkout(&buyer, order, &[(cup, 1), (kettle, 2)])).await.unwrap();
}

#[tokio::test]
async fn an_id_whose_reservation_is_over_or_for_other_items_makes_no_order() {
    let (shop, _neighbours) = Shop::open().await;
    let (buyer, over, reused) = (shop.buyer(), Uuid::now_v7(), Uuid::now_v7());
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 10);

    shop.catalog.end_reservation(over);
    let status = shop.create(&buyer, checkout(&buyer, over, &[(kettle, 1)])).await.unwrap_err();
    assert_eq!(from_status("order", status).code(), "reservation_over");

    // A crash between the reservation and the order leaves the reservation alone.
    shop.catalog.reserve_for(reused, kettle, 1);
    let status = shop.create(&buyer, checkout(&buyer, reused, &[(kettle, 2)])).await.unwrap_err();
    assert_eq!(from_status("order", status).code(), "order_id_reused");
    shop.create(&buyer, checkout(&buyer, reused, &[(kettle, 1)])).await.unwrap();
    assert_eq!(shop.catalog.available(kettle), 9);
}

#[tokio::test]
async fn a_bad_request_names_every_field_and_reserves_nothing() {
    let (shop, _neighbours) = Shop::open().await;
    let (buyer, other) = (shop.buyer(), shop.buyer());
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 10);

    let mut bad = checkout(&buyer, Uuid::now_v7(), &[(kettle, 0), (kettle, 1000)]);
    bad.shipping_address = None;
    let status = shop.create(&buyer, bad).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let fields: Vec<String> = from_status("order", status).fields().iter().map(|error| error.field.clone()).collect();
    assert_eq!(
        fields,
        [
            "items[0].quantity",
            "items[1].quantity",
            "items[1].product_id",
            "shipping_address.full_name",
            "shipping_address.phone",
            "shipping_address.city",
            "shipping_address.street",
        ]
    );

    let for_other = checkout(&other, Uuid::now_v7(), &[(kettle, 1)]);
    assert_eq!(shop.create(&buyer, for_other.clone()).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(shop.try_create(None, for_other).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(shop.catalog.available(kettle), 10);
}

#[tokio::test]
async fn of_a_checkout_that_its_buyer_gives_up_comes_no_order_and_an_order_that_is_there_stays() {
    let (shop, neighbours) = Shop::open().await;
    let (buyer, given_up) = (shop.buyer(), Uuid::now_v7());
    let placed = shop.order_a_kettle(&buyer).await;
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 10);
    for _ in 0..2 {
        assert_eq!(shop.close(&buyer, given_up).await.unwrap(), None);
        let order = shop.close(&buyer, placed).await.unwrap().expect("the order");
        assert_eq!((order.order_id, order.status.as_str()), (placed.to_string(), "CREATED"));
    }
    let status = shop.create(&buyer, checkout(&buyer, given_up, &[(kettle, 1)])).await.unwrap_err();
    assert_eq!(from_status("order", status).code(), "checkout_expired");
    shop.tells(&neighbours, given_up, &["order.canceled"]).await;
    shop.tells(&neighbours, placed, &["order.created"]).await;
}

#[tokio::test]
async fn a_checkout_that_is_given_up_while_it_makes_its_order_is_an_order_for_both_or_for_neither() {
    let (shop, neighbours) = Shop::open().await;
    let buyer = shop.buyer();
    let kettle = shop.catalog.stock("Kettle", Uuid::now_v7(), 1999, 1000);
    let mut outcomes = HashSet::new();
    for round in 0..500 {
        let order = Uuid::now_v7();
        // From before the order to after it, a little later each time.
        let close = async {
            sleep(round * Duration::from_micros(500)).await;
            shop.close(&buyer, order).await.unwrap()
        };
        let (made, closed) = tokio::join!(shop.create(&buyer, checkout(&buyer, order, &[(kettle, 1)])), close);
        let made = made.ok();
        assert_eq!(made, closed);
        assert_eq!(shop.status(&buyer, order).await.ok(), shop.close(&buyer, order).await.unwrap());
        let told = if made.is_some() { "order.created" } else { "order.canceled" };
        shop.tells(&neighbours, order, &[told]).await;
        outcomes.insert(told);
        if round >= 20 && outcomes.len() == 2 {
            return;
        }
    }
    panic!("only {outcomes:?}");
}
