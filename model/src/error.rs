//! The one error type that crosses crate borders. It carries two messages that cannot be confused:
//! `message` is written for the person outside and may be sent to anyone; the `source` chain is
//! for the operator's log and never leaves the process.

use std::error::Error as StdError;
use std::fmt;

use serde::Serialize;

use crate::quota::Excess;
use crate::text_enum::text_enum;

/// Result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

text_enum! {
    /// Stable codes of the API's problem documents. A code is never renamed.
    pub enum ErrorCode {
        /// A field breaks a rule; `violations` says which.
        Invalid => "invalid",
        /// No valid token was given.
        Unauthenticated => "unauthenticated",
        /// Email and password are not somebody's.
        InvalidCredentials => "invalid_credentials",
        /// Too many wrong passwords came for this email; `Retry-After` says when to try again.
        TooManyAttempts => "too_many_attempts",
        /// The token, or the address, has asked as often in this minute as it may; `Retry-After` says when the next one begins.
        RateLimited => "rate_limited",
        /// The token is valid and does not reach this.
        Forbidden => "forbidden",
        /// The organization is suspended: it may be read and not changed.
        OrganizationSuspended => "organization_suspended",
        /// There is no such thing, or it is another tenant's.
        NotFound => "not_found",
        /// The path exists, the method does not.
        MethodNotAllowed => "method_not_allowed",
        /// The name is taken.
        AlreadyExists => "already_exists",
        /// The thing is still in use.
        InUse => "in_use",
        /// It ends with what it belongs to, and not before.
        NotRemovable => "not_removable",
        /// There are as many as there may be.
        TooMany => "too_many",
        /// The organization may not use as much; `quota` says of what, the limit, the use and what was asked for.
        QuotaExceeded => "quota_exceeded",
        /// An organization keeps at least one owner.
        LastOwner => "last_owner",
        /// The token does not work any more, was rotated before, or is a session.
        NotRotatable => "not_rotatable",
        /// The app has no release that could be acted upon.
        NothingDeployed => "nothing_deployed",
        /// The release never ran, or is past retention.
        NotDeployable => "not_deployable",
        /// The app is stopped.
        AppStopped => "app_stopped",
        /// The deployment has ended, or is past the point where it could be withdrawn.
        NotCancelable => "not_cancelable",
        /// What is asked for is what runs.
        AlreadyLive => "already_live",
        /// The app is being removed.
        BeingRemoved => "being_removed",
        /// No subnet of the asked size is left in the platform's pools.
        SubnetsExhausted => "subnets_exhausted",
        /// The environment's network has too few addresses left.
        NetworkFull => "network_full",
        /// A range overlaps another one.
        Overlap => "overlap",
        /// The thing is not as the request's `If-Match` expects it.
        PreconditionFailed => "precondition_failed",
        /// The same idempotency key came with another request.
        IdempotencyKeyReused => "idempotency_key_reused",
        /// A request with the same idempotency key has no answer yet.
        IdempotencyKeyInFlight => "idempotency_key_in_flight",
        /// The body is larger than the endpoint takes.
        TooLarge => "too_large",
        /// Nothing that the endpoint answers is of a media type that the request accepts.
        NotAcceptable => "not_acceptable",
        /// The body took longer to come than the platform waits.
        RequestTimeout => "request_timeout",
        /// The body is not of a media type that the endpoint takes.
        UnsupportedMediaType => "unsupported_media_type",
        /// Too many requests are in progress; try again.
        Overloaded => "overloaded",
        /// Too many passwords are waiting to be checked; try again.
        LoginsOverloaded => "logins_overloaded",
        /// A part of the platform that this needs does not answer.
        Unavailable => "unavailable",
        /// The request took longer than the platform allows.
        TimedOut => "timed_out",
        /// A defect of the platform. The request id finds it in the log.
        Internal => "internal",
    }
}

/// One broken rule: which field, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Path of the field in the request, dotted (`health_check.path`).
    pub field: String,
    /// The rule, as a sentence fragment that completes "must be …" or stands alone.
    pub rule: String,
}

impl Violation {
    /// A broken rule of one field.
    pub fn new(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { field: field.into(), rule: rule.into() }
    }
}

/// What went wrong, for the caller (`code`, `message`, `violations`) and for the log (`source`).
#[derive(Debug)]
pub struct Error {
    /// The stable code.
    pub code: ErrorCode,
    /// One sentence for the person outside: what happened, why, what to do next.
    pub message: String,
    /// The fields at fault, for [`ErrorCode::Invalid`].
    pub violations: Vec<Violation>,
    /// Seconds to wait before trying again, where that is known.
    pub retry_after: Option<u64>,
    /// What would have been more than a quota, for [`ErrorCode::QuotaExceeded`].
    pub excess: Option<Excess>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error that is the caller's to mend.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            violations: Vec::new(),
            retry_after: None,
            excess: None,
            source: None,
        }
    }

    /// Rules were broken; the list must not be empty.
    pub fn invalid(violations: Vec<Violation>) -> Self {
        let message = match violations.as_slice() {
            [one] => format!("{}: {}", one.field, one.rule),
            many => format!("{} fields break a rule", many.len()),
        };
        Self { violations, ..Self::new(ErrorCode::Invalid, message) }
    }

    /// Too many passwords were wrong; the next is looked at after so many seconds.
    pub fn too_many_attempts(seconds: u64) -> Self {
        let message = format!(
            "too many wrong passwords came for this email address: wait {seconds} s before the next"
        );
        Self { retry_after: Some(seconds), ..Self::new(ErrorCode::TooManyAttempts, message) }
    }

    /// There is no such `what` within the caller's reach.
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("no such {what}"))
    }

    /// A defect of the platform: the caller learns nothing but that, the log gets the chain.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            code: ErrorCode::Internal,
            message: "the platform failed; the request id finds the cause in its log".into(),
            violations: Vec::new(),
            retry_after: None,
            excess: None,
            source: Some(source.into()),
        }
    }

    /// A part of the platform does not answer: the caller may try again.
    pub fn unavailable(part: &str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            code: ErrorCode::Unavailable,
            message: format!("{part} does not answer; try again"),
            violations: Vec::new(),
            retry_after: None,
            excess: None,
            source: Some(source.into()),
        }
    }

    /// The whole chain on one line, for the log.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error and its sources on one line.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let cause = source.to_string();
        // Many libraries repeat their source in their own message: say it once.
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = source.source();
    }
    text
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}
