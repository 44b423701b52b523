//! Time, identity and randomness, as a parameter: what a program cannot decide by itself.

use jiff::Timestamp;
use rand::RngExt as _;
use uuid::Uuid;

/// The outside world as a use case sees it. Production code has [`SystemWorld`]; tests bring their own.
pub trait World: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;

    /// 32 unpredictable bytes, for tokens and ids.
    fn random(&self) -> [u8; 32];

    /// A new id: UUID version 7 (RFC 9562), ordered by time.
    fn id(&self) -> Uuid {
        let millis = u64::try_from(self.now().as_millisecond()).unwrap_or_default();
        let mut tail = [0; 10];
        tail.copy_from_slice(&self.random()[..10]);
        uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }
}

/// The operating system's clock and random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemWorld;

impl World for SystemWorld {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn random(&self) -> [u8; 32] {
        rand::rng().random()
    }
}
