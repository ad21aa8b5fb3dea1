//! Environments and their networks.

use chrono::{DateTime, Utc};
use db::environments::{EnvironmentRow, environment_get, environment_list};
use db::{EnvironmentScope, OrgScope};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use super::Tag;
use crate::access::{Access, action};
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;

/// The endpoints of environments.
pub(crate) struct Environments;

/// An isolated place inside an organization.
#[derive(Debug, Object)]
#[oai(rename = "Environment")]
pub(crate) struct EnvironmentObject {
    /// Its id (`env_…`).
    id: String,
    /// Unique in the organization.
    slug: String,
    /// Its network, which no other environment shares.
    network: NetworkObject,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it was changed last.
    updated_at: DateTime<Utc>,
}

/// An encrypted overlay network.
#[derive(Debug, Object)]
#[oai(rename = "Network")]
pub(crate) struct NetworkObject {
    /// Its name in Swarm.
    name: String,
    /// Its own range of addresses, in CIDR notation.
    subnet: String,
    /// MTU of the underlay in bytes; `null`: Docker's default.
    mtu: Option<i32>,
}

impl From<EnvironmentRow> for EnvironmentObject {
    fn from((environment, network): EnvironmentRow) -> Self {
        Self {
            id: environment.id.to_string(),
            slug: environment.slug,
            network: NetworkObject {
                name: network.name,
                subnet: network.subnet.to_string(),
                mtu: network.mtu,
            },
            created_at: environment.created_at,
            updated_at: environment.updated_at,
        }
    }
}

#[OpenApi(tag = "Tag::Environments")]
impl Environments {
    /// List the environments of an organization
    ///
    /// Oldest first.
    #[oai(
        path = "/v1/organizations/:organization/environments",
        method = "get",
        operation_id = "environment_list"
    )]
    async fn list(
        &self,
        access: Access<action::EnvironmentRead, OrgScope>,
        PageQuery(page): PageQuery,
    ) -> Result<Json<PageObject<EnvironmentObject>>, Problem> {
        let page = environment_list(&access.state.database, access.scope, page).await?;
        Ok(Json(PageObject::of(page, EnvironmentObject::from)))
    }

    /// Get an environment
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment",
        method = "get",
        operation_id = "environment_get"
    )]
    async fn get(
        &self,
        access: Access<action::EnvironmentRead, EnvironmentScope>,
    ) -> Result<Json<EnvironmentObject>, Problem> {
        let found = environment_get(&access.state.database, &access.scope).await?;
        Ok(Json(found.into()))
    }
}
