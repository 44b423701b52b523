//! Mails that somebody asked for and that are not sent yet.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{bson_date, domain::Email};

/// A mail that could not be sent for this long is given up.
const LIFE: Duration = Duration::from_hours(24);
/// After this time somebody else may try: longer than an attempt can take.
const LEASE: Duration = Duration::from_mins(2);
const LONGEST_BACK_OFF: Duration = Duration::from_mins(5);

/// What a mail was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Occasion {
    /// Somebody registered with the address.
    Registration,
    /// Somebody wants to verify the address.
    Verification,
    /// Somebody forgot the password.
    Reset,
}

/// A mail that was asked for. Whether the address has an account, and what its owner is to read, is found out when it is
/// sent: asking is the same for every address. The link in it is made then too, so its secret is never stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MailRequest {
    /// Its name; also the message's.
    #[serde(rename = "_id", with = "uuid::serde::hyphenated")]
    pub id: Uuid,
    /// What for.
    pub occasion: Occasion,
    /// To whom.
    pub to: Email,
    /// The hash of the password that was chosen at the registration.
    pub password: Option<String>,
    /// Number of the next attempt. Each has one number, and each number one process.
    pub attempt: u32,
    /// When the next attempt may begin.
    #[serde(with = "bson_date")]
    pub due_at: Timestamp,
    /// When it is given up.
    #[serde(with = "bson_date")]
    pub expires_at: Timestamp,
}

impl MailRequest {
    /// A mail that is to be sent at once.
    #[must_use]
    pub fn new(id: Uuid, occasion: Occasion, to: Email, password: Option<String>, now: Timestamp) -> Self {
        Self { id, occasion, to, password, attempt: 0, due_at: now, expires_at: now + LIFE }
    }

    /// The key that is there once for each attempt.
    #[must_use]
    pub fn attempt_key(&self) -> String {
        format!("{}:{}", self.id, self.attempt)
    }

    /// The same as it has to be while an attempt runs: should its process die, the next begins when the lease ends.
    #[must_use]
    pub fn leased(&self, now: Timestamp) -> Self {
        Self { attempt: self.attempt.saturating_add(1), due_at: now + LEASE, ..self.clone() }
    }

    /// The same after an attempt that failed; `None` when it is given up.
    #[must_use]
    pub fn postponed(&self, now: Timestamp) -> Option<Self> {
        let pause = Duration::from_secs(1 << self.attempt.min(16)).min(LONGEST_BACK_OFF);
        (now + pause < self.expires_at).then(|| Self { due_at: now + pause, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> MailRequest {
        let to = Email::from("ada@example.com".to_owned());
        MailRequest::new(Uuid::nil(), Occasion::Reset, to, None, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn every_attempt_has_a_key_of_its_own() {
        let (first, start) = (request(), Timestamp::UNIX_EPOCH);
        let second = first.leased(start);
        assert_ne!(first.attempt_key(), second.attempt_key());
        assert_eq!(second.postponed(start).unwrap().attempt_key(), second.attempt_key());
        assert_eq!(second.due_at, start + LEASE);
    }

    #[test]
    fn a_mail_that_cannot_be_sent_is_tried_less_and_less_often_and_given_up_after_a_day() {
        let (mut request, mut now, mut attempts) = (request(), Timestamp::UNIX_EPOCH, 0);
        let mut longest = Duration::ZERO;
        while let Some(next) = request.leased(now).postponed(now) {
            longest = longest.max(Duration::try_from(next.due_at.duration_since(now)).unwrap());
            (now, request, attempts) = (next.due_at, next, attempts + 1);
        }
        assert_eq!(longest, LONGEST_BACK_OFF);
        assert!(now <= Timestamp::UNIX_EPOCH + LIFE && now > Timestamp::UNIX_EPOCH + LIFE - LONGEST_BACK_OFF * 2);
        assert!((200..400).contains(&attempts), "{attempts}");
    }
}
