//! Rates: how many requests a minute are taken of a token, by all API processes together.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use chrono::Utc;
use futures::future::try_join_all;
use serde_json::{Value, json};
use tests::answer::{Answer, text};
use tests::api::Api;
use tests::client::Client;
use tests::people::log_in;
use tests::{Outcome, Skep, Tenant, run, wait_until};

use crate::web;

/// What is believed of a token is forgotten within a second; on a busy machine, some more.
const SOON: Duration = Duration::from_secs(10);

async fn set(skep: &Skep, tenant: &Tenant, rates: Value) -> Outcome {
    let body = json!({ "plan": "default", "rate_overrides": rates });
    skep.operator.put(&format!("{}/quotas", tenant.home()), &body).await?.expect(200)?;
    Ok(())
}

/// Minutes since 1970.
fn minute() -> i64 {
    Utc::now().timestamp() / 60
}

/// What is asked within one minute of the clock: asked again, of another tenant, where one began in between.
async fn within_a_minute<T>(
    skep: &Skep,
    slug: &str,
    ask: impl AsyncFn(Tenant) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    for attempt in 0..3 {
        let tenant = skep.tenant(&format!("{slug}-{attempt}")).await?;
        let begun = minute();
        let answered = ask(tenant).await;
        if minute() == begun {
            return answered;
        }
    }
    anyhow::bail!("a minute began each time")
}

fn left(answer: &Answer) -> anyhow::Result<(String, u32)> {
    let (class, rest) =
        answer.header("ratelimit").context("no RateLimit")?.split_once(";r=").context("no r")?;
    let (left, _) = rest.split_once(";t=").context("no t")?;
    Ok((class.trim_matches('"').to_owned(), left.parse()?))
}

#[test]
fn a_token_is_served_at_its_organizations_rate() -> Outcome {
    run(async |skep| {
        within_a_minute(skep, "acme", async |acme| {
            set(skep, &acme, json!({ "general": 5, "operations": 2 })).await?;
            acme.create_app("web", web()).await?;
            let spare = json!({ "name": "spare", "scopes": ["read"] });
            let spare = skep
                .operator
                .post(&format!("{}/tokens", acme.home()), &spare)
                .await?
                .expect(201)?;
            let spare = acme.client.with_token(Some(text(&spare, "/secret")?));
            // The one request before counted, too.
            for expected in (0..4).rev() {
                let answer = acme.client.get(&acme.home()).await?;
                assert_eq!(answer.header("ratelimit-policy"), Some("\"general\";q=5;w=60"));
                assert_eq!(left(&answer)?, ("general".to_owned(), expected));
                answer.expect(200)?;
            }
            let refused = acme.client.get(&acme.home()).await?;
            let wait: u64 = refused.header("retry-after").context("no Retry-After")?.parse()?;
            ensure!((1..=60).contains(&wait), "{wait}");
            assert_eq!(left(&refused)?, ("general".to_owned(), 0));
            let told = refused.problem(429, "rate_limited")?;
            let detail = text(&told, "/detail")?;
            ensure!(
                detail.starts_with("5 requests a minute are taken of the class general"),
                "{detail}"
            );
            // Another token, and another class, are counted apart.
            spare.get(&acme.home()).await?.expect(200)?;
            let deployments = acme.path("apps/web/deployments");
            for expected in [1, 0] {
                let answer = acme.client.post(&deployments, &json!({})).await?;
                assert_eq!(left(&answer)?, ("operations".to_owned(), expected));
                answer.expect(202)?;
            }
            acme.client.post(&deployments, &json!({})).await?.problem(429, "rate_limited")?;
            // A larger rate counts at once, or when what is believed of the token is forgotten.
            set(skep, &acme, json!({ "general": 100 })).await?;
            wait_until("the rate to be raised", SOON, async || {
                Ok(acme.client.get(&acme.home()).await?.status == 200)
            })
            .await
        })
        .await
    })
}

