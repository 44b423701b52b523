//! One canary, step by step.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::measured::Measured;
use crate::build::PROGRESS_DEADLINE;
use crate::crd::{AnalysisSpec, CanaryPhase, CanaryStatus};
use crate::validate::Canary;

/// What the spec asks for.
pub struct Wish<'a> {
    /// All of it, as a hash.
    pub attempt: String,
    /// The image of the service without its canary.
    pub stable: &'a str,
    /// The canary.
    pub canary: &'a Canary,
    /// What is not split by its weight, to be told with everything else.
    pub unsplit: &'a str,
}

/// What is seen of a canary.
pub struct Seen<'a> {
    /// Whether all its pods are ready, and no others are there.
    pub ready: bool,
    /// Whether its migration has given up, or a pod of it crashes again and again.
    pub broken: bool,
    /// What a pod or its migration says is wrong.
    pub problem: Option<String>,
    /// Since when the stores take connections; what happens before is no fault of the canary.
    pub stores_ready_since: Option<Timestamp>,
    /// What its pods have measured.
    pub measured: Option<&'a Result<Measured, String>>,
}

/// Where the canary stands now.
#[must_use]
pub fn next(before: Option<&CanaryStatus>, wish: &Wish<'_>, seen: &Seen<'_>, now: Timestamp) -> CanaryStatus {
    let Some(before) = before.filter(|before| before.attempt == wish.attempt || took_over(before, wish)) else {
        return wish.state(CanaryPhase::Starting, now, waiting(seen));
    };
    match before.phase {
        CanaryPhase::Promoted | CanaryPhase::RolledBack => before.clone(),
        CanaryPhase::Starting => starting(before, wish, seen, now),
        CanaryPhase::Progressing => progressing(before, wish, seen, now),
    }
}

/// Whether what was promoted has become the image of the service in the spec too.
fn took_over(before: &CanaryStatus, wish: &Wish<'_>) -> bool {
    before.phase == CanaryPhase::Promoted && before.image == wish.canary.image && wish.stable == wish.canary.image
}

fn starting(before: &CanaryStatus, wish: &Wish<'_>, seen: &Seen<'_>, now: Timestamp) -> CanaryStatus {
    let Some(stores_ready_since) = seen.stores_ready_since else { return before.clone() };
    let deadline = before.since.0.max(stores_ready_since) + SignedDuration::from_secs(PROGRESS_DEADLINE.into());
    if seen.broken {
        return wish.state(CanaryPhase::RolledBack, now, format!("it does not start{}", in_brackets(seen)));
    }
    if seen.ready {
        return progressing(&wish.state(CanaryPhase::Progressing, now, String::new()), wish, seen, now);
    }
    if now >= deadline {
        let message = format!("it did not become ready in time{}", in_brackets(seen));
        return wish.state(CanaryPhase::RolledBack, now, message);
    }
    CanaryStatus { message: waiting(seen), ..before.clone() }
}

fn progressing(before: &CanaryStatus, wish: &Wish<'_>, seen: &Seen<'_>, now: Timestamp) -> CanaryStatus {
    if seen.broken && seen.stores_ready_since.is_some() {
        return wish.state(CanaryPhase::RolledBack, now, format!("it crashes{}", in_brackets(seen)));
    }
    if !seen.ready {
        return wish.state(CanaryPhase::Starting, now, waiting(seen));
    }
    let told = |message: &str| CanaryStatus { message: format!("{message}{}", wish.unsplit), ..before.clone() };
    let Some(analysis) = &wish.canary.analysis else {
        return told("it gets its share until the spec changes; without `analysis` nothing else decides");
    };
    match seen.measured {
        None => told("its pods have not been asked yet what they measured"),
        Some(Err(error)) => told(&format!("nobody knows what its pods measured: {error}")),
        Some(Ok(measured)) => judged(before, wish, analysis, measured, now),
    }
}

/// Nothing is decided before enough was answered; what is bad then is ended at once, what is good has to stay so for a while.
fn judged(
    before: &CanaryStatus,
    wish: &Wish<'_>,
    analysis: &AnalysisSpec,
    measured: &Measured,
    now: Timestamp,
) -> CanaryStatus {
    let known = CanaryStatus {
        requests: Some(i64::try_from(measured.answered).unwrap_or(i64::MAX)),
        success_rate: measured.success_rate(),
        latency_p99: measured.latency_p99().map(text),
        ..before.clone()
    };
    let ended = |phase, message| CanaryStatus { phase, since: Time(now), message, ..known.clone() };
    let least = u64::try_from(analysis.min_requests).unwrap_or_default();
    let (Some(success_rate), Some(latency)) = (measured.success_rate(), measured.latency_p99()) else {
        let message = format!("its pods have answered nothing yet, {least} are needed{}", wish.unsplit);
        return CanaryStatus { message, ..known };
    };
    if measured.answered < least {
        let message = format!("its pods have answered {}, {least} are needed{}", measured.answered, wish.unsplit);
        return CanaryStatus { message, ..known };
    }
    if success_rate < analysis.success_rate {
        let message =
            format!("{success_rate} % of {} succeeded, {} % are needed", measured.answered, analysis.success_rate);
        return ended(CanaryPhase::RolledBack, message);
    }
    if latency > parsed(&analysis.latency_p99) {
        let (took, longest) = (text(latency), &analysis.latency_p99);
        return ended(CanaryPhase::RolledBack, format!("99 % of answers took up to {took}, {longest} is the longest"));
    }
    let end = before.since.0 + parsed(&analysis.interval);
    if now < end {
        let message = format!("good so far, it takes over if it stays so until {end:.0}{}", wish.unsplit);
        return CanaryStatus { message, ..known };
    }
    let message = format!("{success_rate} % of {} succeeded, 99 % within {}", measured.answered, text(latency));
    ended(CanaryPhase::Promoted, message)
}

/// A length of time of the spec; none when it was stored before there was a rule for it.
fn parsed(length: &str) -> SignedDuration {
    length.parse().unwrap_or_default()
}

fn text(length: SignedDuration) -> String {
    format!("{}ms", length.as_millis())
}

fn waiting(seen: &Seen<'_>) -> String {
    format!("its migration or its pods are not ready{}", in_brackets(seen))
}

fn in_brackets(seen: &Seen<'_>) -> String {
    seen.problem.as_ref().map(|problem| format!(" ({problem})")).unwrap_or_default()
}

impl Wish<'_> {
    fn state(&self, phase: CanaryPhase, now: Timestamp, message: String) -> CanaryStatus {
        CanaryStatus {
            attempt: self.attempt.clone(),
            phase,
            since: Time(now),
            image: self.canary.image.clone(),
            version: self.canary.version.clone(),
            weight: self.canary.weight,
            requests: None,
            success_rate: None,
            latency_p99: None,
            message,
        }
    }
}
