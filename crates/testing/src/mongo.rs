//! A MongoDB database for one test.

use bson::{Document, doc};

use crate::{unique_name, variable};

/// Dropped with the value.
pub struct TestMongo {
    /// Where it is, with user and password.
    pub url: String,
    name: String,
}

impl TestMongo {
    /// A database that comes into being with its first document.
    #[must_use]
    pub fn create() -> Self {
        let server = variable("SHOP_TEST_MONGODB_URL");
        let (host, options) = server.split_once("/?").unwrap_or((server.trim_end_matches('/'), ""));
        let name = unique_name();
        Self { url: format!("{host}/{name}?{options}"), name }
    }

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
            runtime.block_on(drop).map_err(std::io::Error::other)
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("the test database {} stays: {error}", self.name);
        }
    }
}
