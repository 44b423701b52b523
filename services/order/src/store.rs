//! Queries, one function each. No rules live here.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shop_core::Currency;
use shop_db::{Served, idempotency};
use shop_messaging::{Outgoing, outbox_rows};
use sqlx::{FromRow, PgConnection, PgExecutor, types::Json};
use uuid::Uuid;

use crate::domain::{Cursor, Line, Move, Order, Page, Reason, Refusal, State, Status};

// Columns are named: a migration that adds one must not break the statements that running processes have prepared.
macro_rules! order_columns {
    () => {
        "id, user_id, status, payment_status, total_minor, currency, full_name, phone, city, street, trace, created_at"
    };
}
macro_rules! line_columns {
    () => {
        "l.order_id, l.line, l.created_at, l.product_id, l.seller_id, l.product_name, l.image_url, l.unit_price_minor, \
         l.quantity"
    };
}

/// A refused order id keeps its answer as long as a cart keeps the attempt. Orders, their lines and their history stay.
pub const SERVED: [Served; 2] = [
    idempotency::SERVED,
    Served {
        table: "order_attempts",
        key: "order_id",
        when: "refusal IS NOT NULL AND at < now() - $1",
        keep: Duration::from_hours(7 * 24),
    },
];

/// What is known of an order id.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Who used it.
    pub user_id: Uuid,
    /// Why there is no order; `None` when there is one.
    pub refusal: Option<Refusal>,
}

/// One line of an order's history.
#[derive(Clone, Debug, FromRow)]
pub struct HistoryRow {
    /// The status it came to.
    #[sqlx(try_from = "String")]
    pub status: Status,
    /// When.
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// A line with its order's id.
#[derive(Clone, Debug, FromRow)]
pub struct LineOf {
    /// The order.
    pub order_id: Uuid,
    /// The line.
    #[sqlx(flatten)]
    pub line: Line,
}

/// A line as its seller sees it.
#[derive(Clone, Debug, FromRow)]
pub struct SoldLine {
    /// The order.
    pub order_id: Uuid,
    /// Its place in the order.
    #[sqlx(rename = "line")]
    pub number: i32,
    /// How far the order has come.
    #[sqlx(try_from = "String")]
    pub status: Status,
    /// The order's currency.
    #[sqlx(try_from = "String")]
    pub currency: Currency,
    /// When it was ordered.
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub created_at: Timestamp,
    /// What was ordered.
    #[sqlx(flatten)]
    pub line: Line,
}

/// An order that somebody tells something about.
#[derive(Clone, Debug, FromRow)]
pub struct Addressed {
    /// The order.
    #[sqlx(flatten)]
    pub order: Order,
    /// Whether it was told before.
    pub heard: bool,
}

/// What becomes of an order, and what the others hear of it.
#[derive(Debug)]
pub struct Change {
    /// Where it comes to.
    pub to: State,
    /// By which steps.
    pub steps: Vec<Move>,
    /// What is told.
    pub events: Vec<Outgoing>,
}

/// What is known of `order`, if anything.
pub async fn attempt(executor: impl PgExecutor<'_>, order: Uuid) -> sqlx::Result<Option<Attempt>> {
    let row: Option<(Uuid, Option<String>)> =
        sqlx::query_as("SELECT user_id, refusal FROM order_attempts WHERE order_id = $1")
            .bind(order)
            .fetch_optional(executor)
            .await?;
    let Some((user_id, refusal)) = row else { return Ok(None) };
    let refusal = refusal.map(Refusal::try_from).transpose().map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(Some(Attempt { user_id, refusal }))
}

/// Takes the order id, writes the order with its lines and what is told of it, and says when that was; `None` when the id is
/// taken. Unless it is paid it expires so long afterwards, and the database alone knows when that is: it completes the event.
/// Waits for whoever is taking the id.
pub async fn place(
    executor: impl PgExecutor<'_>,
    order: &Order,
    lines: &[Line],
    unpaid: Duration,
    created: Outgoing,
) -> sqlx::Result<Option<Timestamp>> {
    let placed_at: Option<jiff_sqlx::Timestamp> = sqlx::query_scalar(concat!(
        "WITH attempt AS (
             INSERT INTO order_attempts (order_id, user_id, at) VALUES ($1, $2, now()) ON CONFLICT DO NOTHING RETURNING order_id
         ), placed AS (
             INSERT INTO orders (id, user_id, created_at, status, payment_status, total_minor, currency, full_name, phone,
                                 city, street, trace, expires_at)
             SELECT order_id, $2, now(), $3, $4, $5, $6, $7, $8, $9, $10, $11, now() + $12 FROM attempt
             RETURNING id, created_at, expires_at
         ), history AS (
             INSERT INTO order_history (order_id, status, reason, at) SELECT id, $3, $13, created_at FROM placed
         ), lines AS (
             INSERT INTO order_lines (order_id, created_at, line, product_id, seller_id, product_name, image_url,
                                      unit_price_minor, quantity)
             SELECT id, created_at, sold.line, product, seller, name, image, price, quantity FROM placed,
                 unnest($14::uuid[], $15::uuid[], $16::text[], $17::text[], $18::bigint[], $19::integer[]) WITH ORDINALITY
                     AS sold (product, seller, name, image, price, quantity, line)
         ), told AS (",
        outbox_rows!("$20", "placed", "event.payload || jsonb_build_object('expiresAt', placed.expires_at)"),
        ") SELECT created_at FROM placed"
    ))
    .bind(order.id)
    .bind(order.user_id)
    .bind(order.status.as_str())
    .bind(order.payment_status.as_str())
    .bind(order.total_minor)
    .bind(order.currency.code())
    .bind(&order.address.full_name)
    .bind(&order.address.phone)
    .bind(&order.address.city)
    .bind(&order.address.street)
    .bind(&order.trace)
    .bind(unpaid)
    .bind(Reason::Placed.as_str())
    .bind(lines.iter().map(|line| line.product_id).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.seller_id).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.product_name.as_str()).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.image_url.as_str()).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.unit_price_minor).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.quantity).collect::<Vec<_>>())
    .bind(Json([created]))
    .fetch_optional(executor)
    .await?;
    Ok(placed_at.map(jiff_sqlx::Timestamp::to_jiff))
}

