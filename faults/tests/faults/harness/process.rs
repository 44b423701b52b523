//! A service's own binary as a child process, or the service inside this one.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use shop_testing::TestWorld;

use super::inside::Inside;

/// What runs the service; nothing while it is dead.
#[derive(Default)]
pub struct Process(Mutex<Option<Life>>);

enum Life {
    Child(Child),
    Inside(Inside),
}

impl Process {
    /// Starts the program, once more after it was killed.
    pub fn start(&self, program: &Program) {
        let life = match &program.clock {
            Some(clock) => Life::Inside(Inside::start(program.service, &program.environment, Arc::clone(clock))),
            None => Life::Child(
                program
                    .command("serve")
                    .spawn()
                    .unwrap_or_else(|error| panic!("{}: {error}", program.binary.display())),
            ),
        };
        *self.life() = Some(life);
    }

    /// SIGKILL; returns when the process is gone. One that is dead stays so, and one inside this process only ends.
    pub fn kill(&self) {
        match self.life().take() {
            Some(Life::Child(mut child)) => {
                // One that has just ended by itself cannot be killed, and is gone too.
                let _ = child.kill();
                let _ = child.wait();
            }
            Some(Life::Inside(inside)) => inside.end(),
            None => {}
        }
    }

    /// Whether nobody killed it.
    pub fn is_started(&self) -> bool {
        self.life().is_some()
    }

    fn life(&self) -> MutexGuard<'_, Option<Life>> {
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
    pub service: &'static str,
    pub binary: PathBuf,
    pub environment: Vec<(String, String)>,
    /// Standard output and error are appended here.
    pub log: PathBuf,
    /// With a clock of its own it runs inside this process.
    pub clock: Option<Arc<TestWorld>>,
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
