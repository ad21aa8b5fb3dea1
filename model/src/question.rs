//! Questions that an API asks workers by the broker, and their answers: what cannot be read in Postgres. A question names things by their
//! ids; no secret is in one, nor in an answer.

use serde::{Deserialize, Serialize};

use crate::id::RegistryCredentialId;

/// The version of these forms. A worker that does not know a question says so.
pub const QUESTION_VERSION: u16 = 1;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Question {
    /// Does its registry take this credential?
    CheckCredential {
        /// Which.
        credential: RegistryCredentialId,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Reply {
    /// To [`Question::CheckCredential`].
    CredentialChecked {
        /// What came of it.
        check: CredentialCheck,
    },
    /// The worker could not tell: a sentence.
    Failed {
        /// Why.
        why: String,
    },
    /// The worker is of a version that does not know the question.
    Unknown,
}

/// What came of asking a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum CredentialCheck {
    /// The registry takes it.
    Accepted,
    /// The registry refuses it.
    Refused {
        /// In the registry's words.
        answer: String,
    },
    /// The registry did not answer.
    Unreachable {
        /// What was seen.
        answer: String,
    },
}
