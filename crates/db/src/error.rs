//! Database errors, as far as a service has to tell them apart.

use shop_core::Fault;

/// A statement that failed.
#[derive(Debug, thiserror::Error)]
#[error("the database refused: {0}")]
pub struct DbError(#[from] pub sqlx::Error);

impl From<DbError> for Fault {
    fn from(DbError(error): DbError) -> Self {
        if is_away(&error) { Self::unavailable("The database").caused_by(error) } else { Self::internal(error) }
    }
}

/// Whether trying again later can help: the server is gone, restarting, full, or too slow.
fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        // Classes of SQLSTATE (PostgreSQL, appendix A): connection, resources, operator intervention, transaction.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| ["08", "53", "57", "40"].iter().any(|class| code.starts_with(class)))
        }
        _ => false,
    }
}

/// Turns the violation of one named constraint into a fault of the caller's choice; every constraint has a name.
pub fn on_constraint(error: sqlx::Error, constraint: &str, fault: impl FnOnce() -> Fault) -> Fault {
    let violated = error.as_database_error().and_then(|error| error.constraint()) == Some(constraint);
    if violated { fault().caused_by(error) } else { DbError(error).into() }
}
