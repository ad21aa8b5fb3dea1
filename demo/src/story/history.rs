//! The history: every attempt, what became of it and why; and the last look of the witnesses (API,
//! Docker and Postgres agree).

use anyhow::Result;

use crate::agreement::Witnesses;
use crate::answers::Deployment;
use crate::narrator::{Step, chapter, wrapped};
use crate::table::{Column, lines};
use crate::tenant::TenantApp;
use crate::verdict::sentence;

/// Width of the reasons.
const REASON: usize = 62;

const COLUMNS: [Column; 6] = [
    ("#", true),
    ("kind", false),
    ("release", false),
    ("status", false),
    ("seconds", true),
    ("reason", false),
];

/// Prints the history of the first app, and holds what the API says of all against Docker and
/// Postgres once more.
pub(super) async fn tell(witnesses: &Witnesses, apps: &[&TenantApp<'_>]) -> Result<()> {
    if let Some(app) = apps.first() {
        let mut deployments = app.deployments().await?;
        deployments.reverse();
        let rows: Vec<Vec<String>> = deployments.iter().zip(1..).flat_map(rows).collect();
        for line in lines(&COLUMNS, &rows) {
            println!("{line}");
        }
        chapter("The API, Docker and Postgres");
    }
    for app in apps {
        let step = Step::begin(&app.tenant.slug);
        let agreed = witnesses.agree_and_show(app).await?;
        step.done(&format!(
            "{} v{}, tasks {} of {}, verdicts {}: all three agree",
            app.slug,
            agreed.live.release,
            agreed.replicas.len(),
            agreed.live.replicas,
            agreed.deployments.len()
        ));
    }
    Ok(())
}

/// A deployment's row, and one more for each further line of its reason.
fn rows((deployment, number): (&Deployment, usize)) -> Vec<Vec<String>> {
    let mut reason = wrapped(sentence(deployment), REASON).into_iter();
    let first = vec![
        number.to_string(),
        deployment.kind.to_string(),
        deployment.release.map(|release| format!("v{release}")).unwrap_or_default(),
        deployment.status.to_string(),
        deployment.seconds().map(|seconds| format!("{seconds:.1}")).unwrap_or_default(),
        reason.next().unwrap_or_default(),
    ];
    let blank = vec![String::new(); COLUMNS.len() - 1];
    let further = reason.map(|line| blank.iter().cloned().chain([line]).collect());
    std::iter::once(first).chain(further).collect()
}
