//! Why a service's document is not at hand.

/// A failure to get or read a document.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service cannot be reached.
    #[error("it cannot be reached: {0}")]
    Unreachable(#[from] hyper_util::client::legacy::Error),
    /// It did not answer in time.
    #[error("it does not answer")]
    Late(#[from] tokio::time::error::Elapsed),
    /// It answered something else.
    #[error("it answers with status {0}")]
    Status(http::StatusCode),
    /// The answer ended early, or is too long.
    #[error("its answer cannot be received: {0}")]
    Body(#[from] Box<dyn std::error::Error + Send + Sync>),
    /// The answer is no JSON object.
    #[error("its answer is no OpenAPI document: {0}")]
    Malformed(#[from] serde_json::Error),
}
