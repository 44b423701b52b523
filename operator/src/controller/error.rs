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

    /// Whether the Shop's status tells of it: what may pass from the third time on, and never what is only out of date, or that no
    /// status can be written.
    pub(super) fn is_told(&self, failures: u32) -> bool {
        let is_untold = matches!(self, Self::Apply(apply::Error::Replaced { .. }) | Self::Status(_));
        !is_untold && (failures >= FAILURES_UNTOLD || !self.may_pass())
    }

    /// Whether it may be over the next time: what was read is out of date, or the API server had other things to do.
    pub(super) fn may_pass(&self) -> bool {
        let source = match self {
            Self::Apply(apply::Error::Replaced { .. }) | Self::Status(_) | Self::Late => return true,
            Self::Observe(observe::Error { source, .. })
            | Self::Credentials(credentials::Error::Api { source, .. }) => source,
            Self::Apply(apply::Error::Api { source, .. }) => source,
            Self::Credentials(_) | Self::Apply(_) => return false,
        };
        may_be_granted(source)
    }
}

/// Whether the same request may be granted later.
fn may_be_granted(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 409 | 410 | 429 | 500..),
        kube::Error::SerdeError(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    /// What an answer of the API server to a write becomes.
    fn answered(code: u16) -> Error {
        let source = kube::Error::Api(Status::failure("try again", "Test").with_code(code).boxed());
        let name = "acorn-order".to_owned();
        Error::Apply(apply::Error::Api {
            verb: "patching",
            kind: "Deployment".to_owned(),
            name,
            source: Box::new(source),
        })
    }

    #[test]
    fn what_the_api_server_may_grant_later_is_told_when_it_happens_again_and_wants_nobodys_help() {
        for code in [409, 410, 429, 500, 503] {
            let error = answered(code);
            assert_eq!([0, 1, 2].map(|failures| error.is_told(failures)), [false, false, true], "{code}");
            assert!(error.may_pass(), "{code}");
        }
    }

    #[test]
    fn what_the_api_server_will_always_refuse_is_told_at_once_and_wants_somebodys_help() {
        for code in [400, 403, 422] {
            let error = answered(code);
            assert!(error.is_told(0) && !error.may_pass(), "{code}");
        }
    }
}
