//! Drift: what workers found in Swarm that is not as Postgres has it. Open until it is seen no more.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use model::Result;
use model::drift::{Drift, DriftKind, ObjectType};
use model::id::{AppId, DeploymentId, DriftId, OrganizationId};
use model::policy::access::Action;
use model::schema::drift;

use crate::failure;
use crate::now::now;
use crate::page::{Page, PageRequest};
use crate::pool::Database;
use crate::scope::OperatorScope;

/// Something that a worker found.
#[derive(Debug, Clone)]
pub struct Finding<'a> {
    /// What is wrong.
    pub kind: DriftKind,
    /// With what.
    pub object_type: ObjectType,
    /// Its name in Swarm.
    pub object: &'a str,
    /// Its tenant and app, where they are known.
    pub app: Option<(OrganizationId, AppId)>,
    /// What was seen.
    pub sentence: &'a str,
    /// The repair that it led to.
    pub deployment: Option<DeploymentId>,
    /// Whether nothing is left to be done about it.
    pub resolved: bool,
}

/// Writes down what was found; what is open already is seen again. True: it is new.
pub async fn drift_found(database: &Database, finding: &Finding<'_>) -> Result<bool> {
    let mut connection = database.connection().await?;
    let inserted: Inserted = diesel::sql_query(
        "INSERT INTO drift (id, kind, object_type, object, organization_id, app_id, sentence,
             deployment_id, resolved_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, CASE WHEN $9 THEN now() END)
         ON CONFLICT (object_type, object, kind) WHERE resolved_at IS NULL DO UPDATE SET
             seen_at = now(), updated_at = now(), sentence = excluded.sentence,
             deployment_id = coalesce(excluded.deployment_id, drift.deployment_id),
             resolved_at = excluded.resolved_at
         RETURNING id = $1 AS is_new",
    )
    .bind::<sql_types::Uuid, _>(DriftId::new())
    .bind::<sql_types::Text, _>(finding.kind)
    .bind::<sql_types::Text, _>(finding.object_type)
    .bind::<sql_types::Text, _>(finding.object)
    .bind::<sql_types::Nullable<sql_types::Uuid>, _>(finding.app.map(|(owner, _)| owner))
    .bind::<sql_types::Nullable<sql_types::Uuid>, _>(finding.app.map(|(_, app)| app))
    .bind::<sql_types::Text, _>(finding.sentence)
    .bind::<sql_types::Nullable<sql_types::Uuid>, _>(finding.deployment)
    .bind::<sql_types::Bool, _>(finding.resolved)
    .get_result(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(inserted.is_new)
}

#[derive(QueryableByName)]
struct Inserted {
    #[diesel(sql_type = sql_types::Bool)]
    is_new: bool,
}

/// The services of these apps are as they should be.
pub async fn drift_settled(database: &Database, apps: &[AppId]) -> Result<()> {
    if apps.is_empty() {
        return Ok(());
    }
    let mut connection = database.connection().await?;
    diesel::update(
        drift::table
            .filter(drift::app_id.eq_any(apps))
            .filter(drift::object_type.eq(ObjectType::Service))
            .filter(drift::resolved_at.is_null()),
    )
    .set(drift::resolved_at.eq(now().nullable()))
    .execute(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(())
}

/// One object that an audit found not to be as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its app, where it is known.
    pub app: Option<AppId>,
    /// What was seen, and what to do about it.
    pub sentence: String,
}

/// Where an audit looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookedAt {
    /// Wherever such objects are.
    Everything,
    /// At these nodes. The names of objects that are a node's own begin with its id, and a slash.
    Nodes(Vec<String>),
}

/// What one look of an audit found of one kind.
#[derive(Debug, Clone)]
pub struct Look {
    /// What is wrong.
    pub kind: DriftKind,
    /// With what.
    pub object_type: ObjectType,
    /// With which of them, by name.
    pub found: BTreeMap<String, Found>,
    /// Names of those that stay reported where they are, but are not reported anew.
    pub standing: Vec<String>,
    /// Where it looked.
    pub looked_at: LookedAt,
}

