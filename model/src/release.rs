//! Releases: immutable, numbered snapshots of an app.

pub mod diff;

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::app::App;
use crate::error::ErrorCode;
use crate::id::{AppId, OrganizationId, ReleaseId};
use crate::schema::releases;
use crate::spec::AppSpec;
use crate::stored::Stored;
use crate::{Error, Result};

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

impl RollbackTarget {
    /// Why the app has no such release.
    pub fn missing(self, app: &App) -> Error {
        let why = match self {
            Self::Number(_) => return Error::not_found("release"),
            Self::Previous => "was ever live",
            Self::Stable => "was ever live and healthy",
        };
        let slug = &app.slug;
        Error::new(
            ErrorCode::NothingDeployed,
            format!("no other release of {slug} {why}: there is nothing to go back to"),
        )
    }
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
    /// Whether it may be made live again, in an app whose newest release is `newest`: it ran, and it
    /// is among the last [`KEPT_RELEASES`].
    pub fn deployable(&self, newest: i32) -> Result<()> {
        let number = self.number;
        if self.resolved_image.is_none() {
            return Err(Error::new(
                ErrorCode::NotDeployable,
                format!("release v{number} never ran: its image was not resolved"),
            ));
        }
        if number <= newest - KEPT_RELEASES {
            return Err(Error::new(
                ErrorCode::NotDeployable,
                format!("release v{number} is past retention: the newest {KEPT_RELEASES} are kept"),
            ));
        }
        Ok(())
    }

    /// Whether to roll back to it would change anything while `live` is live. Whoever asks for that in
    /// an incident must not take a `succeeded` that changed nothing for a cure.
    pub fn differs_from(&self, live: &Self) -> Result<()> {
        let number = self.number;
        let same = if live.id == self.id {
            format!("release v{number} is the one that is live")
        } else if live.runs_the_same(self) {
            format!("release v{number} is the same as v{}, which is live", live.number)
        } else {
            return Ok(());
        };
        Err(Error::new(
            ErrorCode::AlreadyLive,
            format!("{same}: name another release, or send force to restart its tasks"),
        ))
    }

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
        // Nor why it has this version of a secret.
        let mut others = other.spec.0.clone();
        for spec in [&mut spec, &mut others] {
            spec.references_mut().for_each(|(_, reference)| reference.follows = false);
        }
        same_image && spec == others
    }
}
