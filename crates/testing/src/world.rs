//! A world that only changes when the test says so.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use shop_core::World;

/// Starts at the real time, with random numbers from a seed.
pub struct TestWorld {
    offset: Mutex<SignedDuration>,
    random: Mutex<StdRng>,
}

impl TestWorld {
    /// A world whose random numbers follow from `seed`. Ids that must differ between tests need different seeds.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { offset: Mutex::default(), random: Mutex::new(StdRng::seed_from_u64(seed)) }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.jump(SignedDuration::try_from(by).expect("a length of time that fits"));
    }

    /// Lets the clock jump, also backwards.
    pub fn jump(&self, by: SignedDuration) {
        *self.offset.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl World for TestWorld {
    fn now(&self) -> Timestamp {
        Timestamp::now() + *self.offset.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn random(&self) -> [u8; 32] {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).random()
    }
}