/// Writes down what an audit found; answers the names of what is new. What is not found any more where it looked is over; elsewhere
/// it is after an hour in which nobody found it.
pub async fn drift_looked(database: &Database, look: &Look) -> Result<Vec<String>> {
    let Look { kind, object_type, found, standing, looked_at } = look;
    let mut connection = database.connection().await?;
    let mut new = Vec::new();
    if !found.is_empty() {
        let ids: Vec<uuid::Uuid> = found.iter().map(|_| DriftId::new().as_uuid()).collect();
        let apps: Vec<Option<uuid::Uuid>> =
            found.values().map(|found| Some(found.app?.as_uuid())).collect();
        let sentences: Vec<&str> = found.values().map(|found| found.sentence.as_str()).collect();
        // In the order of names: workers that find the same do not wait for each other crosswise. An app may be gone by now.
        let seen: Vec<SeenObject> = diesel::sql_query(
            "INSERT INTO drift (id, kind, object_type, object, organization_id, app_id, sentence)
             SELECT found.id, $1, $2, found.object, apps.organization_id, apps.id, found.sentence
             FROM unnest($3, $4, $5, $6) AS found (id, object, app, sentence)
             LEFT JOIN apps ON apps.id = found.app
             ORDER BY found.object
             ON CONFLICT (object_type, object, kind) WHERE resolved_at IS NULL DO UPDATE SET
                 seen_at = now(), updated_at = now(), sentence = excluded.sentence
             RETURNING object, id = ANY ($3) AS is_new",
        )
        .bind::<sql_types::Text, _>(kind)
        .bind::<sql_types::Text, _>(object_type)
        .bind::<sql_types::Array<sql_types::Uuid>, _>(ids)
        .bind::<sql_types::Array<sql_types::Text>, _>(found.keys().collect::<Vec<_>>())
        .bind::<sql_types::Array<sql_types::Nullable<sql_types::Uuid>>, _>(apps)
        .bind::<sql_types::Array<sql_types::Text>, _>(sentences)
        .load(&mut connection)
        .await
        .map_err(failure::postgres)?;
        new.extend(seen.into_iter().filter(|seen| seen.is_new).map(|seen| seen.object));
    }
    let left: Vec<&String> = found.keys().chain(standing).collect();
    let nodes = match looked_at {
        LookedAt::Everything => None,
        LookedAt::Nodes(nodes) => Some(nodes),
    };
    diesel::sql_query(
        "UPDATE drift SET resolved_at = now()
         WHERE kind = $1 AND object_type = $2 AND resolved_at IS NULL AND object <> ALL ($3)
             AND ($4 IS NULL OR split_part(object, '/', 1) = ANY ($4) OR seen_at < now() - interval '1 hour')",
    )
    .bind::<sql_types::Text, _>(kind)
    .bind::<sql_types::Text, _>(object_type)
    .bind::<sql_types::Array<sql_types::Text>, _>(left)
    .bind::<sql_types::Nullable<sql_types::Array<sql_types::Text>>, _>(nodes)
    .execute(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(new)
}

#[derive(QueryableByName)]
struct SeenObject {
    #[diesel(sql_type = sql_types::Text)]
    object: String,
    #[diesel(sql_type = sql_types::Bool)]
    is_new: bool,
}

/// What was found, newest first: what is open, or all of the history that is kept.
pub async fn drift_list(
    database: &Database,
    operator: OperatorScope,
    open: bool,
    page: PageRequest,
) -> Result<Page<Drift>> {
    operator.require(Action::PlatformRead)?;
    let mut connection = database.platform(operator).await?;
    let mut query = drift::table
        .select(Drift::as_select())
        .order(drift::id.desc())
        .limit(page.fetch())
        .into_boxed();
    if open {
        query = query.filter(drift::resolved_at.is_null());
    }
    if let Some(cursor) = page.after {
        query = query.filter(drift::id.lt(DriftId::from(cursor.0)));
    }
    let rows = query.load(&mut connection).await.map_err(failure::postgres)?;
    Ok(Page::new(rows, page, |row: &Drift| row.id.as_uuid()))
}
