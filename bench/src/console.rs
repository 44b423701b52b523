//! What people see while something is measured, and what is left of it.

use std::{fs, path::Path, sync::OnceLock, time::Instant};

use anyhow::Context as _;
use serde::Serialize;

/// One line of progress with the time since the first of them.
pub fn say(step: &str) {
    static START: OnceLock<Instant> = OnceLock::new();
    let since = START.get_or_init(Instant::now).elapsed();
    eprintln!("{:>7.2} s  {step}", since.as_secs_f64());
}

/// Shows the figures, and keeps them in the folder for people (`<name>.txt`) and for programs (`<name>.json`).
pub fn publish(folder: &Path, name: &str, table: &str, figures: &impl Serialize) -> anyhow::Result<()> {
    println!("\n{table}");
    let keep = |ending: &str, content: &[u8]| {
        let file = folder.join(format!("{name}.{ending}"));
        fs::write(&file, content).with_context(|| format!("{} cannot be written", file.display()))
    };
    keep("json", &serde_json::to_vec_pretty(figures)?)?;
    keep("txt", table.as_bytes())
}
