//! How a password is tried: looked at whether one may, queued, counted, hashed, written down. Every way to
//! prove who one is by a password goes through here.

use db::logins::{Proven, invalid_credentials, login_may_try, login_refused, login_try};
use model::email::Email;
use model::error::ErrorCode;
use model::{Error, Result};
use secrecy::SecretString;

use crate::state::State;

/// Whoever knows the password of this email. The same error, after as much work, for an email that nobody
/// has; `refused` names a failure in the audit log.
pub(crate) async fn prove(
    state: &State,
    email: &Email,
    password: SecretString,
    refused: &str,
    request: &db::Request,
) -> Result<Proven> {
    let database = &state.database;
    // Whoever has to wait takes nobody's place in the queue.
    login_may_try(database, email).await?;
    let turn = state.hashing.turn().await?;
    let attempt = login_try(database, email).await?;
    let right = turn.verify(password, attempt.hash()).await?;
    let proven = right.and_then(|right| attempt.proven(right.renewed));
    let error = match proven {
        Some(proven) if !attempt.is_disabled() => return Ok(proven),
        Some(_) => {
            let message = "you are shut out of this platform; ask who operates it why";
            Error::new(ErrorCode::Forbidden, message)
        }
        None => invalid_credentials(),
    };
    login_refused(database, &attempt, refused, request).await?;
    Err(error)
}
