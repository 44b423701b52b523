//! What the API server noted of a user's writes: the truth about requests, however small, and whoever sent them.

use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Seek as _, SeekFrom};
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};

/// The users whose writes are noted; tests are somebody else.
pub(crate) const USERS: [&str; 2] = ["operator", "successor"];
/// What the API server is told to note: every request that changes something, when it was answered.
pub(crate) fn policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "Metadata", "users": USERS, "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
            {"level": "None"},
        ],
    })
}

/// The writes of one user, read from the log in which the API server notes them.
#[derive(Debug)]
pub struct Audit {
    log: PathBuf,
    user: &'static str,
    read: u64,
}

impl Audit {
    pub(crate) fn new(log: PathBuf, user: &'static str) -> Self {
        Self { log, user, read: 0 }
    }

    /// Verb and resource of each write since the last call, refused and dry ones included: `patch shops/status`.
    pub fn news(&mut self) -> anyhow::Result<Vec<String>> {
        let mut log = match File::open(&self.log) {
            // It is made with the first entry.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        log.seek(SeekFrom::Start(self.read))?;
        let (mut lines, mut line, mut news) = (BufReader::new(log), String::new(), Vec::new());
        // What does not end yet is read the next time.
        while lines.read_line(&mut line)? > 0 && line.ends_with('\n') {
            self.read += u64::try_from(line.len())?;
            let (user, write) =
                write(&line).with_context(|| format!("an entry of the audit log cannot be read: {line}"))?;
            news.extend((user == self.user).then_some(write));
            line.clear();
        }
        Ok(news)
    }
}

/// Who wrote, and what.
fn write(entry: &str) -> Option<(String, String)> {
    let entry: Value = serde_json::from_str(entry).ok()?;
    let (verb, object) = (entry["verb"].as_str()?, &entry["objectRef"]);
    let resource = object["resource"].as_str()?;
    let part = object["subresource"].as_str().map_or_else(String::new, |part| format!("/{part}"));
    Some((entry["user"]["username"].as_str()?.to_owned(), format!("{verb} {resource}{part}")))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn every_write_is_news_once_and_only_when_its_line_is_whole() {
        let log = std::env::temp_dir().join(format!("shopkeeper-audit-{}", std::process::id()));
        let mut audit = Audit::new(log.clone(), "operator");
        assert!(audit.news().expect("no log yet").is_empty());
        let whole = r#"{"user":{"username":"operator"},"verb":"create","objectRef":{"resource":"secrets"}}"#;
        let other = whole.replace("operator", "successor");
        let half = r#"{"user":{"username":"operator"},"verb":"patch","objectRef":{"resource":"shops","subresource":"status"}}"#;
        let mut file = File::create(&log).expect("a log");
        write!(file, "{other}\n{whole}\n{half}").expect("entries");
        assert_eq!(audit.news().expect("a log"), ["create secrets"]);
        writeln!(file).expect("the rest");
        assert_eq!(audit.news().expect("a log"), ["patch shops/status"]);
        assert!(audit.news().expect("a log").is_empty());
        fs::remove_file(log).expect("a log");
    }
}
