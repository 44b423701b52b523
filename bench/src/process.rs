//! Processes of others: how the images start them, and what the kernel knows of their processor time and memory.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;

/// As the images set them (`dev/xtask/src/images.rs`).
pub const ALLOCATOR: [(&str, &str); 2] = [("MIMALLOC_ALLOW_THP", "0"), ("MIMALLOC_ARENA_MAX_OBJECT_SIZE", "8192")];
/// The kernel counts processor time in hundredths of a second, on every Linux there is.
const TICK: Duration = Duration::from_millis(10);
const CGROUPS: &str = "/sys/fs/cgroup";

/// An address at which nobody listens yet.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

/// What all of it runs on, and how busy that was.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split(' ').take(3).collect();
    let model = model.trim_start_matches([' ', '\t', ':']);
    format!("{cores} cores, {model}; load average at the start {}", load.join(" "))
}

/// The time that a process has worked, all its threads together.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} is gone"))?;
    ticks(&stat).map(|ticks| TICK * ticks).with_context(|| format!("/proc/{pid}/stat cannot be read: {stat}"))
}

/// `utime` and `stime`, the 14th and 15th word; the second, the program's name, may hold spaces.
fn ticks(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ').skip(11);
    Some(words.next()?.parse::<u32>().ok()? + words.next()?.parse::<u32>().ok()?)
}

/// Resident memory in MiB: now, and at its highest.
pub fn memory(pid: u32) -> anyhow::Result<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid} is gone"))?;
    let mib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib: Option<u32> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        kib.map(|kib| f64::from(kib) / 1024.0).with_context(|| format!("/proc/{pid}/status has no {name}"))
    };
    Ok((mib("VmRSS:")?, mib("VmHWM:")?))
}

/// A container of this machine, by its cgroup.
#[derive(Clone, Debug)]
pub struct Container(PathBuf);

impl Container {
    /// Finds the container; `None` where it runs in a virtual machine or under a runtime that names cgroups otherwise.
    pub fn find(id: &str) -> Option<Self> {
        find(Path::new(CGROUPS), id, 8).map(Self)
    }

    /// The time that all processes of the container have worked.
    pub fn cpu(&self) -> Option<Duration> {
        if let Ok(nanos) = fs::read_to_string(self.0.join("cpuacct.usage")) {
            return nanos.trim().parse().ok().map(Duration::from_nanos);
        }
        let stat = fs::read_to_string(self.0.join("cpu.stat")).ok()?;
        let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
        micros.trim().parse().ok().map(Duration::from_micros)
    }
}

/// The folder of a container that counts processor time: `cpuacct` where cgroups are of version 1.
fn find(folder: &Path, id: &str, depth: u32) -> Option<PathBuf> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).ok()?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let path = entry.path();
            let counts = path.join("cpuacct.usage").exists() || path.join("cpu.stat").exists();
            if entry.file_name().to_string_lossy().contains(id) && counts {
                return Some(path);
            }
            folders.push(path);
        }
    }
    // `cpuacct` first: `cpu` has a folder of the same name, with a `cpu.stat` that says something else.
    folders.sort_by_key(|path| !path.ends_with("cpuacct"));
    if depth == 0 { None } else { folders.iter().find_map(|folder| find(folder, id, depth - 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_a_name_with_spaces_and_brackets() {
        let stat = "77 (a) b (c) S 1 77 77 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 9 0 1 2 3";
        assert_eq!(ticks(stat), Some(200));
    }

    #[test]
    fn this_process_has_memory() {
        let (now, highest) = memory(std::process::id()).unwrap();
        assert!(now > 0.0 && highest >= now);
        assert!(cpu(std::process::id()).is_ok());
    }
}
