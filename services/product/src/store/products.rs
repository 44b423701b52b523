//! Products and their categories.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shop_core::Money;
use shop_db::{Pool, on_constraint};
use sqlx::{FromRow, PgConnection, Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use crate::{
    domain::{
        product::{Attributes, Product},
        stock::{Inventory, Offer},
    },
    error::Error,
};

/// What a [`Product`] is read from: everything but the search vector.
macro_rules! columns {
    () => {
        "p.id, p.seller_id, p.name, p.description, p.price_minor, p.status, p.image_url, p.attributes, p.created_at, p.updated_at"
    };
}
pub(super) use columns;

impl FromRow<'_, PgRow> for Product {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let Json(attributes): Json<Attributes> = row.try_get("attributes")?;
        Ok(Self {
            id: row.try_get("id")?,
            seller_id: row.try_get("seller_id")?,
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            price: Money(row.try_get("price_minor")?),
            status: row.try_get("status")?,
            image_url: row.try_get("image_url")?,
            attributes,
            created_at: row.try_get::<jiff_sqlx::Timestamp, _>("created_at")?.to_jiff(),
            updated_at: row.try_get::<jiff_sqlx::Timestamp, _>("updated_at")?.to_jiff(),
        })
    }
}

impl FromRow<'_, PgRow> for Offer {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            product_id: row.try_get("id")?,
            seller_id: row.try_get("seller_id")?,
            name: row.try_get("name")?,
            price: Money(row.try_get("price_minor")?),
            image_url: row.try_get("image_url")?,
            status: row.try_get("status")?,
            available: row.try_get("available")?,
        })
    }
}

/// A product with its stock.
pub struct Stocked {
    /// The product.
    pub product: Product,
    /// Its stock.
    pub inventory: Inventory,
}

impl FromRow<'_, PgRow> for Stocked {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let product = Product::from_row(row)?;
        let inventory = Inventory {
            product_id: product.id,
            stock: row.try_get("stock")?,
            reserved: row.try_get("reserved")?,
            updated_at: row.try_get::<jiff_sqlx::Timestamp, _>("counted_at")?.to_jiff(),
        };
        Ok(Self { product, inventory })
    }
}

/// Writes a new product.
pub async fn insert(tx: &mut PgConnection, product: &Product) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO products
             (id, seller_id, name, description, price_minor, status, image_url, attributes, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
    )
    .bind(product.id)
    .bind(product.seller_id)
    .bind(&product.name)
    .bind(&product.description)
    .bind(product.price.0)
    .bind(product.status)
    .bind(&product.image_url)
    .bind(Json(&product.attributes))
    .bind(product.created_at.to_sqlx())
    .execute(tx)
    .await
    .map(|_| ())
}

/// Writes a changed product.
pub async fn update(tx: &mut PgConnection, product: &Product) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE products SET name = $2, description = $3, price_minor = $4, status = $5, image_url = $6, attributes = $7,
         updated_at = $8 WHERE id = $1",
    )
    .bind(product.id)
    .bind(&product.name)
    .bind(&product.description)
    .bind(product.price.0)
    .bind(product.status)
    .bind(&product.image_url)
    .bind(Json(&product.attributes))
    .bind(product.updated_at.to_sqlx())
    .execute(tx)
    .await
    .map(|_| ())
}

/// A product, kept from changing until the transaction ends. Its key stays free: a reservation that has locked the stock
/// refers to the product next, and would wait for one who has the product and waits for the stock.
pub async fn lock(tx: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Product>> {
    sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM products p WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE"
    ))
    .bind(id)
    .fetch_optional(tx)
    .await
}

/// A product with its stock.
pub async fn find(pool: &Pool, id: Uuid) -> sqlx::Result<Option<Stocked>> {
    sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        ", i.stock, i.reserved, i.updated_at AS counted_at
         FROM products p JOIN inventory i ON i.product_id = p.id WHERE p.id = $1 AND p.deleted_at IS NULL"
    ))
    .bind(id)
    .fetch_optional(pool)
    .await
}

/// The products of `ids` that were not deleted, as they can be had now.
pub async fn offers(pool: &Pool, ids: &[Uuid]) -> sqlx::Result<Vec<Offer>> {
    sqlx::query_as(
        "SELECT p.id, p.seller_id, p.name, p.price_minor, p.image_url, p.status, i.stock - i.reserved AS available
         FROM products p JOIN inventory i ON i.product_id = p.id WHERE p.id = ANY($1) AND p.deleted_at IS NULL",
    )
    .bind(ids)
    .fetch_all(pool)
    .await
}

/// Takes a product out of sight; orders keep pointing at it.
pub async fn delete(tx: &mut PgConnection, id: Uuid, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query("UPDATE products SET deleted_at = $2, updated_at = $2 WHERE id = $1")
        .bind(id)
        .bind(now.to_sqlx())
        .execute(tx)
        .await
        .map(|_| ())
}

/// Files a product under exactly these categories.
pub async fn categorize(tx: &mut PgConnection, id: Uuid, categories: &[Uuid]) -> Result<(), Error> {
    sqlx::query("DELETE FROM product_categories WHERE product_id = $1 AND category_id <> ALL($2)")
        .bind(id)
        .bind(categories)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "INSERT INTO product_categories (product_id, category_id) SELECT $1, category FROM unnest($2::uuid[]) AS category
         ON CONFLICT DO NOTHING",
    )
    .bind(id)
    .bind(categories)
    .execute(tx)
    .await
    .map_err(|error| {
        on_constraint(error, "product_categories_category_id_fkey", || Error::UnknownCategory { field: "categoryIds" }.into())
    })?;
    Ok(())
}
