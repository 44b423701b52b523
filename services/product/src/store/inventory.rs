//! Stock of one product at a time; that of an order moves with its reservation, see [`super::reservations`].

use sqlx::{FromRow, PgConnection, PgExecutor, Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::domain::stock::{Inventory, Offer};

impl FromRow<'_, PgRow> for Inventory {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            product_id: row.try_get("product_id")?,
            stock: row.try_get("stock")?,
            reserved: row.try_get("reserved")?,
            updated_at: row.try_get::<jiff_sqlx::Timestamp, _>("updated_at")?.to_jiff(),
        })
    }
}

/// A new product has nothing in stock.
pub async fn open(tx: &mut PgConnection, product: Uuid) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO inventory (product_id, stock, reserved, updated_at) VALUES ($1, 0, 0, now())")
        .bind(product)
        .execute(tx)
        .await
        .map(|_| ())
}

/// The stock of a product, kept from changing until the transaction ends.
pub async fn lock(tx: &mut PgConnection, product: Uuid) -> sqlx::Result<Inventory> {
    sqlx::query_as("SELECT * FROM inventory WHERE product_id = $1 FOR UPDATE").bind(product).fetch_one(tx).await
}

/// Writes what was counted.
pub async fn set(tx: &mut PgConnection, product: Uuid, stock: i64) -> sqlx::Result<Inventory> {
    sqlx::query_as("UPDATE inventory SET stock = $2, updated_at = now() WHERE product_id = $1 RETURNING *")
        .bind(product)
        .bind(stock)
        .fetch_one(tx)
        .await
}

/// The products of `ids` as they can be had now.
pub async fn offers(executor: impl PgExecutor<'_>, ids: &[Uuid]) -> sqlx::Result<Vec<Offer>> {
    sqlx::query_as(
        "SELECT p.id, p.seller_id, p.name, p.price_minor, p.image_url, p.status, i.stock - i.reserved AS available
         FROM inventory i JOIN products p ON p.id = i.product_id
         WHERE i.product_id = ANY($1) AND p.deleted_at IS NULL",
    )
    .bind(ids)
    .fetch_all(executor)
    .await
}
