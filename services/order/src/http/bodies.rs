//! What goes over the wire. Names are the contract's, in both its spellings.

use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shop_core::{Currency, Fault, Money};
use shop_server::http::ProblemBody;
use utoipa::{IntoParams, IntoResponses, ToSchema};
use uuid::Uuid;

use crate::{
    app::{Listed, OrderView},
    domain::{Address, Line, Order, Page, PaymentStatus, Status},
    store::{HistoryRow, SoldLine},
};

/// Which part of a list.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Page, from 1. Ignored when there is a cursor.
    #[serde(default = "first_page")]
    #[garde(range(min = 1, max = 100_000))]
    #[param(minimum = 1, maximum = 100_000, default = 1)]
    page: u32,
    /// Rows a page.
    #[serde(default = "usual_limit")]
    #[garde(range(min = 1, max = 100))]
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: u32,
    /// `nextCursor` of the page before.
    #[garde(length(chars, max = 100))]
    #[param(max_length = 100, pattern = r"^[0-9]+\.[0-9a-f-]+\.[0-9-]+$")]
    cursor: Option<String>,
}

const fn first_page() -> u32 {
    1
}

const fn usual_limit() -> u32 {
    20
}

impl ListQuery {
    pub(super) fn page(&self) -> Result<Page, Fault> {
        Page::new(self.page, self.limit, self.cursor.as_deref())
    }
}

/// One product of an order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderItemBody {
    product_id: Uuid,
    seller_id: Uuid,
    product_name: String,
    /// When the order was placed.
    unit_price: f64,
    quantity: i32,
    image_url: Option<String>,
}

/// One move of an order.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderMoveBody {
    status: Status,
    at: Timestamp,
    reason: String,
}

/// An order.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderBody {
    id: Uuid,
    status: Status,
    payment_status: PaymentStatus,
    total_amount: f64,
    #[schema(example = "USD")]
    currency: String,
    items: Vec<OrderItemBody>,
    #[serde(rename = "shippingAddress")]
    shipping_address: Address,
    /// Its moves, oldest first.
    history: Vec<OrderMoveBody>,
    created_at: Timestamp,
}

/// An order in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderSummary {
    id: Uuid,
    status: Status,
    payment_status: PaymentStatus,
    total_amount: f64,
    #[schema(example = "USD")]
    currency: String,
    items: Vec<OrderItemBody>,
    created_at: Timestamp,
}

/// One page of orders.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderList {
    data: Vec<OrderSummary>,
    /// On all pages.
    total: i64,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// A line somebody ordered of the caller's products.
#[derive(Debug, Serialize, ToSchema)]
pub struct SoldLineBody {
    order_id: Uuid,
    status: Status,
    item: OrderItemBody,
    #[schema(example = "USD")]
    currency: String,
    created_at: Timestamp,
}

/// One page of sold lines.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SoldList {
    data: Vec<SoldLineBody>,
    /// On all pages.
    total: i64,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// An order that is canceled.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderCancelBody {
    id: Uuid,
    status: Status,
    payment_status: PaymentStatus,
}

impl OrderItemBody {
    fn new(line: Line, currency: Currency) -> Self {
        let Line { product_id, seller_id, product_name, image_url, unit_price_minor, quantity } = line;
        let unit_price = currency.to_number(Money(unit_price_minor));
        let image_url = Some(image_url).filter(|url| !url.is_empty());
        Self { product_id, seller_id, product_name, unit_price, quantity, image_url }
    }

    fn all(lines: Vec<Line>, currency: Currency) -> Vec<Self> {
        lines.into_iter().map(|line| Self::new(line, currency)).collect()
    }
}

impl From<HistoryRow> for OrderMoveBody {
    fn from(HistoryRow { status, at, reason }: HistoryRow) -> Self {
        Self { status, at, reason }
    }
}

impl From<OrderView> for OrderBody {
    fn from(OrderView { order, lines, history }: OrderView) -> Self {
        Self {
            id: order.id,
            status: order.status,
            payment_status: order.payment_status,
            total_amount: order.currency.to_number(order.total()),
            currency: order.currency.code().to_owned(),
            items: OrderItemBody::all(lines, order.currency),
            shipping_address: order.address,
            history: history.into_iter().map(OrderMoveBody::from).collect(),
            created_at: order.created_at,
        }
    }
}

impl From<Listed<(Order, Vec<Line>)>> for OrderList {
    fn from(list: Listed<(Order, Vec<Line>)>) -> Self {
        let data = list.rows.into_iter().map(|(order, lines)| OrderSummary {
            id: order.id,
            status: order.status,
            payment_status: order.payment_status,
            total_amount: order.currency.to_number(order.total()),
            currency: order.currency.code().to_owned(),
            items: OrderItemBody::all(lines, order.currency),
            created_at: order.created_at,
        });
        Self { data: data.collect(), total: list.total, next_cursor: list.next }
    }
}

impl From<Listed<SoldLine>> for SoldList {
    fn from(list: Listed<SoldLine>) -> Self {
        let data = list.rows.into_iter().map(|sold| SoldLineBody {
            order_id: sold.order_id,
            status: sold.status,
            item: OrderItemBody::new(sold.line, sold.currency),
            currency: sold.currency.code().to_owned(),
            created_at: sold.created_at,
        });
        Self { data: data.collect(), total: list.total, next_cursor: list.next }
    }
}

impl From<Order> for OrderCancelBody {
    fn from(order: Order) -> Self {
        Self { id: order.id, status: order.status, payment_status: order.payment_status }
    }
}

/// The problems every route here may answer with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only describes answers; Problem makes them")]
pub(super) enum Problems {
    /// The request cannot be read, or breaks a rule
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid(ProblemBody),
    /// No token, or not a good one
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(ProblemBody),
    /// Something this needs is away; Retry-After says when to come back
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemBody),
}

/// No such order, or not yours
#[derive(IntoResponses)]
#[response(status = 404, content_type = "application/problem+json")]
#[expect(dead_code, reason = "only describes an answer")]
pub(super) struct NoSuchOrder(ProblemBody);

/// The order is shipped or delivered
#[derive(IntoResponses)]
#[response(status = 409, content_type = "application/problem+json")]
#[expect(dead_code, reason = "only describes an answer")]
pub(super) struct TooLate(ProblemBody);

/// You are not a seller
#[derive(IntoResponses)]
#[response(status = 403, content_type = "application/problem+json")]
#[expect(dead_code, reason = "only describes an answer")]
pub(super) struct NotASeller(ProblemBody);
