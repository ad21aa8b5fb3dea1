//! Quarantine: objects that carry this installation's label and that nothing in Postgres knows. They are
//! told and never touched. What a call that came too late has made again is known to be nobody's, and
//! goes.
//!
//! It goes at once, and is not scaled to zero first as by a removal. A removal waits for the last task so
//! that its verdict is true and what waits for the end of the app can go on; an orphan's app had its
//! verdict. Swarm ends the tasks of a service that is removed as it ends others: with their stop signal and
//! their time. And it should be quick: the orphan answers under its app's name in the environment's
//! network, which a new app may have by now.

use std::collections::HashSet;

use db::drift::{Found, Look, LookedAt};
use db::live::{LiveApp, apps_gone, live_apps};
use db::networks::networks_named;
use model::drift::{DriftKind, ObjectType};
use model::id::AppId;
use model::names;

use super::{Failure, Live, app_of};
use crate::deployment::forgets_tasks;
use crate::drift_report::report;
use crate::swarm::{ServiceCount, Swarm};
use crate::wakeups::Relay;

impl<S: Swarm, R: Relay> Live<S, R> {
    /// Objects of this installation that nothing in Postgres knows are reported and left alone: an
    /// operator decides. The service of an app that was removed was made by a call that came too late: it
    /// is taken away.
    pub(super) async fn quarantine(&self, listed: &[ServiceCount]) -> Result<(), Failure> {
        let ids: Vec<AppId> = listed.iter().filter_map(app_of).collect();
        let gone = apps_gone(&self.database, &ids).await?;
        let is_unknown =
            |one: &&ServiceCount| app_of(one).is_none_or(|app| gone.unknown.contains(&app));
        let unknown: Vec<String> =
            listed.iter().filter(is_unknown).map(|one| one.name.clone()).collect();
        for removed in live_apps(&self.database, &gone.removed).await? {
            self.take_away(&removed).await?;
        }
        self.report_unknown(ObjectType::Service, unknown).await?;
        let mut unknown = self.unknown_networks().await?;
        if !unknown.is_empty() {
            // One that left after it was listed, and its row with it, is not there at the second look.
            let again = self.unknown_networks().await?;
            unknown.retain(|name| again.contains(name));
        }
        self.report_unknown(ObjectType::Network, unknown).await
    }

    /// Names of this installation's networks in the swarm that no environment has, or is to lose. A row is older than its network.
    async fn unknown_networks(&self) -> Result<Vec<String>, Failure> {
        let listed = self.swarm.networks(&self.platform.name).await?;
        let mut names: Vec<String> = listed.into_iter().map(|network| network.name).collect();
        let known: HashSet<String> =
            networks_named(&self.database, &names).await?.into_iter().collect();
        names.retain(|name| !known.contains(name));
        Ok(names)
    }

    async fn report_unknown(
        &self,
        object_type: ObjectType,
        names: Vec<String>,
    ) -> Result<(), Failure> {
        let found = names.into_iter().map(|name| {
            let sentence = format!(
                "the {object_type} {name} is labelled {}={} and nothing in the database knows it: it is left \
                 alone; remove it by hand if it is nobody's",
                names::LABEL_PLATFORM,
                self.platform.name
            );
            (name, Found { app: None, sentence })
        });
        let look = Look {
            kind: DriftKind::Unknown,
            object_type,
            found: found.collect(),
            standing: Vec::new(),
            looked_at: LookedAt::Everything,
        };
        Ok(report(&self.database, look).await?)
    }

    async fn take_away(&self, app: &LiveApp) -> Result<(), Failure> {
        // The list is older than the row: it may have gone with its app.
        let Some(service) = self.swarm.service(&app.service_name).await? else { return Ok(()) };
        // Not in the moment in which the daemon would not survive it: the next census finds it again.
        if forgets_tasks(&self.swarm.tasks(&service.id).await?) {
            return Ok(());
        }
        self.swarm.service_remove(&app.service_name).await?;
        let sentence = format!(
            "the service {} of a removed app was there: a worker's late call had made it again; it was \
             taken away",
            app.service_name
        );
        self.tell(app, DriftKind::Orphan, &sentence, true).await
    }
}
