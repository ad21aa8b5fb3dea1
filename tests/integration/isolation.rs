//! Isolation through the API: one's own paths with a stranger's ids in them, and that a foreign thing
//! looks like one that is not there.

use tests::{Outcome, run};

use crate::doors::{Door, Things, ask, everything, table};
use crate::web;

#[test]
fn a_strangers_ids_name_nothing_in_ones_own_paths() -> Outcome {
    run(async |skep| {
        let (acme, globex) = (skep.tenant("acme").await?, skep.tenant("globex").await?);
        let (own, foreign) = (Things::of(&acme, skep).await?, Things::of(&globex, skep).await?);
        let before = everything(skep).await?;
        for (method, template, door, body) in table() {
            let Door::To(_) = door else { continue };
            if !template.contains("{organization}") {
                continue;
            }
            for variable in ["organization", "environment", "app", "deployment", "token"] {
                if template.contains(&format!("{{{variable}}}")) {
                    let mixed = own.with(variable, &foreign).fill(&template);
                    ask(&acme.client, method, &mixed, &body).await?.problem(404, "not_found")?;
                }
            }
        }
        assert_eq!(everything(skep).await?, before, "nothing was changed");
        Ok(())
    })
}

#[test]
fn a_foreign_thing_and_one_that_is_not_there_look_the_same() -> Outcome {
    run(async |skep| {
        let (acme, globex) = (skep.tenant("acme").await?, skep.tenant("globex").await?);
        globex.create_app("web", web()).await?;
        let foreign = acme.client.get(&globex.path("apps/web")).await?.problem(404, "not_found")?;
        let absent =
            acme.client.get("/v1/organizations/initech/environments/production/apps/web").await?;
        let absent = absent.problem(404, "not_found")?;
        for field in ["type", "title", "status", "detail", "code", "violations"] {
            assert_eq!(foreign[field], absent[field], "{field}");
        }
        Ok(())
    })
}
