//! Logs of apps and of deployments: what their replicas print, as it is printed.

mod format;
mod query;

use db::apps::app_get;
use db::deployments::deployment_get;
use db::{AppScope, Segment};
use futures::stream::{self, StreamExt as _};
use model::Error;
use model::id::{AppId, DeploymentId};
use poem::Body;
use poem_openapi::payload::Binary;
use poem_openapi::{ApiResponse, OpenApi};

use super::Tag;
use crate::access::{Access, InPath, action};
use crate::logs::{StillMay, Tail};
use crate::problem::Problem;

use format::Format;
use query::LogQuery;

pub(crate) use query::parameters;

/// The endpoints of logs.
pub(crate) struct Logs;

/// The answer that carries a log.
#[derive(ApiResponse)]
pub(crate) enum LogAnswer {
    /// Lines for people: `{app}.{slot}.{task} | {line}`.
    #[oai(status = 200, content_type = "text/plain; charset=utf-8")]
    Text(Binary<Body>),
    /// Lines of JSON for programs.
    #[oai(status = 200, content_type = "application/jsonl")]
    Lines(Binary<Body>),
    /// Server-sent events.
    #[oai(status = 200, content_type = "text/event-stream")]
    Events(Binary<Body>),
}

#[OpenApi(tag = "Tag::Apps")]
impl Logs {
    /// Read an app's log
    ///
    /// What its replicas have printed, all of them together in the order of time; with `follow`, also what they print from then on. `Accept`
    /// chooses the form: `text/plain` for people, `application/jsonl` for programs, `text/event-stream` for browsers. A log is read on the
    /// nodes: what ran on a node that is gone, or was rotated away, is not in it.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app/logs",
        method = "get",
        operation_id = "app_logs"
    )]
    async fn of_app(
        &self,
        access: Access<action::AppRead, AppScope>,
        query: LogQuery,
    ) -> Result<LogAnswer, Problem> {
        let app = app_get(&access.state.database, &access.scope).await?.app;
        answer(&access, query, (app.id, &app.slug), None).await
    }

    /// Read a deployment's log
    ///
    /// What the replicas printed that were started while it was under way, or after it and before the next one.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app/deployments/:deployment/logs",
        method = "get",
        operation_id = "deployment_logs"
    )]
    async fn of_deployment(
        &self,
        access: Access<action::AppRead, AppScope>,
        InPath(deployment): InPath<DeploymentId>,
        query: LogQuery,
    ) -> Result<LogAnswer, Problem> {
        let database = &access.state.database;
        let app = app_get(database, &access.scope).await?.app;
        deployment_get(database, &access.scope, deployment).await?;
        answer(&access, query, (app.id, &app.slug), Some(deployment)).await
    }
}

async fn answer(
    access: &Access<action::AppRead, AppScope>,
    query: LogQuery,
    (app, slug): (AppId, &str),
    deployment: Option<DeploymentId>,
) -> Result<LogAnswer, Problem> {
    let state = &access.state;
    let organization =
        access.holder.organization.ok_or_else(|| Error::not_found("organization"))?;
    let place = state.log_readers.enter(access.holder.token, organization)?;
    let (format, timestamps) = (query.format, query.timestamps);
    let request = query.request(app, deployment);
    let again = (still_may(access, app), state.stopping.clone());
    let tail = Tail::open(state.log_streams.clone(), request, place, again).await?;
    let writer = format::Writer { format, timestamps, slug: slug.to_owned() };
    let pieces = stream::unfold(Some((tail, writer)), async |reading| {
        let (mut tail, writer) = reading?;
        let (written, goes_on) = writer.next(&mut tail).await?;
        Some((written, goes_on.then_some((tail, writer))))
    });
    let body = Binary(Body::from_bytes_stream(pieces.boxed()));
    Ok(match format {
        Format::Text => LogAnswer::Text(body),
        Format::Lines => LogAnswer::Lines(body),
        Format::Events => LogAnswer::Events(body),
    })
}

/// Whether the holder may still read the app, and the app is still there.
fn still_may(access: &Access<action::AppRead, AppScope>, app: AppId) -> StillMay {
    // By its id: it may be given another name in between.
    let scope = AppScope { app: Segment::Id(app), ..access.scope.clone() };
    let again = access.again();
    let database = access.state.database.clone();
    Box::new(move || {
        let (again, scope, database) = (again.clone(), scope.clone(), database.clone());
        Box::pin(async move {
            again.check().await?;
            app_get(&database, &scope).await.map(drop)
        })
    })
}