#[test]
fn what_is_somebody_elses_tells_nothing_by_its_rate() -> Outcome {
    run(async |skep| {
        let globex = skep.tenant("globex").await?;
        set(skep, &globex, json!({ "general": 77 })).await?;
        let acme = skep.tenant("acme").await?;
        let foreign = acme.client.get(&globex.home()).await?;
        let missing = acme.client.get("/v1/organizations/nobody").await?;
        assert_eq!(foreign.header("ratelimit-policy"), missing.header("ratelimit-policy"));
        foreign.problem(404, "not_found")?;
        let own = globex.client.get(&globex.home()).await?;
        assert_eq!(own.header("ratelimit-policy"), Some("\"general\";q=77;w=60"));
        Ok(())
    })
}

/// How many of so many requests at once are taken.
async fn taken(client: &Client, path: &str, count: usize) -> anyhow::Result<usize> {
    let answers = try_join_all((0..count).map(|_| client.get(path))).await?;
    let (taken, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    for answer in refused {
        answer.problem(429, "rate_limited")?;
    }
    Ok(taken.len())
}

#[test]
fn processes_share_a_rate() -> Outcome {
    const LIMIT: usize = 60;
    const BATCH: usize = LIMIT / 10;
    run(async |skep| {
        let (_second, at_second) = skep.start_api_process().await?;
        let (_third, at_third) = skep.start_api_process().await?;
        let bases = [skep.operator.base().to_owned(), at_second, at_third];
        // All at once.
        let together = within_a_minute(skep, "together", async |acme| {
            set(skep, &acme, json!({ "general": LIMIT })).await?;
            let clients = bases.each_ref().map(|base| acme.client.at(base));
            let home = acme.home();
            let taken =
                try_join_all(clients.iter().map(|client| taken(client, &home, LIMIT))).await?;
            Ok(taken.iter().sum::<usize>())
        })
        .await?;
        println!(
            "{together} of {} taken at a rate of {LIMIT} by {} processes",
            LIMIT * bases.len(),
            bases.len()
        );
        ensure!((LIMIT..=LIMIT + bases.len() * BATCH).contains(&together), "{together}");
        // One after the other: what the first has taken, the others learn with their first batch.
        let later = within_a_minute(skep, "later", async |acme| {
            set(skep, &acme, json!({ "general": LIMIT })).await?;
            let home = acme.home();
            let mut later = Vec::new();
            for base in &bases {
                later.push(taken(&acme.client.at(base), &home, LIMIT).await?);
            }
            Ok(later)
        })
        .await?;
        println!("one after the other: {later:?}");
        ensure!(
            later[0] >= LIMIT - BATCH && later[1..].iter().all(|taken| *taken <= 2 * BATCH),
            "{later:?}"
        );
        ensure!(later.iter().sum::<usize>() <= LIMIT + bases.len() * BATCH, "{later:?}");
        Ok(())
    })
}

#[test]
fn who_shows_no_token_is_counted_by_address() -> Outcome {
    run(async |skep| {
        let mut settings = skep.api_settings()?;
        settings.anonymous_rate = 5;
        let api = Api::start(settings).await?;
        let operator = skep.operator.at(api.url());
        within_a_minute(skep, "stranger", async |_| {
            let stranger = operator.with_token(None);
            for _ in 0..3 {
                stranger.get("/v1/me").await?.problem(401, "unauthenticated")?;
            }
            for _ in 0..2 {
                log_in(&operator, "nobody@example.org", "not a password")
                    .await?
                    .problem(401, "invalid_credentials")?;
            }
            log_in(&operator, "nobody@example.org", "not a password")
                .await?
                .problem(429, "rate_limited")?;
            stranger.get("/v1/me").await?.problem(429, "rate_limited")?;
            // Whoever has a token is not kept out by their neighbours, and probes are not counted.
            operator.get("/v1/organizations").await?.expect(200)?;
            stranger.get("/healthz").await?.expect(200)?;
            Ok(())
        })
        .await?;
        api.stop().await
    })
}
