//! Databases that break off, hang, are full or forget.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use shop_testing::TestDatabase;
use sqlx::{Row as _, migrate::Migrator};
use tokio::time::{sleep, timeout};

use crate::harness::{
    buyer::Outcome,
    link::{Link, Mode, Moment, Trap},
    member::Settings,
    shop::Shop,
};

#[tokio::test]
async fn what_is_written_and_its_answer_lost_is_found_again_and_not_repeated() {
    let shop = Shop::open(Settings::default()).await;
    let product = shop.product("Kettle", 1999, 100).await;
    let steps = [
        ("order", "WITH attempt AS ( INSERT INTO order_attempts"),
        ("order", "WITH moved AS ( UPDATE orders"),
        ("product", "WITH opened AS ( INSERT INTO reservations"),
        ("product", "WITH moved AS ( UPDATE reservations"),
        ("payment", "WITH heard AS ( INSERT INTO inbox"),
        ("payment", "WITH saved AS ( UPDATE payments"),
        ("delivery", "WITH heard AS ( INSERT INTO inbox"),
        ("delivery", "WITH saved AS ( UPDATE deliveries"),
    ];
    for (service, step) in steps {
        let link = shop.member(service).link("postgres");
        let lost = link.trap(Trap { step: step.to_owned(), nth: 1, moment: Moment::AnswerLost, kills: false });
        shop.order(product, "London").await;
        timeout(Duration::from_mins(1), lost.notified()).await.expect(step);
    }
    let books = shop.settles().await;
    assert_eq!(books.orders.iter().filter(|order| order.status == "DELIVERED").count(), steps.len());
}

