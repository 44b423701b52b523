//! Something made from mounted files, which may change while the process runs: the kubelet swaps them in place.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock, TryLockError},
    time::{Duration, Instant},
};

use crate::KeysError;

/// Files are looked at when they are needed, and not more often than this: who makes up key ids must not make us read a
/// file for each of them.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A value that follows the content `C` of files.
pub(crate) struct Followed<C, T> {
    current: RwLock<Arc<T>>,
    files: Option<Files<C, T>>,
}

struct Files<C, T> {
    read: Box<dyn Fn() -> Result<C, KeysError> + Send + Sync>,
    make: fn(&C) -> Result<T, KeysError>,
    look: Mutex<Look<C>>,
}

struct Look<C> {
    next: Instant,
    seen: C,
    failing: bool,
}

impl<C: PartialEq, T> Followed<C, T> {
    /// A value that never changes.
    pub fn fixed(value: T) -> Self {
        Self { current: RwLock::new(Arc::new(value)), files: None }
    }

    /// A value made from what `read` finds, now and whenever that is something else.
    pub fn new(
        read: impl Fn() -> Result<C, KeysError> + Send + Sync + 'static,
        make: fn(&C) -> Result<T, KeysError>,
        now: Instant,
    ) -> Result<Self, KeysError> {
        let seen = read()?;
        let current = RwLock::new(Arc::new(make(&seen)?));
        let look = Mutex::new(Look { next: now + LOOK_EVERY, seen, failing: false });
        Ok(Self { current, files: Some(Files { read: Box::new(read), make, look }) })
    }

    /// The value of the files as they were at most [`LOOK_EVERY`] ago.
    pub fn get(&self, now: Instant) -> Arc<T> {
        if let Some(value) = self.files.as_ref().and_then(|files| files.changed(now)) {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
        }
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<C: PartialEq, T> Files<C, T> {
    fn changed(&self, now: Instant) -> Option<T> {
        let mut look = match self.look.try_lock() {
            Ok(look) => look,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Somebody is looking at this moment; nobody waits for that.
            Err(TryLockError::WouldBlock) => return None,
        };
        if now < look.next {
            return None;
        }
        look.next = now + LOOK_EVERY;
        match self.read_again(&mut look) {
            Ok(value) => {
                look.failing = false;
                value
            }
            // Files that cannot be used take nothing away: whoever mounts them swaps whole sets.
            Err(error) => {
                if !std::mem::replace(&mut look.failing, true) {
                    tracing::warn!(error.cause = %error, "changed token keys cannot be used; the ones before stay");
                }
                None
            }
        }
    }

    fn read_again(&self, look: &mut Look<C>) -> Result<Option<T>, KeysError> {
        let content = (self.read)()?;
        if content == look.seen {
            return Ok(None);
        }
        let value = (self.make)(&content)?;
        look.seen = content;
        tracing::info!("the token keys have changed");
        Ok(Some(value))
    }
}
