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

    /// The same database as another user, who is kept in it.
    #[must_use]
    pub fn url_of(&self, user: &str, password: &str) -> String {
        let (_, server) = self.url.split_once('@').expect("the URL has a user");
        let (server, _) = server.split_once('/').expect("the URL has a database");
        let name = &self.name;
        format!("mongodb://{user}:{password}@{server}/{name}?authSource={name}")
    }

    /// Adds a user who is kept in it and may do everything in it.
    pub async fn add_owner(&self, user: &str, password: &str) {
        let client = mongodb::Client::with_uri_str(&self.url).await.expect("a MongoDB URL");
        let command = doc! { "createUser": user, "pwd": password, "roles": ["dbOwner"] };
        client.database(&self.name).run_command(command).await.expect("the user is made");
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
            let drop = async move {
                let database = mongodb::Client::with_uri_str(&url).await?.database(&name);
                database.run_command(doc! { "dropAllUsersFromDatabase": 1 }).await?;
                database.drop().await
            };
            runtime.block_on(drop).map_err(std::io::Error::other)
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("the test database {} stays: {error}", self.name);
        }
    }
}
