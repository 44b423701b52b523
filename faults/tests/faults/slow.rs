//! PostgreSQL that is slow: at each commit, at one row, or at tidying up.

use futures::future::{join, join_all};
use reqwest::Method;

use crate::harness::{member::Settings, shop::Shop};

const DATABASES: [&str; 4] = ["product", "order", "payment", "delivery"];

/// As with a disk that takes 200 ms for an fsync: whoever commits an event waits, with all locks and the connection.
const SLOW_COMMITS: &str = "
    CREATE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON outbox DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION slow_commit()";

#[tokio::test]
async fn a_disk_that_is_slow_to_commit_delays_orders_and_never_the_answer_that_they_are_delayed() {
    let shop = Shop::open(Settings::default()).await;
    let product = shop.product("Kettle", 1999, 1000).await;
    for service in DATABASES {
        sqlx::raw_sql(SLOW_COMMITS).execute(shop.database(service)).await.unwrap();
    }
    let buying = join_all((0..40).map(|_| shop.order(product, "London")));
    let reader = shop.buyer();
    let reading = async {
        let mut answered = 0;
        for _ in 0..40 {
            let answer = shop.ask("order", Method::GET, "/api/v1/orders", &reader, None).await;
            let (status, body) = answer.expect("an answer in time");
            assert!(matches!(status, 200 | 503), "{status} {body}");
            answered += usize::from(status == 200);
        }
        answered
    };
    let (orders, answered) = join(buying, reading).await;
    assert!(answered > 0, "others starve while {} orders are committed", orders.len());
    let books = shop.settles().await;
    assert_eq!(books.orders.iter().filter(|order| order.status == "DELIVERED").count(), 40);
}

#[tokio::test]
async fn an_order_whose_row_is_locked_waits_alone() {
    let shop = Shop::open(Settings { payment_latency: "5s", ..Settings::default() }).await;
    let product = shop.product("Kettle", 1999, 10).await;
    let (waiting, locked) = shop.order(product, "London").await;
    let mut lock = shop.database("order").begin().await.unwrap();
    // It is idle for longer than our sessions may be.
    sqlx::query("SET LOCAL idle_in_transaction_session_timeout = 0").execute(&mut *lock).await.unwrap();
    sqlx::query("SELECT FROM orders WHERE id = $1 FOR UPDATE").bind(locked).execute(&mut *lock).await.unwrap();

    for _ in 0..3 {
        let (buyer, order) = shop.order(product, "London").await;
        shop.becomes(&buyer, order, "DELIVERED").await;
    }
    // By now its events have met the lock, and the limit of a statement.
    assert!(matches!(shop.status(&waiting, locked).await.as_str(), "CREATED" | "PENDING"));
    lock.rollback().await.unwrap();
    shop.becomes(&waiting, locked, "DELIVERED").await;
    shop.settles().await;
}

#[tokio::test]
async fn a_transaction_that_is_left_open_in_every_database_holds_up_nothing() {
    let shop = Shop::open(Settings::default()).await;
    let product = shop.product("Kettle", 1999, 1000).await;
    let mut left_open = Vec::new();
    for service in DATABASES {
        let mut transaction = shop.database(service).begin().await.unwrap();
        // From its first statement on nothing that it might see is cleared away.
        // Somebody else's: PostgreSQL would end one of ours.
        let begin = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
                     SET LOCAL idle_in_transaction_session_timeout = 0; SELECT count(*) FROM outbox";
        sqlx::raw_sql(begin).execute(&mut *transaction).await.unwrap();
        left_open.push(transaction);
    }
    for _ in 0..15 {
        let orders = join_all((0..10).map(|_| shop.order(product, "London"))).await;
        join_all(orders.iter().map(|(buyer, order)| shop.becomes(buyer, *order, "DELIVERED"))).await;
    }
    for transaction in left_open {
        transaction.rollback().await.unwrap();
    }
    assert_eq!(shop.settles().await.orders.len(), 150);
}
