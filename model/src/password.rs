//! Passwords: what a person's may be. How they are hashed is the API's; the hashes are in a table that
//! nothing else reads.

use chrono::TimeDelta;

use crate::error::Violation;

/// Least characters of one that is set. Length is what makes guessing hard; rules of composition are not.
pub const MIN_PASSWORD: usize = 12;
/// Most characters of one.
pub const MAX_PASSWORD: usize = 256;
/// What the text of a password reset's secret says of it.
pub const RESET_MARK: &str = "pwr";
/// How long a reset can be used.
pub const RESET_VALID: TimeDelta = TimeDelta::days(1);

/// What is wrong with a password for this person, of the right length as it is: what is tried first.
pub fn check(password: &str, email: &str, name: &str) -> Option<Violation> {
    let same = |other: &str| password.trim().to_lowercase() == other.trim().to_lowercase();
    let rule = "not the email address and not the name";
    (same(email) || same(name)).then(|| Violation::new("password", rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_email_nor_name_is_a_password() {
        let of = |password| check(password, "ada@example.org", "Ada Lovelace").is_some();
        assert!(of("Ada@Example.org") && of(" ada lovelace"));
        assert!(!of("ada lovelace's machine"));
    }
}
