//! Drift: what workers found in Swarm that is not as Postgres has it. Open until it is seen no more.

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

define_sql_function! {
    /// A part of a text, by the one between the parts, and its number.
    fn split_part(text: sql_types::Text, between: sql_types::Text, number: sql_types::Integer) -> sql_types::Text;
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

/// Of the objects of this type that have drifted in this way, only these are left. What was found on a node that was not asked now
/// stays as it is: the names of such objects begin with their node's, and a slash.
pub async fn drift_left(
    database: &Database,
    kind: DriftKind,
    object_type: ObjectType,
    left: &[String],
    not_asked: &[String],
) -> Result<()> {
    let mut connection = database.connection().await?;
    diesel::update(
        drift::table
            .filter(drift::kind.eq(kind))
            .filter(drift::object_type.eq(object_type))
            .filter(drift::object.ne_all(left))
            .filter(split_part(drift::object, "/", 1).ne_all(not_asked))
            .filter(drift::resolved_at.is_null()),
    )
    .set(drift::resolved_at.eq(now().nullable()))
    .execute(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(())
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
