//! Tokens: who may ask at all, and what a token's life is.

use std::time::{Duration, Instant};

use db::Database;
use db::credentials::credentials_used;
use model::id::TokenId;
use model::member::Role;
use model::token::{TokenKind, TokenScope};
use reqwest::Method;
use serde_json::{Value, json};
use tests::answer::text;
use tests::client::Ask;
use tests::holders::{Holder, holder};
use tests::{Client, Outcome, Tenant, run, sql, wait_until};
use uuid::Uuid;

use crate::web;

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
fn the_last_use_is_stamped_at_most_once_a_minute() -> Outcome {
    run(async |skep| {
        let owner = skep.database.owner();
        let of = async |slug: &str| {
            let query = format!(
                "SELECT t.id, t.last_used_at FROM tokens t JOIN organizations o ON o.id = t.organization_id
                 WHERE o.slug = '{slug}'"
            );
            sql::row(owner, &query).await
        };
        let (acme, _) = (skep.tenant("acme").await?, skep.tenant("globex").await?);
        acme.client.get(&acme.home()).await?.expect(200)?;
        wait_until("the stamp", Duration::from_secs(5), async || {
            Ok(!of("acme").await?["last_used_at"].is_null())
        })
        .await?;
        let before = of("acme").await?;
        let id = |row: &Value| anyhow::Ok(TokenId::from(text(row, "/id")?.parse::<Uuid>()?));
        let ids = [id(&before)?, id(&of("globex").await?)?];
        let api = Database::new(skep.database.api_url()?.into(), 1)?;
        credentials_used(&api, &ids).await?;
        assert_eq!(of("acme").await?, before, "within the minute");
        assert!(!of("globex").await?["last_used_at"].is_null(), "told of beside another one");
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
        assert!(
            acme.token.starts_with("skep_org_") && acme.token.len() == 81,
            "{}",
            acme.token.len()
        );
        // Nowhere in the database: neither its text nor its bits.
        for table in ["tokens", "audit_log", "idempotency_keys"] {
            let text = sql::rows(skep.database.owner(), &format!("SELECT * FROM {table}")).await?;
            let text = serde_json::Value::from(text).to_string();
            assert!(!text.contains(acme.token.trim_start_matches("skep_org_")), "{table}");
        }
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

/// A tenant's token of this body.
async fn made(tenant: &Tenant, body: &Value) -> anyhow::Result<(String, Client)> {
    let path = format!("{}/tokens", tenant.home());
    let made = tenant.client.post(&path, body).await?.expect(201)?;
    let client = tenant.client.with_token(Some(text(&made, "/secret")?));
    Ok((format!("{path}/{}", text(&made, "/id")?), client))
}

#[test]
fn a_token_makes_none_that_may_do_more() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let tokens = format!("{}/tokens", acme.home());
        let wider = json!({ "name": "x", "scopes": ["manage", "admin"] });
        let refused = acme.client.post(&tokens, &wider).await?.problem(400, "invalid")?;
        assert_eq!(text(&refused, "/violations/0/field")?, "scopes.1");
        let (_, deploy) = made(&acme, &json!({ "name": "CI", "scopes": ["deploy"] })).await?;
        deploy.post(&tokens, &json!({ "name": "x" })).await?.problem(403, "forbidden")?;
        // Whoever rotates a token holds it: it may do no more either.
        let tool = json!({ "name": "tool", "scopes": ["billing"] });
        let tool = skep.operator.post(&tokens, &tool).await?.expect(201)?;
        let rotate = format!("{tokens}/{}/rotate", text(&tool, "/id")?);
        acme.client.post(&rotate, &json!({})).await?.problem(400, "invalid")?;
        // Nor is one made for elsewhere by one that is bound to a network.
        let here = json!({ "name": "here", "networks": ["127.0.0.0/8"] });
        let (_, here) = made(&acme, &here).await?;
        here.post(&tokens, &json!({ "name": "anywhere" })).await?.problem(400, "invalid")?;
        let narrower = json!({ "name": "x", "networks": ["127.0.0.1/32"] });
        here.post(&tokens, &narrower).await?.expect(201)?;
        acme.create_app("web", web()).await?;
        deploy.post(&acme.path("apps"), &json!({})).await?.problem(403, "forbidden")?;
        deploy.post(&acme.path("apps/web/deployments"), &json!({})).await?.expect(202)?;
        Ok(())
    })
}

#[test]
fn a_bound_token_reaches_its_environment_from_its_network() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let globex = skep.tenant("globex").await?;
        let tokens = format!("{}/tokens", acme.home());
        for (field, bad) in [
            ("environments.0", json!({ "name": "x", "environments": ["staging"] })),
            ("networks.1", json!({ "name": "x", "networks": ["10.0.0.0/8", "10.0.0.0/33"] })),
            ("expires_at", json!({ "name": "x", "expires_at": "2020-01-01T00:00:00Z" })),
        ] {
            let refused = acme.client.post(&tokens, &bad).await?.problem(400, "invalid")?;
            assert_eq!(text(&refused, "/violations/0/field")?, field);
        }
        let bound =
            json!({ "name": "x", "environments": ["production"], "networks": ["127.0.0.0/8"] });
        let (_, bound) = made(&acme, &bound).await?;
        bound.get(&acme.path("apps")).await?.expect(200)?;
        bound
            .get(&format!("{}/environments/staging", acme.home()))
            .await?
            .problem(404, "not_found")?;
        bound.get(&acme.home()).await?.problem(403, "forbidden")?;
        bound.get(&globex.path("apps")).await?.problem(404, "not_found")?;
        let elsewhere = json!({ "name": "x", "networks": ["192.0.2.0/24", "2001:db8::/32"] });
        let (_, elsewhere) = made(&acme, &elsewhere).await?;
        elsewhere.get(&acme.home()).await?.problem(403, "forbidden")?;
        Ok(())
    })
}

