//! Mails that are not sent yet.

use bson::doc;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, answer, insert_once};
use crate::{bson_date, domain::MailRequest};

/// One attempt to send one mail.
#[derive(Serialize, Deserialize)]
pub(super) struct Attempt {
    #[serde(rename = "_id")]
    key: String,
    #[serde(with = "bson_date")]
    expires_at: Timestamp,
}

impl Store {
    /// Adds a mail to send.
    pub async fn add_mail(&self, request: &MailRequest) -> Result<(), StoreError> {
        answer("insert mails", self.mails.insert_one(request)).await.map(|_| ())
    }

    /// Mails that are to be sent now.
    pub async fn due_mails(&self, now: Timestamp, limit: i64) -> Result<Vec<MailRequest>, StoreError> {
        let due = doc! { "due_at": { "$lte": bson::DateTime::from_jiff(now) } };
        let find = self.mails.find(due).sort(doc! { "due_at": 1 }).limit(limit);
        answer("find mails", async { find.await?.try_collect().await }).await
    }

    /// Begins an attempt: `true` for one caller only. Its number is used up before it is taken, so a process that dies
    /// anywhere leaves a mail that comes up again. Who comes too late can only put the next attempt off.
    pub async fn begin_attempt(&self, request: &MailRequest, leased: &MailRequest) -> Result<bool, StoreError> {
        self.set_attempt(leased).await?;
        let attempt = Attempt { key: request.attempt_key(), expires_at: request.expires_at };
        insert_once(&self.attempts, &attempt).await
    }

    /// Says when the next attempt may begin, and its number.
    pub async fn set_attempt(&self, request: &MailRequest) -> Result<(), StoreError> {
        let due_at = bson::DateTime::from_jiff(request.due_at);
        let change = doc! { "$set": { "attempt": i64::from(request.attempt), "due_at": due_at } };
        answer("update mails", self.mails.update_one(doc! { "_id": request.id.to_string() }, change)).await.map(|_| ())
    }

    /// Forgets a mail that is sent or given up.
    pub async fn remove_mail(&self, request: &MailRequest) -> Result<(), StoreError> {
        answer("delete mails", self.mails.delete_one(doc! { "_id": request.id.to_string() })).await.map(|_| ())
    }
}
