//! Uploaded pictures: in a bucket, where the Shop names one, else in PostgreSQL. They are found in both, so that naming a bucket
//! loses nothing.

use bytes::Bytes;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shop_db::Pool;
use sqlx::PgConnection;

use super::bucket::{Bucket, BucketError};
use crate::{
    config,
    domain::picture::{Encoded, Key},
    error::Error,
};

/// Where pictures are.
pub struct Images {
    pool: Pool,
    bucket: Option<Bucket>,
}

impl Images {
    /// Connects when the first picture needs it.
    pub fn open(pool: Pool, bucket: Option<&config::Bucket>) -> Result<Self, BucketError> {
        Ok(Self { pool, bucket: bucket.map(Bucket::open).transpose()? })
    }

    /// Puts a picture into the bucket.
    pub async fn upload(&self, picture: &Encoded) -> Result<(), BucketError> {
        match &self.bucket {
            Some(bucket) => bucket.put(picture).await,
            None => Ok(()),
        }
    }

    /// Puts a picture into the database, unless there is a bucket or the same file is there.
    pub async fn insert(&self, tx: &mut PgConnection, picture: &Encoded, now: Timestamp) -> sqlx::Result<()> {
        if self.bucket.is_some() {
            return Ok(());
        }
        let insert = "INSERT INTO images (key, content_type, bytes, created_at) VALUES ($1, $2, $3, $4)
                      ON CONFLICT (key) DO NOTHING";
        sqlx::query(insert)
            .bind(picture.key.as_str())
            .bind(picture.key.content_type())
            .bind(picture.bytes.as_ref())
            .bind(now.to_sqlx())
            .execute(tx)
            .await
            .map(|_| ())
    }

    /// The picture of `key`. The database is asked first: what it has must not depend on the bucket.
    pub async fn find(&self, key: &Key) -> Result<Option<Bytes>, Error> {
        let select = sqlx::query_scalar("SELECT bytes FROM images WHERE key = $1").bind(key.as_str());
        let kept: Option<Vec<u8>> = select.fetch_optional(&self.pool).await?;
        match (kept, &self.bucket) {
            (Some(bytes), _) => Ok(Some(bytes.into())),
            (None, Some(bucket)) => Ok(bucket.get(key).await?),
            (None, None) => Ok(None),
        }
    }
}
