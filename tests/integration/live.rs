//! What is live, as it is watched: on a real Postgres, over a simulated Swarm.

use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use model::drift::OnDrift;
use model::id::DeploymentId;
use orchestrator::swarm::ServiceSpec;
use serde_json::Value;
use tests::twin::swarm::Call;
use tests::watched::watched;
use tests::{Outcome, sql, wait_until};

#[test]
fn two_watches_at_once_tell_one_story() -> Outcome {
    watched(OnDrift::Repair, async |skep, workers| {
        // Down for long enough to be seen of all apps at once.
        let apps = skep.deploy(12, 8).await?;
        skep.watch(workers);
        skep.watch(workers);
        skep.until(&apps, "health = 'healthy'").await?;
        for _ in 0..2 {
            for app in &apps {
                skep.crash(app, 1).await?;
            }
            skep.until(&apps, "health = 'down'").await?;
            skep.until(&apps, "health = 'healthy'").await?;
        }
        skep.looks(4).await?;
        for app in &apps {
            let of_app = format!(
                "SELECT health FROM app_health WHERE app_id = '{}' ORDER BY since, id",
                app.id.as_uuid()
            );
            let rows = sql::rows(skep.owner(), &of_app).await?;
            let healths: Vec<&Value> = rows.iter().map(|row| &row["health"]).collect();
            assert_eq!(healths, ["healthy", "down", "healthy", "down", "healthy"]);
        }
        Ok(())
    })
}

#[test]
fn an_app_of_which_all_is_well_is_confirmed_and_seldom_looked_at() -> Outcome {
    watched(OnDrift::Repair, async |skep, workers| {
        let apps = skep.deploy(3, 1).await?;
        skep.watch(workers);
        skep.until(&apps, "health = 'healthy'").await?;
        skep.looks(3).await?;
        let before = skep.swarm.task_lists();
        skep.looks(3).await?;
        let fresh = "observed_at > moved_clock.now() - interval '30 s'";
        for _ in 0..3 {
            skep.pass(TimeDelta::seconds(65)).await?;
            skep.until(&apps, fresh).await?;
        }
        assert_eq!(skep.swarm.task_lists(), before, "nobody asked for their tasks");
        // What another worker saw, and this one did not, is looked into.
        let other = "UPDATE app_status SET health = 'down'";
        assert_eq!(sql::execute(skep.owner(), other).await?, apps.len());
        skep.pass(TimeDelta::seconds(65)).await?;
        skep.until(&apps, "health = 'healthy'").await?;
        assert_eq!(skep.swarm.task_lists(), before + apps.len());
        skep.pass(TimeDelta::minutes(11)).await?;
        wait_until("a look at their tasks", Duration::from_secs(20), async || {
            skep.swarm.announce();
            Ok(skep.swarm.task_lists() == before + 2 * apps.len())
        })
        .await
    })
}

#[test]
fn a_slow_down_is_told_once_it_is_written() -> Outcome {
    watched(OnDrift::Repair, async |skep, workers| {
        let apps = skep.deploy(1, 1).await?;
        let app = &apps[0];
        skep.watch(workers);
        skep.until(&apps, "health = 'healthy'").await?;
        skep.swarm.refuse_updates(true);
        skep.crash(app, 3).await?;
        skep.until(&apps, "cause LIKE '%; not slowed down yet (round 1)%'").await?;
        skep.resume_after(TimeDelta::hours(1)).await?;
        skep.swarm.refuse_updates(false);
        skep.until(&apps, "cause LIKE '%; slowed down (round 1)%'").await?;
        let service = skep.swarm.snapshot(&app.service_name);
        assert_eq!(service.map(|service| service.spec.replicas), Some(0));
        Ok(())
    })
}

