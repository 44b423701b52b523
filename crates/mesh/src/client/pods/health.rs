//! What a pod's past says about its next answer.

use std::time::Duration;

use tokio::time::Instant;

/// So many failed tries in a row are no accident.
const ENOUGH: u32 = 3;
/// How long a pod is left alone the first time; doubled each time it fails again right after.
const FIRST_EJECTION: Duration = Duration::from_secs(1);
const LONGEST_EJECTION: Duration = Duration::from_secs(30);
/// After this time the past weighs a third of what it did.
const MEMORY: Duration = Duration::from_secs(3);
/// Pods faster than this differ by chance only; the number of calls under way tells them apart. It is what a new pod is taken for.
const FASTEST: f64 = 0.001;

/// How often a pod failed.
#[derive(Debug, Default)]
pub(super) struct Health {
    failures: u32,
    ejections: u32,
    ejected_until: Option<Instant>,
}

impl Health {
    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        self.ejected_until.is_some_and(|until| now < until)
    }

    pub(super) fn answered(&mut self) {
        *self = Self { ejected_until: self.ejected_until, ..Self::default() };
    }

    /// One more failure. Whoever was ejected before is on probation: the first one is too often. What was under way when it was
    /// ejected does not count again.
    pub(super) fn failed_too_often(&mut self, now: Instant) -> bool {
        if self.is_ejected(now) {
            return false;
        }
        self.failures += 1;
        let too_often = self.failures >= ENOUGH || self.ejections > 0;
        if too_often {
            self.failures = 0;
        }
        too_often
    }

    /// Leaves it alone from now on, for longer each time.
    pub(super) fn eject(&mut self, now: Instant) {
        let longer = FIRST_EJECTION.saturating_mul(2_u32.saturating_pow(self.ejections));
        self.ejections += 1;
        self.ejected_until = Some(now + longer.min(LONGEST_EJECTION));
    }
}

/// How long answers take: an average in which the past fades, and which jumps to every new peak at once.
#[derive(Debug)]
pub(super) struct Latency {
    seconds: f64,
    at: Instant,
}

impl Latency {
    pub(super) const fn unknown(now: Instant) -> Self {
        Self { seconds: 0.0, at: now }
    }

    /// The average, fading while nothing is heard, so that a slow pod is tried again some day.
    pub(super) fn now(&self, now: Instant) -> f64 {
        (self.seconds * self.weight(now)).max(FASTEST)
    }

    /// One more call that took so long. If it was not `served` it would have taken longer, nobody knows how long.
    pub(super) fn observe(&mut self, took: Duration, now: Instant, served: bool) {
        let took = took.as_secs_f64();
        if took >= self.seconds {
            *self = Self { seconds: took, at: now };
        } else if served {
            let weight = self.weight(now);
            *self = Self { seconds: self.seconds * weight + took * (1.0 - weight), at: now };
        }
    }

    fn weight(&self, now: Instant) -> f64 {
        (-now.saturating_duration_since(self.at).as_secs_f64() / MEMORY.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_fails_again_right_after_an_ejection_is_ejected_for_twice_as_long() {
        let (mut health, mut now) = (Health::default(), Instant::now());
        let mut failures = 0;
        while !health.failed_too_often(now) {
            failures += 1;
        }
        assert_eq!(failures, ENOUGH - 1);
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            health.eject(now);
            let end = now + Duration::from_secs(expected);
            assert!(health.is_ejected(end - Duration::from_millis(1)) && !health.is_ejected(end));
            now = end;
            assert!(health.failed_too_often(now), "on probation");
        }
        health.answered();
        assert!(!health.failed_too_often(now), "an answer ends the probation");
    }

    #[test]
    fn a_peak_counts_at_once_and_fades() {
        let start = Instant::now();
        let mut latency = Latency::unknown(start);
        latency.observe(Duration::from_secs(2), start, false);
        assert!(latency.now(start) >= 2.0);
        latency.observe(Duration::from_millis(1), start, false);
        assert!(latency.now(start) >= 2.0, "a call that was given up early tells nothing");
        assert!(latency.now(start + MEMORY) < 1.0);
        latency.observe(Duration::from_millis(1), start + 4 * MEMORY, true);
        assert!(latency.now(start + 4 * MEMORY) < 0.1);
        assert!(latency.now(start + 100 * MEMORY) >= FASTEST);
    }
}
