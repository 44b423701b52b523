//! Uploaded pictures.

use std::{fmt::Write as _, sync::Arc};

use shop_core::Fault;
use sqlx::PgConnection;

use super::Catalog;
use crate::{
    domain::{
        picture::{self, Encoded},
        product::Image,
    },
    error::Error,
    store::{self, images::Stored},
};

/// Where uploaded pictures are served.
const UPLOADS: &str = "/uploads";
/// Nobody guesses 16 random bytes, so the picture of a draft stays its seller's.
const KEY_BYTES: usize = 16;

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
    pub async fn picture(&self, key: &str) -> Result<Option<Stored>, Error> {
        let is_key = key.len() < 64 && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        if is_key { Ok(store::images::find(&self.pool, key).await?) } else { Ok(None) }
    }

    /// Keeps an uploaded picture, and says where a product's picture is to be had.
    pub(super) async fn keep(&self, tx: &mut PgConnection, image: &Image) -> Result<Option<String>, Error> {
        let picture = match image {
            Image::None => return Ok(None),
            Image::Elsewhere(url) => return Ok(Some(url.clone())),
            Image::Uploaded(picture) => picture,
        };
        let key = self.key(picture.extension);
        store::images::insert(tx, &key, picture, self.world.now()).await?;
        Ok(Some(format!("{UPLOADS}/{key}")))
    }

    fn key(&self, extension: &str) -> String {
        let mut key = self.world.random()[..KEY_BYTES].iter().fold(String::new(), |mut key, byte| {
            // Writing to a string does not fail.
            let _ = write!(key, "{byte:02x}");
            key
        });
        key.push('.');
        key + extension
    }
}
