//! Apps. Creating or patching one changes Postgres only; what runs changes by deployments.

mod list;

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use model::app::App;
use model::app_status::AppStatus;
use model::environment::Environment;
use model::error::ErrorCode;
use model::id::{AppId, EnvironmentId, OrganizationId};
use model::platform::Platform;
use model::policy::access::Action;
use model::schema::{app_status, apps, environments};
use model::slug::Slug;
use model::spec::AppSpec;
use model::stored::Stored;
use model::{Error, Result, names, policy};

pub use list::{AppSummary, StatusSummary, app_list};

use crate::audit::{Mutation, audit_insert};
use crate::environments::environment_hold;
use crate::failure::{self, Failure, violates_unique};
use crate::now::now;
use crate::pool::Database;
use crate::requests::{Answer, Answered, Request};
use crate::scope::{AppScope, EnvironmentScope, named};
use crate::secrets::pinning::secrets_check;
use crate::segment::Segment;

/// An app with what is known of it live.
#[derive(Debug, Clone, Queryable)]
pub struct AppRow {
    /// The app.
    pub app: App,
    /// Slug of its environment.
    pub environment: String,
    /// Number of the release that the last verdict left live.
    pub live_release: Option<i32>,
    /// What a worker saw last.
    pub status: Option<AppStatus>,
    /// Number of the release that it saw.
    pub seen_release: Option<i32>,
}

/// What an app is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct AppDraft {
    /// How it will run.
    pub spec: AppSpec,
    /// How many replicas.
    pub replicas: i32,
}

/// Makes an app. Refused where the slug is taken in its environment or the spec breaks a rule.
pub async fn app_create(
    database: &Database,
    platform: &Platform,
    scope: &EnvironmentScope,
    slug: &Slug,
    draft: AppDraft,
    request: &Request,
    answer: impl Fn(AppRow) -> Result<Answer> + Sync,
) -> Result<Answered> {
    let spec = draft.spec.settled(platform);
    policy::admit(&spec, scope.organization.exceptions())?;
    let organization = scope.organization.allowing(Action::AppManage)?;
    let mut connection = database.tenant(organization).await?;
    let outcome = connection
        .transaction(async |connection| {
            if let Some(earlier) = request.begin(connection).await? {
                return Ok(earlier);
            }
            let environment =
                environment_hold(connection, organization, &scope.environment).await?;
            secrets_check(connection, environment.id, &spec).await?;
            let id = AppId::new();
            let app = diesel::insert_into(apps::table)
                .values((
                    apps::id.eq(id),
                    apps::organization_id.eq(organization),
                    apps::environment_id.eq(environment.id),
                    apps::slug.eq(slug.as_str()),
                    apps::service_name.eq(names::service_name(slug.as_str(), id)),
                    apps::spec.eq(Stored(spec.clone())),
                    apps::spec_version.eq(spec.version()),
                    apps::replicas.eq(draft.replicas),
                ))
                .returning(App::as_returning())
                .get_result(connection)
                .await
                .map_err(|error| {
                    if violates_unique(&error, "apps_slug") {
                        Failure::Refused(Error::new(
                            ErrorCode::AlreadyExists,
                            format!(
                                "an app {slug} exists in this environment; choose another slug"
                            ),
                        ))
                    } else {
                        Failure::from(error)
                    }
                })?;
            let mutation = Mutation {
                organization: Some(organization),
                action: "app.create",
                object: app.id.to_string(),
                before: None,
                after: Some(audited(&app)),
                deployment: None,
            };
            let made = AppRow {
                app,
                environment: environment.slug,
                live_release: None,
                status: None,
                seen_release: None,
            };
            request.finish(connection, mutation, answer(made)?).await
        })
        .await;
    // Or this request would wait for a second connection while it holds one.
    drop(connection);
    request.settle(database, outcome).await
}

/// One app with its live status.
pub async fn app_get(database: &Database, scope: &AppScope) -> Result<AppRow> {
    let organization = scope.organization.allowing(Action::AppRead)?;
    let mut connection = database.tenant(organization).await?;
    let query = apps::table
        .inner_join(environments::table)
        .left_join(app_status::table)
        .select((
            App::as_select(),
            environments::slug,
            apps::live_release_number,
            Option::<AppStatus>::as_select(),
            app_status::release_number.nullable(),
        ))
        .filter(apps::removed_at.is_null())
        .filter(apps::organization_id.eq(organization))
        // By itself it would be looked for by its slug alone, among the environments of everybody.
        .filter(environments::organization_id.eq(organization))
        .into_boxed();
    let query = named!(query, environments, &scope.environment);
    named!(query, apps, &scope.app)
        .first(&mut connection)
        .await
        .optional()
        .map_err(failure::postgres)?
        .ok_or_else(|| Error::not_found("app"))
}

