//! One edge: what happens to a call until it is answered or given up.

use std::{future::poll_fn, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, request};
use http_body_util::{BodyExt as _, Full};
use shop_config as config;
use shop_core::{Fault, Kind, World};
use shop_proto::edges::{self, Edge as Row};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};
use tonic::{Code, Status, body::Body, transport::Channel};
use tonic_types::StatusExt as _;
use tower::{
    Service as _,
    retry::budget::{Budget as _, TpsBudget},
};

use super::{
    BoxError,
    canary::Canary,
    circuit::{Circuit, PAUSE, Refusal},
    dice::Dice,
    faults::Faults,
    metrics::EdgeMetrics,
    pods::{self, Pod, Pods, Pool},
};
use crate::{
    deadline::{announce, deadline},
    measure::code_of,
    metrics::{Call, Stopwatch, code_name},
    to_status,
};

/// The patience for calls that the table of edges does not have.
const PATIENCE: Duration = Duration::from_secs(5);
/// A pod that did not answer within a shorter time than this is not to blame: its caller was in a hurry.
const FAIR: Duration = Duration::from_millis(250);
/// As precise as timers are.
const MOMENT: Duration = Duration::from_millis(1);
/// Longest pause before the second try; doubled for each one after it.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Over this time the retry budget is counted, and so many retries a second are in it anyway.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);
const FREE_RETRIES_A_SECOND: u32 = 3;

/// See the module.
pub(super) struct Edge {
    caller: &'static str,
    service: &'static str,
    timeout: Option<Duration>,
    retries: config::Retries,
    budget: TpsBudget,
    faults: Option<Faults>,
    pods: watch::Receiver<Pods>,
    canary: watch::Receiver<Canary>,
    circuit: Circuit,
    world: Arc<dyn World>,
    metrics: EdgeMetrics,
}

/// A call that can be sent more than once.
struct Message {
    head: request::Parts,
    body: Bytes,
    row: Option<&'static Row>,
}

/// The whole answer: every method is unary, and its messages are small.
struct Answer {
    response: Response<Body>,
    code: Code,
}

/// A try without an answer.
struct Failure {
    status: Status,
    /// Whether the neighbour is to blame.
    fair: bool,
}

impl Edge {
    pub(super) fn new(
        (caller, service): (&'static str, &'static str),
        settings: &config::Peer,
        (pods, canary): (watch::Receiver<Pods>, watch::Receiver<Canary>),
        world: Arc<dyn World>,
        (metrics, most): (EdgeMetrics, i64),
    ) -> Self {
        let retries = settings.retries;
        let share = f32::from(retries.budget.get()) / 100.0;
        let free = if retries.budget.get() == 0 { 0 } else { FREE_RETRIES_A_SECOND };
        Self {
            caller,
            service,
            timeout: settings.timeout.map(|timeout| timeout.0),
            retries,
            budget: TpsBudget::new(BUDGET_WINDOW, free, share),
            faults: settings.faults.map(Faults::of),
            pods,
            canary,
            circuit: Circuit::new(most, metrics.clone()),
            world,
            metrics,
        }
    }

    /// Ends once the neighbour has had an address.
    pub(super) fn found(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut pods = self.pods.clone();
        async move {
            // The other end is gone only when nobody calls any more.
            let _ = pods.wait_for(|pods| !pods.is_empty()).await;
        }
    }

    /// Makes a call.
    pub(super) async fn call(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let row = edges::find(self.caller, self.service, request.uri().path());
        let mut stopwatch = Stopwatch::start(Call::new(self.caller, self.service, row), &self.metrics.calls);
        let outcome = self.admitted(request, row).await;
        stopwatch.call.code = code_name(outcome.as_ref().map_or_else(Status::code, |answer| answer.code));
        outcome.map(|answer| answer.response)
    }

    async fn admitted(&self, request: Request<Body>, row: Option<&'static Row>) -> Result<Answer, Status> {
        let _place = self.circuit.enter(Instant::now()).map_err(|refusal| self.refused(refusal))?;
        let (head, body) = request.into_parts();
        let message = Message { head, body: body.collect().await?.to_bytes(), row };
        match self.tried(&message).await {
            Ok(answer) => {
                if self.circuit.answered() {
                    tracing::info!(service = self.service, "it answers again, and all calls are made");
                }
                Ok(answer)
            }
            Err(Failure { status, fair }) => {
                if fair && self.circuit.failed(Instant::now()) {
                    tracing::warn!(service = self.service, error.cause = %status, "it does not answer, and is left alone");
                }
                Err(status)
            }
        }
    }

    fn refused(&self, refusal: Refusal) -> Status {
        let public = match refusal {
            Refusal::Full => format!("Too many calls of {} at once, try again", self.service),
            Refusal::Open => format!("{} does not answer, try again", self.service),
        };
        to_status(Fault::new(Kind::Unavailable { retry_after: PAUSE }, public))
    }

    /// Tries until there is an answer, or no try, time or budget left.
    async fn tried(&self, message: &Message) -> Result<Answer, Failure> {
        self.budget.deposit();
        let end = Instant::now() + self.patience(message);
        let end = deadline().map_or(end, |outer| outer.min(end));
        if end <= Instant::now() {
            let status = Status::deadline_exceeded("whoever asked for this has given up");
            return Err(Failure { status, fair: false });
        }
        let mut left = self.attempts(message);
        let mut pause = FIRST_PAUSE;
        let mut before = None;
        loop {
            let dice = Dice::throw(&*self.world);
            let failure = match self.attempt(message, self.until(end, left), &mut before, &dice).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            left -= 1;
            let again = Instant::now() + dice.up_to(3, pause);
            if left == 0 || again >= end {
                return Err(failure);
            }
            if !self.budget.withdraw() {
                self.metrics.exhausted.inc();
                return Err(failure);
            }
            self.metrics.retries.inc();
            tracing::debug!(service = self.service, error.cause = %failure.status, "the call is tried again");
            sleep_until(again).await;
            pause *= 2;
        }
    }

