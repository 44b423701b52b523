//! Results that are made once: a file, and beside it the key of what it was made from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// A file that is made again only when what it is made from changes.
pub struct Cached {
    /// The file.
    pub file: PathBuf,
    key: String,
}

impl Cached {
    /// Describes `file`, made from `inputs` (versions, flags, the text of sources).
    pub fn new(file: PathBuf, inputs: &[&str]) -> Self {
        let key = hex(&Sha256::digest(inputs.join("\0")));
        Self { file, key }
    }

    /// Whether the file is there, and made from these inputs.
    pub fn is_fresh(&self) -> bool {
        self.file.exists() && fs::read_to_string(self.key_file()).is_ok_and(|key| key == self.key)
    }

    /// A path to make the file at; `keep` moves it into place, so that a killed run leaves no half-made result.
    pub fn part(&self) -> PathBuf {
        with_suffix(&self.file, ".part")
    }

    /// Moves the finished part into place.
    pub fn keep(&self) -> Result<()> {
        fs::rename(self.part(), &self.file).with_context(|| format!("cannot write {}", self.file.display()))?;
        fs::write(self.key_file(), &self.key)?;
        Ok(())
    }

    fn key_file(&self) -> PathBuf {
        with_suffix(&self.file, ".key")
    }
}

/// Lower-case hexadecimal, as image digests are written.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
