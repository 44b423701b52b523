//! A folder that goes with its value.

use std::path::PathBuf;
use std::{env, fs};

pub struct Folder(pub PathBuf);

impl Folder {
    /// A new one; `name` is whose it is. Process ids come again, and what a killed process left lies there still.
    pub fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("shopkeeper-{name}-{:016x}", rand::random::<u64>()));
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} stays: {error}", self.0.display());
        }
    }
}
