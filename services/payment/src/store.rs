//! The table of payments, one function a query.

use jiff_sqlx::ToSqlx as _;
use shop_core::Money;
use shop_db::{DbError, Served};
use shop_messaging::{FORGET_AFTER, Outgoing, outbox_rows};
use shop_telemetry::Carrier;
use sqlx::{FromRow, PgExecutor, postgres::PgRow, types::Json};
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

/// Writes that `event` was handled, and the payment of an order, unless the order has one: then `false`. Nothing at all is
/// written when the event was handled before. Waits for whoever is inserting the payment.
pub(crate) async fn open(
    executor: impl PgExecutor<'_>,
    event: Uuid,
    payment: &Payment,
    told: &[Outgoing],
) -> Result<bool, DbError> {
    let statement = concat!(
        "WITH heard AS (
             INSERT INTO inbox (event_id, handled_at) VALUES ($12, now()) ON CONFLICT DO NOTHING RETURNING event_id
         ), opened AS (
             INSERT INTO payments (id, order_id, state, amount_minor, currency, expires_at, canceled_at, reason, trace,
                                   attempts, due_at, created_at, updated_at)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, now(), now() FROM heard
             ON CONFLICT ON CONSTRAINT payments_order_id_key DO NOTHING RETURNING id
         ), told AS (",
        outbox_rows!("$13", "opened"),
        ") SELECT EXISTS (SELECT FROM opened)"
    );
    Ok(sqlx::query_scalar(statement)
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
        .bind(event)
        .bind(Json(told))
        .fetch_one(executor)
        .await?)
}

/// The payment of an order as it is now.
pub(crate) async fn find(executor: impl PgExecutor<'_>, order_id: Uuid) -> Result<Payment, DbError> {
    Ok(sqlx::query_as(
        "SELECT id, order_id, state, amount_minor, currency, expires_at, canceled_at, reason, trace, attempts, due_at
         FROM payments WHERE order_id = $1",
    )
    .bind(order_id)
    .fetch_one(executor)
    .await?)
}

/// Writes what can change of a payment, and what is told of it; `false`, and nothing is written, when it is no longer as it
/// was `before`.
pub(crate) async fn save(
    executor: impl PgExecutor<'_>,
    before: &Payment,
    after: &Payment,
    told: &[Outgoing],
) -> Result<bool, DbError> {
    let statement = concat!(
        "WITH saved AS (
             UPDATE payments SET state = $2, canceled_at = $3, reason = $4, trace = $5, attempts = $6, due_at = $7,
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
