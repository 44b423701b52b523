//! Categories.

use jiff_sqlx::ToSqlx as _;
use shop_db::{Pool, on_constraint};
use sqlx::{FromRow, PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{domain::category::Category, error::Error};

impl FromRow<'_, PgRow> for Category {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            parent_id: row.try_get("parent_id")?,
            created_at: row.try_get::<jiff_sqlx::Timestamp, _>("created_at")?.to_jiff(),
        })
    }
}

/// Writes a category below its parent.
pub async fn insert(tx: &mut PgConnection, category: &Category) -> Result<(), Error> {
    let inserted = sqlx::query(
        "INSERT INTO categories (id, name, parent_id, depth, created_at)
         SELECT $1, $2, $3, 1 + coalesce((SELECT depth FROM categories WHERE id = $3), 0), $4",
    )
    .bind(category.id)
    .bind(&category.name)
    .bind(category.parent_id)
    .bind(category.created_at.to_sqlx())
    .execute(tx)
    .await;
    inserted.map(|_| ()).map_err(|error| {
        let violated = error.as_database_error().and_then(|error| error.constraint()).map(str::to_owned);
        match violated.as_deref() {
            Some(name @ "categories_name_key") => on_constraint(error, name, || Error::DuplicateCategory.into()),
            Some(name @ "categories_depth_check") => on_constraint(error, name, || Error::TooDeep.into()),
            _ => on_constraint(error, "categories_parent_id_fkey", || {
                Error::UnknownCategory { field: "parentId" }.into()
            }),
        }
        .into()
    })
}

/// All categories, by name.
pub async fn all(pool: &Pool) -> sqlx::Result<Vec<Category>> {
    sqlx::query_as("SELECT id, name, parent_id, created_at FROM categories ORDER BY lower(name), id")
        .fetch_all(pool)
        .await
}

/// A category and everything below it. Asked before products are, so that the database knows how many they are when it plans.
pub async fn below(pool: &Pool, category: Uuid) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "WITH RECURSIVE below AS (SELECT id FROM categories WHERE id = $1
             UNION SELECT c.id FROM categories c JOIN below ON c.parent_id = below.id) SELECT id FROM below",
    )
    .bind(category)
    .fetch_all(pool)
    .await
}

/// The categories of a product, by name.
pub async fn of_product(pool: &Pool, product: Uuid) -> sqlx::Result<Vec<Category>> {
    sqlx::query_as(
        "SELECT c.id, c.name, c.parent_id, c.created_at FROM categories c
         JOIN product_categories pc ON pc.category_id = c.id WHERE pc.product_id = $1 ORDER BY lower(c.name), c.id",
    )
    .bind(product)
    .fetch_all(pool)
    .await
}
