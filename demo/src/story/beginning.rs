//! The beginning: organizations, tokens, and the first deployment of an app of the same name in
//! both.

use anyhow::{Context as _, Result, bail, ensure};
use model::reason::ReasonCode;
use model::status::Status;
use serde_json::json;

use super::{IMAGES, REPLICAS};
use crate::agreement::Witnesses;
use crate::answers::{Environment, Organization, Token};
use crate::client::Client;
use crate::narrator::{Step, detail};
use crate::tenant::{Tenant, TenantApp, Underway};
use crate::verdict::{expect, follow};

/// Marks the apps that the demo made: no other app is ever removed by it.
pub(super) const MADE_BY: (&str, &str) = ("made-by", "demo");

/// Makes an organization, or takes the one of an earlier demo, and a token of it.
pub(super) async fn tenant(operator: &Client, slug: &str, name: &str) -> Result<Tenant> {
    let step = Step::begin("operator");
    let path = format!("/v1/organizations/{slug}");
    let found: Option<Organization> = operator.find(&path).await?;
    let (organization, how) = match found {
        Some(organization) => (organization, "there"),
        None => {
            let body = json!({ "slug": slug, "name": name });
            (operator.create("/v1/organizations", &body).await?, "made")
        }
    };
    let token: Token =
        operator.create(&format!("{path}/tokens"), &json!({ "name": "demo" })).await?;
    let client = operator.with_token(token.secret.into());
    // From here on the tenant speaks for itself.
    let environment: Environment = client.get(&format!("{path}/environments/production")).await?;
    step.done(&format!("organization {slug}: {how}, production on {}", environment.network.subnet));
    let id = organization.id.to_string();
    ensure!(
        environment.network.name.contains(id.trim_start_matches("org_")),
        "the network {} of {slug} does not carry the organization's id {id}",
        environment.network.name
    );
    Ok(Tenant { slug: slug.to_owned(), client, environment })
}

/// Removes what an earlier demo left, so that the story starts at v1 each time.
pub(super) async fn clear(witnesses: &Witnesses, tenants: &[&Tenant]) -> Result<()> {
    let mut step = Step::begin("operator");
    let mut apps = Vec::new();
    let mut underway = Vec::new();
    for tenant in tenants {
        // The visitor first: it would only count failures.
        for slug in ["visitor", "web"] {
            let Some(found) = tenant.app(slug).await? else { continue };
            let (key, value) = MADE_BY;
            if found.spec.labels.get(key).map(String::as_str) != Some(value) {
                bail!(
                    "{}/{slug} is there and was not made by the demo (it has no label {key}={value}): \
                     remove it, or take a fresh installation with ./dev reset",
                    tenant.slug
                );
            }
            let removing = found.removal_requested_at.is_some();
            let app = TenantApp::of(tenant, found);
            if removing {
                underway.push(newest(&app).await?);
            } else {
                underway.push(app.remove().await?);
            }
            apps.push(app);
        }
    }
    if apps.is_empty() {
        return Ok(());
    }
    let ended = follow(&mut step, &underway, String::new).await?;
    for (app, deployment) in apps.iter().zip(&ended) {
        expect(&app.name(), deployment, Status::Succeeded, ReasonCode::Removed)?;
        if let Some(service) = witnesses.docker.service(app.id).await? {
            bail!("the API says that {} is removed, and Docker has {}", app.name(), service.name);
        }
    }
    step.done(&format!("{} apps of the demo before are removed", apps.len()));
    Ok(())
}

/// The removal that an earlier demo asked for and did not wait for.
async fn newest<'t>(app: &TenantApp<'t>) -> Result<Underway<'t>> {
    let deployments = app.deployments().await?;
    let newest = deployments.first().context("an app is being removed by no deployment")?;
    Ok(app.underway(format!("{}/deployments/{}", app.path(), newest.id)))
}

/// Deploys `web` v1 in both, side by side.
pub(super) async fn webs<'t>(
    witnesses: &Witnesses,
    acme: &'t Tenant,
    bloom: &'t Tenant,
) -> Result<(TenantApp<'t>, TenantApp<'t>)> {
    let mut step = Step::begin("both");
    let (key, value) = MADE_BY;
    let web = json!({
        "slug": "web",
        "image": IMAGES[0],
        "port": 8080,
        "replicas": REPLICAS,
        // The smallest: this may run on a small machine.
        "memory": 256,
        "health_check": { "http": { "path": "/health" }, "interval": 1, "timeout": 2, "retries": 3 },
        "update_policy": { "preset": "fast" },
        // It goes on answering for 5 s after SIGTERM, and is not to be killed in the middle of that.
        "stop_grace_period": 15,
        "labels": { key: value },
    });
    let (web, other) = (acme.make(&web).await?, bloom.make(&web).await?);
    let underway = [web.deploy().await?, other.deploy().await?];
    let ended = follow(&mut step, &underway, String::new).await?;
    for (app, deployment) in [&web, &other].into_iter().zip(&ended) {
        expect(&app.name(), deployment, Status::Succeeded, ReasonCode::Live)?;
    }
    step.done(&format!("web: {}, {REPLICAS} replicas, GET /health, fast", IMAGES[0]));
    for app in [&web, &other] {
        let step = Step::begin(&app.tenant.slug);
        let agreed = witnesses.agree(app).await?;
        step.done("web v1 is live; Docker and Postgres say the same");
        detail(&format!("service {}", agreed.service.name));
        detail(&format!(
            "network {}, {}, encrypted",
            app.tenant.environment.network.name,
            agreed.overlay.subnets.join(", ")
        ));
    }
    Ok((web, other))
}
