//! Environments and their networks.

use chrono::{DateTime, Utc};
use db::environments::{
    EnvironmentRow, environment_create, environment_delete, environment_get, environment_list,
};
use db::networks::{self, network_replace, network_view};
use db::{EnvironmentScope, OrgScope};
use model::network::{Network, NetworkAccess, NetworkOptions};
use model::slug::{InvalidSlug, Slug};
use model::spec::EndpointMode;
use model::{Error, names};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use validator::Validate;

use super::Tag;
use crate::access::{Access, action};
use crate::body::Body;
use crate::done::{Done, kept};
use crate::idempotency::Key;
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;
use crate::word::Word;

/// The endpoints of environments.
pub(crate) struct Environments;

/// A new environment.
#[derive(Debug, Object, Validate)]
pub(crate) struct EnvironmentCreate {
    /// Unique in the organization.
    #[oai(validator(
        min_length = 1,
        max_length = 40,
        pattern = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"
    ))]
    slug: String,
    /// Its network. Docker changes none of this afterwards.
    #[oai(default)]
    network: NetworkCreate,
}

/// What somebody chooses of a network.
#[derive(Debug, Default, Object, Validate)]
pub(crate) struct NetworkCreate {
    /// Prefix length of its subnet: how many addresses it has. 24 where it is not given.
    #[oai(validator(minimum(value = "22"), maximum(value = "26")))]
    prefix: Option<u8>,
    /// MTU of the network between the nodes, in bytes; the platform's where it is not given.
    #[oai(validator(minimum(value = "576"), maximum(value = "9216")))]
    mtu: Option<i32>,
    /// What its containers reach beside each other; `egress` where it is not given.
    access: Option<Word<NetworkAccess>>,
}

impl From<NetworkCreate> for NetworkOptions {
    fn from(wanted: NetworkCreate) -> Self {
        let usual = Self::default();
        Self {
            prefix: wanted.prefix.unwrap_or(usual.prefix),
            mtu: wanted.mtu,
            access: wanted.access.map_or(usual.access, |access| access.0),
        }
    }
}

/// An environment's network, and who may need how much of it.
#[derive(Debug, Object)]
pub(crate) struct NetworkView {
    /// The network.
    network: NetworkObject,
    /// What it holds.
    capacity: CapacityObject,
    /// The apps that addresses are kept for: those that something of is deployed, or about to be.
    apps: Vec<NetworkedAppObject>,
    /// Names of networks that the environment had before, and that have not left the swarm yet.
    leaving: Vec<String>,
}

/// The addresses of a network. `free` is `addresses` less all of the others.
#[derive(Debug, Object)]
#[oai(rename = "NetworkCapacity")]
pub(crate) struct CapacityObject {
    /// Addresses of the subnet.
    addresses: i32,
    /// The first, the last and the gateway's.
    unusable: i32,
    /// One for each node of the swarm.
    nodes: i32,
    /// What is kept for apps: replicas, those that run beside them in an update, virtual addresses.
    reserved: i32,
    /// What is left.
    free: i32,
}

/// An app on its environment's network.
#[derive(Debug, Object)]
#[oai(rename = "NetworkedApp")]
pub(crate) struct NetworkedAppObject {
    /// Its slug.
    slug: String,
    /// The names that it is found by inside the network.
    names: Vec<String>,
    /// How they resolve; `null`: nothing of it is live yet.
    endpoint_mode: Option<Word<EndpointMode>>,
    /// Addresses that are kept for it.
    reserved: i32,
    /// The virtual address of its names, as it was seen last; `null`: it has none, or it was not seen yet.
    virtual_address: Option<String>,
    /// The addresses of its running tasks, as they were seen last: of those on nodes whose Docker is reached.
    addresses: Vec<String>,
}

impl From<networks::NetworkView> for NetworkView {
    fn from(view: networks::NetworkView) -> Self {
        let networks::NetworkView { network, capacity, apps, leaving } = view;
        let app = |app: networks::NetworkedApp| NetworkedAppObject {
            names: names::aliases(&app.slug).into(),
            slug: app.slug,
            endpoint_mode: app.endpoint_mode.map(Word),
            reserved: app.reserved,
            virtual_address: app.virtual_address.map(|address| address.addr().to_string()),
            addresses: app
                .tasks
                .0
                .iter()
                .filter_map(|task| Some(task.address?.to_string()))
                .collect(),
        };
        Self {
            network: network.into(),
            capacity: CapacityObject {
                addresses: capacity.addresses,
                unusable: capacity.nobodys,
                nodes: capacity.nodes,
                reserved: capacity.reserved,
                free: capacity.free(),
            },
            apps: apps.into_iter().map(app).collect(),
            leaving,
        }
    }
}

