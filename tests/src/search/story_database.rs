//! A database for stories, one after the other: Postgres with the roles and rights of production, and
//! with the story's clock in the place of its own.
//!
//! What differs from production: `now()` is found in the schema `story_clock` first, columns are
//! stamped with it by default, and a commit does not wait for the disk (nobody cuts its power in a
//! story).

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use db::Database;
use diesel::prelude::*;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::life::Planted;
use super::postgres_ledger::PostgresLedger;
use super::{Report, cast, story, world};
use crate::contract::ledger::postgres::PostgresStage;
use crate::database::TestDatabase;
use crate::mark::Mark;
use crate::run::in_harness;
use crate::twin::clock::Clock;

diesel::table! {
    story_clock.moment (at) {
        at -> Timestamptz,
    }
}

/// The clock, in a schema that stands before Postgres's own. A row, so that the connections of every
/// role read the same time.
const CLOCK: &str = "
    CREATE SCHEMA story_clock;
    CREATE UNLOGGED TABLE story_clock.moment (at timestamptz NOT NULL);
    INSERT INTO story_clock.moment VALUES (pg_catalog.now());
    CREATE FUNCTION story_clock.now() RETURNS timestamptz LANGUAGE sql STABLE
        RETURN (SELECT at FROM story_clock.moment);
    GRANT USAGE ON SCHEMA story_clock TO PUBLIC;
    GRANT SELECT ON story_clock.moment TO PUBLIC;
    DO $$ DECLARE stamped record; BEGIN
        FOR stamped IN
            SELECT table_name, column_name FROM information_schema.columns
            WHERE table_schema = 'public' AND column_default IN ('now()', 'clock_timestamp()')
        LOOP
            EXECUTE format('ALTER TABLE public.%I ALTER %I SET DEFAULT story_clock.now()',
                stamped.table_name, stamped.column_name);
        END LOOP;
        EXECUTE format('ALTER DATABASE %I SET search_path = story_clock, pg_catalog, public',
            current_database());
        EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database());
    END $$";

/// Takes everything of a story's away but its tenants, whom the next story does not know.
const CLEAR: &str = "TRUNCATE apps, releases, deployments, deployment_events, deployment_evidence, \
    app_status, app_health, app_disk, crash_loops, drift, outbox, release_secrets";

/// A database that one story at a time is told on.
pub struct StoryDatabase {
    test: TestDatabase,
    pub(super) stage: PostgresStage,
    /// What its clock shows.
    shown: Mutex<Option<DateTime<Utc>>>,
}

impl StoryDatabase {
    /// Makes one, hands it out to tell stories on, and takes it away.
    pub fn with<T>(tell: impl FnOnce(&Arc<Self>) -> Result<T>) -> Result<T> {
        let database = Arc::new(in_harness(Self::create())?);
        let told = tell(&database);
        let removed = in_harness(database.test.drop());
        // What went wrong in a story says more than what its end may have run into.
        let told = told?;
        removed.context("a story's database cannot be removed")?;
        Ok(told)
    }

    async fn create() -> Result<Self> {
        let test = TestDatabase::create(&Mark::new()).await.context("no database")?;
        test.owner().connection().await?.batch_execute(CLOCK).await?;
        // Its connections are made from here on, and find the clock.
        let stage = PostgresStage::on(&test, cast::platform()).await?;
        Ok(Self { test, stage, shown: Mutex::new(None) })
    }

    /// Tells the story of a seed; with this defect in the way, where one is planted.
    pub fn run(self: &Arc<Self>, seed: u64, planted: Option<Planted>) -> Result<Report> {
        in_harness(async {
            self.owner().connection().await?.batch_execute(CLEAR).await?;
            Ok(())
        })?;
        Ok(story(async {
            let clock = Clock::start();
            let ledger = PostgresLedger::new(Arc::clone(self), clock);
            world::tell(ledger, clock, seed, planted).await
        }))
    }

    pub(super) const fn owner(&self) -> &Database {
        self.test.owner()
    }

    pub(super) const fn worker(&self) -> &Database {
        self.test.worker()
    }

    /// Sets its clock.
    pub(super) async fn show(&self, now: DateTime<Utc>) -> Result<()> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        if shown == Some(now) {
            return Ok(());
        }
        let mut connection = self.owner().connection().await?;
        diesel::update(moment::table).set(moment::at.eq(now)).execute(&mut connection).await?;
        Ok(())
    }
}