#[test]
fn a_rotated_token_works_on_beside_its_successor_for_a_while() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let (path, old) = made(&acme, &json!({ "name": "CI", "scopes": ["read"] })).await?;
        let rotate = format!("{path}/rotate");
        let body = json!({ "overlap_seconds": 600 });
        let next = acme.client.post(&rotate, &body).await?.expect(201)?;
        let new = acme.client.with_token(Some(text(&next, "/secret")?));
        for client in [&old, &new] {
            client.get(&acme.home()).await?.expect(200)?;
        }
        let told = acme.client.get(&path).await?.expect(200)?;
        assert_eq!(told["rotated_to"], next["id"]);
        assert_eq!((&next["scopes"], &next["name"]), (&json!(["read"]), &json!("CI")));
        acme.client.post(&rotate, &body).await?.problem(409, "not_rotatable")?;
        // No overlap at all: it is over at once, on every process within a second.
        let at_once = json!({ "overlap_seconds": 0 });
        let successor = format!("{}/tokens/{}/rotate", acme.home(), text(&next, "/id")?);
        acme.client.post(&successor, &at_once).await?.expect(201)?;
        wait_until("the rotated token to be refused", Duration::from_secs(4), async || {
            Ok(new.get(&acme.home()).await?.status == 401)
        })
        .await
    })
}

#[test]
fn a_revoked_token_works_on_no_process_within_a_second() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let others = [skep.start_api_process().await?, skep.start_api_process().await?];
        let (path, token) = made(&acme, &json!({ "name": "CI" })).await?;
        let everywhere = [token.clone(), token.at(&others[0].1), token.at(&others[1].1)];
        for client in &everywhere {
            client.get(&acme.home()).await?.expect(200)?;
        }
        acme.client.delete(&path).await?.expect(204)?;
        let revoked = Instant::now();
        for client in &everywhere {
            wait_until("the token to be refused", Duration::from_secs(2), async || {
                Ok(client.get(&acme.home()).await?.status == 401)
            })
            .await?;
        }
        let took = revoked.elapsed();
        println!("refused by three processes within {took:?}");
        assert!(took < Duration::from_millis(1500), "{took:?}");
        assert!(!acme.client.get(&path).await?.expect(200)?["revoked_at"].is_null());
        // Again, and somebody else's: nothing, and not found.
        acme.client.delete(&path).await?.expect(204)?;
        let globex = skep.tenant("globex").await?;
        globex.client.delete(&path).await?.problem(404, "not_found")?;
        Ok(())
    })
}

#[test]
fn a_persons_tokens_are_the_persons_own() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let owner = skep.database.owner();
        let who = Holder::Member(&acme.slug, Role::Developer);
        let session = holder(owner, who, TokenKind::Session, TokenScope::ALL).await?;
        let person = skep.operator.with_token(Some(&session));
        let tokens = "/v1/account/tokens";
        let body = json!({ "name": "laptop", "scopes": ["deploy"] });
        let made = person.post(tokens, &body).await?.expect(201)?;
        let laptop = skep.operator.with_token(Some(text(&made, "/secret")?));
        // It does what the person may do, as far as its scopes go.
        laptop.get(&acme.home()).await?.expect(200)?;
        laptop.post(&acme.path("apps"), &json!({})).await?.problem(403, "forbidden")?;
        // Only who has logged in makes and revokes them.
        laptop.post(tokens, &body).await?.problem(403, "forbidden")?;
        let path = format!("{tokens}/{}", text(&made, "/id")?);
        laptop.delete(&path).await?.problem(403, "forbidden")?;
        let listed = laptop.get(tokens).await?.expect(200)?;
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(2), "{listed}");
        let other = holder(owner, who, TokenKind::Session, TokenScope::ALL).await?;
        let other = skep.operator.with_token(Some(&other));
        other.get(&path).await?.problem(404, "not_found")?;
        other.delete(&path).await?.problem(404, "not_found")?;
        // Whoever leaves the organization loses it with every token.
        sql::execute(owner, "DELETE FROM members").await?;
        wait_until("the organization to be gone", Duration::from_secs(2), async || {
            Ok(laptop.get(&acme.home()).await?.status == 404)
        })
        .await?;
        person.delete(&path).await?.expect(204)?;
        wait_until("the token to be refused", Duration::from_secs(2), async || {
            Ok(laptop.get(tokens).await?.status == 401)
        })
        .await
    })
}
