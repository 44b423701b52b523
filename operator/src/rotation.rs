//! Pure: how generated passwords and keys are replaced while everything runs.
//!
//! ```text
//! Settled(n) -> Publishing(n): stores and verifiers learn the values n+1 beside those in use
//!            -> Moving(n+1):   pods log in and sign with n+1; n is still good
//!            -> Closing(n+1):  stores forget n; what n signed runs out
//!            -> Settled(n+1)
//! ```
//!
//! Where a Shop stands is in the Secret with its credentials, beside the values, and both are written at once. Every step is
//! made by repeatable work (Secrets, Jobs, rollouts), so whoever comes after a crash goes on from what is written there. The times
//! in it are of the clock of whoever wrote them, which a successor believes as far as clocks agree ([`Rotation::seen`]).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::identities::SKEW;

/// Kubelets have swapped mounted files in every pod after this time.
const FILES_ARE_SWAPPED: SignedDuration = SignedDuration::from_mins(2);
/// Access tokens live for fifteen minutes; the last one may be signed while the files are swapped.
const TOKENS_RUN_OUT: SignedDuration = SignedDuration::from_mins(20);

/// Where a Shop is on the way from one generation of values to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// One generation is known and used.
    Settled,
    /// The next one is made known.
    Publishing,
    /// The next one is being taken into use.
    Moving,
    /// The previous one is being forgotten.
    Closing,
}

/// The state of a Shop's generated values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// The generation in use; the first one is 0.
    pub generation: u32,
    /// The way to the next one.
    pub stage: Stage,
    /// Since when, from [`Self::applied`] on from the time at which all of it was written to the cluster: however long that took,
    /// whoever reads it is given the whole time.
    pub since: Timestamp,
    /// Whether what belongs to it was written to the cluster.
    #[serde(default)]
    pub applied: bool,
    /// The request that was taken up last.
    pub asked: Option<String>,
}

/// When values are to be replaced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wish {
    /// The annotation of the Shop: anything else than what was taken up last.
    pub asked: Option<String>,
    /// The longest time that values are used.
    pub max_age: Option<Duration>,
}

impl Rotation {
    /// The state of values that are new.
    #[must_use]
    pub fn first(asked: Option<String>, now: Timestamp) -> Self {
        Self { generation: 0, stage: Stage::Settled, since: now, applied: true, asked }
    }

    /// The next state, if its time has come, once the present one was written to the cluster. `whole` says that everything of it
    /// has been done, pods included.
    #[must_use]
    pub fn next(&self, wish: &Wish, whole: bool, now: Timestamp) -> Option<Self> {
        let same = || Self { since: now, ..self.clone() };
        if !self.applied && self.stage != Stage::Settled {
            return Some(Self { applied: true, ..same() });
        }
        let due = self.due(wish).is_some_and(|due| due <= now);
        let next = || Self { applied: false, ..same() };
        (whole && due).then(|| match self.stage {
            Stage::Settled => Self { stage: Stage::Publishing, asked: wish.asked.clone(), ..next() },
            Stage::Publishing => Self { generation: self.generation + 1, stage: Stage::Moving, ..next() },
            Stage::Moving => Self { stage: Stage::Closing, ..next() },
            Stage::Closing => Self { stage: Stage::Settled, ..next() },
        })
    }

    /// The same as a process counts it that saw it first at this time, by its own clock: from then, or from the latest time at which
    /// it can have been written if that was sooner.
    #[must_use]
    pub fn seen(&self, first: Timestamp) -> Self {
        let latest = self.since.checked_add(SKEW).unwrap_or(first);
        Self { since: latest.min(first), ..self.clone() }
    }

    /// Whether new values were asked for and nothing of it has begun.
    #[must_use]
    pub fn is_awaited(&self, wish: &Wish) -> bool {
        self.stage == Stage::Settled && wish.asked.is_some() && wish.asked != self.asked
    }

    /// When the present state ends at the earliest; `None` when nothing is asked for.
    #[must_use]
    pub fn due(&self, wish: &Wish) -> Option<Timestamp> {
        match self.stage {
            Stage::Settled if self.is_awaited(wish) => Some(self.since),
            // A time that is too far away to be counted is never.
            Stage::Settled => self.since.checked_add(wish.max_age?).ok(),
            Stage::Publishing | Stage::Moving => Some(self.since + FILES_ARE_SWAPPED),
            Stage::Closing => Some(self.since + TOKENS_RUN_OUT),
        }
    }

    /// The number of the generation that is known beside the one in use, or that was the last one known.
    #[must_use]
    pub fn other(&self) -> Option<u32> {
        if self.stage == Stage::Publishing { Some(self.generation + 1) } else { self.generation.checked_sub(1) }
    }

