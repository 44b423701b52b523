//! Reservations, their lines and the stock that moves with them, by one statement. It locks the reservation first and stock
//! afterwards, in the order of the products' ids, so that no two wait for each other.

use std::time::Duration;

use jiff::Timestamp;
use shop_core::Money;
use shop_db::{Served, idempotency};
use shop_messaging::{FORGET_AFTER, Outgoing, outbox_rows};
use sqlx::{FromRow, PgConnection, PgExecutor, Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use crate::domain::stock::{Line, Movement, State};

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

/// The parts of a statement that move the units `$stock` and `$reserved` of the products `$ids` for the row of `$from`, and
/// tell of each, in `$events`, how many there then are.
macro_rules! moved_stock {
    ($from:literal, $ids:literal, $stock:literal, $reserved:literal, $events:literal) => {
        concat!(
            "locked AS (
                 SELECT i.product_id FROM inventory i, ", $from, " WHERE i.product_id = ANY(", $ids, "::uuid[])
                 ORDER BY i.product_id FOR UPDATE OF i
             ), stocked AS (
                 UPDATE inventory SET stock = inventory.stock + line.stock, reserved = inventory.reserved + line.reserved,
                                      updated_at = now()
                 FROM locked JOIN unnest(", $ids, "::uuid[], ", $stock, "::bigint[], ", $reserved, "::bigint[])
                     AS line (id, stock, reserved) ON locked.product_id = line.id
                 WHERE inventory.product_id = locked.product_id RETURNING inventory.*
             ), told AS (",
            outbox_rows!(
                $events,
                "stocked",
                "event.payload || jsonb_build_object('stock', stocked.stock, 'reserved', stocked.reserved,
                                                     'available', stocked.stock - stocked.reserved)"
            ),
            " WHERE event.payload->>'productId' = stocked.product_id::text)"
        )
    };
}

/// A reservation without its lines.
pub struct Head {
    /// Who ordered; unknown when the order ended before it was reserved.
    pub user_id: Option<Uuid>,
    /// Where it is in its life.
    pub state: State,
    /// When the order is asked after unless it was committed.
    pub expires_at: Timestamp,
    /// Whether the event that is asked about was handled.
    pub heard: bool,
}

/// The constraint on stock that is violated by taking more than there is.
pub const ENOUGH: &str = "inventory_reserved_check";

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
            heard: row.try_get("heard")?,
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

/// Sets `lines` aside for an order for so long, tells of the stock, and says when that ends; `None` when the order has a
/// reservation already. Of two that reserve for the same order, the second waits for the first. Violates [`ENOUGH`], and
/// nothing is written, when somebody else has taken what was there.
pub async fn reserve(
    executor: impl PgExecutor<'_>,
    (order, user): (Uuid, Uuid),
    for_so_long: Duration,
    lines: &[Line],
    told: &[Outgoing],
) -> sqlx::Result<Option<Timestamp>> {
    let statement = concat!(
        "WITH opened AS (
             INSERT INTO reservations (order_id, user_id, state, expires_at, updated_at)
             VALUES ($1, $2, 'reserved', now() + $3, now()) ON CONFLICT (order_id) DO NOTHING RETURNING order_id, expires_at
         ), lines AS (
             INSERT INTO reservation_lines
                 (order_id, position, product_id, seller_id, product_name, unit_price_minor, quantity, image_url)
             SELECT order_id, line.position, line.product, line.seller, line.name, line.price, line.quantity, line.image
             FROM opened, unnest($4::uuid[], $5::uuid[], $6::text[], $7::bigint[], $8::bigint[], $9::text[]) WITH ORDINALITY
                 AS line (product, seller, name, price, quantity, image, position)
         ), ",
        moved_stock!("opened", "$4", "$10", "$11", "$12"),
        " SELECT expires_at FROM opened"
    );
    let (stock, reserved) = deltas(lines, Movement::Hold);
    let kept: Option<jiff_sqlx::Timestamp> = sqlx::query_scalar(statement)
        .bind(order)
        .bind(user)
        .bind(for_so_long)
        .bind(lines.iter().map(|line| line.product_id).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.seller_id).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.name.as_str()).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.price.0).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.quantity).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.image_url.as_deref()).collect::<Vec<_>>())
        .bind(stock)
        .bind(reserved)
        .bind(Json(told))
        .fetch_optional(executor)
        .await?;
    Ok(kept.map(jiff_sqlx::Timestamp::to_jiff))
}

/// The reservation of an order as it is, and whether `event` was handled.
pub async fn find(executor: impl PgExecutor<'_>, order: Uuid, event: Option<Uuid>) -> sqlx::Result<Option<Head>> {
    sqlx::query_as(
        "SELECT user_id, state, expires_at, EXISTS (SELECT FROM inbox WHERE event_id = $2) AS heard
         FROM reservations WHERE order_id = $1",
    )
    .bind(order)
    .bind(event)
    .fetch_optional(executor)
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

/// Writes that `event` was handled and moves a reservation on, with its stock and what is told; `false`, and nothing is
/// written, when it is no longer as it was `before`. An error, and nothing is written, when a copy of the event was faster.
pub async fn advance(
    executor: impl PgExecutor<'_>,
    (order, event): (Uuid, Uuid),
    (before, after): (State, State),
    (lines, movement): (&[Line], Movement),
    told: &[Outgoing],
) -> sqlx::Result<bool> {
    let statement = concat!(
        "WITH moved AS (
             UPDATE reservations SET state = $4, updated_at = now() WHERE order_id = $1 AND state = $3 RETURNING order_id
         ), heard AS (
             INSERT INTO inbox (event_id, handled_at) SELECT $2::uuid, now() FROM moved
         ), ",
        moved_stock!("moved", "$5", "$6", "$7", "$8"),
        " SELECT EXISTS (SELECT FROM moved)"
    );
    let (stock, reserved) = deltas(lines, movement);
    sqlx::query_scalar(statement)
        .bind(order)
        .bind(event)
        .bind(before)
        .bind(after)
        .bind(lines.iter().map(|line| line.product_id).collect::<Vec<_>>())
        .bind(stock)
        .bind(reserved)
        .bind(Json(told))
        .fetch_one(executor)
        .await
}

fn deltas(lines: &[Line], movement: Movement) -> (Vec<i64>, Vec<i64>) {
    lines.iter().map(|line| movement.deltas(line.quantity)).unzip()
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
pub async fn lines(executor: impl PgExecutor<'_>, order: Uuid) -> sqlx::Result<Vec<Line>> {
    sqlx::query_as(
        "SELECT product_id, seller_id, product_name, unit_price_minor, quantity, image_url
         FROM reservation_lines WHERE order_id = $1 ORDER BY position",
    )
    .bind(order)
    .fetch_all(executor)
    .await
}
