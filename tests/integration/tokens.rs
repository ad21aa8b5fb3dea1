//! Tokens: who may ask at all.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tests::answer::text;
use tests::client::Ask;
use tests::{Outcome, run, sql, wait_until};

#[test]
fn without_a_valid_token_nothing_is_answered() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let unknown = format!("skep_{}", "0".repeat(64));
        let cut = &acme.token[..acme.token.len() - 1];
        for token in [None, Some("x"), Some("skep_"), Some(unknown.as_str()), Some(cut)] {
            let answer = acme.client.with_token(token).get(&acme.home()).await?;
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{token:?}");
            answer.problem(401, "unauthenticated")?;
        }
        // Another scheme, with a secret that would be right.
        let anonymous = acme.client.with_token(None);
        let basic = format!("Basic {}", acme.token);
        let headers = &[("Authorization", basic.as_str())];
        let answer = anonymous.ask(Method::GET, &acme.home(), Ask { headers, body: None }).await?;
        answer.problem(401, "unauthenticated")?;
        Ok(())
    })
}

#[test]
fn a_revoked_or_expired_token_stops_working_within_seconds() -> Outcome {
    run(async |skep| {
        for (slug, end) in [("revoked", "revoked_at = now()"), ("expired", "expires_at = now()")] {
            let tenant = skep.tenant(slug).await?;
            tenant.client.get(&tenant.home()).await?.expect(200)?;
            let of_tenant = format!(
                "UPDATE tokens SET {end} WHERE organization_id = (SELECT id FROM organizations WHERE slug = '{slug}')"
            );
            assert_eq!(sql::execute(skep.database.owner(), &of_tenant).await?, 1);
            // An API process believes an answer for a second.
            wait_until("the token to be refused", Duration::from_secs(4), async || {
                Ok(tenant.client.get(&tenant.home()).await?.status == 401)
            })
            .await?;
        }
        Ok(())
    })
}

#[test]
fn a_secret_is_shown_once_and_stored_hashed() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        assert!(acme.token.starts_with("skep_") && acme.token.len() == 69, "{}", acme.token.len());
        // Nowhere in the database: neither its text nor its bits.
        for table in ["tokens", "audit_log", "idempotency_keys"] {
            let text = sql::rows(skep.database.owner(), &format!("SELECT * FROM {table}")).await?;
            let text = serde_json::Value::from(text).to_string();
            assert!(!text.contains(acme.token.trim_start_matches("skep_")), "{table}");
        }
        Ok(())
    })
}

#[test]
fn only_operators_make_tokens_and_organizations() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let tokens = format!("{}/tokens", acme.home());
        let body = json!({ "name": "mine" });
        acme.client.post(&tokens, &body).await?.problem(403, "forbidden")?;
        let body = json!({ "slug": "mine" });
        acme.client.post("/v1/organizations", &body).await?.problem(403, "forbidden")?;
        acme.client.get("/v1/organizations").await?.problem(403, "forbidden")?;
        assert_eq!(sql::count(skep.database.owner(), "organizations").await?, 1);
        Ok(())
    })
}

#[test]
fn a_second_token_reaches_the_same_organization() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let tokens = format!("{}/tokens", acme.home());
        let made = skep.operator.post(&tokens, &json!({ "name": "CI" })).await?.expect(201)?;
        let other = acme.client.with_token(Some(text(&made, "/secret")?));
        assert_eq!(other.get(&acme.home()).await?.expect(200)?, acme.organization);
        Ok(())
    })
}
