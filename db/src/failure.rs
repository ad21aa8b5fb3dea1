//! What a transaction can end with: a refusal that the caller reads, or Postgres saying no.

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::pooled_connection::deadpool::PoolError;
use model::Error;

/// Inside transactions, both kinds travel in one type; outside it becomes a [`model::Error`].
#[derive(Debug)]
pub enum Failure {
    /// The request was refused; nothing was written.
    Refused(Error),
    /// Postgres failed, or refused what should have been allowed.
    Postgres(DieselError),
}

impl From<DieselError> for Failure {
    fn from(error: DieselError) -> Self {
        Self::Postgres(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => error,
            Failure::Postgres(error) => postgres(error),
        }
    }
}

/// A diesel error as a caller sees it: a lost connection may be tried again, the rest is a defect.
pub(crate) fn postgres(error: DieselError) -> Error {
    match &error {
        DieselError::DatabaseError(DatabaseErrorKind::ClosedConnection, _)
        | DieselError::BrokenTransactionManager => Error::unavailable("the database", error),
        // tokio-postgres reports a connection that died under a query as `Unknown` and in text only.
        DieselError::DatabaseError(DatabaseErrorKind::Unknown, info)
            if info.message().contains("connection closed")
                || info.message().contains("terminating connection") =>
        {
            Error::unavailable("the database", error)
        }
        _ => Error::internal(error),
    }
}

/// No connection could be had in time.
pub(crate) fn pool(error: PoolError) -> Error {
    Error::unavailable("the database", error)
}

/// Whether Postgres refused a row for a unique constraint or index of this name.
pub(crate) fn violates_unique(error: &DieselError, constraint: &str) -> bool {
    matches!(error, DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info)
        if info.constraint_name() == Some(constraint))
}
