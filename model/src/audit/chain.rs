//! The audit log's chains: each organization's rows, and the platform's own, in an order, each with a hash of
//! itself and of the hash before it. A row that is changed, taken out or slipped in breaks every hash after
//! it; whoever keeps one hash elsewhere can tell that nothing before it was rewritten.

use sha2::{Digest as _, Sha256};

/// The form of what is hashed. Another form is another name.
const FORM: &str = "skep-audit-1";

/// A hash of a chain.
pub type LinkHash = [u8; 32];

/// The hash before a chain's first row.
pub const FIRST: LinkHash = [0; 32];

/// A row of the audit log as it is hashed: every column, as Postgres writes it.
#[derive(Debug, Clone, Copy)]
pub struct LinkedRow<'a> {
    /// Its id, as Postgres writes it.
    pub id: &'a str,
    /// The tenant that it concerns.
    pub organization: Option<&'a str>,
    /// The token that was used.
    pub token: Option<&'a str>,
    /// The person whose token it was.
    pub user: Option<&'a str>,
    /// Verb and noun.
    pub action: &'a str,
    /// What it was done to.
    pub object: &'a str,
    /// What that was, as Postgres writes `jsonb`.
    pub before: Option<&'a str>,
    /// What that became, in the same way.
    pub after: Option<&'a str>,
    /// The request.
    pub request: &'a str,
    /// The peer's address.
    pub address: Option<&'a str>,
    /// What came of it.
    pub result: &'a str,
    /// When it was written, in microseconds since 1970.
    pub created_at: i64,
}

impl LinkedRow<'_> {
    /// The hash of this row as the one of this number in its chain: SHA-256 of a JSON array of the form's name, the hash
    /// before it in hex, the number, and the row's fields in the order of [`LinkedRow`].
    pub fn link(&self, previous: &LinkHash, number: i64) -> LinkHash {
        let row = (
            (FORM, hex::encode(previous), number),
            (self.id, self.organization, self.token, self.user, self.action, self.object),
            (self.before, self.after, self.request, self.address, self.result, self.created_at),
        );
        // Texts and numbers: there is nothing that JSON could not say.
        Sha256::digest(serde_json::to_vec(&row).unwrap_or_default()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: LinkedRow<'_> = LinkedRow {
        id: "01a20002-a6ba-7692-82b9-e619bdbdfaa9",
        organization: Some("01a20002-a6ba-7692-82b9-e619bdbdfaa8"),
        token: None,
        user: None,
        action: "app.update",
        object: "app_1",
        before: Some("{\"a\": 1}"),
        after: None,
        request: "req_1",
        address: None,
        result: "done",
        created_at: 1,
    };

    #[test]
    fn every_field_the_number_and_what_came_before_are_hashed() {
        let one = ROW.link(&FIRST, 1);
        let changed = [
            LinkedRow { id: "x", ..ROW },
            LinkedRow { organization: None, ..ROW },
            LinkedRow { token: Some("x"), ..ROW },
            LinkedRow { user: Some("x"), ..ROW },
            LinkedRow { action: "x", ..ROW },
            LinkedRow { object: "x", ..ROW },
            LinkedRow { before: None, ..ROW },
            // The same texts in other fields are another row.
            LinkedRow { before: None, after: ROW.before, ..ROW },
            LinkedRow { request: "x", ..ROW },
            LinkedRow { address: Some("x"), ..ROW },
            LinkedRow { result: "refused", ..ROW },
            LinkedRow { created_at: 2, ..ROW },
        ];
        for row in changed {
            assert_ne!(row.link(&FIRST, 1), one, "{row:?}");
        }
        assert_ne!(ROW.link(&FIRST, 2), one);
        assert_ne!(ROW.link(&one, 1), one);
    }

    #[test]
    fn the_form_is_what_auditors_were_told() {
        // As docs/security.md has it: whoever checks a chain without us writes this text.
        let text = format!(
            "[[\"skep-audit-1\",\"{}\",1],[\"{}\",\"{}\",null,null,\"app.update\",\"app_1\"],\
             [\"{{\\\"a\\\": 1}}\",null,\"req_1\",null,\"done\",1]]",
            "0".repeat(64),
            ROW.id,
            ROW.organization.unwrap_or_default(),
        );
        assert_eq!(ROW.link(&FIRST, 1), <LinkHash>::from(Sha256::digest(text)));
    }
}
