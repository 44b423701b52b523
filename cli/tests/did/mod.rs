//! What the plugin did, for all tests that run it.

use std::process::Output;

use serde_json::Value;

/// How a run of the plugin ended, and what it said.
pub struct Did {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Did {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it was not killed"),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Did {
    /// Its output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }

    /// Its output as YAML.
    #[track_caller]
    pub fn yaml(&self) -> Value {
        serde_saphyr::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }

    /// Fails unless it ended with `code` and said `text` where people look.
    #[track_caller]
    pub fn check(&self, code: i32, text: &str) {
        let said = format!("{}{}", self.out, self.err);
        assert_eq!(self.code, code, "{said}");
        assert!(said.contains(text), "`{text}` is not in:\n{said}");
    }
}
