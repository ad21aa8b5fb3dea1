//! Whether a process says how it does.

use std::time::Duration;

use serde_json::json;
use tests::api::Api;
use tests::{Outcome, run, sql, wait_until};

use crate::web;

#[test]
fn a_broker_that_is_away_degrades_and_does_not_refuse() -> Outcome {
    run(async |skep| {
        let anonymous = skep.operator.with_token(None);
        let soon = Duration::from_secs(20);
        let becomes = async |status: &str| {
            wait_until(status, soon, async || {
                Ok(anonymous.get("/readyz").await?.body["status"] == status)
            })
            .await
        };
        becomes("ready").await?;
        skep.broker_proxy.cut();
        becomes("degraded").await?;
        let report = anonymous.get("/readyz").await?.expect(200)?;
        assert_eq!(report["parts"], json!({ "database": "up", "broker": "down" }));
        anonymous.get("/healthz").await?.expect(200)?;
        // An accept needs Postgres only.
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        acme.deploy("web", json!({})).await?;
        skep.broker_proxy.mend();
        becomes("ready").await
    })
}

#[test]
fn an_api_refuses_an_older_schema() -> Outcome {
    run(async |skep| {
        let owner = skep.database.owner();
        let older = "DELETE FROM __diesel_schema_migrations
            WHERE version = (SELECT max(version) FROM __diesel_schema_migrations)";
        sql::execute(owner, older).await?;
        let report = skep.operator.get("/readyz").await?.expect(503)?;
        assert_eq!(report["parts"]["database"], "outdated", "{report}");
        let mut late = Api::start(skep.api_settings()?).await?;
        let error = late.ended(Duration::from_secs(10)).await?.unwrap_err();
        assert!(format!("{error:#}").contains("worker migrate"), "{error:#}");
        Ok(())
    })
}

#[test]
fn connections_that_postgres_ends_are_replaced() -> Outcome {
    run(async |skep| {
        let anonymous = skep.operator.with_token(None);
        let ask = async || {
            let list = skep.operator.get("/v1/organizations").await?;
            assert!([200, 503].contains(&list.status), "{}", list.text);
            let report = anonymous.get("/readyz").await?;
            assert!([200, 503].contains(&report.status), "{}", report.text);
            assert_ne!(report.body["parts"]["database"], "outdated", "{}", report.text);
            anyhow::Ok(list.status == 200 && report.status == 200)
        };
        for _ in 0..5 {
            // Requests are on their way while it happens, some of them inside a query.
            let asked = futures::future::try_join_all((0..20).map(|_| ask()));
            futures::future::try_join(asked, skep.database.cut_api()).await?;
            wait_until("an API that serves", Duration::from_secs(10), ask).await?;
        }
        Ok(())
    })
}
