//! The currency of everything that has a price here.

use shop_core::Currency;
use sqlx::PgExecutor;

/// Keeps `currency` where none is kept or nothing has a price yet, and answers with the code of the one that is.
pub async fn keep(executor: impl PgExecutor<'_>, currency: Currency) -> sqlx::Result<String> {
    let upsert = "INSERT INTO currency (code) VALUES ($1)
                  ON CONFLICT (id) DO UPDATE SET code =
                      CASE WHEN EXISTS (SELECT FROM products) THEN currency.code ELSE excluded.code END
                  RETURNING code";
    sqlx::query_scalar(upsert).bind(currency.code()).fetch_one(executor).await
}
