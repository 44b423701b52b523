//! Uploaded pictures.

use std::sync::Arc;

use bytes::Bytes;
use shop_core::Fault;
use sqlx::PgConnection;

use super::Catalog;
use crate::{
    domain::{
        picture::{self, Encoded, Key},
        product::Image,
    },
    error::Error,
};

/// Where uploaded pictures are served.
const UPLOADS: &str = "/uploads";

impl Catalog {
    /// Encodes an upload anew, off the async executor and one at a time.
    pub async fn encode(&self, upload: Vec<u8>) -> Result<Encoded, Error> {
        let turn = Arc::clone(&self.decoding).acquire_owned().await.map_err(Fault::internal)?;
        // The turn goes along: a client that leaves does not end the decoding, and must not start another beside it.
        let encoding = tokio::task::spawn_blocking(move || {
            let encoded = picture::reencode(upload);
            drop(turn);
            encoded
        });
        Ok(encoding.await.map_err(Fault::internal)??)
    }

    /// The picture under `key`.
    pub async fn picture(&self, key: &Key) -> Result<Option<Bytes>, Error> {
        self.images.find(key).await
    }

    /// Where a product's picture is to be had. One that was uploaded is in the bucket from now on, where the Shop has one: before
    /// the transaction of the product, so that what is committed is there. A picture whose product is then refused stays. It
    /// costs its bytes and nothing else, and cannot be told from one that a cart or an order still shows.
    pub(super) async fn upload(&self, image: &Image) -> Result<Option<String>, Error> {
        match image {
            Image::None => Ok(None),
            Image::Elsewhere(url) => Ok(Some(url.clone())),
            Image::Uploaded(picture) => {
                self.images.upload(picture).await?;
                Ok(Some(format!("{UPLOADS}/{}", picture.key)))
            }
        }
    }

    /// Keeps an uploaded picture in the database, where the Shop has no bucket.
    pub(super) async fn keep(&self, tx: &mut PgConnection, image: &Image) -> Result<(), Error> {
        match image {
            Image::Uploaded(picture) => Ok(self.images.insert(tx, picture, self.world.now()).await?),
            Image::None | Image::Elsewhere(_) => Ok(()),
        }
    }
}
