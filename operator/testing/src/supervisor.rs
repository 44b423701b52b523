//! Programs that end with whoever started them, however that ends.

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::{fs, io::Write as _};

use anyhow::Context as _;

/// Starts a program for every line it reads. When there are no more lines, because the guard was dropped or its process was
/// killed, it ends them all and removes their folder.
const SCRIPT: &str = r#"
trap : HUP INT TERM
while IFS= read -r line; do eval "$line &"; programs="$programs $!"; done
kill -KILL $programs; wait; rm -rf "$1"
"#;
/// How much of a log a message shows.
const LAST_WORDS: usize = 2000;

/// Programs with a folder of their own; dropping it ends the programs and removes the folder.
#[derive(Debug)]
pub(crate) struct Supervisor {
    folder: PathBuf,
    shell: Child,
    lines: Option<ChildStdin>,
}

impl Supervisor {
    /// Makes the folder, which nobody else may be able to read, and supervises nothing yet.
    pub fn new(folder: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut shell = Command::new("sh");
        // They collect their garbage half as often: tests and figures have the memory, and wait for the processors.
        shell.args(["-c", SCRIPT, "sh"]).arg(&folder).env("GOGC", "200");
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let lines = shell.stdin.take();
        Ok(Self { folder, shell, lines })
    }

    /// The programs' folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts a program whose output goes to a file of its name.
    pub fn start(&mut self, name: &str, program: &Path, arguments: &[String]) -> anyhow::Result<()> {
        let words = [program.to_string_lossy().into_owned()].into_iter().chain(arguments.iter().cloned());
        let words: Vec<String> = words.map(|word| quoted(&word)).collect();
        let log = quoted(&self.log(name).to_string_lossy());
        let lines = self.lines.as_mut().context("the programs are ending")?;
        writeln!(lines, "exec {} >{log} 2>&1", words.join(" ")).with_context(|| format!("cannot start {name}"))
    }

    /// The end of what a program wrote.
    pub fn last_words(&self, name: &str) -> String {
        let log = fs::read(self.log(name)).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LAST_WORDS)..]).into_owned()
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.lines = None;
        // Without a shell there is nothing left to wait for.
        let _ = self.shell.wait();
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_started_ends_with_its_guard_and_leaves_nothing() {
        let folder = std::env::temp_dir().join(format!("shopkeeper supervisor's test {}", std::process::id()));
        let mut supervisor = Supervisor::new(folder.clone()).expect("a folder");
        let note = folder.join("id");
        let script = format!("echo $$ >\"{}\"; exec sleep 600", note.display());
        supervisor.start("sleeper", Path::new("sh"), &["-c".to_owned(), script]).expect("it starts");
        let id = loop {
            let id = fs::read_to_string(&note).unwrap_or_default();
            if id.ends_with('\n') {
                break id;
            }
            std::thread::yield_now();
        };
        let process = Path::new("/proc").join(id.trim());
        assert!(process.exists());
        drop(supervisor);
        assert!(!process.exists() && !folder.exists());
    }
}
