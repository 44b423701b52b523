//! Steps: what a person sees while a command works, and the table of where the time went.

use std::cell::Cell;
use std::fmt;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::shell;

/// How often a long command shows that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// What a step came to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to do: the result of an earlier run is fresh.
    Cached,
    /// Something was made that a later run will find.
    Built,
    /// Done, and done again next time.
    Done,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cached => "cached",
            Self::Built => "built",
            Self::Done => "done",
        })
    }
}

struct Row {
    name: String,
    outcome: Outcome,
    wall: Duration,
    cpu: Duration,
}

/// All steps of one command.
pub struct Steps {
    started: Instant,
    machine_at_start: Duration,
    logs: PathBuf,
    rows: Mutex<Vec<Row>>,
}

/// One step while it runs.
pub struct Step {
    name: String,
    log: PathBuf,
    cpu: Cell<Duration>,
}

impl Steps {
    /// Starts the clock. Long commands write to files in `logs`.
    pub fn new(logs: PathBuf) -> Self {
        Self { started: Instant::now(), machine_at_start: machine_cpu(), logs, rows: Mutex::default() }
    }

    /// Runs one step and prints one line about it. `remedy` says what a person can do when it fails.
    pub fn run(&self, name: &str, remedy: &str, work: impl FnOnce(&Step) -> Result<Outcome>) -> Result<()> {
        let started = Instant::now();
        let step = Step {
            name: name.into(),
            log: self.logs.join(format!("{}.log", name.replace([' ', '/'], "-"))),
            cpu: Cell::default(),
        };
        let result = work(&step);
        let wall = started.elapsed();
        match result {
            Ok(outcome) => {
                println!("  {name:<28} {outcome:<8} {:>8}", seconds(wall));
                let row = Row { name: name.into(), outcome, wall, cpu: step.cpu.get() };
                self.rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
                Ok(())
            }
            Err(error) => {
                println!("  {name:<28} {:<8} {:>8}", "FAILED", seconds(wall));
                Err(anyhow!(
                    "step \"{name}\" failed: {error:#}\n\nWhat to do: {remedy}\nThen run the same command again; it goes on from here."
                ))
            }
        }
    }

    /// Prints where the time went.
    pub fn print_table(&self) {
        println!("\n  {:<28} {:<8} {:>8} {:>12}", "step", "result", "wall", "CPU minutes");
        for row in self.rows.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            println!("  {:<28} {:<8} {:>8} {:>12}", row.name, row.outcome, seconds(row.wall), minutes(row.cpu));
        }
        let machine = machine_cpu().saturating_sub(self.machine_at_start);
        println!(
            "  {:<28} {:<8} {:>8} {:>12}",
            "all (CPU: whole machine)",
            "",
            seconds(self.started.elapsed()),
            minutes(machine)
        );
    }
}

impl Step {
    /// Runs a long command: its output goes to the step's log, its CPU time is counted, and it shows that it is alive.
    pub fn run(&self, command: &Command) -> Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let times = self.log.with_extension("times");
        // Only a shell reports what its children used, without foreign calls.
        let mut counted = Command::new("sh");
        counted.args(["-c", r#""$@"; status=$?; times > "$0"; exit $status"#]).arg(&times);
        counted.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => counted.env(name, value),
                None => counted.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            counted.current_dir(folder);
        }
        let mut child = counted
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run `{}`", shell::show(command)))?;
        let started = Instant::now();
        let mut shown = started;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if shown.elapsed() >= HEARTBEAT {
                shown = Instant::now();
                println!("  {:<28} ...      {:>8}  {}", self.name, seconds(started.elapsed()), self.last_line());
            }
            thread::sleep(Duration::from_millis(20));
        };
        self.cpu.set(self.cpu.get() + children_cpu(&fs::read_to_string(&times).unwrap_or_default()));
        let _ = fs::remove_file(&times);
        if status.success() {
            return Ok(());
        }
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        Err(anyhow!(
            "`{}` ({status}):\n{}\n(all of it: {})",
            shell::show(command),
            shell::tail(&said),
            self.log.display()
        ))
    }

    fn last_line(&self) -> String {
        let text = fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        text.trim_end().lines().last().unwrap_or_default().trim().chars().take(80).collect()
    }
}

/// `12.3 s`, the one way this tool writes a duration.
pub fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn minutes(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() / 60.0)
}

/// Reads the second line of `times`: `1m2.345s 0m0.678s`, the children's user and system time.
fn children_cpu(times: &str) -> Duration {
    let parse = |word: &str| {
        let (minutes, seconds) = word.trim_end_matches('s').split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    };
    let total: f64 = times.lines().nth(1).unwrap_or_default().split_whitespace().filter_map(parse).sum();
    Duration::try_from_secs_f64(total).unwrap_or_default()
}

/// The time that the machine's processors have worked since it started, in the kernel's hundredths of a second.
fn machine_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let idle_and_waiting: u64 = ticks.iter().skip(3).take(2).sum();
    // The last two columns, guests, are already in the first two.
    let busy = ticks.iter().take(8).sum::<u64>().saturating_sub(idle_and_waiting);
    Duration::from_millis(busy * 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_of_children_is_the_second_line_of_times() {
        let times = "0m0.004s 0m0.012s\n1m2.500s 0m1.500s\n";
        assert_eq!(children_cpu(times), Duration::from_secs(64));
    }

    #[test]
    fn unreadable_times_count_as_nothing() {
        assert_eq!(children_cpu(""), Duration::ZERO);
    }
}