/// Takes the order id for good without an order; `false` when it is taken.
pub async fn refuse(tx: &mut PgConnection, order: Uuid, user: Uuid, refusal: Refusal) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "INSERT INTO order_attempts (order_id, user_id, refusal, at) VALUES ($1, $2, $3, now()) ON CONFLICT DO NOTHING",
    )
    .bind(order)
    .bind(user)
    .bind(refusal.code())
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// One order of `user`.
pub async fn order_of(executor: impl PgExecutor<'_>, order: Uuid, user: Uuid) -> sqlx::Result<Option<Order>> {
    sqlx::query_as(concat!("SELECT ", order_columns!(), " FROM orders WHERE id = $1 AND user_id = $2"))
        .bind(order)
        .bind(user)
        .fetch_optional(executor)
        .await
}

/// One order, which nobody else can move until the transaction ends.
pub async fn lock(tx: &mut PgConnection, order: Uuid) -> sqlx::Result<Option<Order>> {
    sqlx::query_as(concat!("SELECT ", order_columns!(), " FROM orders WHERE id = $1 FOR UPDATE"))
        .bind(order)
        .fetch_optional(tx)
        .await
}

/// One order as it is now, and whether `event` was heard.
pub async fn addressed(executor: impl PgExecutor<'_>, order: Uuid, event: Uuid) -> sqlx::Result<Option<Addressed>> {
    sqlx::query_as(concat!(
        "SELECT ",
        order_columns!(),
        ", EXISTS (SELECT FROM inbox WHERE event_id = $2) AS heard FROM orders WHERE id = $1"
    ))
    .bind(order)
    .bind(event)
    .fetch_optional(executor)
    .await
}

