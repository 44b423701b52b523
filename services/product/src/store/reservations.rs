//! Reservations and their lines. Whoever works on a reservation locks its row first, and stock afterwards.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
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
        when: "state = 'released' AND updated_at < $1",
        keep: FORGET_AFTER,
    },
];

/// A reservation without its lines.
pub struct Head {
    /// Who ordered; unknown when the order ended before it was reserved.
    pub user_id: Option<Uuid>,
    /// Where it is in its life.
    pub state: State,
    /// When its goods go back unless it was committed.
    pub expires_at: Timestamp,
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

/// Opens the reservation of an order and says when it expires; `None` when the order has one already. Of two that open the
/// same, the second waits for the first.
pub async fn open(
    tx: &mut PgConnection,
    order: Uuid,
    user: Uuid,
    expires_at: Timestamp,
    now: Timestamp,
) -> sqlx::Result<Option<Timestamp>> {
    let kept: Option<jiff_sqlx::Timestamp> = sqlx::query_scalar(
        "INSERT INTO reservations (order_id, user_id, state, expires_at, updated_at) VALUES ($1, $2, 'reserved', $3, $4)
         ON CONFLICT (order_id) DO NOTHING RETURNING expires_at",
    )
    .bind(order)
    .bind(user)
    .bind(expires_at.to_sqlx())
    .bind(now.to_sqlx())
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
pub async fn lock_or_close(tx: &mut PgConnection, order: Uuid, now: Timestamp) -> sqlx::Result<State> {
    sqlx::query(
        "INSERT INTO reservations (order_id, state, expires_at, updated_at) VALUES ($1, 'released', $2, $2)
         ON CONFLICT (order_id) DO NOTHING",
    )
    .bind(order)
    .bind(now.to_sqlx())
    .execute(&mut *tx)
    .await?;
    sqlx::query_scalar("SELECT state FROM reservations WHERE order_id = $1 FOR UPDATE").bind(order).fetch_one(tx).await
}

/// An order whose reservation has expired, locked; one that somebody else has in hand is passed over.
pub async fn lock_expired(tx: &mut PgConnection, now: Timestamp) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar(
        "SELECT order_id FROM reservations WHERE state = 'reserved' AND expires_at <= $1
         ORDER BY expires_at LIMIT 1 FOR UPDATE SKIP LOCKED",
    )
    .bind(now.to_sqlx())
    .fetch_optional(tx)
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
pub async fn set_state(tx: &mut PgConnection, order: Uuid, state: State, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query("UPDATE reservations SET state = $2, updated_at = $3 WHERE order_id = $1")
        .bind(order)
        .bind(state)
        .bind(now.to_sqlx())
        .execute(tx)
        .await
        .map(|_| ())
}
