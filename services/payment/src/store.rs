//! The table of payments, one function a query.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shop_core::Money;
use shop_db::{DbError, Served};
use shop_messaging::FORGET_AFTER;
use shop_telemetry::Carrier;
use sqlx::{FromRow, PgConnection, Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use crate::domain::{Payment, State};

/// A payment that took no money, or gave it back, has served. One that was captured stays, because a cancel may still have to
/// give the money back. The books' entry outlives the payment.
pub(crate) const SERVED: [Served; 3] = [
    Served {
        table: "payments",
        key: "id",
        when: "state IN ('failed', 'canceled', 'refunded') AND updated_at < now() - $1",
        keep: FORGET_AFTER,
    },
    Served {
        table: "mock_charges",
        key: "key",
        when: "entry <> 'captured' AND entered_at < now() - $1
               AND NOT EXISTS (SELECT FROM payments WHERE payments.id = mock_charges.key)",
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
    amount_minor: i64,
    currency: String,
    expires_at: Option<jiff_sqlx::Timestamp>,
    canceled_at: Option<jiff_sqlx::Timestamp>,
    reason: Option<String>,
    trace: Json<Carrier>,
    attempts: i32,
    due_at: Option<jiff_sqlx::Timestamp>,
}

impl FromRow<'_, PgRow> for Payment {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let row = Row::from_row(row)?;
        let time = |time: Option<jiff_sqlx::Timestamp>| time.map(jiff_sqlx::Timestamp::to_jiff);
        Ok(Self {
            id: row.id,
            order_id: row.order_id,
            state: row.state,
            amount: Money(row.amount_minor),
            currency: row.currency,
            expires_at: time(row.expires_at),
            canceled_at: time(row.canceled_at),
            reason: row.reason,
            trace: row.trace.0,
            attempts: row.attempts,
            due_at: time(row.due_at),
        })
    }
}

/// Inserts the payment of an order, unless the order has one: then `false`. Waits for whoever is inserting it.
pub(crate) async fn insert(tx: &mut PgConnection, payment: &Payment) -> Result<bool, DbError> {
    let done = sqlx::query(
        "INSERT INTO payments (id, order_id, state, amount_minor, currency, expires_at, canceled_at, reason, trace,
                               attempts, due_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, now(), now())
         ON CONFLICT ON CONSTRAINT payments_order_id_key DO NOTHING",
    )
    .bind(payment.id)
    .bind(payment.order_id)
    .bind(payment.state.as_str())
    .bind(payment.amount.0)
    .bind(&payment.currency)
    .bind(payment.expires_at.map(jiff::Timestamp::to_sqlx))
    .bind(payment.canceled_at.map(jiff::Timestamp::to_sqlx))
    .bind(&payment.reason)
    .bind(Json(&payment.trace))
    .bind(payment.attempts)
    .bind(payment.due_at.map(jiff::Timestamp::to_sqlx))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The payment of an order, locked until the transaction ends, and the time.
pub(crate) async fn lock(tx: &mut PgConnection, order_id: Uuid) -> Result<(Payment, Timestamp), DbError> {
    let row = sqlx::query(
        "SELECT id, order_id, state, amount_minor, currency, expires_at, canceled_at, reason, trace, attempts, due_at,
                now() AS now
         FROM payments WHERE order_id = $1 FOR UPDATE",
    )
    .bind(order_id)
    .fetch_one(tx)
    .await?;
    Ok((Payment::from_row(&row)?, row.try_get::<jiff_sqlx::Timestamp, _>("now")?.to_jiff()))
}

/// Writes what can change of a payment that is locked.
pub(crate) async fn save(tx: &mut PgConnection, payment: &Payment) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE payments SET state = $2, canceled_at = $3, reason = $4, trace = $5, attempts = $6, due_at = $7,
                             updated_at = now()
         WHERE id = $1",
    )
    .bind(payment.id)
    .bind(payment.state.as_str())
    .bind(payment.canceled_at.map(jiff::Timestamp::to_sqlx))
    .bind(&payment.reason)
    .bind(Json(&payment.trace))
    .bind(payment.attempts)
    .bind(payment.due_at.map(jiff::Timestamp::to_sqlx))
    .execute(tx)
    .await?;
    Ok(())
}
