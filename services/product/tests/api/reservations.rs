//! Stock that is set aside: never more than there is, and never for ever.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, future::join_all, stream};
use jiff::SignedDuration;
use serde_json::json;
use shop_core::{Fault, Kind};
use shop_proto::{
    catalog::{GetProductsRequest, ReserveStockRequest},
    events::{InventoryChanged, InventoryRejected, InventoryUnclaimed, OrderCanceled, OrderPaid},
};
use shop_testing::{TestWorld, eventually};
use tokio::time::sleep;
use uuid::Uuid;

use crate::harness::Shop;

/// An order of somebody who comes back when told, if the database is busy.
async fn insist(shop: &Shop, lines: &[(&str, i32)]) -> Result<Uuid, Fault> {
    let (buyer, order) = (shop.buyer(), Uuid::new_v4());
    loop {
        let decided = shop.reserve(&buyer, order, lines).await;
        let Some(Kind::Unavailable { retry_after }) = decided.as_ref().err().map(Fault::kind) else {
            return decided.map(|_| order);
        };
        sleep(retry_after).await;
    }
}

#[tokio::test]
async fn of_a_hundred_who_want_one_of_ten_exactly_ten_get_it() {
    let shop = Shop::start().await;
    let product = shop.product(&shop.seller(), "Ticket", 10).await;
    let lines = [(product.as_str(), 1)];
    let outcomes = join_all((0..100).map(|_| insist(&shop, &lines))).await;
    let (reserved, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((reserved.len(), refused.len()), (10, 90));
    for fault in refused.into_iter().filter_map(Result::err) {
        assert_eq!((fault.kind(), fault.code()), (Kind::Conflict, "out_of_stock"));
    }
    assert_eq!(shop.stock(&product).await, [10, 10, 0]);
}

#[tokio::test]
async fn of_a_thousand_buyers_a_hundred_get_the_hundred_and_every_end_of_an_order_moves_its_unit_once() {
    let shop = Shop::start().await;
    let product = shop.product(&shop.seller(), "Ticket", 100).await;
    let lines = [(product.as_str(), 1)];
    let buyers = stream::iter(0..1000).map(|_| insist(&shop, &lines));
    let outcomes: Vec<_> = buyers.buffer_unordered(16).collect().await;
    let (reserved, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((reserved.len(), refused.len()), (100, 900));
    assert!(refused.into_iter().filter_map(Result::err).all(|fault| fault.code() == "out_of_stock"));
    assert_eq!(shop.stock(&product).await, [100, 100, 0]);

    // Thirty are paid, thirty canceled, ten paid and then canceled, each told twice; thirty are never heard of again.
    let orders: Vec<String> = reserved.into_iter().filter_map(Result::ok).map(|order| order.to_string()).collect();
    let paid = |order_id: &String| OrderPaid { order_id: order_id.clone(), ..OrderPaid::default() };
    let canceled = |order_id: &String| OrderCanceled { order_id: order_id.clone(), ..OrderCanceled::default() };
    for _ in 0..2 {
        join_all(orders[..40].iter().enumerate().map(async |(n, order)| {
            shop.publish(Uuid::from_u128(n as u128), &paid(order)).await;
        }))
        .await;
    }
    shop.stock_becomes(&product, [60, 60, 0]).await;
    for _ in 0..2 {
        join_all(orders[30..70].iter().enumerate().map(async |(n, order)| {
            shop.publish(Uuid::from_u128(1000 + n as u128), &canceled(order)).await;
        }))
        .await;
    }
    shop.stock_becomes(&product, [70, 30, 40]).await;
    shop.database.advance(Duration::from_mins(31)).await;
    for _ in 0..30 {
        let InventoryUnclaimed { order_id, .. } = shop.hear().await;
        shop.publish(Uuid::new_v4(), &canceled(&order_id)).await;
    }
    shop.stock_becomes(&product, [70, 0, 70]).await;
}

#[tokio::test]
async fn orders_that_want_the_same_products_in_opposite_order_do_not_wait_for_each_other() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    let (a, b) = (shop.product(&seller, "A", 1000).await, shop.product(&seller, "B", 1000).await);
    let buyer = shop.buyer();
    let forward = [(a.as_str(), 1), (b.as_str(), 2)];
    let backward = [(b.as_str(), 2), (a.as_str(), 1)];
    let reserving = stream::iter(0..60).map(|index| {
        let lines = if index % 2 == 0 { &forward } else { &backward };
        shop.reserve(&buyer, Uuid::new_v4(), lines)
    });
    let counting = stream::iter(0..20).map(|_| async {
        shop.put(&format!("/api/v1/products/{a}/inventory"), &seller, &json!({"stock": 1000})).await.0
    });
    // More than there are connections, and no more than get one in time.
    let (reserving, counting) = (reserving.buffer_unordered(8), counting.buffer_unordered(8));
    let (outcomes, counted) = tokio::join!(reserving.collect::<Vec<_>>(), counting.collect::<Vec<_>>());
    for outcome in outcomes {
        outcome.unwrap();
    }
    assert_eq!(counted, [200; 20]);
    assert_eq!((shop.stock(&a).await, shop.stock(&b).await), ([1000, 60, 940], [1000, 120, 880]));
}

#[tokio::test]
async fn a_reservation_is_all_or_nothing_and_names_every_line_that_stands_against_it() {
    let shop = Shop::start().await;
    let (seller, buyer) = (shop.seller(), shop.buyer());
    let (plenty, few) = (shop.product(&seller, "Plenty", 10).await, shop.product(&seller, "Few", 1).await);
    let order = Uuid::new_v4();
    let fault = shop.reserve(&buyer, order, &[(&plenty, 2), (&few, 3)]).await.unwrap_err();
    assert_eq!(fault.code(), "out_of_stock");
    let field = &fault.fields()[0];
    assert_eq!(
        (field.field.as_str(), field.rule.as_str(), field.message.as_str()),
        (few.as_str(), "out_of_stock", "3 wanted, 1 left")
    );
    assert_eq!(shop.stock(&plenty).await, [10, 0, 10]);

    shop.put(&format!("/api/v1/products/{few}"), &seller, &json!({"status": "inactive"})).await;
    let unknown = Uuid::new_v4().to_string();
    let fault = shop.reserve(&buyer, order, &[(&plenty, 2), (&few, 1), (&unknown, 1)]).await.unwrap_err();
    assert_eq!(fault.code(), "not_for_sale");
    let fields: Vec<&str> = fault.fields().iter().map(|field| field.field.as_str()).collect();
    assert_eq!(fields, [few.as_str(), unknown.as_str()]);

    // What was refused left nothing behind: the same order can still be reserved.
    let reserved = shop.reserve(&buyer, order, &[(&plenty, 2)]).await.unwrap();
    let line = &reserved.lines[0];
    assert_eq!((line.product_name.as_str(), line.unit_price_minor, line.quantity), ("Plenty", 1999, 2));
    assert_eq!((line.seller_id.clone(), reserved.currency.as_str()), (seller.id.to_string(), "USD"));
    assert_eq!(shop.stock(&plenty).await, [10, 2, 8]);
}

#[tokio::test]
async fn an_order_that_asks_again_gets_the_same_answer_and_no_more_stock() {
    let shop = Shop::start().await;
    let (seller, buyer) = (shop.seller(), shop.buyer());
    let product = shop.product(&seller, "Lamp", 5).await;
    let order = Uuid::new_v4();
    let lines = [(product.as_str(), 2)];
    let answers = join_all((0..10).map(|_| shop.reserve(&buyer, order, &lines))).await;
    let first = answers[0].as_ref().unwrap();
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap() == first));

    shop.put(&format!("/api/v1/products/{product}"), &seller, &json!({"price": 99})).await;
    assert_eq!(&shop.reserve(&buyer, order, &lines).await.unwrap(), first);
    assert_eq!(shop.stock(&product).await, [5, 2, 3]);
    assert_eq!(shop.reserve(&shop.buyer(), order, &lines).await.unwrap_err().code(), "order_id_taken");
}

