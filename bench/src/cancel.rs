//! An update is canceled while its replicas start: how long until what was live before is live
//! again, verified. Docker has no such call, so there is nothing to compare it with.

use std::time::Instant;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;
use tests::answer::text;

use crate::progress::Step;
use crate::skep::Skep;
use crate::watch::since;

/// One cancel: milliseconds since the request was sent.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Cancel {
    pub(crate) round: u32,
    /// The request was answered.
    pub(crate) answered: f64,
    /// The deployment had ended.
    pub(crate) ended: f64,
}

/// Cancels so many updates of one app.
pub(crate) async fn measure(skep: &Skep<'_>, rounds: u32) -> Result<Vec<Cancel>> {
    let app = skep.make("cancel").await?;
    let (slug, tenant) = (text(&app, "/slug")?, skep.tenant);
    tenant.deploy_live(slug, json!({})).await?;
    let mut cancels = Vec::new();
    for round in 1..=rounds {
        let step = Step::begin("cancel", &format!("round {round} of {rounds}"));
        let deployment = tenant.deploy(slug, json!({ "image": skep.images.v2 })).await?;
        tenant.wait_for_status(&deployment, &["updating"]).await?;
        let sent = Instant::now();
        tenant.ask_cancel(&deployment).await?.expect(202)?;
        let answered = since(sent);
        tenant.wait_for(&deployment, "canceled", "canceled").await?;
        let ended = since(sent);
        cancels.push(Cancel { round, answered, ended });
        step.done(&format!("round {round} of {rounds}: ended after {ended:.0} ms"));
    }
    skep.remove(&app).await?;
    Ok(cancels)
}
