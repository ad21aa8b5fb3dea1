//! Releases: immutable, numbered snapshots of an app.

pub mod diff;

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::id::{AppId, OrganizationId, ReleaseId};
use crate::schema::releases;
use crate::spec::AppSpec;
use crate::stored::Stored;

/// How many releases of an app stay deployable.
pub const KEPT_RELEASES: i32 = 10;

/// Which older release a rollback makes live again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollbackTarget {
    /// The one that was live before the one that is.
    Previous,
    /// The newest that was ever live and healthy, beside the one that is live.
    Stable,
    /// The one of this number.
    Number(i32),
}

/// A release's row.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Identifiable)]
#[diesel(table_name = releases)]
pub struct Release {
    /// Its id.
    pub id: ReleaseId,
    /// Its tenant.
    pub organization_id: OrganizationId,
    /// Its app.
    pub app_id: AppId,
    /// Its number in the app: v1, v2, …
    pub number: i32,
    /// The whole spec.
    pub spec: Stored<AppSpec>,
    /// Version of `spec`'s form.
    pub spec_version: i16,
    /// `repository@sha256:…`, or `sha256:…` for a local image; `None`: never resolved, never ran.
    pub resolved_image: Option<String>,
    /// When it was first live and healthy.
    pub stable_at: Option<DateTime<Utc>>,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the row was changed last.
    pub updated_at: DateTime<Utc>,
}

impl Release {
    /// Whether this release and `other` would run the same: same resolved image, same spec (the
    /// tag by which the image was named does not count, nor where a check's port came from).
    pub fn runs_the_same(&self, other: &Self) -> bool {
        let same_image =
            self.resolved_image.is_some() && self.resolved_image == other.resolved_image;
        let mut spec = self.spec.0.clone();
        spec.image.clone_from(&other.spec.0.image);
        if let (Some(check), Some(others)) = (&mut spec.health_check, &other.spec.0.health_check) {
            check.port_of_app = others.port_of_app;
        }
        same_image && spec == other.spec.0
    }
}