#[tokio::test]
async fn a_reservation_needs_a_good_token_and_good_lines() {
    let shop = Shop::start().await;
    let product = shop.product(&shop.seller(), "Lamp", 5).await;
    let request = ReserveStockRequest { order_id: Uuid::new_v4().to_string(), lines: vec![] };
    let status = shop.catalog.clone().reserve_stock(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    let buyer = shop.buyer();
    for (lines, field) in [
        (vec![], "lines"),
        (vec![(product.as_str(), 0)], "lines[0].quantity"),
        (vec![(product.as_str(), 1000)], "lines[0].quantity"),
        (vec![("lamp", 1)], "lines[0].product_id"),
        (vec![(product.as_str(), 1), (product.as_str(), 1)], "lines[1].product_id"),
    ] {
        let fault = shop.reserve(&buyer, Uuid::new_v4(), &lines).await.unwrap_err();
        assert_eq!((fault.kind(), fault.fields()[0].field.as_str()), (Kind::Invalid, field));
    }
    assert_eq!(shop.stock(&product).await, [5, 0, 5]);
}

#[tokio::test]
async fn stock_that_nobody_comes_for_is_asked_after_and_goes_back_when_there_is_no_order() {
    let shop = Shop::start().await;
    let product = shop.product(&shop.seller(), "Lamp", 5).await;
    let (buyer, order) = (shop.buyer(), Uuid::new_v4());
    let lines = [(product.as_str(), 3)];
    shop.reserve(&buyer, order, &lines).await.unwrap();
    shop.database.advance(Duration::from_mins(29)).await;
    shop.reserve(&buyer, Uuid::new_v4(), &[(&product, 1)]).await.unwrap();
    shop.database.advance(Duration::from_secs(61)).await;
    let asked: InventoryUnclaimed = shop.hear().await;
    assert_eq!((asked.order_id, asked.user_id), (order.to_string(), buyer.id.to_string()));
    // No answer changes nothing.
    assert_eq!(shop.stock(&product).await, [5, 4, 1]);
    shop.reserve(&buyer, order, &lines).await.unwrap();

    let canceled = OrderCanceled { order_id: order.to_string(), ..OrderCanceled::default() };
    for _ in 0..2 {
        shop.publish(Uuid::new_v4(), &canceled).await;
        shop.stock_becomes(&product, [5, 1, 4]).await;
    }
    assert_eq!(shop.reserve(&buyer, order, &lines).await.unwrap_err().code(), "reservation_over");
    shop.publish(Uuid::new_v4(), &OrderPaid { order_id: order.to_string(), ..OrderPaid::default() }).await;
    let rejected: InventoryRejected = shop.hear().await;
    assert_eq!(rejected.order_id, order.to_string());
    assert_eq!(shop.stock(&product).await, [5, 1, 4]);
}

#[tokio::test]
async fn an_order_has_its_stock_however_late_it_is_paid_and_whatever_a_replicas_clock_says() {
    let shop = Shop::start().await;
    let product = shop.product(&shop.seller(), "Lamp", 5).await;
    let (buyer, order) = (shop.buyer(), Uuid::new_v4());
    shop.reserve(&buyer, order, &[(&product, 5)]).await.unwrap();
    let mut replicas = Vec::new();
    for (seed, years) in [(2, 3), (3, -3)] {
        let world = TestWorld::new(seed);
        world.jump(SignedDuration::from_hours(years * 365 * 24));
        replicas.push(shop.replica(Arc::new(world)).await);
    }
    // It is asked after again and again, and nobody else gets its units meanwhile.
    for _ in 0..3 {
        shop.database.advance(Duration::from_mins(31)).await;
        assert_eq!(shop.hear::<InventoryUnclaimed>().await.order_id, order.to_string());
        let refused = shop.reserve(&buyer, Uuid::new_v4(), &[(&product, 1)]).await.unwrap_err();
        assert_eq!(refused.code(), "out_of_stock");
    }
    shop.publish(Uuid::new_v4(), &OrderPaid { order_id: order.to_string(), ..OrderPaid::default() }).await;
    shop.stock_becomes(&product, [0, 0, 0]).await;
    let query = "SELECT count(*) FROM outbox WHERE routing_key IN ('inventory.rejected', 'inventory.unclaimed')";
    let told: i64 = sqlx::query_scalar(query).fetch_one(&shop.database.pool).await.unwrap();
    assert_eq!(told, 3, "it was asked after once for each time");
}

#[tokio::test]
async fn a_reservation_that_is_over_is_forgotten_after_a_month_and_one_that_was_paid_is_not() {
    let shop = Shop::start().await;
    let product = shop.product(&shop.seller(), "Lamp", 5).await;
    let (buyer, over, bought) = (shop.buyer(), Uuid::new_v4(), Uuid::new_v4());
    for order in [over, bought] {
        shop.reserve(&buyer, order, &[(&product, 2)]).await.unwrap();
    }
    shop.publish(Uuid::new_v4(), &OrderPaid { order_id: bought.to_string(), ..OrderPaid::default() }).await;
    shop.stock_becomes(&product, [3, 2, 1]).await;
    shop.publish(Uuid::new_v4(), &OrderCanceled { order_id: over.to_string(), ..OrderCanceled::default() }).await;
    shop.stock_becomes(&product, [3, 0, 3]).await;

    shop.database.advance(Duration::from_hours(32 * 24)).await;
    let _replica = shop.replica(Arc::clone(&shop.world)).await;
    eventually("only the sale is known, with its line", || async {
        let query = "SELECT order_id FROM reservations UNION ALL SELECT order_id FROM reservation_lines";
        let known: Vec<Uuid> = sqlx::query_scalar(query).fetch_all(&shop.database.pool).await.unwrap();
        if known == [bought, bought] { Ok(()) } else { Err(format!("{known:?}")) }
    })
    .await;

    shop.publish(Uuid::new_v4(), &OrderPaid { order_id: over.to_string(), ..OrderPaid::default() }).await;
    assert_eq!(shop.hear::<InventoryRejected>().await.order_id, over.to_string());
    shop.publish(Uuid::new_v4(), &OrderCanceled { order_id: bought.to_string(), ..OrderCanceled::default() }).await;
    shop.stock_becomes(&product, [5, 0, 5]).await;
}

#[tokio::test]
async fn a_seller_cannot_count_less_than_is_reserved() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    let product = shop.product(&seller, "Lamp", 5).await;
    assert_eq!(shop.hear::<InventoryChanged>().await.available, 5);
    shop.reserve(&shop.buyer(), Uuid::new_v4(), &[(&product, 3)]).await.unwrap();
    let changed: InventoryChanged = shop.hear().await;
    assert_eq!((changed.stock, changed.reserved, changed.available), (5, 3, 2));
    let path = format!("/api/v1/products/{product}/inventory");
    assert_eq!(shop.put(&path, &seller, &json!({"stock": 2})).await.0, 409);
    assert_eq!(shop.put(&path, &seller, &json!({"stock": -1})).await.0, 400);
    assert_eq!(shop.put(&path, &seller, &json!({"stock": 3})).await.0, 200);
    assert_eq!(shop.stock(&product).await, [3, 3, 0]);
}

#[tokio::test]
async fn neighbours_learn_prices_and_availability_of_what_there_is() {
    let shop = Shop::start().await;
    let seller = shop.seller();
    let product = shop.product(&seller, "Lamp", 5).await;
    let (_, draft) = shop.post("/api/v1/products", &seller, &json!({"name": "Draft", "price": 1})).await;
    let draft = draft["id"].as_str().unwrap().to_owned();
    let product_ids = vec![product.clone(), draft.clone(), Uuid::new_v4().to_string()];
    let products =
        shop.catalog.clone().get_products(GetProductsRequest { product_ids }).await.unwrap().into_inner().products;
    let mut seen: Vec<_> = products.iter().map(|p| (p.name.as_str(), p.price_minor, p.available, p.active)).collect();
    seen.sort_unstable();
    assert_eq!(seen, [("Draft", 100, 0, false), ("Lamp", 1999, 5, true)]);
    let too_many = GetProductsRequest { product_ids: vec![product; 101] };
    assert_eq!(shop.catalog.clone().get_products(too_many).await.unwrap_err().code(), tonic::Code::InvalidArgument);
}
