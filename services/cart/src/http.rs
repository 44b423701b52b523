//! The public API of carts.

mod body;

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use http::StatusCode;
use shop_auth::Verifier;
use shop_core::Currency;
use shop_server::http::{Id, IdempotencyKey, Keyed, Problem, ProblemBody, User, Valid};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{app::Carts, domain::Line};
use body::{AddBody, CartBody, CheckoutBody, PlacedBody, QuantityBody};

const PROBLEM: &str = "application/problem+json";

#[derive(Clone)]
struct Api {
    carts: Carts,
    currency: Currency,
}

/// The routes.
pub fn router(carts: Carts, currency: Currency, verifier: Arc<Verifier>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(show, add, clear))
        .routes(routes!(set, remove))
        .routes(routes!(checkout))
        .layer(Extension(verifier))
        .with_state(Api { carts, currency })
}

/// The caller's cart, at the catalog's prices. Looking at it keeps it for another seven days.
#[utoipa::path(
    get, path = "/api/v1/cart", tag = "Cart", operation_id = "showCart", security(("bearer" = [])),
    responses(
        (status = 200, body = CartBody),
        (status = 401, body = ProblemBody, content_type = PROBLEM, description = "No or bad access token"),
        (status = 503, body = ProblemBody, content_type = PROBLEM, description = "Try again after Retry-After"),
    )
)]
async fn show(State(api): State<Api>, User(caller): User) -> Result<Json<CartBody>, Problem> {
    let cart = api.carts.show(&caller).await?;
    Ok(Json(CartBody::new(cart, api.currency)))
}

/// Adds to the quantity that is in the cart. Only the product and the quantity count; the rest comes from the catalog.
#[utoipa::path(
    post, path = "/api/v1/cart", tag = "Cart", operation_id = "addToCart", security(("bearer" = [])), params(IdempotencyKey),
    request_body = AddBody,
    responses(
        (status = 201, body = CartBody),
        (status = 400, body = ProblemBody, content_type = PROBLEM, description = "Malformed, or over 999 of the product"),
        (status = 401, body = ProblemBody, content_type = PROBLEM, description = "No or bad access token"),
        (status = 404, body = ProblemBody, content_type = PROBLEM, description = "No such product"),
        (status = 409, body = ProblemBody, content_type = PROBLEM, description = "not_for_sale, cart_full, or idempotency_key_reused"),
        (status = 413, body = ProblemBody, content_type = PROBLEM, description = "The body is over its limit"),
        (status = 415, body = ProblemBody, content_type = PROBLEM, description = "The body is not JSON"),
        (status = 429, body = ProblemBody, content_type = PROBLEM, description = "Too many idempotency keys"),
        (status = 503, body = ProblemBody, content_type = PROBLEM, description = "Try again after Retry-After"),
    )
)]
async fn add(
    State(api): State<Api>,
    User(caller): User,
    Keyed { body, key }: Keyed<AddBody>,
) -> Result<(StatusCode, Json<CartBody>), Problem> {
    let line = Line { product: body.product_id, quantity: body.quantity };
    let cart = api.carts.add(&caller, line, key.as_ref()).await?;
    Ok((StatusCode::CREATED, Json(CartBody::new(cart, api.currency))))
}

/// Sets the quantity of a product in the cart.
#[utoipa::path(
    put, path = "/api/v1/cart/items/{productId}", tag = "Cart", operation_id = "setQuantity", security(("bearer" = [])),
    params(("productId" = uuid::Uuid, Path, description = "The product")), request_body = QuantityBody,
    responses(
        (status = 200, body = CartBody),
        (status = 400, body = ProblemBody, content_type = PROBLEM, description = "Malformed, or not 1..999"),
        (status = 401, body = ProblemBody, content_type = PROBLEM, description = "No or bad access token"),
        (status = 404, body = ProblemBody, content_type = PROBLEM, description = "Not in the cart"),
        (status = 413, body = ProblemBody, content_type = PROBLEM, description = "The body is over its limit"),
        (status = 415, body = ProblemBody, content_type = PROBLEM, description = "The body is not JSON"),
        (status = 503, body = ProblemBody, content_type = PROBLEM, description = "Try again after Retry-After"),
    )
)]
async fn set(
    State(api): State<Api>,
    User(caller): User,
    Id(product): Id,
    Valid(body): Valid<QuantityBody>,
) -> Result<Json<CartBody>, Problem> {
    let cart = api.carts.set(&caller, Line { product, quantity: body.quantity }).await?;
    Ok(Json(CartBody::new(cart, api.currency)))
}

/// Takes a product out of the cart. Taking out what is not there changes nothing.
#[utoipa::path(
    delete, path = "/api/v1/cart/items/{productId}", tag = "Cart", operation_id = "removeFromCart", security(("bearer" = [])),
    params(("productId" = uuid::Uuid, Path, description = "The product")),
    responses(
        (status = 200, body = CartBody),
        (status = 400, body = ProblemBody, content_type = PROBLEM, description = "The id is no UUID"),
        (status = 401, body = ProblemBody, content_type = PROBLEM, description = "No or bad access token"),
        (status = 503, body = ProblemBody, content_type = PROBLEM, description = "Try again after Retry-After"),
    )
)]
async fn remove(State(api): State<Api>, User(caller): User, Id(product): Id) -> Result<Json<CartBody>, Problem> {
    let cart = api.carts.remove(&caller, product).await?;
    Ok(Json(CartBody::new(cart, api.currency)))
}

/// Empties the cart.
#[utoipa::path(
    delete, path = "/api/v1/cart", tag = "Cart", operation_id = "clearCart", security(("bearer" = [])),
    responses(
        (status = 204, description = "The cart is empty"),
        (status = 401, body = ProblemBody, content_type = PROBLEM, description = "No or bad access token"),
        (status = 503, body = ProblemBody, content_type = PROBLEM, description = "Try again after Retry-After"),
    )
)]
async fn clear(State(api): State<Api>, User(caller): User) -> Result<StatusCode, Problem> {
    api.carts.clear(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Orders what is in the cart. Exactly one order comes of it, however often the request is sent until it is answered.
#[utoipa::path(
    post, path = "/api/v1/cart/checkout", tag = "Cart", operation_id = "checkout", security(("bearer" = [])), params(IdempotencyKey),
    extensions(("x-priority" = json!("checkout"))),
    request_body = CheckoutBody,
    responses(
        (status = 201, body = PlacedBody),
        (status = 400, body = ProblemBody, content_type = PROBLEM, description = "The cart is empty, or the address incomplete"),
        (status = 401, body = ProblemBody, content_type = PROBLEM, description = "No or bad access token"),
        (status = 409, body = ProblemBody, content_type = PROBLEM,
         description = "out_of_stock (errors name the lines), price_changed, not_for_sale, checkout_in_progress, checkout_expired, or idempotency_key_reused"),
        (status = 413, body = ProblemBody, content_type = PROBLEM, description = "The body is over its limit"),
        (status = 415, body = ProblemBody, content_type = PROBLEM, description = "The body is not JSON"),
        (status = 503, body = ProblemBody, content_type = PROBLEM, description = "Send the same request again after Retry-After"),
    )
)]
async fn checkout(
    State(api): State<Api>,
    User(caller): User,
    Keyed { body, key }: Keyed<CheckoutBody>,
) -> Result<(StatusCode, Json<PlacedBody>), Problem> {
    let checkout = body.into_checkout(api.currency, key)?;
    let placed = api.carts.checkout(&caller, checkout).await?;
    Ok((StatusCode::CREATED, Json(placed.into())))
}
