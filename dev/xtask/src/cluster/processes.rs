//! The cluster's own processes: started once, found again by a later run, stopped by id.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::network;
use crate::shell;

/// How long a killed process may take to go.
const PATIENCE: Duration = Duration::from_secs(5);

/// The processes whose ids are kept in one state folder.
pub struct Processes<'a> {
    /// The cluster's state folder.
    pub state: &'a Path,
}

impl Processes<'_> {
    /// Starts a process in the node's network namespace, unless it is alive. Says whether it was started.
    pub fn start(&self, name: &str, program: &Path, arguments: &[String]) -> Result<bool> {
        if self.is_alive(name) {
            return Ok(false);
        }
        let log = File::options().create(true).append(true).open(self.log(name))?;
        let inner = network::enter(&program.to_string_lossy());
        // A session of its own: neither Ctrl-C nor a closed terminal ends the cluster. Both wrappers exec, so the id is the program's.
        let child = Command::new("setsid")
            .arg(inner.get_program())
            .args(inner.get_args())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let id = child.id();
        fs::write(self.record(name), format!("{id} {}", start_time(id).unwrap_or_default()))?;
        Ok(true)
    }

    /// Whether the process that was started under this name still runs.
    pub fn is_alive(&self, name: &str) -> bool {
        self.id(name).is_some()
    }

    /// Ends the named processes, together and at once: whatever they would still write is deleted next.
    pub fn kill(&self, names: &[&str]) {
        let ids: Vec<u32> = names.iter().filter_map(|name| self.id(name)).collect();
        kill(&ids);
        for name in names {
            let _ = fs::remove_file(self.record(name));
        }
    }

    /// The last lines that a process wrote.
    pub fn last_words(&self, name: &str) -> String {
        let log = fs::read(self.log(name)).unwrap_or_default();
        shell::tail(&String::from_utf8_lossy(&log))
    }

    /// The id of the named process, when it is the one that was recorded and not a later user of the same number.
    fn id(&self, name: &str) -> Option<u32> {
        let record = fs::read_to_string(self.record(name)).ok()?;
        let (id, started) = record.split_once(' ')?;
        let id = id.parse().ok()?;
        (start_time(id)? == started).then_some(id)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.state.join("log").join(format!("{name}.log"))
    }

    fn record(&self, name: &str) -> PathBuf {
        self.state.join(format!("{name}.pid"))
    }
}

/// Ends processes at once, and waits until they are gone.
pub fn kill(ids: &[u32]) {
    if !ids.is_empty() {
        shell::succeeds(Command::new("kill").arg("-KILL").args(ids.iter().map(ToString::to_string)));
    }
    let deadline = Instant::now() + PATIENCE;
    while ids.iter().any(|id| start_time(*id).is_some()) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
}

/// Processes whose command line contains all of `words`.
pub fn find(words: &[&str]) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id: &u32| {
            let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            words.iter().all(|word| line.contains(word))
        })
        .collect()
}

/// When a live process started, in clock ticks since the machine did; nothing for one that is gone or only unburied.
fn start_time(id: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The program's name stands in brackets and may itself contain spaces and brackets.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let status = fields.next()?;
    (status != "Z").then(|| fields.nth(18).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_start_time_and_an_unused_number_has_none() {
        assert!(start_time(std::process::id()).is_some_and(|ticks| ticks.parse::<u64>().is_ok()));
        assert_eq!(start_time(u32::MAX), None);
    }

    #[test]
    fn a_killed_process_is_gone_though_nobody_waited_for_it() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep starts");
        kill(&[child.id()]);
        assert_eq!(start_time(child.id()), None);
        child.wait().expect("it ended");
    }
}
