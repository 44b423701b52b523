//! The chances of one try, thrown once.

use std::time::Duration;

use shop_core::World;

/// Eight numbers nobody can foresee.
pub(super) struct Dice([u32; 8]);

impl Dice {
    pub(super) fn throw(world: &dyn World) -> Self {
        let bytes = world.random();
        let (numbers, _) = bytes.as_chunks();
        let mut dice = [0; 8];
        dice.iter_mut().zip(numbers).for_each(|(die, number)| *die = u32::from_le_bytes(*number));
        Self(dice)
    }

    /// The number of `die`, from 0 up to but not including `end`; 0 when that is 0.
    pub(super) fn below(&self, die: usize, end: usize) -> usize {
        let number = usize::try_from(self.0[die]).unwrap_or(usize::MAX);
        number.checked_rem(end).unwrap_or_default()
    }

    /// Some time from none up to `longest`: "full jitter", so that those who failed together do not come back together.
    pub(super) fn up_to(&self, die: usize, longest: Duration) -> Duration {
        let micros = usize::try_from(longest.as_micros()).unwrap_or(usize::MAX);
        Duration::from_micros(u64::try_from(self.below(die, micros.saturating_add(1))).unwrap_or_default())
    }

    #[cfg(test)]
    pub(super) fn showing([one, other, harm, pause]: [u32; 4]) -> Self {
        Self([one, other, harm, pause, 0, 0, 0, 0])
    }
}
