//! From references to versions: what an app asks for by name, a release has by number.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Integer, Nullable, Text, Uuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use model::Error;
use model::error::Violation;
use model::id::{EnvironmentId, SecretId, SecretVersionId};
use model::schema::secrets;
use model::secret::SecretKind;
use model::spec::AppSpec;

use crate::failure::Failure;
use crate::prepared::Prepared;

/// A reference that names something.
#[derive(QueryableByName)]
struct Pinned {
    #[diesel(sql_type = Uuid)]
    id: SecretId,
    #[diesel(sql_type = Text)]
    kind: SecretKind,
    #[diesel(sql_type = Text)]
    name: String,
    /// The version that is asked for.
    #[diesel(sql_type = Nullable<Integer>)]
    wanted: Option<i32>,
    /// The newest version's number; `None`: somebody else has it locked.
    #[diesel(sql_type = Nullable<Integer>)]
    newest: Option<i32>,
    /// The version that is meant; `None`: there is none of its number.
    #[diesel(sql_type = Nullable<Uuid>)]
    version: Option<SecretVersionId>,
    #[diesel(sql_type = Nullable<Integer>)]
    number: Option<i32>,
    #[diesel(sql_type = Bool)]
    is_collected: bool,
}

/// Refuses references that name nothing. What they name is there until the transaction ends. A statement only where there are
/// references.
pub(crate) async fn secrets_check(
    connection: &mut AsyncPgConnection,
    environment: EnvironmentId,
    spec: &AppSpec,
) -> Result<(), Failure> {
    pin(connection, environment, &mut spec.clone(), "FOR KEY SHARE").await?;
    Ok(())
}

/// Gives each reference of a spec its version's number: the newest one's, where it has none. Answers the versions, which nobody
/// takes away, nor makes newer ones beside, before the transaction ends. Never waits: who gives a secret a new version waits for
/// apps. A statement only where there are references.
pub(crate) async fn secrets_pin(
    connection: &mut AsyncPgConnection,
    environment: EnvironmentId,
    spec: &mut AppSpec,
) -> Result<Vec<SecretVersionId>, Failure> {
    pin(connection, environment, spec, "FOR SHARE SKIP LOCKED").await
}

/// Most tries at what needs secrets that others give new versions meanwhile: each of them waits for one secret more.
const TRIES: u32 = 10;

/// The tries of what pins versions. Whoever gives a secret another version has it locked and waits for apps, so nobody who has an
/// app locked may wait for a secret: what is found busy is let go of, and waited for before anything else is locked.
pub(crate) struct Tries {
    left: u32,
    busy: Vec<SecretId>,
}

impl Tries {
    pub(crate) const fn new() -> Self {
        Self { left: TRIES, busy: Vec::new() }
    }

    /// At the beginning of a transaction: waits for the secrets that the tries before found busy. Nobody gives them another version
    /// until its end.
    pub(crate) async fn hold(&self, connection: &mut AsyncPgConnection) -> QueryResult<()> {
        if !self.busy.is_empty() {
            let _: Vec<SecretId> = secrets::table
                .filter(secrets::id.eq_any(&self.busy))
                .order(secrets::id)
                .select(secrets::id)
                .for_share()
                .load(connection)
                .await?;
        }
        Ok(())
    }

    /// Whether to try again, after what the last try came to.
    pub(crate) fn again<T>(&mut self, outcome: &Result<T, Failure>) -> bool {
        self.left -= 1;
        match outcome {
            Err(Failure::SecretsBusy(busy)) if self.left > 0 => {
                self.busy.extend(busy);
                true
            }
            Err(Failure::KeyReplaced) => self.left > 0,
            _ => false,
        }
    }
}

async fn pin(
    connection: &mut AsyncPgConnection,
    environment: EnvironmentId,
    spec: &mut AppSpec,
    lock: &str,
) -> Result<Vec<SecretVersionId>, Failure> {
    let wanted: Vec<_> = spec.references_mut().collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let kinds: Vec<&str> = wanted.iter().map(|(kind, _)| kind.as_str()).collect();
    let names: Vec<&str> = wanted.iter().map(|(_, reference)| reference.name.as_str()).collect();
    let numbers: Vec<Option<i32>> = wanted.iter().map(|(_, reference)| reference.version).collect();
    let query = format!(
        "WITH there AS (
             SELECT id, kind, name FROM secrets
             WHERE environment_id = $1 AND removed_at IS NULL AND name = ANY ($3)
         ), held AS (
             SELECT id, last_version FROM secrets WHERE id IN (SELECT id FROM there) ORDER BY id {lock}
         )
         SELECT there.id, there.kind, there.name, wanted.number AS wanted, held.last_version AS newest, v.id AS version, v.number,
             v.collected_at IS NOT NULL AS is_collected
         FROM unnest($2, $3, $4) AS wanted (kind, name, number)
         JOIN there ON there.kind = wanted.kind AND there.name = wanted.name
         LEFT JOIN held ON held.id = there.id
         LEFT JOIN secret_versions v
             ON v.secret_id = held.id AND v.number = coalesce(wanted.number, held.last_version)"
    );
    let query = diesel::sql_query(query)
        .bind::<Uuid, _>(environment)
        .bind::<Array<Text>, _>(kinds)
        .bind::<Array<Text>, _>(names)
        .bind::<Array<Nullable<Integer>>, _>(numbers);
    let found: Vec<Pinned> = Prepared(query).load(connection).await?;
    // Locked by somebody else, or at a version that is younger than what this statement sees.
    let is_busy = |pinned: &&Pinned| match pinned.newest {
        None => true,
        Some(newest) => {
            pinned.number.is_none() && pinned.wanted.is_none_or(|wanted| wanted == newest)
        }
    };
    let busy: Vec<SecretId> = found.iter().filter(is_busy).map(|pinned| pinned.id).collect();
    if !busy.is_empty() {
        return Err(Failure::SecretsBusy(busy));
    }
    let found: HashMap<(SecretKind, &str), &Pinned> =
        found.iter().map(|pinned| ((pinned.kind, pinned.name.as_str()), pinned)).collect();
    let mut versions = Vec::new();
    let mut violations = Vec::new();
    for (kind, reference) in wanted {
        let field = format!("{}.{}", kind.plural(), reference.name);
        let Some(pinned) = found.get(&(kind, reference.name.as_str())) else {
            let rule = format!("a {kind} of the app's environment; there is none of this name");
            violations.push(Violation::new(field, rule));
            continue;
        };
        match (pinned.version, pinned.number) {
            (Some(version), Some(number)) if !pinned.is_collected => {
                reference.follows |= reference.version.is_none();
                reference.version = Some(number);
                versions.push(version);
            }
            (Some(_), Some(number)) => {
                let rule = format!(
                    "a version that is still there; no release needed v{number} any more, and its value was thrown away"
                );
                violations.push(Violation::new(format!("{field}.version"), rule));
            }
            _ => {
                let rule = format!("a version from 1 to {}", pinned.newest.unwrap_or_default());
                violations.push(Violation::new(format!("{field}.version"), rule));
            }
        }
    }
    if violations.is_empty() { Ok(versions) } else { Err(Error::invalid(violations).into()) }
}
