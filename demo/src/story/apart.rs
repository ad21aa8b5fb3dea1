//! Apart: each organization's `web` is its own, and neither reaches the other, by name, by address
//! or through the API. Proven from inside the containers.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use reqwest::StatusCode;
use serde_json::Value;

use crate::agreement::Witnesses;
use crate::docker::Replica;
use crate::narrator::Step;
use crate::tenant::TenantApp;

/// Shows that both are apart; returns the replicas of `other`, which nothing is to touch.
pub(super) async fn prove(
    witnesses: &Witnesses,
    web: &TenantApp<'_>,
    other: &TenantApp<'_>,
) -> Result<Vec<Replica>> {
    let ours = neighbours(witnesses, web).await?;
    let theirs = neighbours(witnesses, other).await?;
    unreachable(witnesses, web, &ours, other, &theirs).await?;
    unreachable(witnesses, other, &theirs, web, &ours).await?;
    for (asking, about) in [(web, other), (other, web)] {
        let step = Step::begin(&asking.tenant.slug);
        let status = asking.tenant.client.status(&about.path()).await?;
        ensure!(
            status == StatusCode::NOT_FOUND,
            "the token of {} asked for {} and was answered {status}",
            asking.tenant.slug,
            about.name()
        );
        step.done(&format!("its token asks for {}: 404", about.name()));
    }
    Ok(theirs.replicas)
}

/// The replicas of `other` are those from before, with the same containers.
pub(super) async fn still_untouched(
    witnesses: &Witnesses,
    other: &TenantApp<'_>,
    before: &[Replica],
) -> Result<()> {
    let step = Step::begin(&other.tenant.slug);
    let now = witnesses.agree(other).await?.replicas;
    ensure!(
        now.len() == before.len() && now.iter().all(|replica| before.contains(replica)),
        "nothing was asked for {}, and its tasks are not those from before",
        other.name()
    );
    step.done("all the while the same tasks of its web ran on");
    Ok(())
}

/// The replicas of an app with their addresses.
struct Neighbours {
    replicas: Vec<Replica>,
    addresses: BTreeSet<Ipv4Addr>,
}

/// What `web` is from inside: exactly the app's own replicas.
async fn neighbours(witnesses: &Witnesses, app: &TenantApp<'_>) -> Result<Neighbours> {
    let step = Step::begin(&app.tenant.slug);
    let docker = &witnesses.docker;
    let agreed = witnesses.agree(app).await?;
    let network = &app.tenant.environment.network;
    let mut addresses = BTreeSet::new();
    for replica in &agreed.replicas {
        addresses.insert(docker.address(&replica.container, &network.name).await?);
    }
    let asking = agreed.replicas.first().context("no replica runs")?;
    let found = docker.request(&asking.container, "http://127.0.0.1:8080/resolve?host=web").await?;
    let resolved: BTreeSet<Ipv4Addr> = found.body["addresses"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter_map(|text| text.parse().ok())
        .collect();
    ensure!(
        resolved == addresses,
        "inside {} the name web is {resolved:?} ({}), and its replicas have {addresses:?}",
        app.tenant.slug,
        found.head
    );
    ensure!(
        addresses.iter().all(|address| network.subnet.contains(&std::net::IpAddr::V4(*address))),
        "the replicas of {} have {addresses:?}, outside of {}",
        app.name(),
        network.subnet
    );
    let called = docker.request(&asking.container, "http://127.0.0.1:8080/call?host=web").await?;
    let host = called.body["answer"]["hostname"].as_str().unwrap_or_default().to_owned();
    let own = |replica: &Replica| !host.is_empty() && replica.container.starts_with(&host);
    ensure!(
        agreed.replicas.iter().any(own),
        "inside {} a call of web was answered by {host:?}, none of its replicas ({})",
        app.tenant.slug,
        called.head
    );
    let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    step.done(&format!("web is {}: its own replicas", list.join(" and ")));
    Ok(Neighbours { replicas: agreed.replicas, addresses })
}

/// From inside `from` no replica of `to` answers; from inside `to` each does.
async fn unreachable(
    witnesses: &Witnesses,
    from: &TenantApp<'_>,
    from_inside: &Neighbours,
    to: &TenantApp<'_>,
    to_inside: &Neighbours,
) -> Result<()> {
    let step = Step::begin(&from.tenant.slug);
    let stranger = from_inside.replicas.first().context("no replica runs")?;
    let neighbour = to_inside.replicas.first().context("no replica runs")?;
    let mut causes = BTreeSet::new();
    for address in &to_inside.addresses {
        let url = format!("http://{address}:8080/");
        // Without this control a wrong address would pass for a wall.
        let control = witnesses.docker.request(&neighbour.container, &url).await?;
        ensure!(
            control.head == "200",
            "{url} does not even answer inside {}: {}",
            to.tenant.slug,
            control.head
        );
        let reached = witnesses.docker.request(&stranger.container, &url).await?;
        let no_answer = reached.head.starts_with(&format!("{address}:8080: "));
        ensure!(
            no_answer && reached.body.is_null(),
            "a replica of {} reached {} at {url}: {}",
            from.name(),
            to.name(),
            reached.head
        );
        let cause = reached.head.rsplit_once(": ").map_or("", |(_, cause)| cause);
        // Rust's words for an error of the kernel end with its number.
        causes.insert(cause.split_once(" (os error").map_or(cause, |(words, _)| words).to_owned());
    }
    let causes: Vec<String> = causes.into_iter().collect();
    step.done(&format!("cannot reach {}'s web: {}", to.tenant.slug, causes.join(", ")));
    Ok(())
}
