//! The tables, and what every statement needs of them: ids, the time, a row or an error.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use chrono::{DateTime, Utc};
use db::outbox::OutboxRow;
use ipnet::{IpNet, Ipv4Net};
use model::app::App;
use model::capacity::Reserved;
use model::deployment::{Deployment, DeploymentEvent};
use model::evidence::Evidence;
use model::fingerprint::Fingerprint;
use model::id::{
    AppId, DeploymentId, EnvironmentId, NetworkId, OrganizationId, ReleaseId, TokenId,
};
use model::network::{Network, NetworkAccess};
use model::platform::Platform;
use model::release::Release;
use model::status::Status;
use model::{Error, Result, names};
use uuid::{Builder, Uuid};

use crate::twin::clock::Clock;
use crate::twin::ledger::Used;

/// The tables. Ordered by id, which is the order of creation: no run depends on a hash.
pub(super) struct Rows {
    clock: Clock,
    /// How the installation is set.
    pub(super) platform: Platform,
    /// Ids that were given out.
    ids: u64,
    /// Who asks for everything.
    pub(super) token: TokenId,
    /// The newest fencing number.
    pub(super) fence: i64,
    pub(super) networks: BTreeMap<EnvironmentId, Network>,
    pub(super) apps: BTreeMap<AppId, App>,
    /// Of the services as the last verdicts left them.
    pub(super) fingerprints: BTreeMap<AppId, Fingerprint>,
    pub(super) releases: BTreeMap<ReleaseId, Release>,
    pub(super) deployments: BTreeMap<DeploymentId, Deployment>,
    pub(super) events: Vec<DeploymentEvent>,
    pub(super) evidence: BTreeMap<DeploymentId, Evidence>,
    /// What each deployment may need.
    pub(super) needs: BTreeMap<DeploymentId, Reserved>,
    /// What the last verdict left each app with.
    pub(super) live: BTreeMap<AppId, Reserved>,
    /// What organizations use, moved with what is kept for their apps.
    pub(super) used: BTreeMap<OrganizationId, Used>,
    pub(super) outbox: Vec<OutboxRow>,
    /// Wake-ups that were ever written.
    wakeups: i64,
}

impl Rows {
    pub(super) fn new(clock: Clock, platform: Platform) -> Self {
        Self {
            clock,
            platform,
            ids: 0,
            token: TokenId::from(Uuid::nil()),
            fence: 0,
            networks: BTreeMap::new(),
            apps: BTreeMap::new(),
            fingerprints: BTreeMap::new(),
            releases: BTreeMap::new(),
            deployments: BTreeMap::new(),
            events: Vec::new(),
            evidence: BTreeMap::new(),
            needs: BTreeMap::new(),
            live: BTreeMap::new(),
            used: BTreeMap::new(),
            outbox: Vec::new(),
            wakeups: 0,
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// An id as production makes them, with a counter for what is random there.
    pub(super) fn id<Id: From<Uuid>>(&mut self) -> Id {
        self.ids += 1;
        let millis = u64::try_from(self.now().timestamp_millis()).unwrap_or_default();
        let mut tail = [0; 10];
        tail[2..].copy_from_slice(&self.ids.to_be_bytes());
        Builder::from_unix_timestamp_millis(millis, &tail).into_uuid().into()
    }

    pub(super) fn organization_create(&mut self) -> OrganizationId {
        self.id()
    }

    pub(super) fn environment_create(
        &mut self,
        organization: OrganizationId,
        slug: &str,
    ) -> EnvironmentId {
        let (id, now) = (self.id(), self.now());
        let index = u32::try_from(self.networks.len()).unwrap_or_default();
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 64, 0, 0)) + (index << 8));
        let network = Network {
            id: self.id::<NetworkId>(),
            organization_id: organization,
            environment_id: id,
            name: names::network_name(organization, id, slug),
            subnet: IpNet::from(Ipv4Net::new_assert(address, 24)),
            mtu: None,
            created_at: now,
            updated_at: now,
            access: NetworkAccess::Egress,
            encrypted: true,
            retired_at: None,
            reserved_addresses: 0,
        };
        self.networks.insert(id, network);
        id
    }

    pub(super) fn tell(
        &mut self,
        deployment: DeploymentId,
        organization: OrganizationId,
        status: Status,
        message: String,
    ) {
        let (id, created_at) = (self.events.len() as i64 + 1, self.now());
        self.events.push(DeploymentEvent {
            id,
            organization_id: organization,
            deployment_id: deployment,
            status,
            message,
            created_at,
        });
    }

    pub(super) fn wake(&mut self, deployment: DeploymentId) {
        self.wakeups += 1;
        self.outbox.push(OutboxRow { id: self.wakeups, deployment });
    }

    pub(super) fn app(&self, id: AppId) -> Result<&App> {
        self.apps.get(&id).ok_or_else(|| missing(&id))
    }

    pub(super) fn release(&self, id: ReleaseId) -> Result<&Release> {
        self.releases.get(&id).ok_or_else(|| missing(&id))
    }

    /// The deployments of an app, oldest first.
    pub(super) fn deployments_of(
        &self,
        app: AppId,
    ) -> impl DoubleEndedIterator<Item = &Deployment> {
        self.deployments.values().filter(move |deployment| deployment.app_id == app)
    }
}

/// What a foreign key would have refused.
pub(super) fn missing(id: &dyn std::fmt::Display) -> Error {
    Error::internal(format!("there is no row {id}"))
}

/// Whether a worker holds a deployment of this status.
pub(super) fn is_driving(status: Status) -> bool {
    Status::DRIVING.contains(&status)
}
