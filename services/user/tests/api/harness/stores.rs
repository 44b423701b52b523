//! Where a test finds what the service wrote: its mailbox and its database.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use bson::{Document, doc};
use serde_json::Value;
use shop_testing::variable;
use uuid::Uuid;

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

/// A database for one test, dropped afterwards.
pub struct TestMongo {
    pub url: String,
    name: String,
}

impl TestMongo {
    pub fn create() -> Self {
        let server = variable("SHOP_TEST_MONGODB_URL");
        let (host, options) = server.split_once("/?").unwrap_or((server.trim_end_matches('/'), ""));
        let name = format!("t{}", Uuid::new_v4().simple());
        Self { url: format!("{host}/{name}?{options}"), name }
    }
}

impl TestMongo {
    /// How many documents a collection has.
    pub async fn documents(&self, collection: &str) -> u64 {
        let client = mongodb::Client::with_uri_str(&self.url).await.expect("a MongoDB URL");
        let collection = client.database(&self.name).collection::<Document>(collection);
        collection.count_documents(doc! {}).await.expect("MongoDB answers")
    }
}

impl Drop for TestMongo {
    fn drop(&mut self) {
        let (url, name) = (self.url.clone(), self.name.clone());
        // A destructor cannot await, and the test's runtime may be gone.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let drop = async move { mongodb::Client::with_uri_str(&url).await?.database(&name).drop().await };
            runtime.block_on(drop).map_err(io::Error::other)
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("the test database {} stays: {error}", self.name);
        }
    }
}
