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
pub(crate) fn is_away(error: &sqlx::Error) -> bool {
    match error {
        // Of a server that goes away while it is greeted, sqlx takes the end of the stream for a wrong answer.
        sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // Classes of SQLSTATE (PostgreSQL, appendix A): connection, resources, operator intervention, transaction.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| ["08", "53", "57", "40"].iter().any(|class| code.starts_with(class)))
        }
        _ => false,
    }
}

/// Whether a statement failed by this constraint.
#[must_use]
pub fn violates(error: &sqlx::Error, constraint: &str) -> bool {
    error.as_database_error().and_then(|error| error.constraint()) == Some(constraint)
}

/// Turns the violation of one named constraint into a fault of the caller's choice; every constraint has a name.
pub fn on_constraint(error: sqlx::Error, constraint: &str, fault: impl FnOnce() -> Fault) -> Fault {
    if violates(&error, constraint) { fault().caused_by(error) } else { DbError(error).into() }
}

#[cfg(test)]
mod tests {
    use shop_core::Kind;

    use super::*;

    #[test]
    fn a_server_that_goes_away_while_it_is_greeted_is_away_and_a_wrong_statement_is_our_mistake() {
        let kind = |error| Fault::from(DbError(error)).kind();
        let greeted = sqlx::Error::Protocol("unexpected response from SSLRequest: 0x00".to_owned());
        assert!(matches!(kind(greeted), Kind::Unavailable { .. }));
        assert!(matches!(kind(sqlx::Error::RowNotFound), Kind::Internal));
    }
}
