//! Where a test finds the mails that the service wrote.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use serde_json::Value;

/// The lines of the log mailer.
#[derive(Clone, Default)]
pub struct Mailbox(Arc<Mutex<Vec<u8>>>);

impl Mailbox {
    pub fn to(&self, email: &str) -> Vec<Value> {
        let bytes = self.0.lock().expect("no test panics with the mailbox").clone();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mails = lines.map(|line| serde_json::from_slice::<Value>(line).expect("a mail is a line of JSON"));
        mails.filter(|mail| mail["to"] == email).collect()
    }
}

impl Write for Mailbox {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test panics with the mailbox").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
