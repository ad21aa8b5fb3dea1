//! Environments: read by slug or id, within their organization.

use tests::answer::text;
use tests::{Outcome, run};

#[test]
fn is_found_by_slug_and_by_id() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let environments = format!("{}/environments", acme.home());
        let by_slug = acme.client.get(&format!("{environments}/production")).await?.expect(200)?;
        let id = text(&by_slug, "/id")?;
        let by_id = acme.client.get(&format!("{environments}/{id}")).await?.expect(200)?;
        assert_eq!(by_slug, by_id);
        let absent = acme.client.get(&format!("{environments}/staging")).await?;
        absent.problem(404, "not_found")?;
        // An id of another kind is no environment, and no error of ours.
        let wrong = format!("{environments}/{}", text(&acme.organization, "/id")?);
        acme.client.get(&wrong).await?.problem(404, "not_found")?;
        Ok(())
    })
}