#[test]
fn what_somebody_else_is_at_work_on_is_not_slowed_down() -> Outcome {
    watched(OnDrift::Report, async |skep, workers| {
        let apps = skep.deploy(2, 1).await?;
        let [changed, stuck] = apps.as_slice() else { unreachable!() };
        skep.watch(workers);
        skep.until(&apps, "health = 'healthy'").await?;
        let to_stuck = format!(
            "INSERT INTO deployments (id, organization_id, app_id, release_id, kind, status, replicas,
                 restart_counter, spec_version, reason_code, reason, finished_at)
             SELECT '{}', organization_id, id, live_release_id, 'repair', 'stuck', 1, 0, 1,
                 'changed_outside', 'told by a test', now()
             FROM apps WHERE id = '{}'",
            DeploymentId::new().as_uuid(),
            stuck.id.as_uuid()
        );
        assert_eq!(sql::execute(skep.owner(), &to_stuck).await?, 1);
        assert!(skep.swarm.change(&changed.service_name, |spec| spec.replicas = 2));
        wait_until("the report", Duration::from_secs(20), async || {
            skep.swarm.announce();
            Ok(sql::count(skep.owner(), "drift WHERE kind = 'changed'").await? == 1)
        })
        .await?;
        let before = skep.swarm.effects(0).len();
        for app in &apps {
            skep.crash(app, 3).await?;
            skep.until(std::slice::from_ref(app), "health = 'crash_looping'").await?;
            skep.looks(3).await?;
        }
        let written = skep.swarm.effects(before);
        assert!(written.iter().all(|effect| effect.call != Call::ServiceUpdate), "{written:?}");
        assert_eq!(sql::count(skep.owner(), "crash_loops").await?, 0);
        Ok(())
    })
}

#[test]
fn slowing_down_what_was_repaired_changes_its_replicas_and_nothing_else() -> Outcome {
    watched(OnDrift::Repair, async |skep, workers| {
        let apps = skep.deploy(1, 1).await?;
        let app = &apps[0];
        skep.watch(workers);
        skep.until(&apps, "health = 'healthy'").await?;
        assert!(skep.swarm.change(&app.service_name, |spec| spec.replicas = 2));
        let repaired = "deployments WHERE kind = 'repair' AND status = 'succeeded'";
        wait_until("the repair", Duration::from_secs(30), async || {
            skep.swarm.announce();
            Ok(sql::count(skep.owner(), repaired).await? == 1)
        })
        .await?;
        let before = skep.swarm.snapshot(&app.service_name).context("no service")?.spec;
        skep.crash(app, 3).await?;
        skep.until(&apps, "cause LIKE '%; slowed down (round 1)%'").await?;
        let slowed = skep.swarm.snapshot(&app.service_name).context("no service")?.spec;
        assert_eq!(*slowed, ServiceSpec { replicas: 0, ..ServiceSpec::clone(&before) });
        skep.resume_after(TimeDelta::zero()).await?;
        skep.until(&apps, "health = 'healthy'").await?;
        skep.looks(3).await?;
        assert_eq!(*skep.swarm.snapshot(&app.service_name).context("no service")?.spec, *before);
        assert_eq!(sql::count(skep.owner(), "deployments WHERE kind = 'repair'").await?, 1);
        assert_eq!(sql::count(skep.owner(), "drift WHERE resolved_at IS NULL").await?, 0);
        Ok(())
    })
}

#[test]
fn drift_is_resolved_as_soon_as_the_app_has_recovered() -> Outcome {
    watched(OnDrift::Repair, async |skep, workers| {
        let apps = skep.deploy(1, 1).await?;
        let app = &apps[0];
        skep.watch(workers);
        skep.until(&apps, "health = 'healthy'").await?;
        skep.crash(app, 3).await?;
        skep.until(&apps, "cause LIKE '%; slowed down (round 1)%'").await?;
        skep.resume_after(TimeDelta::hours(1)).await?;
        let open = format!(
            "INSERT INTO drift (id, kind, object_type, object, organization_id, app_id, sentence)
             VALUES (gen_random_uuid(), 'short', 'service', '{}', '{}', '{}', 'told before')",
            app.service_name,
            app.organization_id.as_uuid(),
            app.id.as_uuid()
        );
        sql::execute(skep.owner(), &open).await?;
        skep.looks(3).await?;
        let is_open = "drift WHERE resolved_at IS NULL";
        assert_eq!(sql::count(skep.owner(), is_open).await?, 1, "it is slowed down still");
        skep.pass(TimeDelta::minutes(61)).await?;
        skep.until(&apps, "health = 'healthy'").await?;
        wait_until("the drift to be resolved", Duration::from_secs(10), async || {
            Ok(sql::count(skep.owner(), is_open).await? == 0)
        })
        .await?;
        let remembered = "crash_loops WHERE recovered_at IS NOT NULL";
        assert_eq!(sql::count(skep.owner(), remembered).await?, 1);
        Ok(())
    })
}
