//! A Shop gets where it should whatever happens to the operator on the way, and to what it hears from the API server.
//!
//! A reference run of each scenario is recorded first. Every plan then is one thing that goes wrong at one point of a record:
//! at a write, a read, the beginning of a watch, or an event of one. Where the run ends must be where the reference ended.

mod door;
mod keepsakes;
mod plan;
mod record;
mod run;
mod scenario;
mod watch;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use shopkeeper_testing::is_deep;

use self::plan::{Fault, Plan, Way};
use self::run::{End, run};
use self::scenario::Scenario;
use crate::chance::random;
use crate::snapshot::{differences, differences_now};

/// Plans that run at the same time, mostly waiting for each other's controllers.
const AT_ONCE: usize = 6;
/// Plans of a normal run.
const SAMPLE: usize = 8;
/// Scenarios in which every object is written, or what opens all the others: a deep run kills the operator in each way at every
/// write of them.
const KILLED_EVERYWHERE: [Scenario; 2] = [Scenario::Create, Scenario::Rotate];
/// Points of each other scenario at which it does, and points of each scenario at which it lets each other thing go wrong.
const DEEP_KILLS: usize = 12;
const DEEP_OTHERS: usize = 2;
/// What a deep run does not stay below.
const DEEP: usize = 300;
/// What its pace is told by.
const HALF_AN_HOUR: Duration = Duration::from_mins(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_ends_as_it_should_whatever_goes_wrong_on_the_way() {
    let mut random = random();
    let references = references().await;
    let plans = plans(&references, &mut random);
    let (count, start) = (plans.len(), Instant::now());
    assert!(!is_deep() || count >= DEEP, "there are only {count} plans");
    let runs = plans.into_iter().map(|plan| check(&references[&plan.scenario], plan));
    let outcomes: Vec<Outcome> = stream::iter(runs).buffer_unordered(AT_ONCE).collect().await;
    let spent = start.elapsed();
    let each = spent / u32::try_from(count).expect("some hundreds");
    println!("{count} plans in {spent:?}, {:.0} in half an hour", HALF_AN_HOUR.div_duration_f64(each));
    let kinds = by_kind(&outcomes);
    let met: usize = kinds.values().map(|(_, met)| met).sum();
    let never: Vec<&str> = kinds.iter().filter(|(_, (_, met))| *met == 0).map(|(kind, _)| *kind).collect();
    let complaints: Vec<&str> = outcomes.iter().flat_map(|outcome| &outcome.complaints).map(String::as_str).collect();
    // A run is never quite the reference, but plans that nothing happens in would show nothing.
    assert!(2 * met > count, "in only {met} of {count} plans it went wrong");
    assert!(!is_deep() || never.is_empty(), "in no plan these did: {never:?}");
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// Where scenarios end in which nothing goes wrong.
async fn references() -> BTreeMap<Scenario, End> {
    let runs = Scenario::ALL.into_iter().map(async |scenario| (scenario, Box::pin(run(scenario, None)).await));
    let references: BTreeMap<Scenario, End> = stream::iter(runs).buffer_unordered(AT_ONCE).collect().await;
    for (scenario, End { trace, complaints, .. }) in &references {
        assert!(complaints.is_empty(), "{scenario:?}: {complaints:?}");
        let marks = trace.iter().any(|point| point.way == Way::Write && point.what.contains(scenario.mark()));
        assert!(marks, "{scenario:?} does not do what it is there for: {trace:?}");
    }
    references
}

/// What is tried: every fault in every scenario, or some of it.
fn plans(references: &BTreeMap<Scenario, End>, random: &mut StdRng) -> Vec<Plan> {
    let mut kinds: Vec<(Scenario, Fault)> = Vec::new();
    for scenario in references.keys() {
        kinds.extend(Fault::all(random).into_iter().map(|fault| (*scenario, fault)));
    }
    kinds.shuffle(random);
    let mut plans = Vec::new();
    for (scenario, fault) in kinds {
        let points = match (is_deep(), fault.is_kill()) {
            (false, _) => 1,
            (true, true) if KILLED_EVERYWHERE.contains(&scenario) => usize::MAX,
            (true, true) => DEEP_KILLS,
            (true, false) => DEEP_OTHERS,
        };
        plans.extend(Plan::drawn(scenario, fault, &references[&scenario].trace, points, random));
    }
    if !is_deep() {
        plans.truncate(SAMPLE);
    }
    plans
}

/// What came of a plan.
struct Outcome {
    /// What was to go wrong.
    kind: String,
    /// Whether it did.
    met: bool,
    complaints: Vec<String>,
}

/// Runs a plan and says what is not as in the reference.
async fn check(reference: &End, plan: Plan) -> Outcome {
    let (title, kind, starts_over) = (plan.to_string(), plan.fault.kind(), plan.starts_over());
    // A task of its own: a panic is a complaint about this plan and lets the others go on.
    let (complaints, met) = match tokio::spawn(run(plan.scenario, Some(plan))).await {
        Ok(end) => (complaints(reference, &end, starts_over), end.met),
        Err(panic) => (vec![panic.to_string()], false),
    };
    Outcome { kind, met, complaints: complaints.into_iter().map(|what| format!("{title}: {what}")).collect() }
}

fn complaints(reference: &End, end: &End, starts_over: bool) -> Vec<String> {
    let compare = if starts_over { differences_now } else { differences };
    let mut complaints = compare(&reference.objects, &end.objects);
    let extra = end.changes.difference(&reference.changes);
    complaints.extend(extra.map(|change| format!("changed what the reference did not: {change}")));
    if !starts_over {
        let lost = end.deleted.difference(&reference.deleted);
        complaints.extend(lost.map(|name| format!("{name} was deleted, and not in the reference")));
    }
    complaints.extend(end.complaints.iter().cloned());
    complaints
}

/// How often each fault was to happen, and how often it did.
fn by_kind(outcomes: &[Outcome]) -> BTreeMap<&str, (usize, usize)> {
    let mut kinds = BTreeMap::<&str, (usize, usize)>::new();
    for outcome in outcomes {
        let (plans, met) = kinds.entry(&outcome.kind).or_default();
        *plans += 1;
        *met += usize::from(outcome.met);
    }
    for (kind, (plans, met)) in &kinds {
        println!("{kind}: {plans} plans, {met} met");
    }
    kinds
}
