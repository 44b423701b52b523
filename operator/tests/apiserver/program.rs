//! The operator's program.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::sleep;

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A call of it, with nothing in its environment but the way to the API server.
pub fn call(kubeconfig: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shopkeeper-operator"));
    command.env_clear().env("KUBECONFIG", kubeconfig).stdin(Stdio::null());
    command
}

/// The program while it runs; killed when dropped.
pub struct Program(Child);

impl Program {
    pub fn start(call: &mut Command) -> Self {
        Self(call.stdout(Stdio::null()).spawn().expect("the operator starts"))
    }

    pub fn signal(&self, signal: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Waits until it has ended, and answers whether it was content.
    pub async fn end(&mut self) -> bool {
        loop {
            if let Some(status) = self.0.try_wait().expect("a child") {
                return status.success();
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
