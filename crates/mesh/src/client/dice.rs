//! The chances of one try, thrown once.

use std::time::Duration;

use shop_core::World;

/// Four numbers nobody can foresee.
pub(super) struct Dice([u64; 4]);

impl Dice {
    pub(super) fn throw(world: &dyn World) -> Self {
        let bytes = world.random();
        let (numbers, _) = bytes.as_chunks();
        let mut dice = [0; 4];
        dice.iter_mut().zip(numbers).for_each(|(die, number)| *die = u64::from_le_bytes(*number));
        Self(dice)
    }

    /// The number of `die`, from 0 up to but not including `end`; 0 when that is 0.
    pub(super) fn below(&self, die: usize, end: usize) -> usize {
        let number = usize::try_from(self.0[die] >> 1).unwrap_or(usize::MAX);
        number.checked_rem(end).unwrap_or_default()
    }

    /// Some time from none up to `longest`: "full jitter", so that those who failed together do not come back together.
    pub(super) fn up_to(&self, die: usize, longest: Duration) -> Duration {
        let micros = usize::try_from(longest.as_micros()).unwrap_or(usize::MAX);
        Duration::from_micros(u64::try_from(self.below(die, micros.saturating_add(1))).unwrap_or_default())
    }

    #[cfg(test)]
    pub(super) fn showing(numbers: [u64; 4]) -> Self {
        Self(numbers.map(|number| number << 1))
    }
}
