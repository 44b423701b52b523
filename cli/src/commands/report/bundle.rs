//! The files of a report, and the archive of them.

use std::fmt::Write as _;
use std::io;

use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tar::{Builder, Header};

use crate::redact::{Redactor, SHORTEST, SHORTEST_WORD};

const MANIFEST: &str = "MANIFEST.txt";

/// What was collected. Nothing gets in without being redacted.
pub struct Bundle {
    files: Vec<File>,
    /// What could not be collected, and why, in the words of others.
    pub missing: Vec<String>,
    redactor: Redactor,
}

/// What is in it, and what is not.
#[derive(Serialize)]
pub struct Contents {
    /// Its files, in the order of the archive.
    pub files: Vec<Entry>,
    /// What could not be collected, and why.
    pub missing: Vec<String>,
}

/// One file of it.
#[derive(Serialize)]
pub struct Entry {
    /// Where it is, below the folder of the Shop's name.
    pub path: String,
    /// What it is.
    pub about: String,
    /// How long it is.
    pub bytes: usize,
}

struct File {
    path: String,
    about: String,
    text: String,
}

impl Bundle {
    /// An empty one.
    pub fn new(redactor: Redactor) -> Self {
        Self { files: Vec::new(), missing: Vec::new(), redactor }
    }

    /// The list of what is in it.
    pub fn contents(&self) -> Contents {
        let entry =
            |File { path, about, text }: &File| Entry { path: path.clone(), about: about.clone(), bytes: text.len() };
        Contents {
            files: self.files.iter().map(entry).collect(),
            missing: self.missing.iter().map(|missing| self.redactor.text(missing)).collect(),
        }
    }

    /// Adds a log, or what else is lines.
    pub fn text(&mut self, path: &str, about: &str, text: &str) {
        let text = self.redactor.text(text);
        self.push(path, about, text);
    }

    /// Adds an object.
    pub fn object(&mut self, path: &str, about: &str, object: &impl Serialize) -> anyhow::Result<()> {
        let mut object: Value = serde_json::to_value(object)?;
        self.redactor.object(&mut object);
        // Once more as a whole: a value of a Secret could be a key, or a number.
        let text = self.redactor.without_known(&serde_saphyr::to_string(&object)?);
        self.push(path, about, text);
        Ok(())
    }

    /// Objects are called what people like.
    fn push(&mut self, path: &str, about: &str, text: String) {
        let (path, about) = (self.redactor.without_known(path), self.redactor.without_known(about));
        self.files.push(File { path, about, text });
    }

    /// The archive: a folder of the Shop's name, with a list of what is in it.
    pub fn archive(&self, folder: &str, now: Timestamp) -> io::Result<Vec<u8>> {
        let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        let manifest = File { path: MANIFEST.to_owned(), about: String::new(), text: self.manifest(now) };
        for file in [&manifest].into_iter().chain(&self.files) {
            let mut header = Header::new_gnu();
            header.set_size(file.text.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(u64::try_from(now.as_second()).unwrap_or_default());
            archive.append_data(&mut header, format!("{folder}/{}", file.path), file.text.as_bytes())?;
        }
        archive.into_inner()?.finish()
    }

    fn manifest(&self, now: Timestamp) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let Contents { files, missing } = self.contents();
        let mut text = format!("Made by kubectl shopkeeper {version} at {now:.0}.\n\n");
        for Entry { path, about, bytes } in files {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{bytes:>9}  {path}: {about}");
        }
        let _ = write!(
            text,
            "\nOf Secrets there are names, keys and sizes. Elsewhere, values of the Shop's Secrets (from {SHORTEST} characters \
             on, plain, in base64,\nor encoded for URLs or JSON; from {SHORTEST_WORD} on, as words, where a key or a URL calls them secret), credentials in \
             URLs, tokens, private keys and what is called a password,\na secret or a token were replaced by ***. User names, \
             hosts and certificates stay.\n"
        );
        if !missing.is_empty() {
            text += "\nNot in it:\n";
            text.extend(missing.iter().map(|missing| format!("  {missing}\n")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use k8s_openapi::api::core::v1::Secret;
    use serde_json::json;

    use super::*;
    use crate::redact::outline;

    const CANARY: &str = "cAnAry-7f3a91";

    /// Path and text of everything in the archive.
    fn unpacked(bundle: &Bundle) -> Vec<(String, String)> {
        let archive = bundle.archive("acorn", "2026-01-01T00:00:00Z".parse().unwrap()).unwrap();
        let mut archive = tar::Archive::new(GzDecoder::new(&archive[..]));
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (path, text)
        });
        entries.collect()
    }

    #[test]
    fn a_canary_gets_in_nowhere_and_the_manifest_lists_what_did() {
        let secret: Secret =
            serde_json::from_value(json!({"metadata": {"name": "s"}, "data": {"password": "Y0FuQXJ5LTdmM2E5MQ=="}}))
                .unwrap();
        let mut bundle = Bundle::new(Redactor::new(std::slice::from_ref(&secret)).unwrap());
        bundle.object("secrets/s.yaml", "the Secret", &outline(&secret)).unwrap();
        let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": CANARY, CANARY: "a key"});
        bundle.object("objects/a.yaml", "an object", &json!({"metadata": {"annotations": annotations}})).unwrap();
        bundle.text("logs/a.log", "its log", &format!("url=postgres://u:{CANARY}@h\nplain {CANARY}\nready\n"));
        bundle.text(&format!("logs/{CANARY}.log"), "the log of an imprudent name", "");
        bundle.missing.push("nodes: you may not list them".to_owned());
        bundle.missing.push(format!("metrics: {CANARY} was refused"));

        let files = unpacked(&bundle);
        let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "acorn/MANIFEST.txt",
                "acorn/secrets/s.yaml",
                "acorn/objects/a.yaml",
                "acorn/logs/a.log",
                "acorn/logs/***.log"
            ]
        );
        for (path, text) in &files {
            assert!(!text.contains(CANARY), "{path}: {text}");
        }
        let contents = serde_json::to_value(bundle.contents()).unwrap();
        assert!(!contents.to_string().contains(CANARY), "{contents}");
        let log = json!({"path": "logs/a.log", "about": "its log", "bytes": files[3].1.len()});
        assert_eq!(contents["files"][2], log);
        assert_eq!(contents["missing"], json!(["nodes: you may not list them", "metrics: *** was refused"]));
        let manifest = &files[0].1;
        assert!(manifest.contains("logs/a.log: its log"), "{manifest}");
        assert!(manifest.contains("Not in it:\n  nodes: you may not list them"), "{manifest}");
        assert_eq!(files[3].1, "url=postgres://***@h\nplain ***\nready\n");
    }
}
