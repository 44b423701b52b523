//! One Shop, a hundred, a thousand: memory, processor time and writes, and how soon one more is noticed.

use std::time::{Duration, Instant};

use super::{
    Options,
    program::Program,
    report::{Figure, Figures, Measure},
    stage::{Stage, counted},
};

/// The limit in `charts/shopkeeper/values.yaml`, in MiB.
pub const MEMORY_LIMIT: f64 = 64.0;
/// What the operator should stay below with up to a hundred Shops, in MiB.
const MEMORY_OF_A_HUNDRED: f64 = 30.0;
const NOTICED_WITHIN_MS: f64 = 1_000.0;
const AFTER_KILL_WITHIN: f64 = 20.0;
const AFTER_STOP_WITHIN: f64 = 3.0;

const ALL_READY: Measure = Measure {
    name: "all Shops ready",
    unit: "s",
    span: "first new Shop asked for to last one Ready; API server, etcd, controllers and the pods' claims share the machine",
};
const CPU_EACH: Measure = Measure {
    name: "CPU, each new Shop",
    unit: "ms",
    span: "processor time of the operator from the first new Shop to five seconds after its last write, over the new Shops",
};
const WRITES_EACH: Measure = Measure {
    name: "writes, each new Shop",
    unit: "requests",
    span: "mutating requests of the operator in that time, by the API server's audit log; without renewals of the Lease",
};
const MEMORY: Measure = Measure {
    name: "memory, idle",
    unit: "MiB",
    span: "VmRSS of the operator after the idle time; at most 30 up to 100 Shops, then the chart's limit",
};
const PEAK: Measure = Measure {
    name: "memory, peak",
    unit: "MiB",
    span: "VmHWM of the operator since its start; at most the chart's limit",
};
const CPU_IDLE: Measure = Measure {
    name: "CPU, idle",
    unit: "% of a core",
    span: "processor time over the idle time, which begins when all Shops are ready and nothing was written for 5 s",
};
const WRITES_IDLE: Measure = Measure {
    name: "writes, idle",
    unit: "a minute",
    span: "mutating requests over the idle time, by the API server's audit log; without renewals of the Lease",
};
const RENEWALS: Measure = Measure {
    name: "renewals of the Lease, idle",
    unit: "a minute",
    span: "the same of the Lease alone, whatever the number of Shops",
};
const RECONCILES: Measure = Measure {
    name: "reconciles, idle",
    unit: "a minute",
    span: "by the operator's own count; it looks at a Shop every five minutes",
};
const WRITES_AGAIN: Measure = Measure {
    name: "writes, all looked at again",
    unit: "requests",
    span: "mutating requests while the operator looks at every Shop once more and has nothing to do, by the audit log: each Shop \
           got an annotation that means nothing. It is what the next five minutes would bring, whatever the idle time is",
};
const CPU_AGAIN: Measure = Measure {
    name: "CPU, each look",
    unit: "ms",
    span: "processor time of the operator in that time, over its reconciles",
};
const NOTICED: Measure = Measure {
    name: "new Shop noticed",
    unit: "ms (median)",
    span: "one Shop asked for, when nothing else happens, to its first status in a watch, with its debounce of 200 ms",
};
const NOTICED_LAST: Measure =
    Measure { name: "new Shop noticed, slowest", unit: "ms", span: "the slowest of the same" };
const READY: Measure = Measure {
    name: "new Shop ready",
    unit: "s (median)",
    span: "the same Shop asked for to Ready in the watch; its pods claim to run at once",
};
const READY_LAST: Measure = Measure { name: "new Shop ready, slowest", unit: "s", span: "the slowest of the same" };
const AFTER_KILL: Measure = Measure {
    name: "takeover after a kill",
    unit: "s",
    span: "SIGKILL of the operator at work to another one, standing by, that holds the Lease and knows all Shops",
};
const AFTER_STOP: Measure = Measure {
    name: "takeover after a stop",
    unit: "s",
    span: "the same from SIGTERM, as at a rollout or a drained node",
};
const RESTARTED: Measure = Measure {
    name: "all Shops looked at",
    unit: "s",
    span: "start of another operator to as many reconciles as there are Shops",
};

/// Measures one population after the other.
pub async fn measure(options: &Options, figures: &mut Figures, say: fn(&str)) -> anyhow::Result<()> {
    say("start an API server for Shops");
    let mut stage = Stage::set_up(options, "operator.log").await?;
    for count in &options.shops {
        say(&format!("make {}", shops(*count)));
        grow(&mut stage, *count, figures).await?;
        say("leave it alone");
        idle(&mut stage, options, &shops(*count), figures).await?;
        say("have it look again");
        look_again(&mut stage, &shops(*count), figures).await?;
        say("one more, several times");
        newcomers(&mut stage, options, &shops(*count), figures).await?;
    }
    say("let another operator follow");
    follow(&mut stage, figures).await?;
    say("start the operator anew");
    let load = format!("{}, restarted", shops(stage.shops.count()));
    restart(&mut stage, &load, figures).await?;
    idle(&mut stage, options, &load, figures).await
}

