//! Runs a test: sets its installation up, tells its story, drains, and takes everything away again,
//! whatever happened.

use std::any::Any;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures::FutureExt as _;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::Outcome;
use crate::database::TestDatabase;
use crate::mark::Mark;
use crate::site::Site;
use crate::skep::Skep;
use crate::sweep::sweep;

/// No story takes longer.
const LONGEST: Duration = Duration::from_secs(300);

/// Runs one test on an installation of its own.
pub fn run(story: impl AsyncFnOnce(&Skep) -> Outcome) -> Outcome {
    in_harness(run_at(Site::here(), LONGEST, story))
}

/// Runs one test, no longer than `longest`, on an installation of its own somewhere.
pub(crate) async fn run_at(
    site: Site,
    longest: Duration,
    story: impl AsyncFnOnce(&Skep) -> Outcome,
) -> Outcome {
    let skep = Skep::start(site).await.context("no installation for this test")?;
    let told = async {
        timeout(longest, story(&skep)).await.context("the story took too long")??;
        skep.drain().await.context("the test left something unfinished")
    };
    let told = AssertUnwindSafe(told).catch_unwind().await;
    if !matches!(told, Ok(Ok(()))) {
        print_worker_logs(&skep).await;
    }
    let removed = skep.remove().await.context("the test's installation cannot be removed");
    judge(told, removed)
}

/// Runs on the shared runtime, once what earlier runs left behind is swept.
pub(crate) fn in_harness<T>(test: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    runtime().block_on(async {
        static SWEPT: OnceCell<()> = OnceCell::const_new();
        SWEPT.get_or_try_init(sweep).await.context("what earlier runs left cannot be swept")?;
        test.await
    })
}

/// Runs one test on a database of its own, without an API, a broker or a swarm.
pub fn run_on_database(story: impl AsyncFnOnce(&TestDatabase) -> Outcome) -> Outcome {
    in_harness(async {
        let database = TestDatabase::create(&Mark::new()).await.context("no database")?;
        let told =
            async { timeout(LONGEST, story(&database)).await.context("the story took too long")? };
        let told = AssertUnwindSafe(told).catch_unwind().await;
        let removed = database.drop().await.context("the test's database cannot be removed");
        judge(told, removed)
    })
}

/// The story's own failure says more than what its end may have run into.
fn judge(told: Result<Outcome, Box<dyn Any + Send>>, removed: Outcome) -> Outcome {
    match told {
        Err(panic) => resume_unwind(panic),
        Ok(Err(error)) => Err(error),
        Ok(Ok(())) => removed,
    }
}

/// The runtime that all tests of a process share: what is started in one test (a lock's connection)
/// may serve another.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Result<Runtime, std::io::Error>> = LazyLock::new(|| {
        // What the API calls its own fault is seldom what a test wanted to see.
        tracing_subscriber::fmt()
            .with_env_filter("off,api=error")
            .with_writer(std::io::stderr)
            .init();
        Builder::new_multi_thread().worker_threads(2).enable_all().build()
    });
    #[expect(clippy::panic, reason = "without a runtime there is no test that could fail instead")]
    RUNTIME.as_ref().unwrap_or_else(|error| panic!("{}", anyhow!("no runtime: {error}")))
}

#[expect(clippy::print_stderr, reason = "the test framework shows it with the failed test")]
async fn print_worker_logs(skep: &Skep) {
    for line in skep.worker_logs().await {
        eprintln!("{line}");
    }
}
