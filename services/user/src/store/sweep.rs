//! What has served is removed.

use bson::{Bson, Document, doc};
use futures::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::Collection;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, answer};

/// Documents that are removed at once: few enough to be done well within a query's time.
const BATCH: i64 = 500;

#[derive(Serialize, Deserialize)]
struct Key {
    #[serde(rename = "_id")]
    key: Bson,
}

impl Store {
    /// Removes a batch of what expired before `before`, and says how much that was; 0 when nothing is left. The marks go
    /// last: while a token is there, so is the mark that it was spent, or that its family is over.
    pub async fn sweep(&self, before: Timestamp) -> Result<u64, StoreError> {
        for collection in ["sessions", "links", "spent_tokens", "revoked_families", "mail_attempts"] {
            let removed = remove_expired(&self.database.collection(collection), before).await?;
            if removed > 0 {
                return Ok(removed);
            }
        }
        Ok(0)
    }
}

async fn remove_expired(collection: &Collection<Key>, before: Timestamp) -> Result<u64, StoreError> {
    let expired = doc! { "expires_at": { "$lt": bson::DateTime::from_jiff(before) } };
    let find = collection.find(expired).projection(doc! { "_id": 1 }).limit(BATCH);
    let found: Vec<Key> = answer("find expired", async { find.await?.try_collect().await }).await?;
    if found.is_empty() {
        return Ok(0);
    }
    let keys: Vec<Bson> = found.into_iter().map(|found| found.key).collect();
    let chosen: Document = doc! { "_id": { "$in": keys } };
    Ok(answer("delete expired", collection.delete_many(chosen)).await?.deleted_count)
}
