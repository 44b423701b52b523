//! `/api/v1/products/{id}/inventory`.

use std::sync::Arc;

use axum::{Json, extract::State};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shop_server::http::{Id, MaybeUser, Problem, ProblemBody, User, Valid};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    app::Catalog,
    domain::stock::{Inventory, MAX_STOCK},
};

/// What was counted.
#[derive(Debug, Deserialize, Validate, ToSchema)]
pub struct StockBody {
    /// On hand and not sold; not less than what is reserved of it.
    #[garde(range(min = 0, max = MAX_STOCK))]
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    stock: i64,
}

/// What was set.
#[derive(Debug, Serialize, ToSchema)]
pub struct StockAnswer {
    product_id: Uuid,
    stock: i64,
}

/// The stock of a product.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InventoryBody {
    product_id: Uuid,
    /// On hand and not sold.
    stock: i64,
    /// Of it, set aside for orders that are not paid.
    reserved: i64,
    /// What can be bought.
    available: i64,
    updated_at: Timestamp,
}

impl From<Inventory> for InventoryBody {
    fn from(inventory: Inventory) -> Self {
        let available = inventory.available();
        let Inventory { product_id, stock, reserved, updated_at } = inventory;
        Self { product_id, stock, reserved, available, updated_at }
    }
}

/// The stock of a product.
#[utoipa::path(
    get, path = "/api/v1/products/{id}/inventory", tag = "inventory", params(("id" = Uuid, Path)), security((), ("token" = [])),
    responses(
        (status = 200, description = "The stock", body = InventoryBody),
        (status = 400, description = "Not an id", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "A token that is not good", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Not there, or not for the caller's eyes", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn read(
    State(catalog): State<Arc<Catalog>>,
    MaybeUser(caller): MaybeUser,
    Id(id): Id,
) -> Result<Json<InventoryBody>, Problem> {
    Ok(Json(catalog.inventory(caller.as_ref(), id).await?.into()))
}

/// Sets what is on hand and not sold.
#[utoipa::path(
    put, path = "/api/v1/products/{id}/inventory", tag = "inventory", params(("id" = Uuid, Path)), security(("token" = [])),
    request_body = StockBody,
    responses(
        (status = 200, description = "Set", body = StockAnswer),
        (status = 400, description = "A field breaks a rule", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No good token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Another seller's", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Not there, or not for the caller's eyes", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "More than that is reserved", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Over 64 KiB", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn set(
    State(catalog): State<Arc<Catalog>>,
    User(caller): User,
    Id(id): Id,
    Valid(StockBody { stock }): Valid<StockBody>,
) -> Result<Json<StockAnswer>, Problem> {
    let inventory = catalog.set_stock(&caller, id, stock).await?;
    Ok(Json(StockAnswer { product_id: inventory.product_id, stock: inventory.stock }))
}
