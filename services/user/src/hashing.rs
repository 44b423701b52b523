//! Password hashes: Argon2id, off the async executor, few at once.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::{self, phc::PasswordHash},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use crate::metrics::UserMetrics;

/// 19 MiB, two passes, one lane: the first choice of OWASP's password storage cheat sheet.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Each takes its memory and a core.
const AT_ONCE: usize = 2;
/// Who would wait longer for a turn is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);
/// Checked when there is no account, so that an answer takes as long as for an account that exists. Nothing hashes to it.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2hvcGtlZXBlci1ub2JvZHk$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashingError {
    #[error("no turn to hash a password in time")]
    Busy,
    #[error("the password cannot be hashed: {0}")]
    Argon2(#[from] argon2::Error),
    #[error("the stored password hash cannot be used: {0}")]
    Hash(#[from] password_hash::Error),
    #[error("hashing was cut off: {0}")]
    CutOff(#[from] tokio::task::JoinError),
}

/// Hashes passwords and checks them; a clone shares the turns.
#[derive(Clone)]
pub(crate) struct Hashing {
    turns: Arc<Semaphore>,
    patience: Duration,
    metrics: UserMetrics,
}

impl Hashing {
    /// Counts its work in `metrics`.
    pub fn new(metrics: UserMetrics) -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), patience: PATIENCE, metrics }
    }

    /// The PHC string of `password`.
    pub async fn hash(&self, password: SecretString, random: [u8; 32]) -> Result<String, HashingError> {
        self.in_turn(move || {
            let hash = argon2()?.hash_password_with_salt(password.expose_secret().as_bytes(), &random[..16])?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether `password` is the one behind `hash`; without a hash it is not, after the same time.
    pub async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<bool, HashingError> {
        self.in_turn(move || {
            let hash = PasswordHash::new(hash.as_deref().unwrap_or(NOBODY)).map_err(password_hash::Error::from)?;
            match argon2()?.verify_password(password.expose_secret().as_bytes(), &hash) {
                Ok(()) => Ok(true),
                Err(password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    #[tracing::instrument(name = "argon2id", skip_all)]
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashingError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let turn = timeout(self.patience, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| HashingError::Busy)?.map_err(|_| HashingError::Busy)?;
        self.metrics.hash();
        // The turn goes with the work: a client that hangs up must not make room for more of it.
        spawn_blocking(move || {
            let outcome = work();
            drop(turn);
            outcome
        })
        .await?
    }
}

fn argon2() -> Result<Argon2<'static>, argon2::Error> {
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(MEMORY_KIB, PASSES, LANES, None)?))
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, Mutex};

    use futures::future::join_all;
    use shop_core::{Fault, Kind};

    use super::*;
    use crate::error::Error;

    #[tokio::test]
    async fn a_hash_fits_its_password_and_no_other() {
        let hashing = Hashing::new(UserMetrics::default());
        let password = SecretString::from("correct horse");
        let hash = hashing.hash(password.clone(), [1; 32]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(hashing.verify(password, Some(hash.clone())).await.unwrap());
        assert!(!hashing.verify(SecretString::from("wrong horse"), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_has_no_password_but_the_same_parameters() {
        let hashing = Hashing::new(UserMetrics::default());
        assert!(!hashing.verify(SecretString::from(""), None).await.unwrap());
        let real = hashing.hash(SecretString::from("x"), [1; 32]).await.unwrap();
        let parameters = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(parameters(NOBODY), parameters(&real));
    }

    #[tokio::test]
    async fn of_many_at_once_two_are_hashed_and_the_others_are_told_to_come_back() {
        let hashing = Hashing { patience: Duration::ZERO, ..Hashing::new(UserMetrics::default()) };
        let (running, (release, released)) = (Arc::new(Barrier::new(AT_ONCE + 1)), std::sync::mpsc::channel::<()>());
        let released = Arc::new(Mutex::new(released));
        let begin = || {
            let (running, released) = (Arc::clone(&running), Arc::clone(&released));
            let hashing = hashing.clone();
            tokio::spawn(async move {
                let work = move || {
                    running.wait();
                    // Ends when the test lets go.
                    let _ = released.lock().unwrap().recv();
                    Ok(())
                };
                hashing.in_turn(work).await
            })
        };
        let begun = [begin(), begin()];
        spawn_blocking(move || running.wait()).await.unwrap();

        let others = join_all((0..16).map(|_| hashing.verify(SecretString::from("x"), None))).await;
        assert!(others.iter().all(|outcome| matches!(outcome, Err(HashingError::Busy))), "{others:?}");
        let fault = Fault::from(Error::from(HashingError::Busy));
        assert!(matches!(fault.kind(), Kind::Unavailable { retry_after } if retry_after > Duration::ZERO));

        drop(release);
        for task in begun {
            task.await.unwrap().unwrap();
        }
        assert!(hashing.verify(SecretString::from("x"), None).await.is_ok(), "there is a turn again");
    }
}
