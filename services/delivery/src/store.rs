//! The table of deliveries, one function a query.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shop_db::{DbError, Served};
use shop_messaging::FORGET_AFTER;
use shop_telemetry::Carrier;
use sqlx::{FromRow, PgConnection, Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use crate::domain::{Address, Delivery, State};

/// A delivery that has ended has served: nothing that comes later moves it. The books' entry outlives it.
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

/// Inserts the delivery of an order, unless the order has one: then `false`. Waits for whoever is inserting it.
pub(crate) async fn insert(tx: &mut PgConnection, delivery: &Delivery) -> Result<bool, DbError> {
    let done = sqlx::query(
        "INSERT INTO deliveries (id, order_id, state, address, canceled_at, reason, trace, attempts, due_at,
                                 created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now(), now())
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
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The delivery of an order, locked until the transaction ends, and the time.
pub(crate) async fn lock(tx: &mut PgConnection, order_id: Uuid) -> Result<(Delivery, Timestamp), DbError> {
    let row = sqlx::query(
        "SELECT id, order_id, state, address, canceled_at, reason, trace, attempts, due_at, now() AS now
         FROM deliveries WHERE order_id = $1 FOR UPDATE",
    )
    .bind(order_id)
    .fetch_one(tx)
    .await?;
    Ok((Delivery::from_row(&row)?, row.try_get::<jiff_sqlx::Timestamp, _>("now")?.to_jiff()))
}

/// Writes what can change of a delivery that is locked.
pub(crate) async fn save(tx: &mut PgConnection, delivery: &Delivery) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE deliveries SET state = $2, canceled_at = $3, reason = $4, trace = $5, attempts = $6, due_at = $7,
                               updated_at = now()
         WHERE id = $1",
    )
    .bind(delivery.id)
    .bind(delivery.state.as_str())
    .bind(delivery.canceled_at.map(jiff::Timestamp::to_sqlx))
    .bind(&delivery.reason)
    .bind(Json(&delivery.trace))
    .bind(delivery.attempts)
    .bind(delivery.due_at.map(jiff::Timestamp::to_sqlx))
    .execute(tx)
    .await?;
    Ok(())
}
