//! kubectl and helm, pointed at one cluster.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::shell;

/// Both tools with the cluster's environment.
pub struct Kubectl {
    /// KUBECONFIG, PATH and the Shop's variables.
    pub environment: Vec<(&'static str, String)>,
}

impl Kubectl {
    /// A kubectl command.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.tool("kubectl", arguments)
    }

    /// Any program with the cluster's environment.
    pub fn tool(&self, program: &str, arguments: &[&str]) -> Command {
        let path = self
            .environment
            .iter()
            .find(|(name, _)| *name == "PATH")
            .map(|(_, value)| value.as_str())
            .unwrap_or_default();
        // The PATH of a child is not where the operating system looks for the child itself.
        let found = std::env::split_paths(path).map(|folder| folder.join(program)).find(|file| file.is_file());
        let mut command = Command::new(found.unwrap_or_else(|| program.into()));
        command.args(arguments).envs(self.environment.iter().cloned());
        command
    }

    /// Runs kubectl to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<()> {
        shell::run(&mut self.command(arguments))
    }

    /// Applies manifests.
    pub fn apply(&self, manifests: &str) -> Result<()> {
        let arguments = ["apply", "--server-side", "--force-conflicts", "--field-manager=xtask", "-f", "-"];
        shell::run_with_input(&mut self.command(&arguments), manifests).map(drop)
    }

    /// What the API server answers, as a value.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = shell::output(&mut self.command(&[arguments, &["-o", "json"]].concat()))?;
        serde_json::from_str(&text).context("kubectl printed something else than JSON")
    }

    /// The items of a list.
    pub fn list(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        Ok(self.json(&[&["get"], arguments].concat())?["items"].as_array().cloned().unwrap_or_default())
    }
}
