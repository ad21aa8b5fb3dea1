//! Email addresses: what people log in with and are invited by. Skep sends no mail: whether an address
//! receives any is nowhere checked.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// The form, that of HTML's email fields: ASCII, so that two spellings differ in case only.
pub const EMAIL_PATTERN: &str = "^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$";
/// The same in words.
pub const EMAIL_RULE: &str = "an email address of at most 254 characters";
/// Most characters.
pub const MAX_EMAIL: usize = 254;

/// An address in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

/// The text is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {EMAIL_RULE}")]
pub struct InvalidEmail;

impl Email {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands for it where the address itself has no business.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let local = |local: &str| {
            let allowed =
                |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte);
            (1..=64).contains(&local.len()) && local.bytes().all(allowed)
        };
        let (name, domain) = text.split_once('@').ok_or(InvalidEmail)?;
        let fits = text.len() <= MAX_EMAIL && local(name) && domain.split('.').all(label);
        fits.then(|| Self(text.to_ascii_lowercase())).ok_or(InvalidEmail)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_are_one_address() {
        let ada: Email = "Ada.L+skep@Example.ORG".parse().unwrap();
        assert_eq!(ada.as_str(), "ada.l+skep@example.org");
        assert_eq!(Ok(ada), "ada.l+skep@example.org".parse());
        let long = format!("{}@example.org", "a".repeat(65));
        let domain = format!("a@{}", vec!["b".repeat(63); 4].join("."));
        for bad in ["", "@", "a@", "@b", "a b@c", "a@b..c", "ä@b", "a@b\0", "a@b@c", &long, &domain]
            .into_iter()
            .chain(["a@-b", "a@b-", "a@b.-c", "a@b-.c", "a@-"])
        {
            assert_eq!(bad.parse::<Email>(), Err(InvalidEmail), "{bad}");
        }
    }
}
