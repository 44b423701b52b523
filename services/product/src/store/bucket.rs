//! A bucket that speaks the protocol of Amazon S3.

mod http;

use std::{future::Future, time::Duration};

use bytes::Bytes;
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, Error, ObjectStore as _, ObjectStoreExt as _, PutOptions,
    RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
};
use secrecy::ExposeSecret as _;
use tokio::{sync::Semaphore, time::timeout};

use self::http::Http;
use crate::{
    config,
    domain::picture::{Encoded, Key, MAX_BYTES},
};

/// One picture, with all tries; less than a request may take.
const PATIENCE: Duration = Duration::from_secs(10);
const RETRIES: usize = 2;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Pictures that are read at once: each may be 8 MiB in memory.
const READS_AT_ONCE: usize = 6;
/// The folder of ours: a bucket may have others.
const FOLDER: &str = "uploads";

/// Why a picture was not taken or not given.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// Settings that name no bucket.
    #[error("SHOP_IMAGES__* do not name a bucket")]
    Settings(#[source] Error),
    /// No TLS.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The server knows us not, or does not let us. What it says besides may have our key in it.
    #[error("the bucket refuses SHOP_IMAGES__ACCESS_KEY_ID and its secret")]
    Refused,
    /// What the server or the connection to it said.
    #[error("the bucket failed")]
    Failed(#[source] Error),
    /// Nobody answered.
    #[error("the bucket did not answer within {PATIENCE:?}")]
    Silent,
    /// Somebody else wrote into our folder.
    #[error("{0} in the bucket is larger than any picture of ours")]
    Foreign(Key),
}

/// The bucket; it is asked for nothing until a picture comes.
pub struct Bucket {
    s3: AmazonS3,
    reads: Semaphore,
}

impl Bucket {
    /// Does not connect yet.
    pub fn open(config: &config::Bucket) -> Result<Self, BucketError> {
        let config::Bucket { bucket, region, endpoint, access_key_id, secret_access_key } = config;
        let retry = RetryConfig {
            max_retries: RETRIES,
            retry_timeout: PATIENCE,
            backoff: BackoffConfig { init_backoff: FIRST_PAUSE, ..BackoffConfig::default() },
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(region)
            .with_access_key_id(access_key_id.expose_secret())
            .with_secret_access_key(secret_access_key.expose_secret())
            .with_http_connector(Http::new()?)
            // The Shop says whether it is `http` or `https`.
            .with_client_options(ClientOptions::new().with_allow_http(true))
            .with_retry(retry);
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        Ok(Self { s3: builder.build().map_err(BucketError::Settings)?, reads: Semaphore::new(READS_AT_ONCE) })
    }

    /// Takes a picture; again is as good, since its name is that of its content.
    pub async fn put(&self, picture: &Encoded) -> Result<(), BucketError> {
        let attributes = Attributes::from_iter([(Attribute::ContentType, picture.key.content_type())]);
        let options = PutOptions { attributes, ..PutOptions::default() };
        let path = path(&picture.key);
        let put = self.s3.put_opts(&path, picture.bytes.clone().into(), options);
        within(async { Ok(put.await?) }).await.map(|_| ())
    }

    /// The picture of `key`.
    pub async fn get(&self, key: &Key) -> Result<Option<Bytes>, BucketError> {
        within(async {
            let _turn = self.reads.acquire().await;
            let found = match self.s3.get(&path(key)).await {
                Err(Error::NotFound { .. }) => return Ok(None),
                found => found?,
            };
            if found.meta.size > MAX_BYTES as u64 {
                return Err(BucketError::Foreign(key.clone()));
            }
            Ok(Some(found.bytes().await?))
        })
        .await
    }
}

impl From<Error> for BucketError {
    fn from(error: Error) -> Self {
        match error {
            Error::Unauthenticated { .. } | Error::PermissionDenied { .. } => Self::Refused,
            error => Self::Failed(error),
        }
    }
}

fn path(key: &Key) -> Path {
    Path::from_iter([FOLDER, key.as_str()])
}

async fn within<T>(call: impl Future<Output = Result<T, BucketError>>) -> Result<T, BucketError> {
    timeout(PATIENCE, call).await.unwrap_or(Err(BucketError::Silent))
}
