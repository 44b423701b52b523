//! `/api/v1/categories`.

use std::sync::Arc;

use axum::{Json, extract::State};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shop_auth::Role;
use shop_server::http::{Created, IdempotencyKey, Keyed, Problem, ProblemBody, User};
use utoipa::ToSchema;
use uuid::Uuid;

use super::rules;
use crate::{
    app::Catalog,
    domain::category::{Category, Node},
};

/// A category to be.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewCategoryBody {
    /// Unique among its siblings, whatever the case of its letters.
    #[garde(custom(rules::line::<100>))]
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// Absent for a root.
    #[serde(alias = "parent_id")]
    #[garde(skip)]
    parent_id: Option<Uuid>,
}

/// A category.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CategoryBody {
    id: Uuid,
    name: String,
    parent_id: Option<Uuid>,
    created_at: Timestamp,
}

impl From<Category> for CategoryBody {
    fn from(Category { id, name, parent_id, created_at }: Category) -> Self {
        Self { id, name, parent_id, created_at }
    }
}

/// A category with everything below it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CategoryTree {
    id: Uuid,
    name: String,
    #[schema(no_recursion)]
    children: Vec<CategoryTree>,
}

impl From<Node> for CategoryTree {
    fn from(Node { id, name, children }: Node) -> Self {
        Self { id, name, children: children.into_iter().map(Self::from).collect() }
    }
}

/// Creates a category.
#[utoipa::path(
    post, path = "/api/v1/categories", tag = "categories", security(("token" = [])), params(IdempotencyKey),
    request_body = NewCategoryBody,
    responses(
        (status = 201, description = "Created", body = CategoryBody),
        (status = 400, description = "A field breaks a rule", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No good token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not an admin", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "A sibling has this name, or the Idempotency-Key another body", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Over 64 KiB", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(catalog): State<Arc<Catalog>>,
    User(caller): User,
    Keyed { body: NewCategoryBody { name, parent_id }, key }: Keyed<NewCategoryBody>,
) -> Result<Created, Problem> {
    caller.require(Role::Admin)?;
    let name = name.trim().to_owned();
    Ok(Created(catalog.create_category(&caller, name, parent_id, key.as_ref(), CategoryBody::from).await?))
}

/// All categories as trees.
#[utoipa::path(
    get, path = "/api/v1/categories", tag = "categories",
    responses((status = 200, description = "The roots with everything below them", body = Vec<CategoryTree>))
)]
pub async fn list(State(catalog): State<Arc<Catalog>>) -> Result<Json<Vec<CategoryTree>>, Problem> {
    let roots = catalog.categories().await?;
    Ok(Json(roots.into_iter().map(CategoryTree::from).collect()))
}
