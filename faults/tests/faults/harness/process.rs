//! A service's own binary as a child process.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The child, or none while it is dead.
#[derive(Default)]
pub struct Process(Mutex<Option<Child>>);

impl Process {
    /// Starts the program, once more after it was killed.
    pub fn start(&self, program: &Program) {
        let child =
            program.command("serve").spawn().unwrap_or_else(|error| panic!("{}: {error}", program.binary.display()));
        *self.child() = Some(child);
    }

    /// SIGKILL; returns when the process is gone. One that is dead stays so.
    pub fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            // One that has just ended by itself cannot be killed, and is gone too.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Whether nobody killed it.
    pub fn is_started(&self) -> bool {
        self.child().is_some()
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a process is started with.
pub struct Program {
    pub binary: PathBuf,
    pub environment: Vec<(String, String)>,
    /// Standard output and error are appended here.
    pub log: PathBuf,
}

impl Program {
    /// Runs a subcommand that ends, to its end.
    pub async fn run(&self, subcommand: &str) {
        let mut command = self.command(subcommand);
        let ended = tokio::task::spawn_blocking(move || command.status()).await.expect("a thread");
        let ended = ended.unwrap_or_else(|error| panic!("{}: {error}", self.binary.display()));
        assert!(ended.success(), "{} {subcommand}: {ended}, see {}", self.binary.display(), self.log.display());
    }

    fn command(&self, subcommand: &str) -> Command {
        let log = File::options().create(true).append(true).open(&self.log).expect("a log file");
        let mut command = Command::new(&self.binary);
        command.arg(subcommand).env_clear().envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log file")).stderr(log);
        command
    }
}

/// The binary of a service, in the folder this test was built into.
pub fn binary(service: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this program has a path");
    let folder = test.parent().and_then(Path::parent).expect("a test lies in deps/");
    let binary = folder.join(format!("shop-{service}"));
    assert!(
        binary.is_file(),
        "{} is not there: build the services first, with `cargo build` and the flags of this test, or run `cargo xtask test`",
        binary.display()
    );
    binary
}
