//! What is kept in MongoDB, one function a query. Inserts under a unique key decide what happens once.
//!
//! Every key is text, and what is looked up most is looked up by key alone: the stand-in of the local cluster has no other
//! index that helps a read.

mod logins;
mod mails;
mod sweep;

use std::{future::IntoFuture, time::Duration};

use bson::{Document, doc};
use futures::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::{
    Client, Collection, Database, IndexModel,
    error::{ErrorKind, WriteFailure},
    options::{ClientOptions, IndexOptions},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tracing::Instrument as _;
use uuid::Uuid;

pub use self::logins::Logins;

use self::mails::Attempt;
use crate::{
    bson_date,
    domain::{Account, Email, Fact, Facts, Link, MailRequest, Session, TokenHash},
};

/// Few, because a service is one of many that share the server.
const POOL: u32 = 8;
/// A request that waits longer for a server is better refused.
const FIND_SERVER: Duration = Duration::from_secs(2);
/// Longer than any operation of ours; the driver itself would wait for a server that hangs for ever.
const OPERATION: Duration = Duration::from_secs(5);
/// The server's code for a key that is there already.
const DUPLICATE_KEY: i32 = 11_000;

/// An operation that failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The server or the driver refused.
    #[error("MongoDB: {}", cause(&.0.kind.to_string()))]
    Refused(#[from] mongodb::error::Error),
    /// Nobody answered.
    #[error("MongoDB did not answer within {OPERATION:?}")]
    Silent,
    /// An address that is to say who logs in says nothing of it.
    #[error("the address of MongoDB names no user with a password")]
    Nobody,
}

/// What went wrong, without the picture of all servers that the driver puts around what one of them said.
fn cause(text: &str) -> &str {
    let Some((_, told)) = text.rsplit_once("Error: Kind: ") else { return text };
    told.split_once(", labels: ").map_or(told, |(told, _)| told)
}

impl StoreError {
    /// Whether trying again later can help.
    #[must_use]
    pub fn is_away(&self) -> bool {
        match self {
            Self::Silent => true,
            Self::Nobody => false,
            Self::Refused(error) => matches!(
                *error.kind,
                ErrorKind::ServerSelection { .. }
                    | ErrorKind::Io(_)
                    | ErrorKind::ConnectionPoolCleared { .. }
                    | ErrorKind::DnsResolve { .. }
                    | ErrorKind::Authentication { .. }
            ),
        }
    }

    fn is_duplicate(&self) -> bool {
        let Self::Refused(error) = self else { return false };
        matches!(&*error.kind, ErrorKind::Write(WriteFailure::WriteError(error)) if error.code == DUPLICATE_KEY)
    }
}

/// The service's database; a clone shares the connections.
#[derive(Clone)]
pub struct Store {
    database: Database,
    accounts: Collection<Account>,
    facts: Collection<FactRecord>,
    sessions: Collection<Session>,
    links: Collection<Link>,
    spent: Collection<Spent>,
    revoked: Collection<Revoked>,
    mails: Collection<MailRequest>,
    attempts: Collection<Attempt>,
}

/// One thing that became true of one account.
#[derive(Serialize, Deserialize)]
struct FactRecord {
    #[serde(rename = "_id")]
    key: String,
    #[serde(with = "uuid::serde::hyphenated")]
    user: Uuid,
    fact: Fact,
    #[serde(with = "bson_date")]
    since: Timestamp,
}

/// A token that has been used.
#[derive(Serialize, Deserialize)]
struct Spent {
    #[serde(rename = "_id")]
    hash: TokenHash,
    /// Finer than a BSON date: who comes after it is told from who came at the same time.
    at_micros: i64,
    #[serde(with = "bson_date")]
    expires_at: Timestamp,
}

/// A family of refresh tokens that is over.
#[derive(Serialize, Deserialize)]
struct Revoked {
    #[serde(rename = "_id", with = "uuid::serde::hyphenated")]
    family: Uuid,
    #[serde(with = "bson_date")]
    expires_at: Timestamp,
}

/// Which part of all accounts.
#[derive(Clone, Debug)]
pub struct Page {
    /// Only the account with this address.
    pub email: Option<Email>,
    /// Only accounts made after this one.
    pub after: Option<Uuid>,
    /// How many to leave out.
    pub skip: u64,
    /// How many at most.
    pub limit: i64,
}

impl Store {
    /// The database the URL names. Does not connect yet.
    pub async fn open(url: &SecretString) -> Result<Self, StoreError> {
        let options = options(url).await?;
        let name = database_of(&options);
        let database = Client::with_options(options)?.database(&name);
        Ok(Self {
            accounts: database.collection("accounts"),
            facts: database.collection("facts"),
            sessions: database.collection("sessions"),
            links: database.collection("links"),
            spent: database.collection("spent_tokens"),
            revoked: database.collection("revoked_families"),
            mails: database.collection("mails"),
            attempts: database.collection("mail_attempts"),
            database,
        })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        answer("ping", self.database.run_command(doc! { "ping": 1 })).await.map(|_| ())
    }

    /// Makes the indexes; those that are there stay.
    pub async fn create_indexes(&self) -> Result<(), StoreError> {
        let index = |keys: Document, unique: bool| {
            IndexModel::builder().keys(keys).options(IndexOptions::builder().unique(unique).build()).build()
        };
        let by_expiry = || index(doc! { "expires_at": 1 }, false);
        answer("createIndexes", self.accounts.create_index(index(doc! { "email": 1 }, true))).await?;
        answer("createIndexes", self.facts.create_index(index(doc! { "user": 1 }, false))).await?;
        answer("createIndexes", self.sessions.create_index(by_expiry())).await?;
        answer("createIndexes", self.links.create_index(by_expiry())).await?;
        answer("createIndexes", self.spent.create_index(by_expiry())).await?;
        answer("createIndexes", self.revoked.create_index(by_expiry())).await?;
        answer("createIndexes", self.attempts.create_index(by_expiry())).await?;
        answer("createIndexes", self.mails.create_index(index(doc! { "due_at": 1 }, false))).await.map(|_| ())
    }

    /// Adds an account; `false` when its address has one.
    pub async fn add_account(&self, account: &Account) -> Result<bool, StoreError> {
        insert_once(&self.accounts, account).await
    }

    /// The account with this id.
    pub async fn account(&self, id: Uuid) -> Result<Option<Account>, StoreError> {
        answer("find accounts", self.accounts.find_one(doc! { "_id": id.to_string() })).await
    }

    /// The account with this address.
    pub async fn account_of(&self, email: &Email) -> Result<Option<Account>, StoreError> {
        answer("find accounts", self.accounts.find_one(doc! { "email": email.as_str() })).await
    }

    /// A page of all accounts, oldest first, and how many there are.
    pub async fn accounts(&self, page: &Page) -> Result<(Vec<Account>, u64), StoreError> {
        let mut filter = Document::new();
        if let Some(email) = &page.email {
            filter.insert("email", email.as_str());
        }
        let total = answer("count accounts", self.accounts.count_documents(filter.clone())).await?;
        if let Some(after) = page.after {
            filter.insert("_id", doc! { "$gt": after.to_string() });
        }
        let find = self.accounts.find(filter).sort(doc! { "_id": 1 }).skip(page.skip).limit(page.limit);
        let accounts = answer("find accounts", async { find.await?.try_collect().await }).await?;
        Ok((accounts, total))
    }

    /// Changes an account's password.
    pub async fn set_password(&self, user: Uuid, hash: &str) -> Result<(), StoreError> {
        let change = doc! { "$set": { "password": hash } };
        answer("update accounts", self.accounts.update_one(doc! { "_id": user.to_string() }, change)).await.map(|_| ())
    }

    /// Makes `fact` true of an account; again is as good.
    pub async fn establish(&self, user: Uuid, fact: Fact, since: Timestamp) -> Result<(), StoreError> {
        let record = FactRecord { key: format!("{user}:{}", fact.name()), user, fact, since };
        insert_once(&self.facts, &record).await.map(|_| ())
    }

    /// What is true of an account.
    pub async fn facts(&self, user: Uuid) -> Result<Facts, StoreError> {
        let facts = self.facts_of(&[user]).await?;
        Ok(Facts(facts.into_iter().map(|(_, fact)| fact).collect()))
    }

    /// What is true of several accounts.
    pub async fn facts_of(&self, users: &[Uuid]) -> Result<Vec<(Uuid, Fact)>, StoreError> {
        let users: Vec<String> = users.iter().map(Uuid::to_string).collect();
        let find = self.facts.find(doc! { "user": { "$in": users } });
        let records: Vec<FactRecord> = answer("find facts", async { find.await?.try_collect().await }).await?;
        Ok(records.into_iter().map(|record| (record.user, record.fact)).collect())
    }

    /// Adds a refresh token.
    pub async fn add_session(&self, session: &Session) -> Result<(), StoreError> {
        answer("insert sessions", self.sessions.insert_one(session)).await.map(|_| ())
    }

    /// The refresh token with this hash.
    pub async fn session(&self, hash: &TokenHash) -> Result<Option<Session>, StoreError> {
        answer("find sessions", self.sessions.find_one(doc! { "_id": hash.as_str() })).await
    }

    /// Ends a family of refresh tokens; again is as good.
    pub async fn revoke(&self, session: &Session) -> Result<(), StoreError> {
        let record = Revoked { family: session.family, expires_at: session.ends_at };
        insert_once(&self.revoked, &record).await.map(|_| ())
    }

    /// Whether a family of refresh tokens is over.
    pub async fn is_revoked(&self, family: Uuid) -> Result<bool, StoreError> {
        let found = answer("find revoked_families", self.revoked.find_one(doc! { "_id": family.to_string() })).await?;
        Ok(found.is_some())
    }

    /// Adds a link of a mail.
    pub async fn add_link(&self, link: &Link) -> Result<(), StoreError> {
        answer("insert links", self.links.insert_one(link)).await.map(|_| ())
    }

    /// The link with this hash.
    pub async fn link(&self, hash: &TokenHash) -> Result<Option<Link>, StoreError> {
        answer("find links", self.links.find_one(doc! { "_id": hash.as_str() })).await
    }

    /// Uses a token up: `true` for one caller only, whoever else tries at the same time.
    pub async fn spend(&self, hash: &TokenHash, expires_at: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let record = Spent { hash: hash.clone(), at_micros: now.as_microsecond(), expires_at };
        insert_once(&self.spent, &record).await
    }

    /// When a token was used up, in microseconds.
    pub async fn spent_at_micros(&self, hash: &TokenHash) -> Result<Option<i64>, StoreError> {
        let spent = answer("find spent_tokens", self.spent.find_one(doc! { "_id": hash.as_str() })).await?;
        Ok(spent.map(|spent| spent.at_micros))
    }
}

/// How the server is connected to.
async fn options(url: &SecretString) -> Result<ClientOptions, StoreError> {
    let mut options = ClientOptions::parse(url.expose_secret()).await?;
    options.app_name = Some("user".to_owned());
    options.max_pool_size = Some(POOL);
    options.server_selection_timeout = Some(FIND_SERVER);
    options.connect_timeout = Some(FIND_SERVER);
    Ok(options)
}

/// The database that an address names.
fn database_of(options: &ClientOptions) -> String {
    options.default_database.clone().unwrap_or_else(|| "user".to_owned())
}

/// Inserts under a unique key; `false` when the key was there.
async fn insert_once<T: Serialize + Send + Sync>(collection: &Collection<T>, record: &T) -> Result<bool, StoreError> {
    match answer("insert", collection.insert_one(record)).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_duplicate() => Ok(false),
        Err(error) => Err(error),
    }
}

async fn answer<T>(
    summary: &'static str,
    operation: impl IntoFuture<Output = mongodb::error::Result<T>>,
) -> Result<T, StoreError> {
    let span = shop_telemetry::command_span("mongodb", summary);
    match tokio::time::timeout(OPERATION, operation).instrument(span).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(StoreError::Silent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_server_that_cannot_be_used_is_why() {
        let told = "Server selection timeout: No available servers. Topology: { Type: Unknown, Servers: [ { Address: \
                    nuts.test:27017, Type: Unknown, Error: Kind: I/O error: invalid peer certificate: UnknownIssuer, \
                    labels: {}, source: None, server response: None } ] }";
        assert_eq!(cause(told), "I/O error: invalid peer certificate: UnknownIssuer");
        assert_eq!(cause("SCRAM failure: bad auth"), "SCRAM failure: bad auth");
    }
}
