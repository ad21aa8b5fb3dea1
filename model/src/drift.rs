//! Drift: what is in Swarm and is not as Postgres has it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::id::{AppId, DeploymentId, DriftId, OrganizationId};
use crate::schema::drift;
use crate::text_enum::text_enum;

text_enum! {
    /// What is wrong with an object.
    pub enum DriftKind {
        /// The service of a live app is gone.
        Missing => "missing",
        /// Somebody else changed the service of an app.
        Changed => "changed",
        /// Somebody else changed it, and it was taken back: it is as it should be.
        TakenBack => "taken_back",
        /// Swarm has lost count: it keeps up fewer replicas than the service says.
        Short => "short",
        /// Left behind by the late call of a worker whose deployment was another's by then: its app is
        /// removed. Taken away.
        Orphan => "orphan",
        /// Somebody else's network overlaps it.
        Overlap => "overlap",
        /// A node that is cut off from the swarm goes on running what the swarm has given up there.
        Duplicate => "duplicate",
        /// What a container left behind when it was gone.
        Leaked => "leaked",
        /// Labelled as this installation's, and nothing in Postgres knows it. Left as it is: an operator
        /// decides.
        Unknown => "unknown",
    }
}

text_enum! {
    /// What kind of thing has drifted.
    pub enum ObjectType {
        /// A Swarm service.
        Service => "service",
        /// An overlay network.
        Network => "network",
        /// A container on one node.
        Container => "container",
        /// A container's end of a network, on one node.
        Endpoint => "endpoint",
    }
}

text_enum! {
    /// What is done about the service of an app that is not as its last verdict left it.
    pub enum OnDrift {
        /// It is reported to operators.
        Report => "report",
        /// It is reported, and a repair brings back what should be live.
        Repair => "repair",
    }
}

/// Something that was found.
#[derive(Debug, Clone, Queryable, Selectable, Identifiable)]
#[diesel(table_name = drift)]
pub struct Drift {
    /// Its id.
    pub id: DriftId,
    /// What is wrong.
    pub kind: DriftKind,
    /// With what.
    pub object_type: ObjectType,
    /// Its name in Swarm.
    pub object: String,
    /// Its tenant, where it is known.
    pub organization_id: Option<OrganizationId>,
    /// Its app, where it is known.
    pub app_id: Option<AppId>,
    /// What was seen.
    pub sentence: String,
    /// The repair that it led to.
    pub deployment_id: Option<DeploymentId>,
    /// When it was seen last.
    pub seen_at: DateTime<Utc>,
    /// When it was seen no more.
    pub resolved_at: Option<DateTime<Utc>>,
    /// When it was seen first.
    pub created_at: DateTime<Utc>,
}
