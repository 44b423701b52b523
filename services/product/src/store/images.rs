//! Uploaded pictures.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::{FromRow, PgConnection, PgPool};

use crate::domain::picture::Encoded;

/// A picture as it is served.
#[derive(FromRow)]
pub struct Stored {
    /// `image/jpeg` or `image/png`.
    pub content_type: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Keeps a picture under `key`.
pub async fn insert(tx: &mut PgConnection, key: &str, picture: &Encoded, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO images (key, content_type, bytes, created_at) VALUES ($1, $2, $3, $4)")
        .bind(key)
        .bind(picture.content_type)
        .bind(&picture.bytes)
        .bind(now.to_sqlx())
        .execute(tx)
        .await
        .map(|_| ())
}

/// The picture of `key`.
pub async fn find(pool: &PgPool, key: &str) -> sqlx::Result<Option<Stored>> {
    sqlx::query_as("SELECT content_type, bytes FROM images WHERE key = $1").bind(key).fetch_optional(pool).await
}