/// Changes what the app's next release will be. `change` gets the draft as it is.
pub async fn app_update(
    database: &Database,
    platform: &Platform,
    scope: &AppScope,
    change: impl FnOnce(AppDraft) -> Result<AppDraft> + Send,
    request: &Request,
) -> Result<()> {
    let organization = scope.organization.allowing(Action::AppManage)?;
    let mut connection = database.tenant(organization).await?;
    // An `FnOnce` cannot be called by the async closure that a transaction takes.
    let mut change = Some(change);
    connection
        .transaction(async |connection| {
            let app = app_lock(connection, scope, Action::AppManage).await?;
            request.expected.check(&app)?;
            let draft = AppDraft { spec: app.spec.0.clone(), replicas: app.replicas };
            let draft = match change.take() {
                Some(change) => change(draft)?,
                None => draft,
            };
            let spec = draft.spec.settled(platform);
            policy::admit(&spec, scope.organization.exceptions())?;
            secrets_check(connection, app.environment_id, &spec).await?;
            let updated = diesel::update(apps::table.find(app.id))
                .set((
                    apps::spec_version.eq(spec.version()),
                    apps::spec.eq(Stored(spec)),
                    apps::replicas.eq(draft.replicas),
                    apps::updated_at.eq(now()),
                ))
                .returning(App::as_returning())
                .get_result(connection)
                .await?;
            audit_insert(
                connection,
                &request.actor,
                Mutation {
                    organization: Some(app.organization_id),
                    action: "app.update",
                    object: app.id.to_string(),
                    before: Some(audited(&app)),
                    after: Some(audited(&updated)),
                    deployment: None,
                },
            )
            .await?;
            Ok::<_, Failure>(())
        })
        .await?;
    Ok(())
}

/// Locks the app of this path for a change. One that is being removed takes no more of them.
pub(crate) async fn app_lock(
    connection: &mut AsyncPgConnection,
    scope: &AppScope,
    action: Action,
) -> Result<App, Failure> {
    let app = app_lock_any(connection, scope, action).await?;
    app.takes_changes()?;
    Ok(app)
}

/// Locks the app of this path for the rest of the transaction. A removed app is not found.
pub(crate) async fn app_lock_any(
    connection: &mut AsyncPgConnection,
    scope: &AppScope,
    action: Action,
) -> Result<App, Failure> {
    let organization = scope.organization.allowing(action)?;
    let environment = environments::table
        .filter(environments::organization_id.eq(organization))
        .select(environments::id)
        .into_boxed();
    let environment = named!(environment, environments, &scope.environment);
    // A query that locks cannot be boxed: `named!` is of no use here.
    let found = match &scope.app {
        Segment::Id(id) => {
            apps::table
                .filter(apps::organization_id.eq(organization))
                .filter(apps::environment_id.eq_any(environment))
                .filter(apps::removed_at.is_null())
                .filter(apps::id.eq(*id))
                .select(App::as_select())
                .for_no_key_update()
                .first(connection)
                .await
        }
        Segment::Slug(slug) => {
            apps::table
                .filter(apps::organization_id.eq(organization))
                .filter(apps::environment_id.eq_any(environment))
                .filter(apps::removed_at.is_null())
                .filter(apps::slug.eq(slug))
                .select(App::as_select())
                .for_no_key_update()
                .first(connection)
                .await
        }
    };
    Ok(found.optional()?.ok_or_else(|| Error::not_found("app"))?)
}

async fn environment_of(
    connection: &mut AsyncPgConnection,
    organization: OrganizationId,
    wanted: &Segment<EnvironmentId>,
) -> Result<Environment, Failure> {
    let query = environments::table
        .filter(environments::organization_id.eq(organization))
        .filter(environments::removed_at.is_null())
        .select(Environment::as_select())
        .into_boxed();
    let found = named!(query, environments, wanted).first(connection).await.optional()?;
    Ok(found.ok_or_else(|| Error::not_found("environment"))?)
}

/// What the audit log keeps of an app: the spec with the values of its environment left out,
/// because people put passwords there.
fn audited(app: &App) -> serde_json::Value {
    let mut spec = app.spec.0.clone();
    spec.env.values_mut().for_each(|value| "…".clone_into(value));
    serde_json::json!({ "slug": app.slug, "replicas": app.replicas, "spec": spec })
}