fn shops(count: u32) -> String {
    if count == 1 { "1 Shop".to_owned() } else { format!("{count} Shops") }
}

async fn grow(stage: &mut Stage, count: u32, figures: &mut Figures) -> anyhow::Result<()> {
    // What was written before is none of the new ones'.
    stage.settle().await?;
    let new = f64::from(count - stage.shops.count());
    let (cpu, started) = (stage.program.cpu()?, Instant::now());
    stage.shops.grow_to(count).await?;
    stage.shops.until_ready().await?;
    let elapsed = started.elapsed();
    let writes = stage.settle().await?;
    let cpu = stage.program.cpu()?.saturating_sub(cpu);
    let load = shops(count);
    figures.figures.extend([
        Figure::new(ALL_READY, &load, elapsed.as_secs_f64()).noting(format!("{new} of them new")),
        Figure::new(CPU_EACH, &load, milliseconds(cpu) / new),
        Figure::new(WRITES_EACH, &load, f64::from(u32::try_from(writes.len())?) / new),
    ]);
    Ok(())
}

async fn idle(stage: &mut Stage, options: &Options, load: &str, figures: &mut Figures) -> anyhow::Result<()> {
    let idle = stage.idle(Duration::from_secs(options.idle)).await?;
    let (now, peak) = stage.program.memory()?;
    let bound = if stage.shops.count() <= 100 { MEMORY_OF_A_HUNDRED } else { MEMORY_LIMIT };
    figures.figures.extend([
        Figure::new(MEMORY, load, now).at_most(bound),
        Figure::new(PEAK, load, peak).at_most(MEMORY_LIMIT),
        Figure::new(CPU_IDLE, load, idle.cpu).noting(format!("over {} s", options.idle)),
        Figure::new(WRITES_IDLE, load, idle.writes).at_most(0.0).noting(idle.written),
        Figure::new(RENEWALS, load, idle.renewals),
        Figure::new(RECONCILES, load, idle.reconciles),
    ]);
    Ok(())
}

async fn look_again(stage: &mut Stage, load: &str, figures: &mut Figures) -> anyhow::Result<()> {
    let looks = stage.look_again().await?;
    let (reconciles, writes) = (u32::try_from(looks.reconciles)?, u32::try_from(looks.writes.len())?);
    let note = format!("in {reconciles} reconciles {}", counted(&looks.writes));
    figures.figures.extend([
        Figure::new(WRITES_AGAIN, load, f64::from(writes)).at_most(0.0).noting(note),
        Figure::new(CPU_AGAIN, load, milliseconds(looks.cpu) / f64::from(reconciles)),
    ]);
    Ok(())
}

async fn newcomers(stage: &mut Stage, options: &Options, load: &str, figures: &mut Figures) -> anyhow::Result<()> {
    let (mut noticed, mut ready) = (Vec::new(), Vec::new());
    for _ in 0..options.newcomers {
        let welcome = stage.shops.welcome().await?;
        noticed.push(welcome.noticed);
        ready.push(welcome.ready);
        stage.settle().await?;
    }
    let (noticed, noticed_last) = median_and_last(noticed);
    let (ready, ready_last) = median_and_last(ready);
    let load = format!("{load}, 1 of {} new", options.newcomers);
    figures.figures.extend([
        Figure::new(NOTICED, &load, milliseconds(noticed)).at_most(NOTICED_WITHIN_MS),
        Figure::new(NOTICED_LAST, &load, milliseconds(noticed_last)).at_most(NOTICED_WITHIN_MS),
        Figure::new(READY, &load, ready.as_secs_f64()),
        Figure::new(READY_LAST, &load, ready_last.as_secs_f64()),
    ]);
    Ok(())
}

async fn follow(stage: &mut Stage, figures: &mut Figures) -> anyhow::Result<()> {
    let load = shops(stage.shops.count());
    let after_kill = stage.succeed("after-kill", Program::kill).await?;
    stage.settle().await?;
    let after_stop = stage.succeed("after-stop", Program::stop).await?;
    stage.settle().await?;
    figures.figures.extend([
        Figure::new(AFTER_KILL, &load, after_kill.as_secs_f64()).at_most(AFTER_KILL_WITHIN),
        Figure::new(AFTER_STOP, &load, after_stop.as_secs_f64()).at_most(AFTER_STOP_WITHIN),
    ]);
    Ok(())
}

async fn restart(stage: &mut Stage, load: &str, figures: &mut Figures) -> anyhow::Result<()> {
    let started = stage.restart().await?;
    stage.until_all_are_looked_at(0).await?;
    figures.figures.push(Figure::new(RESTARTED, load, started.elapsed().as_secs_f64()));
    stage.settle().await?;
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Of an even number of times, the later one in the middle.
fn median_and_last(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    let at = |place: usize| times.get(place).copied().unwrap_or_default();
    (at(times.len() / 2), times.last().copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_the_last_at_the_end() {
        let seconds = [3, 1, 2].map(Duration::from_secs).to_vec();
        assert_eq!(median_and_last(seconds), (Duration::from_secs(2), Duration::from_secs(3)));
    }
}