/// The answer to a created environment.
#[derive(ApiResponse)]
pub(crate) enum EnvironmentCreated {
    /// It is there. Its network comes into Swarm with its first deployment.
    #[oai(status = 201)]
    Created(
        Json<EnvironmentObject>,
        /// Path of the environment.
        #[oai(header = "Location")]
        String,
    ),
}

/// The answer to who gave an environment another network.
#[derive(ApiResponse)]
pub(crate) enum NetworkReplaced {
    /// It has it; its apps move.
    #[oai(status = 202)]
    Replaced(Json<EnvironmentObject>),
}

/// The answer to a removed environment.
#[derive(ApiResponse)]
pub(crate) enum EnvironmentDeleted {
    /// It is gone. Its network leaves the swarm, and its subnet is given to nobody for ten minutes.
    #[oai(status = 204)]
    Deleted,
}

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

/// An overlay network.
#[derive(Debug, Object)]
#[oai(rename = "Network")]
pub(crate) struct NetworkObject {
    /// Its name in Swarm.
    name: String,
    /// Its own range of addresses, in CIDR notation.
    subnet: String,
    /// MTU of the underlay in bytes; `null`: Docker's default.
    mtu: Option<i32>,
    /// What its containers reach beside each other.
    access: Word<NetworkAccess>,
    /// Whether what crosses between nodes is encrypted.
    encrypted: bool,
}

impl From<Network> for NetworkObject {
    fn from(network: Network) -> Self {
        Self {
            name: network.name,
            subnet: network.subnet.to_string(),
            mtu: network.mtu,
            access: Word(network.access),
            encrypted: network.encrypted,
        }
    }
}

impl From<EnvironmentRow> for EnvironmentObject {
    fn from((environment, network): EnvironmentRow) -> Self {
        Self {
            id: environment.id.to_string(),
            slug: environment.slug,
            network: network.into(),
            created_at: environment.created_at,
            updated_at: environment.updated_at,
        }
    }
}

#[OpenApi(tag = "Tag::Environments")]
impl Environments {
    /// Make an environment
    ///
    /// With a network of its own, which no other environment shares.
    #[oai(
        path = "/v1/organizations/:organization/environments",
        method = "post",
        operation_id = "environment_create"
    )]
    async fn create(
        &self,
        access: Access<action::EnvironmentManage, OrgScope>,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<EnvironmentCreate>,
    ) -> Result<Done<EnvironmentCreated>, Problem> {
        let request = access.request(key.with(&body));
        let EnvironmentCreate { slug, network } = body.value;
        let slug: Slug = slug.parse().map_err(|error: InvalidSlug| Error::internal(error))?;
        let answer = |made: EnvironmentRow| {
            let location = format!("{}/environments/{slug}", access.path);
            kept(EnvironmentCreated::Created(Json(made.into()), location))
        };
        let database = &access.state.database;
        let options = network.into();
        let answered =
            environment_create(database, access.scope, &slug, options, &request, answer).await?;
        Ok(Done::of(answered)?)
    }

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

    /// Get an environment's network
    ///
    /// Its options, what it holds, and which apps may need how much of it.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/network",
        method = "get",
        operation_id = "environment_network_get"
    )]
    async fn network(
        &self,
        access: Access<action::EnvironmentRead, EnvironmentScope>,
    ) -> Result<Json<NetworkView>, Problem> {
        let view = network_view(&access.state.database, &access.scope).await?;
        Ok(Json(view.into()))
    }

    /// Give an environment another network
    ///
    /// Docker changes no network that is there: this makes one with other options, and moves each app onto it by a
    /// deployment of what is live. While they move, apps on the one do not reach those on the other. The old network leaves
    /// the swarm when no app is on it any more (`leaving`, in the answer to a GET).
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/network",
        method = "put",
        operation_id = "environment_network_replace"
    )]
    async fn replace_network(
        &self,
        access: Access<action::NetworkReplace, EnvironmentScope>,
        body: Body<NetworkCreate>,
    ) -> Result<NetworkReplaced, Problem> {
        let request = access.request(None);
        let database = &access.state.database;
        let options = body.value.into();
        let made = network_replace(database, &access.scope, options, &request).await?;
        Ok(NetworkReplaced::Replaced(Json(made.into())))
    }

    /// Remove an environment
    ///
    /// Refused while an app is in it. `production` ends with its organization.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment",
        method = "delete",
        operation_id = "environment_delete"
    )]
    async fn delete(
        &self,
        access: Access<action::EnvironmentManage, EnvironmentScope>,
    ) -> Result<EnvironmentDeleted, Problem> {
        let request = access.request(None);
        environment_delete(&access.state.database, &access.scope, &request).await?;
        Ok(EnvironmentDeleted::Deleted)
    }
}
