//! The history of an app's live health: what workers saw, each time as long as it stayed the same.

use chrono::{DateTime, Utc};
use db::AppScope;
use db::app_status::app_health_list;
use model::app_status::{Health, HealthPeriod};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use super::Tag;
use crate::access::{Access, action};
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;
use crate::word::Word;

/// The endpoint of health histories.
pub(crate) struct AppHealth;

/// A time in which an app's health stayed the same.
#[derive(Debug, Object)]
#[oai(rename = "HealthPeriod")]
pub(crate) struct HealthPeriodObject {
    /// Its id (`hlt_…`).
    id: String,
    /// How the app did.
    health: Word<Health>,
    /// Why it did not do better, as was known when this began.
    cause: Option<String>,
    /// Since when. It lasted until the next one.
    since: DateTime<Utc>,
}

impl From<HealthPeriod> for HealthPeriodObject {
    fn from(period: HealthPeriod) -> Self {
        let HealthPeriod { id, health, cause, since } = period;
        Self { id: id.to_string(), health: Word(health), cause, since }
    }
}

#[OpenApi(tag = "Tag::Apps")]
impl AppHealth {
    /// List how an app did
    ///
    /// Newest first: the first one holds now. Kept for 30 days.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/apps/:app/health",
        method = "get",
        operation_id = "app_health_list"
    )]
    async fn list(
        &self,
        access: Access<action::AppRead, AppScope>,
        PageQuery(page): PageQuery,
    ) -> Result<Json<PageObject<HealthPeriodObject>>, Problem> {
        let page = app_health_list(&access.state.database, &access.scope, page).await?;
        Ok(Json(PageObject::of(page, HealthPeriodObject::from)))
    }
}
