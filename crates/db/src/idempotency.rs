//! Answers that are kept under (user, route, `Idempotency-Key`), so that a request that is sent again gets the same one.
//!
//! A use case takes the key in the transaction of its change, with the answer it is about to give: both are there, or
//! neither. So a first attempt that failed leaves nothing behind, and whoever comes with the same key meanwhile waits for
//! the transaction to end. Only what succeeded is kept: a refusal changed nothing, and may turn out otherwise next time.

use std::{borrow::Cow, time::Duration};

use shop_core::{Fault, RequestKey};
use sqlx::{
    PgConnection,
    migrate::{Migration, Migrator},
};
use uuid::Uuid;

use crate::{DbError, Served};

/// How long an answer is kept.
const KEEP: Duration = Duration::from_hours(24);
/// Answers that were kept long enough.
pub const SERVED: Served = Served { table: "idempotency_keys", key: "ctid", when: "kept_at <= now() - $1", keep: KEEP };
/// SQLSTATE of a statement that waited longer than the pool lets it.
const QUERY_CANCELED: &str = "57014";

/// This module's table and `service`'s migrations. Versions from 500 to 999 are ours.
#[must_use]
pub fn migrations_with(service: &Migrator) -> Migrator {
    let ours = sqlx::migrate!("./migrations");
    let all: Vec<Migration> = service.iter().chain(ours.iter()).cloned().collect();
    Migrator { migrations: Cow::Owned(all), ..Migrator::DEFAULT }
}

/// One request of one user.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who sent it.
    pub user: Uuid,
    /// What was asked for, for instance `POST /products`: every route has keys of its own.
    pub route: &'static str,
    /// Its key.
    pub key: &'a RequestKey,
}

impl Request<'_> {
    /// The answer it got before, if any.
    pub async fn answered(&self, connection: &mut PgConnection) -> Result<Option<String>, Fault> {
        let kept: Option<(Vec<u8>, String)> = sqlx::query_as(
            "SELECT fingerprint, answer FROM idempotency_keys
             WHERE user_id = $1 AND route = $2 AND key = $3 AND kept_at > now() - $4",
        )
        .bind(self.user)
        .bind(self.route)
        .bind(self.key.key())
        .bind(KEEP)
        .fetch_optional(connection)
        .await
        .map_err(DbError)?;
        match kept {
            Some((fingerprint, _)) if fingerprint != self.key.fingerprint() => Err(RequestKey::reused()),
            Some((_, answer)) => Ok(Some(answer)),
            None => Ok(None),
        }
    }

    /// Keeps `answer` when the transaction is committed, and gives back `None`; or gives back the answer it got before.
    /// Of two at once the second waits for the first.
    pub async fn take(&self, tx: &mut PgConnection, answer: &str) -> Result<Option<String>, Fault> {
        let done = sqlx::query(
            "INSERT INTO idempotency_keys (user_id, route, key, fingerprint, answer, kept_at) VALUES ($1, $2, $3, $4, $5, now())
             ON CONFLICT (user_id, route, key) DO UPDATE SET fingerprint = $4, answer = $5, kept_at = now()
             WHERE idempotency_keys.kept_at <= now() - $6",
        )
        .bind(self.user)
        .bind(self.route)
        .bind(self.key.key())
        .bind(self.key.fingerprint().as_slice())
        .bind(answer)
        .bind(KEEP)
        .execute(&mut *tx)
        .await
        .map_err(waited_too_long)?;
        if done.rows_affected() == 1 {
            return Ok(None);
        }
        // The conflict has locked the row, so it is still there.
        self.answered(tx).await?.map(Some).ok_or_else(RequestKey::in_progress)
    }
}

fn waited_too_long(error: sqlx::Error) -> Fault {
    match error.as_database_error().and_then(sqlx::error::DatabaseError::code) {
        Some(code) if code == QUERY_CANCELED => RequestKey::in_progress().caused_by(error),
        _ => DbError(error).into(),
    }
}
