//! Crash loops as they are written down: a worker that is late changes nothing.

use std::time::Duration;

use anyhow::Context as _;
use db::crash_loops::{Round, crash_loop_begin, crash_loop_forget, crash_loop_recovered};
use tests::contract::ledger::postgres::on_postgres;
use tests::contract::ledger::{Stage as _, app, deploy};
use tests::{Outcome, sql};

#[test]
fn a_worker_that_is_late_takes_no_newer_round_away() -> Outcome {
    on_postgres(async |stage| {
        let app = app(stage).await?;
        let deployment = stage.accept(app, &deploy()).await?;
        let organization = stage.app(app).await?.organization_id;
        let database = stage.ledger();
        let begin = async |number| {
            let pause = Duration::from_secs(20);
            let cause = "it exited";
            let round = Round { app, organization, deployment, number, kept: 0, pause, cause };
            crash_loop_begin(database, round).await
        };
        let first = begin(1).await?.context("the first round")?;
        assert_eq!(begin(1).await?, None, "another worker was faster");
        let second = begin(2).await?.context("the second round")?;
        assert_eq!(begin(2).await?, None, "another worker was faster");
        crash_loop_recovered(database, &first).await?;
        crash_loop_forget(database, &first).await?;
        let row = sql::row(database, "SELECT rounds, recovered_at FROM crash_loops").await?;
        assert_eq!((&row["rounds"], row["recovered_at"].is_null()), (&2.into(), true));
        crash_loop_recovered(database, &second).await?;
        assert_eq!(sql::count(database, "crash_loops WHERE recovered_at IS NOT NULL").await?, 1);
        crash_loop_forget(database, &second).await?;
        assert_eq!(sql::count(database, "crash_loops").await?, 0);
        Ok(())
    })
}
