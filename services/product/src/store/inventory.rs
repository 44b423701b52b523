//! Stock. Whoever changes the stock of several products locks them in the order of their ids first: no two can wait for each
//! other.

use sqlx::{FromRow, PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::domain::stock::{Inventory, Line, Movement, Offer};

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

/// The products of `ids` as they can be had now, their stock kept from changing until the transaction ends.
pub async fn lock_offers(tx: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Offer>> {
    sqlx::query_as(
        "SELECT p.id, p.seller_id, p.name, p.price_minor, p.image_url, p.status, i.stock - i.reserved AS available
         FROM inventory i JOIN products p ON p.id = i.product_id
         WHERE i.product_id = ANY($1) AND p.deleted_at IS NULL ORDER BY i.product_id FOR UPDATE OF i",
    )
    .bind(ids)
    .fetch_all(tx)
    .await
}

/// Moves the units of `lines`.
pub async fn apply(tx: &mut PgConnection, lines: &[Line], movement: Movement) -> sqlx::Result<Vec<Inventory>> {
    let ids: Vec<Uuid> = lines.iter().map(|line| line.product_id).collect();
    let (stock, reserved): (Vec<i64>, Vec<i64>) = lines.iter().map(|line| movement.deltas(line.quantity)).unzip();
    // Locked in one order by everybody, so that no two wait for each other.
    sqlx::query_as(
        "WITH locked AS (SELECT product_id FROM inventory WHERE product_id = ANY($1) ORDER BY product_id FOR UPDATE)
         UPDATE inventory SET stock = inventory.stock + line.stock, reserved = inventory.reserved + line.reserved, updated_at = now()
         FROM locked JOIN unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS line (id, stock, reserved) ON locked.product_id = line.id
         WHERE inventory.product_id = locked.product_id RETURNING inventory.*",
    )
    .bind(ids)
    .bind(stock)
    .bind(reserved)
    .fetch_all(tx)
    .await
}
