//! The stage in Postgres: a database of its own, with the roles of production.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};
use db::Database;
use db::apps::{AppDraft, AppRow, app_create, app_update};
use db::bootstrap::{bootstrap_operator_token, bootstrap_settings};
use db::deployments::{
    DeploymentRequest, DeploymentRow, deployment_accept, deployment_cancel, deployment_repair,
};
use db::organizations::organization_create;
use db::{
    Actor, Answer, Answered, AppScope, Credential, EnvironmentScope, Expected, OperatorScope,
    OrgScope, Request, Segment,
};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use ipnet::Ipv4Net;
use model::app::App;
use model::deployment::{Deployment, DeploymentEvent};
use model::environment::Environment;
use model::evidence::Evidence;
use model::id::{AppId, DeploymentId, OrganizationId};
use model::organization::Organization;
use model::platform::Platform;
use model::policy::Exceptions;
use model::policy::access::Permissions;
use model::release::Release;
use model::schema::{
    apps, deployment_events, deployment_evidence, deployments, environments, outbox, releases,
};
use model::slug::Slug;
use model::spec::AppSpec;
use model::stored::Stored;
use model::token::TokenScope;
use model::user::PlatformRole;

use super::{Home, Stage, platform};
use crate::Outcome;
use crate::database::TestDatabase;
use crate::run::run_on_database;
use crate::sql;

/// No network is made of these: there is no swarm.
const SUBNETS: &str = "10.64.0.0/12";

/// A database, through the eyes of the API, a worker and its owner.
pub struct PostgresStage {
    api: Database,
    worker: Database,
    owner: Database,
    platform: Platform,
    request: Request,
}

/// Tells a story on a ledger in Postgres.
pub fn on_postgres(story: impl AsyncFnOnce(&PostgresStage) -> Outcome) -> Outcome {
    run_on_database(async |database| story(&PostgresStage::on(database, platform()).await?).await)
}

impl PostgresStage {
    /// Sets an installation up in a database.
    pub(crate) async fn on(database: &TestDatabase, platform: Platform) -> Result<Self> {
        let owner_url = database.owner_url()?.into();
        bootstrap_settings(&owner_url, &platform, &[SUBNETS.parse::<Ipv4Net>()?]).await?;
        let token = bootstrap_operator_token(&owner_url, "contract", true).await?;
        let token = token.context("no token")?.token.id;
        Ok(Self {
            api: Database::new(database.api_url()?.into(), 2)?,
            worker: database.worker().clone(),
            owner: database.owner().clone(),
            platform,
            request: Request {
                actor: Actor {
                    credential: Credential::Token(token),
                    user: None,
                    request_id: "contract".into(),
                    address: None,
                },
                key: None,
                expected: Expected::Any,
            },
        })
    }

    async fn scope(&self, app: AppId) -> model::Result<AppScope> {
        let app = self.app(app).await.map_err(model::Error::internal)?;
        Ok(AppScope {
            organization: OrgScope::granted(app.organization_id, operators(), Exceptions::NONE),
            environment: Segment::Id(app.environment_id),
            app: Segment::Id(app.id),
        })
    }
}

/// An answer whose body is the id of what was made.
fn id_of(id: impl Display) -> Answer {
    Answer { status: 200, headers: BTreeMap::new(), body: id.to_string(), shown_once: None }
}

fn made<Id: FromStr<Err: Into<Box<dyn Error + Send + Sync>>>>(
    answered: Answered,
) -> model::Result<Id> {
    answered.into_body().parse().map_err(model::Error::internal)
}

impl Stage for PostgresStage {
    type Ledger = Database;

    fn ledger(&self) -> &Database {
        &self.worker
    }

    async fn organization(&self, slug: &str) -> Result<Home> {
        let operator = OperatorScope::granted(operators());
        let slug: Slug = slug.parse()?;
        let answer = |made: Organization| Ok(id_of(made.id));
        let answered = organization_create(
            &self.api,
            operator,
            &slug,
            slug.as_str(),
            None,
            &self.request,
            answer,
        );
        let organization: OrganizationId = made(answered.await?)?;
        let environment: Environment = environments::table
            .filter(environments::organization_id.eq(organization))
            .select(Environment::as_select())
            .first(&mut self.owner.connection().await?)
            .await?;
        Ok(Home { organization, environment: environment.id })
    }

