//! Reservations and their lines. Whoever works on a reservation locks its row first, and stock afterwards.

use std::time::Duration;

use jiff::Timestamp;
use shop_core::Money;
use shop_db::{Served, idempotency};
use shop_messaging::FORGET_AFTER;
use sqlx::{FromRow, PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::domain::stock::{Line, State};

/// A reservation that was released is as good as none: an order that is paid after all is rejected with and without it. One
/// that was committed stays, because a cancel may still have to put its goods back.
pub const SERVED: [Served; 2] = [
    idempotency::SERVED,
    Served {
        table: "reservations",
        key: "order_id",
        when: "state = 'released' AND updated_at < now() - $1",
        keep: FORGET_AFTER,
    },
];

/// A reservation without its lines.
pub struct Head {
    /// Who ordered; unknown when the order ended before it was reserved.
    pub user_id: Option<Uuid>,
    /// Where it is in its life.
    pub state: State,
    /// When the order is asked after unless it was committed.
    pub expires_at: Timestamp,
}

/// A reservation that nobody has come for.
#[derive(FromRow)]
pub struct Unclaimed {
    /// Whose.
    pub order_id: Uuid,
    /// Who ordered.
    pub user_id: Uuid,
}

impl FromRow<'_, PgRow> for Head {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            user_id: row.try_get("user_id")?,
            state: row.try_get("state")?,
            expires_at: row.try_get::<jiff_sqlx::Timestamp, _>("expires_at")?.to_jiff(),
        })
    }
}

impl FromRow<'_, PgRow> for Line {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            product_id: row.try_get("product_id")?,
            seller_id: row.try_get("seller_id")?,
            name: row.try_get("product_name")?,
            price: Money(row.try_get("unit_price_minor")?),
            quantity: row.try_get("quantity")?,
            image_url: row.try_get("image_url")?,
        })
    }
}

/// Opens the reservation of an order for so long and says when that ends; `None` when the order has one already. Of two that
/// open the same, the second waits for the first.
pub async fn open(
    tx: &mut PgConnection,
    order: Uuid,
    user: Uuid,
    for_so_long: Duration,
) -> sqlx::Result<Option<Timestamp>> {
    let kept: Option<jiff_sqlx::Timestamp> = sqlx::query_scalar(
        "INSERT INTO reservations (order_id, user_id, state, expires_at, updated_at) VALUES ($1, $2, 'reserved', now() + $3, now())
         ON CONFLICT (order_id) DO NOTHING RETURNING expires_at",
    )
    .bind(order)
    .bind(user)
    .bind(for_so_long)
    .fetch_optional(tx)
    .await?;
    Ok(kept.map(jiff_sqlx::Timestamp::to_jiff))
}

/// Writes the lines of a new reservation.
pub async fn add_lines(tx: &mut PgConnection, order: Uuid, lines: &[Line]) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = lines.iter().map(|line| line.product_id).collect();
    let sellers: Vec<Uuid> = lines.iter().map(|line| line.seller_id).collect();
    let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
    let prices: Vec<i64> = lines.iter().map(|line| line.price.0).collect();
    let quantities: Vec<i64> = lines.iter().map(|line| line.quantity).collect();
    let images: Vec<Option<&str>> = lines.iter().map(|line| line.image_url.as_deref()).collect();
    sqlx::query(
        "INSERT INTO reservation_lines
             (order_id, position, product_id, seller_id, product_name, unit_price_minor, quantity, image_url)
         SELECT $1, line.position, line.product, line.seller, line.name, line.price, line.quantity, line.image
         FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[], $7::text[]) WITH ORDINALITY
             AS line (product, seller, name, price, quantity, image, position)",
    )
    .bind(order)
    .bind(ids)
    .bind(sellers)
    .bind(names)
    .bind(prices)
    .bind(quantities)
    .bind(images)
    .execute(tx)
    .await
    .map(|_| ())
}

/// The reservation of an order, as it is.
pub async fn find(tx: &mut PgConnection, order: Uuid) -> sqlx::Result<Option<Head>> {
    sqlx::query_as("SELECT user_id, state, expires_at FROM reservations WHERE order_id = $1")
        .bind(order)
        .fetch_optional(tx)
        .await
}

/// The state of an order's reservation, kept from changing until the transaction ends. An order that never had one gets a
/// released one: whatever comes late finds it closed.
pub async fn lock_or_close(tx: &mut PgConnection, order: Uuid) -> sqlx::Result<State> {
    // A conflict changes nothing, and locks.
    sqlx::query_scalar(
        "INSERT INTO reservations (order_id, state, expires_at, updated_at) VALUES ($1, 'released', now(), now())
         ON CONFLICT (order_id) DO UPDATE SET order_id = excluded.order_id RETURNING state",
    )
    .bind(order)
    .fetch_one(tx)
    .await
}

/// Up to `limit` reservations whose time is over, and gives them as much again; those that somebody else has in hand are
/// passed over.
pub async fn prolong(tx: &mut PgConnection, for_so_long: Duration, limit: i64) -> sqlx::Result<Vec<Unclaimed>> {
    sqlx::query_as(
        "UPDATE reservations SET expires_at = now() + $1
         WHERE order_id = ANY(ARRAY(
             SELECT order_id FROM reservations WHERE state = 'reserved' AND expires_at <= now()
             ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))
         RETURNING order_id, user_id",
    )
    .bind(for_so_long)
    .bind(limit)
    .fetch_all(tx)
    .await
}

/// The lines of a reservation, in the order they were wanted.
pub async fn lines(tx: &mut PgConnection, order: Uuid) -> sqlx::Result<Vec<Line>> {
    sqlx::query_as(
        "SELECT product_id, seller_id, product_name, unit_price_minor, quantity, image_url
         FROM reservation_lines WHERE order_id = $1 ORDER BY position",
    )
    .bind(order)
    .fetch_all(tx)
    .await
}

/// Moves a reservation on.
pub async fn set_state(tx: &mut PgConnection, order: Uuid, state: State) -> sqlx::Result<()> {
    sqlx::query("UPDATE reservations SET state = $2, updated_at = now() WHERE order_id = $1")
        .bind(order)
        .bind(state)
        .execute(tx)
        .await
        .map(|_| ())
}
