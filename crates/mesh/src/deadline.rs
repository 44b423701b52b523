//! Deadlines that travel: whoever waits says for how long, and nothing made for it outlives that.
//!
//! Within a process the deadline belongs to the task. Between processes it is the header `grpc-timeout`, as time that is left:
//! clocks may differ. At a server tonic drops the work when the header's time is over, and this layer makes the calls of that
//! work end by then too.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use futures::future::Either;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tokio::{task::futures::TaskLocalFuture, task_local, time::Instant};
use tower::{Layer, Service};

const HEADER: HeaderName = HeaderName::from_static("grpc-timeout");
/// The specification allows so many digits.
const LARGEST: u128 = 99_999_999;

task_local! {
    static DEADLINE: Instant;
}

/// When whoever waits for what this task does gives up.
pub(crate) fn deadline() -> Option<Instant> {
    DEADLINE.try_get().ok()
}

/// `work` for somebody who waits for so long: the calls it makes end by then, or earlier if this task has a deadline.
pub fn within<F: Future>(patience: Duration, work: F) -> TaskLocalFuture<Instant, F> {
    let end = Instant::now() + patience;
    DEADLINE.scope(deadline().map_or(end, |outer| outer.min(end)), work)
}

/// `work` for a task of its own, with the deadline of this one.
pub fn with_this_deadline<F: Future>(work: F) -> Either<TaskLocalFuture<Instant, F>, F> {
    match deadline() {
        Some(deadline) => Either::Left(DEADLINE.scope(deadline, work)),
        None => Either::Right(work),
    }
}

/// Tells a server how long it has.
pub(crate) fn announce(left: Duration, headers: &mut HeaderMap) {
    let micros = left.as_micros();
    let text = if micros <= LARGEST { format!("{micros}u") } else { format!("{}m", left.as_millis().min(LARGEST)) };
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(HEADER, value);
    }
}

/// How long a caller waits, if it says so.
fn announced(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok().filter(|number| u128::from(*number) <= LARGEST)?;
    match unit {
        "H" => Some(Duration::from_hours(number)),
        "M" => Some(Duration::from_mins(number)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// Gives the work for each call its caller's deadline.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineLayer {
    /// For callers that name none, and those that name a later one.
    pub(crate) latest: Duration,
}

/// See [`DeadlineLayer`].
#[derive(Clone, Debug)]
pub struct Deadline<S> {
    inner: S,
    latest: Duration,
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline { inner, latest: self.latest }
    }
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Deadline<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = TaskLocalFuture<Instant, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let patience = announced(request.headers()).map_or(self.latest, |announced| announced.min(self.latest));
        within(patience, self.inner.call(request))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_announced_is_understood(micros in 0..=3_600_000_000_u64) {
            let mut headers = HeaderMap::new();
            let left = Duration::from_micros(micros);
            announce(left, &mut headers);
            let heard = announced(&headers).expect("our own words");
            prop_assert!(left.checked_sub(heard).is_some_and(|lost| lost < Duration::from_millis(1)));
        }

        #[test]
        fn any_other_header_is_no_deadline_and_harms_nobody(text in "\\PC{0,12}|[0-9]{0,30}[HMSmunx]?") {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                headers.insert(HEADER, value);
            }
            let _ = announced(&headers);
        }
    }

    #[tokio::test]
    async fn work_inside_other_work_has_the_earlier_deadline_of_both_and_so_has_a_task_it_starts() {
        assert_eq!(deadline(), None);
        let (short, long) = (Duration::from_mins(1), Duration::from_mins(150));
        let hours = Instant::now() + long / 2;
        assert!(within(short, async { within(long, ends_before(hours)).await }).await);
        assert!(within(long, async { within(short, ends_before(hours)).await }).await);
        let task = within(short, async { tokio::spawn(with_this_deadline(ends_before(hours))).await });
        assert!(task.await.unwrap());
    }

    fn ends_before(time: Instant) -> impl Future<Output = bool> {
        futures::future::lazy(move |_| deadline().is_some_and(|deadline| deadline < time))
    }
}
