//! Two organizations, the same slug: proven from inside that neither reaches the other.

use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::docker::Engine;
use tests::{Outcome, run};

use crate::specs::web;

#[test]
fn each_finds_its_own_and_reaches_no_other() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let engine = Engine::connect()?;
        let (acme, globex) = (skep.tenant("acme").await?, skep.tenant("globex").await?);
        let mine = acme.create_app("web", web("v1")).await?;
        let theirs = globex.create_app("web", web("v2")).await?;
        globex.create_app("secret", web("v2")).await?;
        let deployed = futures::join!(
            acme.deploy_live("web", json!({})),
            globex.deploy_live("web", json!({})),
            globex.deploy_live("secret", json!({})),
        );
        let _all_live = (deployed.0?, deployed.1?, deployed.2?);
        let (mine, theirs) = (text(&mine, "/id")?, text(&theirs, "/id")?);
        let network = async |tenant: &tests::Tenant| -> anyhow::Result<Value> {
            let path = format!("{}/environments/production", tenant.home());
            Ok(tenant.client.get(&path).await?.expect(200)?["network"].clone())
        };
        let (own, other) = (network(&acme).await?, network(&globex).await?);
        let my_address = engine.address_of(mine, text(&own, "/name")?).await?;
        let their_address = engine.address_of(theirs, text(&other, "/name")?).await?;
        let from_mine =
            async |page: &str| engine.ask_from(mine, &format!("http://127.0.0.1:8080{page}")).await;

        // The same name, each its own.
        for (app, version) in [(mine, "v1"), (theirs, "v2")] {
            let (_, found) = engine.ask_from(app, "http://127.0.0.1:8080/call?host=web").await?;
            assert_eq!(
                (&found["status"], &found["answer"]["version"]),
                (&200.into(), &version.into()),
                "{found}"
            );
        }
        let (_, resolved) = from_mine("/resolve?host=web").await?;
        assert_eq!(list(&resolved, "/addresses")?, [Value::from(my_address.to_string())]);
        // A name of the other's network is no name here.
        for name in ["secret", "secret.internal", "tasks.secret"] {
            let (status, found) = from_mine(&format!("/resolve?host={name}")).await?;
            assert_eq!((status, list(&found, "/addresses")?.len()), (502, 0), "{name}: {found}");
        }
        // Its address leads nowhere; one's own does. The same for the way over the bridge that every
        // container on an overlay has, too.
        for (own, foreign) in [
            (my_address, their_address),
            (engine.bridge_address_of(mine).await?, engine.bridge_address_of(theirs).await?),
        ] {
            let reached = engine.try_from(mine, &format!("http://{own}:8080/")).await?;
            assert!(reached.is_ok(), "{own}: {reached:?}");
            let reached = engine.try_from(mine, &format!("http://{foreign}:8080/")).await?;
            assert!(reached.is_err(), "{foreign}: {reached:?}");
        }
        Ok(())
    })
}
