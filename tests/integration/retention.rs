//! Claims on images: who keeps one, told in rows.

use db::deletions::organization_erase;
use db::retention::images_unneeded;
use serde_json::json;
use tests::answer::text;
use tests::{Outcome, Skep, run, sql};

/// An image that a release is resolved to.
fn image(number: usize) -> String {
    format!("registry.example/web@sha256:{number:064}")
}

/// Gives the app `web` releases up to this number, each of an image of its own.
async fn releases(skep: &Skep, newest: usize) -> Outcome {
    let insert = format!(
        "INSERT INTO releases
             (id, organization_id, app_id, number, spec, spec_version, resolved_image)
         SELECT gen_random_uuid(), organization_id, id, number, spec, spec_version,
                'registry.example/web@sha256:' || lpad(number::text, 64, '0')
         FROM apps, generate_series(last_release + 1, {newest}) AS number"
    );
    sql::execute(skep.database.owner(), &insert).await?;
    let update = format!("UPDATE apps SET last_release = {newest}");
    assert_eq!(sql::execute(skep.database.owner(), &update).await?, 1);
    Ok(())
}

/// Numbers of the images up to this one that nobody needs.
async fn unneeded(skep: &Skep, newest: usize) -> anyhow::Result<Vec<usize>> {
    let images: Vec<String> = (0..=newest).map(image).collect();
    let found = images_unneeded(skep.database.worker(), &images).await?;
    Ok((0..=newest).filter(|number| found.contains(&image(*number))).collect())
}

#[test]
fn an_image_is_kept_by_whatever_may_run_it() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", json!({ "image": "web:v1" })).await?;
        releases(skep, 10).await?;
        assert_eq!(unneeded(skep, 10).await?, [0; 0], "ten are kept");
        releases(skep, 13).await?;
        assert_eq!(unneeded(skep, 13).await?, [1, 2, 3], "no release ever had 0");

        // A rollback that was accepted while its release was among the ten.
        let driven = "INSERT INTO deployments (id, organization_id, app_id, release_id, kind, status,
                 replicas, restart_counter, spec_version, requested_by)
             SELECT gen_random_uuid(), r.organization_id, r.app_id, r.id, 'rollback', 'updating',
                 1, 0, 1, t.id
             FROM releases r, tokens t WHERE r.number = 2 AND t.organization_id = r.organization_id";
        assert_eq!(sql::execute(skep.database.owner(), driven).await?, 1);
        assert_eq!(unneeded(skep, 13).await?, [1, 3]);
        let live = "UPDATE apps SET live_release_id = r.id FROM releases r WHERE r.number = 3";
        assert_eq!(sql::execute(skep.database.owner(), live).await?, 1);
        assert_eq!(unneeded(skep, 13).await?, [1]);

        // The rollback succeeds.
        let ended =
            "UPDATE deployments SET status = 'succeeded', reason_code = 'live', reason = 'x',
             finished_at = now()";
        assert_eq!(sql::execute(skep.database.owner(), ended).await?, 1);
        assert_eq!(unneeded(skep, 13).await?, [1, 2]);

        // What the API refuses is what loses its image.
        let refused = acme.ask_deploy("web", json!({ "release": 2 })).await?;
        let detail = refused.problem(409, "not_deployable")?;
        assert!(text(&detail, "/detail")?.contains("past retention"), "{detail:#}");
        Ok(())
    })
}

#[test]
fn the_images_of_an_organization_that_has_ended_are_kept_by_nobody() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", json!({ "image": "web:v1" })).await?;
        releases(skep, 3).await?;
        assert_eq!(unneeded(skep, 4).await?, [0; 0]);
        let over = "UPDATE organizations SET delete_after = now()";
        sql::execute(skep.database.owner(), over).await?;
        let id = text(&acme.organization, "/id")?.parse()?;
        let worker = skep.database.worker();
        assert!(!organization_erase(worker, id).await?, "its app is left");
        let removed = "UPDATE apps SET removed_at = now(), removal_requested_at = now()";
        sql::execute(skep.database.owner(), removed).await?;
        assert!(organization_erase(worker, id).await?);
        assert_eq!(unneeded(skep, 4).await?, [1, 2, 3]);
        assert!(!organization_erase(worker, id).await?, "once");
        Ok(())
    })
}
