//! The table of deliveries, one function a query.

use jiff_sqlx::ToSqlx as _;
use shop_db::{DbError, Served};
use shop_messaging::{FORGET_AFTER, Outgoing, outbox_rows};
use shop_telemetry::Carrier;
use sqlx::{FromRow, PgExecutor, postgres::PgRow, types::Json};
use uuid::Uuid;

use crate::domain::{Address, Delivery, State};

/// A delivery that has ended has served: only a cancel moves one at the door, and none comes so late. The books' entry outlives it.
pub(crate) const SERVED: [Served; 3] = [
    Served {
        table: "deliveries",
        key: "id",
        when: "state IN ('delivered', 'failed', 'canceled', 'recalled') AND updated_at < now() - $1",
        keep: FORGET_AFTER,
    },
    Served {
        table: "mock_parcels",
        key: "key",
        when: "entered_at < now() - $1 AND NOT EXISTS (SELECT FROM deliveries WHERE deliveries.id = mock_parcels.key)",
        keep: FORGET_AFTER,
    },
    Served { table: "mock_calls", key: "key", when: "called_at < now() - $1", keep: FORGET_AFTER },
];

/// A row as the database has it.
#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    order_id: Uuid,
    #[sqlx(try_from = "String")]
    state: State,
    address: Json<Address>,
    canceled_at: Option<jiff_sqlx::Timestamp>,
    reason: Option<String>,
    trace: Json<Carrier>,
    attempts: i32,
    due_at: Option<jiff_sqlx::Timestamp>,
}

impl FromRow<'_, PgRow> for Delivery {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let row = Row::from_row(row)?;
        Ok(Self {
            id: row.id,
            order_id: row.order_id,
            state: row.state,
            address: row.address.0,
            canceled_at: row.canceled_at.map(jiff_sqlx::Timestamp::to_jiff),
            reason: row.reason,
            trace: row.trace.0,
            attempts: row.attempts,
            due_at: row.due_at.map(jiff_sqlx::Timestamp::to_jiff),
        })
    }
}

/// Writes that `event` was handled, and the delivery of an order, unless the order has one: then `false`. Nothing at all is
/// written when the event was handled before. Waits for whoever is inserting the delivery.
pub(crate) async fn open(executor: impl PgExecutor<'_>, event: Uuid, delivery: &Delivery) -> Result<bool, DbError> {
    let done = sqlx::query(
        "WITH heard AS (
             INSERT INTO inbox (event_id, handled_at) VALUES ($10, now()) ON CONFLICT DO NOTHING RETURNING event_id
         )
         INSERT INTO deliveries (id, order_id, state, address, canceled_at, reason, trace, attempts, due_at,
                                 created_at, updated_at)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, now(), now() FROM heard
         ON CONFLICT ON CONSTRAINT deliveries_order_id_key DO NOTHING",
    )
    .bind(delivery.id)
    .bind(delivery.order_id)
    .bind(delivery.state.as_str())
    .bind(Json(&delivery.address))
    .bind(delivery.canceled_at.map(jiff::Timestamp::to_sqlx))
    .bind(&delivery.reason)
    .bind(Json(&delivery.trace))
    .bind(delivery.attempts)
    .bind(delivery.due_at.map(jiff::Timestamp::to_sqlx))
    .bind(event)
    .execute(executor)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The delivery of an order as it is now.
pub(crate) async fn find(executor: impl PgExecutor<'_>, order_id: Uuid) -> Result<Delivery, DbError> {
    Ok(sqlx::query_as(
        "SELECT id, order_id, state, address, canceled_at, reason, trace, attempts, due_at
         FROM deliveries WHERE order_id = $1",
    )
    .bind(order_id)
    .fetch_one(executor)
    .await?)
}

/// Writes what can change of a delivery, and what is told of it; `false`, and nothing is written, when it is no longer as it
/// was `before`.
pub(crate) async fn save(
    executor: impl PgExecutor<'_>,
    before: &Delivery,
    after: &Delivery,
    told: &[Outgoing],
) -> Result<bool, DbError> {
    let statement = concat!(
        "WITH saved AS (
             UPDATE deliveries SET state = $2, canceled_at = $3, reason = $4, trace = $5, attempts = $6, due_at = $7,
                                   updated_at = now()
             WHERE id = $1 AND state = $8 AND canceled_at IS NOT DISTINCT FROM $9 AND due_at IS NOT DISTINCT FROM $10
             RETURNING id
         ), told AS (",
        outbox_rows!("$11", "saved"),
        ") SELECT EXISTS (SELECT FROM saved)"
    );
    Ok(sqlx::query_scalar(statement)
        .bind(after.id)
        .bind(after.state.as_str())
        .bind(after.canceled_at.map(jiff::Timestamp::to_sqlx))
        .bind(&after.reason)
        .bind(Json(&after.trace))
        .bind(after.attempts)
        .bind(after.due_at.map(jiff::Timestamp::to_sqlx))
        .bind(before.state.as_str())
        .bind(before.canceled_at.map(jiff::Timestamp::to_sqlx))
        .bind(before.due_at.map(jiff::Timestamp::to_sqlx))
        .bind(Json(told))
        .fetch_one(executor)
        .await?)
}
