//! Why a reconcile did not get to its end, and whether that says anything about the Shop.

use super::DEADLINE;
use crate::{apply, credentials, observe};

/// So many failures of a kind that passes are not told: a Shop that serves is not called blocked because of one lost answer.
const FAILURES_UNTOLD: u32 = 2;

/// A reconcile that did not get to its end: one variant per step that talks to the API server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster could not be read.
    #[error(transparent)]
    Observe(#[from] observe::Error),
    /// The credentials could not be made sure of.
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
    /// An object could not be written.
    #[error(transparent)]
    Apply(#[from] apply::Error),
    /// The status could not be written.
    #[error("writing the status: {0}")]
    Status(#[source] kube::Error),
    /// The API server left a request unanswered.
    #[error("not done within {DEADLINE:?}: the API server does not answer")]
    Late,
}

impl Error {
    /// A word for metrics and conditions.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Observe(_) => "ObserveFailed",
            Self::Credentials(_) => "CredentialsFailed",
            Self::Apply(apply::Error::Foreign { .. }) => "NameTaken",
            Self::Apply(apply::Error::Controlled { .. }) => "OtherController",
            Self::Apply(apply::Error::Replaced { .. }) => "Replaced",
            Self::Apply(_) => "ApplyFailed",
            Self::Status(_) => "StatusFailed",
            Self::Late => "Late",
        }
    }

    /// Whether it says nothing about the Shop: what was read is out of date, or the API server had other things to do. From the
    /// third time on it does.
    pub(super) fn is_passing(&self, failures: u32) -> bool {
        let source = match self {
            Self::Apply(apply::Error::Replaced { .. }) | Self::Status(_) => return true,
            Self::Observe(observe::Error { source, .. })
            | Self::Credentials(credentials::Error::Api { source, .. }) => source,
            Self::Apply(apply::Error::Api { source, .. }) => source,
            Self::Credentials(_) | Self::Apply(_) | Self::Late => return false,
        };
        failures < FAILURES_UNTOLD && may_pass(source)
    }
}

/// Whether the same request may be granted later.
fn may_pass(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 409 | 410 | 429 | 500..),
        kube::Error::SerdeError(_) => false,
        _ => true,
    }
}
