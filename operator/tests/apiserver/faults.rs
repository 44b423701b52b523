//! A Shop gets where it should whatever happens to the operator on the way, and to what it hears from the API server.
//!
//! A reference run is recorded first. Every plan then is one thing that goes wrong at one point of that record: at a write,
//! or at an event of a watch. Where the run ends must be where the reference ended.

mod door;
mod plan;
mod run;
mod watch;

use std::collections::BTreeSet;
use std::time::Instant;

use futures::{StreamExt, stream};
use kube::Config;
use rand::RngExt;
use rand::seq::SliceRandom;

use self::plan::{Plan, Trace};
use self::run::{End, run};
use crate::chance::{is_deep, random};
use crate::scene::config;
use crate::snapshot::{differences, differences_now};

/// Plans that run at the same time, mostly waiting for each other's controllers.
const AT_ONCE: usize = 6;
/// Plans of a normal run.
const SAMPLE: usize = 8;
/// Plans of a deep run that are drawn, beside the kill points, which are all taken.
const DRAWN: usize = 80;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_ends_as_it_should_whatever_goes_wrong_on_the_way() {
    let config = config().await;
    let (reference, trace) = Box::pin(run(config.clone(), None)).await;
    assert!(trace.writes.len() > 60, "the reference run wrote {:?}", trace.writes);
    let plans = plans(&trace);
    let (count, start) = (plans.len(), Instant::now());
    let runs = plans.into_iter().map(|plan| check(config.clone(), &reference, plan));
    let outcomes: Vec<Outcome> = stream::iter(runs).buffer_unordered(AT_ONCE).collect().await;
    let met = outcomes.iter().filter(|outcome| outcome.met).count();
    let complaints: Vec<String> = outcomes.into_iter().flat_map(|outcome| outcome.complaints).collect();
    println!("{count} plans in {:?}; {met} met what they were made for", start.elapsed());
    // A run is never quite the reference, but plans that nothing happens in would show nothing.
    assert!(2 * met > count, "only {met} of {count} plans met what they were made for");
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// What is tried, in the order of a seed.
fn plans(trace: &Trace) -> Vec<Plan> {
    let mut random = random();
    let mut kills = Plan::kill_points(trace);
    kills.shuffle(&mut random);
    let mut drawn = || {
        let choice = random.random();
        Plan::drawn(trace, &mut random, choice)
    };
    if is_deep() {
        kills.extend(std::iter::repeat_with(&mut drawn).take(DRAWN));
    } else {
        kills.truncate(SAMPLE / 2);
        kills.extend(std::iter::repeat_with(&mut drawn).take(SAMPLE / 2));
    }
    kills
}

/// What came of a plan.
struct Outcome {
    /// Whether the run came to the point at which something was to go wrong.
    met: bool,
    complaints: Vec<String>,
}

/// Runs a plan and says what is not as in the reference.
async fn check(config: Config, reference: &End, plan: Plan) -> Outcome {
    let title = plan.to_string();
    let complain = |what: String| format!("{title}: {what}");
    let compare = if plan.starts_over() { differences_now } else { differences };
    // A task of its own: a panic is a complaint about this plan and lets the others go on.
    let (end, trace) = match tokio::spawn(run(config, Some(plan.clone()))).await {
        Ok(run) => run,
        Err(panic) => return Outcome { met: true, complaints: vec![complain(panic.to_string())] },
    };
    let mut complaints = compare(&reference.objects, &end.objects);
    let extra: BTreeSet<_> = end.changes.difference(&reference.changes).collect();
    complaints.extend(extra.into_iter().map(|change| format!("changed what the reference did not: {change}")));
    complaints.extend(end.complaints);
    Outcome { met: plan.is_met(&trace), complaints: complaints.into_iter().map(complain).collect() }
}