    fn patience(&self, message: &Message) -> Duration {
        self.timeout.unwrap_or(message.row.map_or(PATIENCE, |row| row.patience))
    }

    /// Only what may be done twice is tried twice.
    fn attempts(&self, message: &Message) -> u32 {
        if message.row.is_some_and(|row| row.idempotent) { self.retries.attempts.get() } else { 1 }
    }

    /// When the next of `left` tries ends: they share what is left of the time.
    fn until(&self, end: Instant, left: u32) -> Instant {
        let now = Instant::now();
        let share = end.saturating_duration_since(now) / left;
        now + self.retries.per_try_timeout.map_or(share, |longest| longest.0.min(end.saturating_duration_since(now)))
    }

    /// One try at one pod, another one than `before`, which it becomes.
    async fn attempt(
        &self,
        message: &Message,
        until: Instant,
        before: &mut Option<Arc<Pod>>,
        dice: &Dice,
    ) -> Result<Answer, Failure> {
        let now = Instant::now();
        let fair = until - now >= FAIR.min(self.patience(message) / self.attempts(message) / 2);
        let picked = self.pick(before.as_ref(), until, dice).await;
        let (pool, pod) = picked.map_err(|status| Failure { status, fair })?;
        let (attempt, channel) = pod.begin(now);
        let status = match timeout_at(until, self.send(channel, message.until(until), dice)).await {
            Ok(Ok(answer)) => match answer.failure() {
                None => {
                    attempt.answered(answer.code != Code::Unavailable);
                    return Ok(answer);
                }
                Some(status) => status,
            },
            Ok(Err(error)) => broken(error),
            Err(_) => self.late(),
        };
        // Tonic and the pod look at the same deadline, and may be a moment faster than we are.
        let status = if until - Instant::now() < MOMENT { self.late() } else { status };
        if fair && attempt.failed(&pool, Instant::now()) {
            self.metrics.ejections.inc();
            let (service, address) = (self.service, pod.address);
            tracing::warn!(service, server.address = %address, error.cause = %status, "this pod fails, and is left alone");
        }
        *before = Some(pod);
        Err(Failure { status, fair })
    }

    /// The pod for the next try, and those that it is one of. What is tried again goes to the pods that all calls went to before
    /// there was a canary.
    async fn pick(&self, before: Option<&Arc<Pod>>, until: Instant, dice: &Dice) -> Result<(Pool, Arc<Pod>), Status> {
        let now = Instant::now();
        if before.is_none()
            && let Some(picked) = self.canary.borrow().pick(4, now, dice)
        {
            self.metrics.canary_tries.inc();
            return Ok(picked);
        }
        let pods = self.known(until).await?;
        let pod = pods::pick(&pods, before, now, dice).ok_or_else(|| self.nowhere())?;
        Ok((Pool::of(pods), pod))
    }

    /// The pods; waits for the first one to be known.
    async fn known(&self, until: Instant) -> Result<Pods, Status> {
        let known = Arc::clone(&self.pods.borrow());
        if !known.is_empty() {
            return Ok(known);
        }
        timeout_at(until, self.found()).await.map_err(|_| self.nowhere())?;
        let found = Arc::clone(&self.pods.borrow());
        Ok(found)
    }

    fn late(&self) -> Status {
        Status::deadline_exceeded(format!("no answer from {} in time", self.service))
    }

    fn nowhere(&self) -> Status {
        Status::unavailable(format!("no address of {} is known", self.service))
    }

    async fn send(&self, mut channel: Channel, request: Request<Body>, dice: &Dice) -> Result<Answer, BoxError> {
        if let Some(faults) = &self.faults
            && let Some(harm) = faults.strike(2, dice).await
        {
            return Answer::read(harm?).await;
        }
        poll_fn(|context| channel.poll_ready(context)).await?;
        Answer::read(channel.call(request).await?).await
    }
}

impl Message {
    fn until(&self, end: Instant) -> Request<Body> {
        let mut request = Request::from_parts(self.head.clone(), Body::new(Full::new(self.body.clone())));
        announce(end.saturating_duration_since(Instant::now()), request.headers_mut());
        request
    }
}

impl Answer {
    /// All of it, so that a pod that stops in the middle has not answered.
    async fn read(response: Response<Body>) -> Result<Self, BoxError> {
        let (head, body) = response.into_parts();
        let body = body.collect().await?;
        let code = code_of(&head.headers).or_else(|| body.trailers().and_then(code_of));
        Ok(Self { response: Response::from_parts(head, Body::new(body)), code: code.unwrap_or(Code::Unknown) })
    }

    /// What says that the call did not get through. A neighbour that names a time to come back has decided, and is not asked
    /// again at once: behind it others would be asked again too, each of them as often.
    fn failure(&self) -> Option<Status> {
        if !matches!(self.code, Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded) {
            return None;
        }
        let status = Status::from_header_map(self.response.headers())?;
        status.get_details_retry_info().is_none().then_some(status)
    }
}

/// A connection that could not be made, or broke.
fn broken(error: BoxError) -> Status {
    let mut status = Status::unavailable("the connection failed");
    status.set_source(Arc::from(error));
    status
}
