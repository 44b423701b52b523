//! The one currency of everything that has a price.

use crate::harness::Shop;

#[tokio::test]
async fn a_database_with_prices_takes_no_shop_of_another_currency_and_says_which_one_it_has() {
    let shop = Shop::start().await;
    shop.product(&shop.seller(), "Lamp", 1).await;
    shop.migrate_with("USD").await.expect("prices of an earlier version are amounts of the Shop's currency");
    let refused = shop.migrate_with("EUR").await.expect_err("19.99 dollars are no euros").to_string();
    assert!(refused.contains("amounts of USD") && refused.contains("EUR"), "{refused}");
    shop.migrate_with("USD").await.expect("the currency is the same");
}

#[tokio::test]
async fn a_database_without_prices_takes_a_shop_of_another_currency() {
    let shop = Shop::start().await;
    shop.migrate_with("USD").await.expect("the first one");
    shop.migrate_with("EUR").await.expect("nothing has a price yet");
}