#[tokio::test]
async fn a_database_that_drops_every_connection_again_and_again_delays_orders_and_breaks_none() {
    let shop = Shop::open(Settings { replicas: 2, ..Settings::default() }).await;
    let product = shop.product("Kettle", 1999, 100).await;
    let buying = join_all((0..30).map(|_| shop.order(product, "London")));
    let dropping = async {
        for _ in 0..20 {
            shop.links(Some("postgres")).for_each(Link::reset);
            sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::join!(buying, dropping);
    let books = shop.settles().await;
    assert_eq!(books.orders.iter().filter(|order| order.status == "DELIVERED").count(), 30);
}

#[tokio::test]
async fn a_transaction_whose_begin_is_given_up_takes_nothing_with_it() {
    let database = TestDatabase::create(&Migrator::DEFAULT).await;
    for micros in (0..400).step_by(4) {
        // Given up at another point each time, also while the answer is on its way.
        let _ = timeout(Duration::from_micros(micros), database.pool.begin()).await;
        let row = sqlx::raw_sql("SELECT transaction_timestamp() = statement_timestamp()")
            .fetch_one(&database.pool)
            .await
            .unwrap();
        let free: bool = row.get(0);
        assert!(free, "a statement ran in the transaction that was given up after {micros} microseconds");
    }
}

#[tokio::test]
async fn a_locked_row_holds_up_its_own_product_and_nothing_else() {
    let shop = Shop::open(Settings::default()).await;
    let (locked, free) = (shop.product("Kettle", 1999, 10).await, shop.product("Lamp", 500, 10).await);
    let waiting = shop.buyer();
    shop.put_in_cart(&waiting, locked, 1).await;
    let mut lock = shop.database("product").begin().await.unwrap();
    let row = sqlx::query("SELECT FROM inventory WHERE product_id = $1 FOR UPDATE").bind(locked.id);
    row.execute(&mut *lock).await.unwrap();

    let refused = shop.check_out_once(&waiting, "London").await;
    assert_eq!(refused, Some(503));
    let (buyer, order) = shop.order(free, "London").await;
    shop.becomes(&buyer, order, "DELIVERED").await;
    let (status, _) = shop.surely("product", Method::GET, "/api/v1/products", &waiting, None).await;
    assert_eq!(status, 200);

    lock.rollback().await.unwrap();
    assert!(matches!(shop.check_out(&waiting, "London").await, Outcome::Ordered(_)));
    let books = shop.settles().await;
    assert_eq!(books.orders.iter().filter(|order| order.status == "DELIVERED").count(), 2);
}

#[tokio::test]
async fn a_full_disk_is_a_503_without_half_an_order_and_recovers_by_itself() {
    let shop = Shop::open(Settings::default()).await;
    let product = shop.product("Kettle", 1999, 10).await;
    let buyer = shop.buyer();
    shop.put_in_cart(&buyer, product, 1).await;
    // What PostgreSQL says when it cannot extend a file; the last table that an order is written to.
    let full = "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
                CREATE TRIGGER no_space BEFORE INSERT ON outbox EXECUTE FUNCTION no_space()";
    sqlx::raw_sql(full).execute(shop.database("order")).await.unwrap();
    let refused = shop.check_out_once(&buyer, "London").await;
    assert_eq!(refused, Some(503));
    let halves: i64 =
        sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(shop.database("order")).await.unwrap();
    assert_eq!(halves, 0);

    sqlx::raw_sql("DROP FUNCTION no_space CASCADE").execute(shop.database("order")).await.unwrap();
    assert!(matches!(shop.check_out(&buyer, "London").await, Outcome::Ordered(_)));
    shop.settles().await;
}

#[tokio::test]
async fn a_full_disk_where_orders_are_paid_and_shipped_holds_them_up_and_loses_none() {
    let shop = Shop::open(Settings::default()).await;
    let product = shop.product("Kettle", 1999, 10).await;
    for service in ["payment", "delivery"] {
        // A sequence counts on although what counts it is taken back.
        let full = "CREATE SEQUENCE refused;
                    CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                        PERFORM nextval('refused');
                        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
                    END $$;
                    CREATE TRIGGER no_space BEFORE INSERT ON outbox EXECUTE FUNCTION no_space()";
        let database = shop.database(service);
        sqlx::raw_sql(full).execute(database).await.unwrap();
        let (buyer, order) = shop.order(product, "London").await;
        shop_testing::eventually("something was refused", || async {
            let refused: bool = sqlx::query_scalar("SELECT is_called FROM refused").fetch_one(database).await.unwrap();
            if refused { Ok(()) } else { Err("nothing".to_owned()) }
        })
        .await;
        sqlx::raw_sql("DROP FUNCTION no_space CASCADE").execute(database).await.unwrap();
        shop.becomes(&buyer, order, "DELIVERED").await;
    }
    shop.settles().await;
}

#[tokio::test]
async fn a_redis_that_forgets_everything_empties_carts_and_leaves_orders_alone() {
    let shop = Shop::open(Settings::default()).await;
    let product = shop.product("Kettle", 1999, 10).await;
    let (owner, order) = shop.order(product, "London").await;
    let browsing = shop.buyer();
    shop.put_in_cart(&browsing, product, 1).await;
    shop.forget(&[&owner, &browsing], &[product]).await;
    shop.links(Some("redis")).for_each(Link::reset);

    assert_eq!(shop.cart(&browsing).await, []);
    assert_eq!(shop.check_out_once(&browsing, "London").await, Some(400));
    shop.becomes(&owner, order, "DELIVERED").await;
    assert!(matches!(shop.buy(&browsing, product, 1, "London").await, Outcome::Ordered(_)));
    assert_eq!(shop.settles().await.orders.len(), 2);
}

#[tokio::test]
async fn a_cart_without_redis_says_try_again_and_orders_go_on() {
    let shop = Shop::open(Settings::default()).await;
    let product = shop.product("Kettle", 1999, 10).await;
    let (owner, order) = shop.order(product, "London").await;
    shop.links(Some("redis")).for_each(|link| link.set(Mode::Cut));
    let refused = shop.check_out_once(&owner, "London").await;
    assert_eq!(refused, Some(503));
    shop.becomes(&owner, order, "DELIVERED").await;
    shop.heal().await;
    shop.order(product, "London").await;
    shop.settles().await;
}
