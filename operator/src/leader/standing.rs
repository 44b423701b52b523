//! What a process knows of its place among the operators, for whoever asks whether it is ready.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::{Fence, RENEW_WITHIN, Setback};

/// Where this process stands; a clone is the same.
#[derive(Clone, Debug)]
pub struct Standing {
    lease: Arc<str>,
    fence: Fence,
    heard: Arc<Mutex<Heard>>,
}

/// One of the places that there are.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// It holds the Lease.
    Leads,
    /// It follows as soon as the Lease is free.
    StandsBy,
    /// It could not follow, for this reason.
    Blind(String),
}

/// What became of asking for the Lease.
#[derive(Debug, Default)]
struct Heard {
    answered: Option<Instant>,
    setback: Option<String>,
}

impl Standing {
    pub(super) fn new(lease: &str, fence: Fence) -> Self {
        Self { lease: lease.into(), fence, heard: Arc::default() }
    }

    /// Where it stands now.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place_at(Instant::now())
    }

    /// One that hears nothing is not blind at once: a holder, too, may go on for so long without an answer.
    fn place_at(&self, now: Instant) -> Place {
        if self.fence.is_open() {
            return Place::Leads;
        }
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.answered.is_some_and(|answered| now.duration_since(answered) < RENEW_WITHIN) {
            return Place::StandsBy;
        }
        let why = heard.setback.as_deref().unwrap_or("it was not asked for yet");
        Place::Blind(format!("the Lease {} cannot be read or written: {why}", self.lease))
    }

    /// Notes and logs what a step of the election came to.
    pub(super) fn hear<T>(&self, outcome: &Result<T, Setback>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(_) => *heard = Heard { answered: Some(Instant::now()), setback: None },
            Err(setback) => {
                heard.setback = Some(setback.to_string());
                tracing::warn!(lease = &*self.lease, error.cause = %setback, "the Lease cannot be read or written");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refused() -> Result<(), Setback> {
        Err(kube::Error::Service("the API server is away".into()).into())
    }

    #[test]
    fn who_has_not_read_the_lease_yet_could_not_follow() {
        let standing = Standing::new("oak-operator", Fence::default());
        let blind = |why: &str| Place::Blind(format!("the Lease oak-operator cannot be read or written: {why}"));
        assert_eq!(standing.place(), blind("it was not asked for yet"));
        standing.hear(&refused());
        assert_eq!(standing.place(), blind(&refused().unwrap_err().to_string()));
        standing.hear(&Ok(()));
        assert_eq!(standing.place(), Place::StandsBy);
    }

    #[test]
    fn who_stands_by_is_not_blind_because_of_an_answer_that_is_missing_but_when_none_comes_any_more() {
        let standing = Standing::new("oak-operator", Fence::default());
        standing.hear(&Ok(()));
        standing.hear(&refused());
        let later = |seconds| standing.place_at(Instant::now() + Duration::from_secs(seconds));
        assert_eq!(later(0), Place::StandsBy);
        assert_eq!(later(8), Place::StandsBy);
        assert!(matches!(later(11), Place::Blind(_)));
    }
}