/// Up to `limit` orders that were not paid in time and that nobody else is moving.
pub async fn lock_expired(tx: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Order>> {
    sqlx::query_as(concat!(
        "SELECT ",
        order_columns!(),
        " FROM orders WHERE status IN ('CREATED', 'PENDING') AND expires_at <= now()
             ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED"
    ))
    .bind(limit)
    .fetch_all(tx)
    .await
}

/// Moves an order on, with its history, what is told of it and the event on which it moves; `false`, and nothing is written,
/// when it is no longer as it was read. An error, and nothing is written, when a copy of the event was faster.
pub async fn advance(
    executor: impl PgExecutor<'_>,
    order: &Order,
    change: &Change,
    because: Option<Uuid>,
) -> sqlx::Result<bool> {
    let statement = concat!(
        "WITH moved AS (
             UPDATE orders SET status = $4, payment_status = $5 WHERE id = $1 AND status = $2 AND payment_status = $3
             RETURNING id
         ), heard AS (
             INSERT INTO inbox (event_id, handled_at) SELECT $6::uuid, now() FROM moved WHERE $6::uuid IS NOT NULL
         ), history AS (
             INSERT INTO order_history (order_id, status, reason, at)
             SELECT id, step.status, step.reason, now() FROM moved, unnest($7::text[], $8::text[]) WITH ORDINALITY
                 AS step (status, reason, number) ORDER BY step.number
         ), told AS (",
        outbox_rows!("$9", "moved"),
        ") SELECT EXISTS (SELECT FROM moved)"
    );
    let State { status, payment } = order.state();
    sqlx::query_scalar(statement)
        .bind(order.id)
        .bind(status.as_str())
        .bind(payment.as_str())
        .bind(change.to.status.as_str())
        .bind(change.to.payment.as_str())
        .bind(because)
        .bind(change.steps.iter().map(|step| step.to.as_str()).collect::<Vec<_>>())
        .bind(change.steps.iter().map(|step| step.reason.as_str()).collect::<Vec<_>>())
        .bind(Json(&change.events))
        .fetch_one(executor)
        .await
}

/// How an order came to where it is.
pub async fn history(connection: &mut PgConnection, order: Uuid) -> sqlx::Result<Vec<HistoryRow>> {
    sqlx::query_as("SELECT status, at, reason FROM order_history WHERE order_id = $1 ORDER BY seq")
        .bind(order)
        .fetch_all(connection)
        .await
}

/// The lines of `orders`.
pub async fn lines(connection: &mut PgConnection, orders: &[Uuid]) -> sqlx::Result<Vec<LineOf>> {
    sqlx::query_as(concat!(
        "SELECT ",
        line_columns!(),
        " FROM order_lines l WHERE l.order_id = ANY($1) ORDER BY l.order_id, l.line"
    ))
    .bind(orders)
    .fetch_all(connection)
    .await
}

/// The orders of `user`, newest first, one more than the page holds.
pub async fn orders_of(connection: &mut PgConnection, user: Uuid, page: &Page) -> sqlx::Result<Vec<Order>> {
    let Cursor { at, order, line: _ } = page.after;
    sqlx::query_as(concat!(
        "SELECT ",
        order_columns!(),
        " FROM orders WHERE user_id = $1 AND (created_at, id) < ($2, $3)
             ORDER BY created_at DESC, id DESC OFFSET $4 LIMIT $5"
    ))
    .bind(user)
    .bind(at.to_sqlx())
    .bind(order)
    .bind(page.skip)
    .bind(page.limit + 1)
    .fetch_all(connection)
    .await
}

/// How many orders `user` has.
pub async fn count_orders(connection: &mut PgConnection, user: Uuid) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT count(*) FROM orders WHERE user_id = $1").bind(user).fetch_one(connection).await
}

/// What `seller` sold, newest first, one more than the page holds.
pub async fn sold_by(connection: &mut PgConnection, seller: Uuid, page: &Page) -> sqlx::Result<Vec<SoldLine>> {
    let Cursor { at, order, line } = page.after;
    sqlx::query_as(concat!(
        "SELECT ",
        line_columns!(),
        ", o.status, o.currency FROM order_lines l JOIN orders o ON o.id = l.order_id
             WHERE l.seller_id = $1 AND (l.created_at, l.order_id, l.line) < ($2, $3, $4)
             ORDER BY l.created_at DESC, l.order_id DESC, l.line DESC OFFSET $5 LIMIT $6"
    ))
    .bind(seller)
    .bind(at.to_sqlx())
    .bind(order)
    .bind(line)
    .bind(page.skip)
    .bind(page.limit + 1)
    .fetch_all(connection)
    .await
}

/// How many lines `seller` sold.
pub async fn count_sold(connection: &mut PgConnection, seller: Uuid) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT count(*) FROM order_lines WHERE seller_id = $1").bind(seller).fetch_one(connection).await
}