    /// Whether stores know two generations.
    #[must_use]
    pub fn overlaps(&self) -> bool {
        matches!(self.stage, Stage::Publishing | Stage::Moving)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    fn asking(asked: &str) -> Wish {
        Wish { asked: Some(asked.to_owned()), max_age: None }
    }

    /// The next stage, written to the cluster in the same minute.
    fn step(rotation: &Rotation, wish: &Wish, minute: i64) -> Rotation {
        let next = rotation.next(wish, true, at(minute)).expect("the next stage");
        next.next(wish, false, at(minute)).unwrap_or(next)
    }

    #[test]
    fn a_rotation_goes_through_its_stages_and_settles_with_the_next_generation() {
        let wish = asking("now");
        let publishing = step(&Rotation::first(None, at(0)), &wish, 1);
        assert_eq!((publishing.stage, publishing.generation, publishing.other()), (Stage::Publishing, 0, Some(1)));
        let moving = step(&publishing, &wish, 3);
        assert_eq!((moving.stage, moving.generation, moving.other()), (Stage::Moving, 1, Some(0)));
        let closing = step(&moving, &wish, 5);
        assert_eq!((closing.stage, closing.overlaps()), (Stage::Closing, false));
        let settled = step(&closing, &wish, 25);
        assert_eq!((settled.stage, settled.generation), (Stage::Settled, 1));
        assert_eq!(settled.next(&wish, true, at(99)), None, "one wish is one rotation");
        let again = step(&settled, &asking("again"), 99);
        assert_eq!(again.stage, Stage::Publishing);
        let settled = Rotation { stage: Stage::Settled, ..again };
        assert!(settled.is_awaited(&wish), "only the last wish is known");
    }

    #[test]
    fn nothing_moves_before_everything_of_the_present_stage_is_done() {
        let publishing = step(&Rotation::first(None, at(0)), &asking("now"), 1);
        assert_eq!(Rotation::first(None, at(0)).next(&asking("now"), false, at(9)), None);
        assert_eq!(publishing.next(&Wish::default(), false, at(999)), None);
        assert!(publishing.next(&Wish::default(), true, at(999)).is_some(), "what was begun is finished");
    }

    #[test]
    fn files_and_tokens_are_given_their_time() {
        let publishing = step(&Rotation::first(None, at(0)), &asking("now"), 1);
        assert_eq!(publishing.next(&Wish::default(), true, at(2)), None);
        let closing = Rotation { stage: Stage::Closing, ..publishing };
        assert_eq!(closing.next(&Wish::default(), true, at(20)), None);
    }

    #[test]
    fn the_time_of_a_stage_begins_when_it_was_written_to_the_cluster() {
        let wish = asking("now");
        let begun = Rotation::first(None, at(0)).next(&wish, true, at(1)).expect("the next stage");
        let late = begun.next(&wish, false, at(60)).expect("a note of the time");
        assert_eq!((late.stage, late.since, late.applied), (Stage::Publishing, at(60), true));
        assert_eq!(late.next(&wish, true, at(61)), None);
        assert_eq!(step(&late, &wish, 62).stage, Stage::Moving);
    }

    #[test]
    fn whoever_takes_over_gives_a_stage_all_of_its_time_whichever_clock_was_wrong() {
        let publishing = step(&Rotation::first(None, at(0)), &asking("now"), 10);
        let due = |first| publishing.seen(at(first)).due(&Wish::default());
        assert_eq!(due(10), Some(at(12)), "by whoever wrote it");
        assert_eq!(due(13), Some(at(15)), "the clock of before may have been three minutes behind");
        assert_eq!(due(4), Some(at(6)), "it was ahead, and nobody waits for it");
        assert_eq!(due(60), Some(at(17)), "clocks differ by less than five minutes");
        assert_eq!(publishing.seen(at(13)).next(&Wish::default(), true, at(14)), None);
    }

    #[test]
    fn values_that_are_too_old_are_replaced_without_being_asked() {
        let day = Wish { asked: None, max_age: Some(Duration::from_hours(24)) };
        let settled = Rotation::first(None, at(0));
        assert_eq!(settled.next(&day, true, at(24 * 60 - 1)), None);
        assert_eq!(step(&settled, &day, 24 * 60).stage, Stage::Publishing);
        assert_eq!(settled.due(&Wish { asked: None, max_age: Some(Duration::MAX) }), None);
    }

    #[test]
    fn a_wish_that_was_there_when_the_values_were_made_is_fulfilled() {
        let settled = Rotation::first(Some("now".to_owned()), at(0));
        assert_eq!(settled.next(&asking("now"), true, at(9)), None);
        assert_eq!(settled.next(&Wish::default(), true, at(9)), None);
    }
}
