//! The public API, for buyers and sellers.

mod bodies;

use std::sync::Arc;

use axum::{Extension, Json, extract::State, http::StatusCode};
use shop_auth::Verifier;
use shop_server::http::{Id, Params, Problem, User};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::app::Orders;
use bodies::{ListQuery, OrderBody, OrderCancelBody, OrderList, Problems, SoldList};

/// The routes of this service.
pub fn router(orders: Arc<Orders>, verifier: Arc<Verifier>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(cancel))
        .routes(routes!(sold))
        .with_state(orders)
        .layer(Extension(verifier))
}

type App = State<Arc<Orders>>;

/// Your orders, newest first
#[utoipa::path(
    get, path = "/api/v1/orders", tag = "orders", operation_id = "list_orders", security(("bearer" = [])), params(ListQuery),
    responses((status = 200, description = "One page of your orders", body = OrderList), Problems)
)]
async fn list(
    State(orders): App,
    User(caller): User,
    Params(query): Params<ListQuery>,
) -> Result<Json<OrderList>, Problem> {
    Ok(Json(orders.mine(&caller, &query.page()?).await?.into()))
}

/// One of your orders, with its history
#[utoipa::path(
    get, path = "/api/v1/orders/{id}", tag = "orders", operation_id = "read_order", security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The order")),
    responses((status = 200, description = "The order", body = OrderBody), bodies::NoSuchOrder, Problems)
)]
async fn read(State(orders): App, User(caller): User, Id(id): Id) -> Result<Json<OrderBody>, Problem> {
    Ok(Json(orders.view(&caller, id).await?.into()))
}

/// Cancel one of your orders
///
/// Possible until it is shipped; what was paid is refunded. Canceling again changes nothing.
#[utoipa::path(
    post, path = "/api/v1/orders/{id}/cancel", tag = "orders", operation_id = "cancel_order", security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The order")),
    responses(
        (status = 202, description = "It is canceled; stock and money follow", body = OrderCancelBody),
        bodies::TooLate,
        bodies::NoSuchOrder,
        Problems
    )
)]
async fn cancel(
    State(orders): App,
    User(caller): User,
    Id(id): Id,
) -> Result<(StatusCode, Json<OrderCancelBody>), Problem> {
    Ok((StatusCode::ACCEPTED, Json(orders.cancel(&caller, id).await?.into())))
}

/// What you sold, line by line, newest first
#[utoipa::path(
    get, path = "/api/v1/seller/orders", tag = "orders", operation_id = "list_sold", security(("bearer" = [])), params(ListQuery),
    responses((status = 200, description = "One page of lines", body = SoldList), bodies::NotASeller, Problems)
)]
async fn sold(
    State(orders): App,
    User(caller): User,
    Params(query): Params<ListQuery>,
) -> Result<Json<SoldList>, Problem> {
    Ok(Json(orders.sold(&caller, &query.page()?).await?.into()))
}