    async fn app_create(
        &self,
        home: Home,
        slug: &str,
        spec: AppSpec,
        replicas: i32,
    ) -> model::Result<AppId> {
        let scope = EnvironmentScope {
            organization: OrgScope::granted(home.organization, operators(), Exceptions::NONE),
            environment: Segment::Id(home.environment),
        };
        let slug: Slug = slug.parse().map_err(model::Error::internal)?;
        let draft = AppDraft { spec, replicas };
        let answer = |row: AppRow| Ok(id_of(row.app.id));
        let (api, platform) = (&self.api, &self.platform);
        made(app_create(api, platform, &scope, &slug, draft, &self.request, answer).await?)
    }

    async fn app_update(&self, app: AppId, spec: AppSpec, replicas: i32) -> model::Result<()> {
        let scope = self.scope(app).await?;
        let draft = AppDraft { spec, replicas };
        app_update(&self.api, &self.platform, &scope, |_| Ok(draft), &self.request).await
    }

    async fn accept(&self, app: AppId, request: &DeploymentRequest) -> model::Result<DeploymentId> {
        let scope = self.scope(app).await?;
        let answer = |row: DeploymentRow| Ok(id_of(row.deployment.id));
        let (api, platform) = (&self.api, &self.platform);
        made(deployment_accept(api, platform, &scope, request, &self.request, answer).await?)
    }

    async fn cancel(&self, app: AppId, id: DeploymentId) -> model::Result<()> {
        let scope = self.scope(app).await?;
        let answer = |row: DeploymentRow| Ok(id_of(row.deployment.id));
        deployment_cancel(&self.api, &scope, id, &self.request, answer).await.map(drop)
    }

    async fn repair(
        &self,
        app: AppId,
        live_version: Option<i64>,
        why: &str,
    ) -> model::Result<Option<DeploymentId>> {
        deployment_repair(&self.worker, app, live_version, why, None).await
    }

    async fn pass(&self, time: Duration) -> Outcome {
        let shift = format!(
            "UPDATE deployments SET lease_expires_at = lease_expires_at - interval '{} milliseconds' \
             WHERE finished_at IS NULL",
            time.as_millis()
        );
        sql::execute(&self.owner, &shift).await.map(drop)
    }

    async fn wakeups(&self) -> Result<Vec<DeploymentId>> {
        let mut connection = self.owner.connection().await?;
        let mut rows: Vec<(i64, DeploymentId)> = diesel::delete(outbox::table)
            .returning((outbox::id, outbox::deployment_id))
            .get_results(&mut connection)
            .await?;
        rows.sort_unstable_by_key(|(id, _)| *id);
        Ok(rows.into_iter().map(|(_, deployment)| deployment).collect())
    }

    async fn app(&self, app: AppId) -> Result<App> {
        let mut connection = self.owner.connection().await?;
        let query = apps::table.find(app).select(App::as_select());
        Ok(query.first(&mut connection).await?)
    }

    async fn releases(&self, app: AppId) -> Result<Vec<Release>> {
        let mut connection = self.owner.connection().await?;
        let query = releases::table.filter(releases::app_id.eq(app)).order(releases::id);
        Ok(query.select(Release::as_select()).load(&mut connection).await?)
    }

    async fn deployments(&self, app: AppId) -> Result<Vec<Deployment>> {
        let mut connection = self.owner.connection().await?;
        let query = deployments::table.filter(deployments::app_id.eq(app)).order(deployments::id);
        Ok(query.select(Deployment::as_select()).load(&mut connection).await?)
    }

    async fn events(&self, app: AppId) -> Result<Vec<DeploymentEvent>> {
        let mut connection = self.owner.connection().await?;
        let of_it = deployments::table.filter(deployments::app_id.eq(app)).select(deployments::id);
        let query = deployment_events::table
            .filter(deployment_events::deployment_id.eq_any(of_it))
            .order(deployment_events::id);
        Ok(query.select(DeploymentEvent::as_select()).load(&mut connection).await?)
    }

    async fn evidence(&self, deployment: DeploymentId) -> Result<Option<Evidence>> {
        let mut connection = self.owner.connection().await?;
        let query = deployment_evidence::table.find(deployment);
        let found: Option<Stored<Evidence>> =
            query.select(deployment_evidence::evidence).first(&mut connection).await.optional()?;
        Ok(found.map(|Stored(evidence)| evidence))
    }
}

/// What an operator may do.
fn operators() -> Permissions {
    Permissions::of(None, Some(PlatformRole::Admin), &[TokenScope::Admin])
}
