//! Programs that people run on a cluster: `helm` and `kubectl`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use tokio::task::spawn_blocking;

/// Runs a program to its end, without standing in the way of those who buy.
pub async fn run(program: &'static str, arguments: &[&str], input: &str) {
    let outcome = attempt(program, arguments, input).await;
    outcome.unwrap_or_else(|said| panic!("{program} {arguments:?}: {said}"));
}

/// The same for one that may fail. Gives back what it said when it did.
pub async fn attempt(program: &'static str, arguments: &[&str], input: &str) -> Result<(), String> {
    let words: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    let input = input.to_owned();
    spawn_blocking(move || output(program, &words, &input)).await.expect("it runs")
}

/// The same while nobody else waits.
pub fn output<A: AsRef<std::ffi::OsStr>>(program: &str, arguments: &[A], input: &str) -> Result<(), String> {
    let mut command = Command::new(program);
    let piped = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().map_err(|error| format!("{error}; `cargo xtask env` puts it on the PATH"))?;
    let mut pipe = child.stdin.take().ok_or("it has no input")?;
    pipe.write_all(input.as_bytes()).map_err(|error| error.to_string())?;
    drop(pipe);
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}
