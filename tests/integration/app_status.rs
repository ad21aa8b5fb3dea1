//! Live status as several workers write it at once.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use db::Database;
use db::app_status::{Unchanged, app_status_confirm, app_status_write};
use futures::future::try_join;
use model::app_status::{AppStatus, Health};
use model::id::{AppId, HealthId, OrganizationId};
use model::stored::Stored;
use tests::contract::ledger::Stage as _;
use tests::contract::ledger::postgres::{PostgresStage, on_postgres};
use tests::contract::ledger::spec;
use tests::{Outcome, sql};

/// Apps of one organization.
async fn apps(stage: &PostgresStage, count: usize) -> anyhow::Result<(OrganizationId, Vec<AppId>)> {
    let home = stage.organization("acme").await?;
    let mut apps = Vec::new();
    for number in 0..count {
        let slug = format!("web-{number}");
        apps.push(stage.app_create(home, &slug, spec("web:v1"), 1).await?);
    }
    Ok((home.organization, apps))
}

fn status(
    (organization_id, app_id): (OrganizationId, AppId),
    health: Health,
    at: DateTime<Utc>,
) -> AppStatus {
    AppStatus {
        app_id,
        organization_id,
        health,
        cause: None,
        release_id: None,
        desired: 1,
        running: i32::from(health == Health::Healthy),
        tasks: Stored(Vec::new()),
        since: at,
        observed_at: at,
        health_id: HealthId::new(),
        virtual_address: None,
    }
}

async fn healths(database: &Database, table: &str) -> anyhow::Result<Vec<String>> {
    let rows = sql::rows(database, &format!("SELECT health FROM {table} ORDER BY since")).await?;
    Ok(rows.iter().map(|row| row["health"].as_str().unwrap_or_default().to_owned()).collect())
}

#[test]
fn of_two_observations_the_newer_one_stays() -> Outcome {
    on_postgres(async |stage| {
        let (organization, apps) = apps(stage, 1).await?;
        let database = stage.ledger();
        let begin = Utc::now();
        let write = async |health, seconds| {
            let at = begin + TimeDelta::seconds(seconds);
            app_status_write(database, vec![status((organization, apps[0]), health, at)]).await
        };
        write(Health::Healthy, 10).await?;
        write(Health::Down, 20).await?;
        // A worker that looked before, and writes it after.
        write(Health::Healthy, 15).await?;
        assert_eq!(healths(database, "app_status").await?, ["down"]);
        assert_eq!(healths(database, "app_health").await?, ["healthy", "down"]);
        write(Health::Healthy, 30).await?;
        assert_eq!(healths(database, "app_health").await?, ["healthy", "down", "healthy"]);
        Ok(())
    })
}

#[test]
fn workers_that_write_the_same_rows_do_not_wait_for_each_other_for_ever() -> Outcome {
    on_postgres(async |stage| {
        let (organization, apps) = apps(stage, 100).await?;
        let database = stage.ledger();
        let begin = Utc::now();
        let write = async |odd: i64| {
            for round in 0..30 {
                let at = begin + TimeDelta::seconds(2 * round + odd);
                let health = if odd == 1 { Health::Healthy } else { Health::Down };
                let mut seen: Vec<AppStatus> =
                    apps.iter().map(|app| status((organization, *app), health, at)).collect();
                if odd == 1 {
                    seen.reverse();
                }
                app_status_write(database, seen).await?;
            }
            anyhow::Ok(())
        };
        try_join(write(0), write(1)).await?;
        let left = healths(database, "app_status").await?;
        assert_eq!(left, vec!["healthy"; apps.len()], "the newest");
        Ok(())
    })
}

#[test]
fn what_is_fresh_or_another_workers_is_not_confirmed() -> Outcome {
    on_postgres(async |stage| {
        let (organization, apps) = apps(stage, 4).await?;
        let database = stage.ledger();
        let fresh = TimeDelta::seconds(60);
        let begin = (Utc::now() - TimeDelta::hours(1)).trunc_subsecs(0);
        let (old, new) = (begin, begin + TimeDelta::seconds(70));
        let seen = [(0, Health::Healthy, old), (1, Health::Healthy, new), (2, Health::Down, old)];
        let seen = seen.map(|(app, health, at)| status((organization, apps[app]), health, at));
        app_status_write(database, seen.into()).await?;
        let unchanged: Vec<Unchanged> = apps
            .iter()
            .map(|app| Unchanged { app: *app, health: Health::Healthy, desired: 1 })
            .collect();
        let at = begin + TimeDelta::seconds(80);
        let others = app_status_confirm(database, &unchanged, at, fresh).await?;
        let expected = [apps[2], apps[3]];
        assert!(others.len() == 2 && expected.iter().all(|app| others.contains(app)), "{others:?}");
        let observed = format!(
            "app_status WHERE (app_id, observed_at) IN (('{}', '{at}'), ('{}', '{new}'), ('{}', '{old}'))",
            apps[0].as_uuid(),
            apps[1].as_uuid(),
            apps[2].as_uuid()
        );
        assert_eq!(sql::count(database, &observed).await?, 3);
        Ok(())
    })
}
