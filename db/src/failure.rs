//! What a transaction can end with: a refusal that the caller reads, or Postgres saying no.

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::pooled_connection::deadpool::PoolError;
use model::Error;
use model::error::ErrorCode;
use model::id::SecretId;
use model::quota::Excess;

/// Inside transactions, both kinds travel in one type; outside it becomes a [`model::Error`].
#[derive(Debug)]
pub enum Failure {
    /// The request was refused; nothing was written.
    Refused(Error),
    /// Postgres failed, or refused what should have been allowed.
    Postgres(DieselError),
    /// One of these secrets is being given another version: to be tried again when it has it.
    SecretsBusy(Vec<SecretId>),
    /// The key that a value was sealed to is none any more: to be sealed to the one that took its place.
    KeyReplaced,
}

impl From<DieselError> for Failure {
    fn from(error: DieselError) -> Self {
        match excess(&error) {
            Some(excess) => Self::Refused(excess.into()),
            None => Self::Postgres(error),
        }
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
            Failure::KeyReplaced => Self::new(
                ErrorCode::Unavailable,
                "the key that values are sealed to is being replaced again and again: try again in a moment",
            ),
            Failure::SecretsBusy(_) => Self::new(
                ErrorCode::Unavailable,
                "a secret of the app is being given new versions one after the other: try again in a moment",
            ),
        }
    }
}

/// A diesel error as a caller sees it: what passes may be tried again, the rest is a defect.
pub(crate) fn postgres(error: DieselError) -> Error {
    match excess(&error) {
        Some(excess) => excess.into(),
        None if passes(&error) => Error::unavailable("the database", error),
        None => Error::internal(error),
    }
}

/// What would have been more than a quota, where that is why Postgres refused (migration `quotas`, `quotas_guard`).
fn excess(error: &DieselError) -> Option<Excess> {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::Unknown, info)
            if info.message() == "quota exceeded" =>
        {
            serde_json::from_str(info.details()?).ok()
        }
        _ => None,
    }
}

/// What Postgres says of a statement that may succeed when it is sent again: that the connection was
/// ended (by an administrator, a shutdown, a time limit), that somebody else held a lock for too
/// long, or that there was too much to do. diesel knows none of these codes, so the text has to do;
/// it is English, as the cluster's locale is C.
const PASSING: &[&str] = &[
    "terminating connection",
    "deadlock detected",
    "canceling statement due to lock timeout",
    "canceling statement due to statement timeout",
];

/// Whether the same statement may succeed when it is sent again.
fn passes(error: &DieselError) -> bool {
    match error {
        // diesel-async says `UnableToSendCommand` of a connection that died before an answer came.
        DieselError::DatabaseError(
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
            _,
        )
        | DieselError::BrokenTransactionManager => true,
        DieselError::DatabaseError(DatabaseErrorKind::Unknown, info) => {
            PASSING.iter().any(|text| info.message().contains(text))
        }
        DieselError::RollbackErrorOnCommit { commit_error, .. } => passes(commit_error),
        _ => false,
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

/// Whether Postgres refused a row for a foreign key of this name.
pub(crate) fn violates_foreign_key(error: &DieselError, constraint: &str) -> bool {
    matches!(error, DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, info)
        if info.constraint_name() == Some(constraint))
}

#[cfg(test)]
mod tests {
    use model::error::ErrorCode;

    use super::*;

    fn told(kind: DatabaseErrorKind, text: &str) -> DieselError {
        DieselError::DatabaseError(kind, Box::new(text.to_owned()))
    }

    #[test]
    fn what_passes_may_be_tried_again_and_a_defect_is_one() {
        use DatabaseErrorKind::{UnableToSendCommand, Unknown};

        for (kind, text) in [
            (UnableToSendCommand, "connection closed"),
            (Unknown, "terminating connection due to administrator command"),
            (Unknown, "terminating connection due to idle-in-transaction timeout"),
            (Unknown, "deadlock detected"),
            (Unknown, "canceling statement due to lock timeout"),
            (Unknown, "canceling statement due to statement timeout"),
        ] {
            assert_eq!(postgres(told(kind, text)).code, ErrorCode::Unavailable, "{text}");
        }
        let commit = DieselError::RollbackErrorOnCommit {
            rollback_error: Box::new(told(UnableToSendCommand, "connection closed")),
            commit_error: Box::new(told(UnableToSendCommand, "connection closed")),
        };
        assert_eq!(postgres(commit).code, ErrorCode::Unavailable);
        let defect = told(Unknown, "relation \"apps\" does not exist");
        assert_eq!(postgres(defect).code, ErrorCode::Internal);
    }
}
