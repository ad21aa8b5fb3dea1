//! Passwords: changed by who knows them, reset by who operates the platform.

use std::time::{Duration, Instant};

use anyhow::ensure;
use argon2::{Argon2, Params, PasswordHasher as _};
use futures::future::join;
use model::token::{TokenKind, TokenScope};
use model::user::PlatformRole;
use serde_json::json;
use tests::answer::text;
use tests::holders::{Holder, holder};
use tests::people::{PASSWORD, anybody, log_in, person, reset};
use tests::{Outcome, run, sql, wait_until};

const NEXT: &str = "another correct horse";

#[test]
fn changing_it_ends_the_other_sessions_on_every_process() -> Outcome {
    run(async |skep| {
        let ada = person(&skep.operator, "ada@example.org").await?;
        let others = [skep.start_api_process().await?, skep.start_api_process().await?];
        let other = log_in(&skep.operator, &ada.email, PASSWORD).await?.expect(201)?;
        let other = skep.operator.with_token(Some(text(&other, "/secret")?));
        let token = json!({ "name": "laptop" });
        let token = ada.client.post("/v1/account/tokens", &token).await?.expect(201)?;
        let token = skep.operator.with_token(Some(text(&token, "/secret")?));
        let everywhere = [other.clone(), other.at(&others[0].1), other.at(&others[1].1)];
        for client in &everywhere {
            client.get("/v1/me").await?.expect(200)?;
        }
        let change = json!({ "current": PASSWORD, "new": NEXT });
        ada.client.put("/v1/me/password", &change).await?.expect(204)?;
        let changed = Instant::now();
        for client in &everywhere {
            wait_until("the session to be over", Duration::from_secs(2), async || {
                Ok(client.get("/v1/me").await?.status == 401)
            })
            .await?;
        }
        let took = changed.elapsed();
        println!("refused by three processes within {took:?}");
        ensure!(took < Duration::from_millis(1500), "{took:?}");
        // The session that changed it goes on, and so do tokens.
        ada.client.get("/v1/me").await?.expect(200)?;
        token.get("/v1/me").await?.expect(200)?;
        let old = log_in(&skep.operator, &ada.email, PASSWORD).await?;
        old.problem(401, "invalid_credentials")?;
        log_in(&skep.operator, &ada.email, NEXT).await?.expect(201)?;
        Ok(())
    })
}

#[test]
fn whoever_does_not_know_it_changes_nothing_and_has_to_wait() -> Outcome {
    run(async |skep| {
        let ada = person(&skep.operator, "ada@example.org").await?;
        let guess = json!({ "current": "incorrect horse", "new": NEXT });
        for _ in 0..5 {
            let refused = ada.client.put("/v1/me/password", &guess).await?;
            refused.problem(401, "invalid_credentials")?;
        }
        let waits = ada.client.put("/v1/me/password", &guess).await?;
        waits.problem(429, "too_many_attempts")?;
        let audited = "audit_log WHERE action = 'password.refuse'";
        assert_eq!(sql::count(skep.database.owner(), audited).await?, 5);
        // A token of the person's is not enough.
        let token = json!({ "name": "laptop", "scopes": ["admin"] });
        let token = ada.client.post("/v1/account/tokens", &token).await?.expect(201)?;
        let token = skep.operator.with_token(Some(text(&token, "/secret")?));
        let change = json!({ "current": PASSWORD, "new": NEXT });
        token.put("/v1/me/password", &change).await?.problem(403, "forbidden")?;
        Ok(())
    })
}

#[test]
fn what_is_tried_first_is_no_password() -> Outcome {
    run(async |skep| {
        let ada = person(&skep.operator, "ada.lovelace@example.org").await?;
        ada.client.patch("/v1/me", &json!({ "name": "Ada of Lovelace" })).await?.expect(200)?;
        let long = "x".repeat(257);
        for bad in ["", "elevenchars", &long, "Ada.Lovelace@example.org", "ada of lovelace"] {
            let change = json!({ "current": PASSWORD, "new": bad });
            let refused = ada.client.put("/v1/me/password", &change).await?;
            let refused = refused.problem(400, "invalid")?;
            assert_eq!(text(&refused, "/violations/0/field")?, "new", "{bad}");
        }
        let secret = reset(&skep.operator, &ada.id).await?;
        let same = json!({ "secret": secret, "password": "ada of lovelace" });
        let refused = anybody(&skep.operator).post("/v1/password-resets", &same).await?;
        assert_eq!(text(&refused.problem(400, "invalid")?, "/violations/0/field")?, "password");
        // Twelve characters are, in any script, and the secret is not used up by what was refused.
        let good = json!({ "secret": secret, "password": "пароль-паро" });
        anybody(&skep.operator)
            .post("/v1/password-resets", &good)
            .await?
            .problem(400, "invalid")?;
        let good = json!({ "secret": secret, "password": "пароль-парол" });
        anybody(&skep.operator).post("/v1/password-resets", &good).await?.expect(200)?;
        log_in(&skep.operator, &ada.email, "пароль-парол").await?.expect(201)?;
        Ok(())
    })
}

#[test]
fn a_reset_works_once_and_lets_its_person_in() -> Outcome {
    run(async |skep| {
        let ada = person(&skep.operator, "ada@example.org").await?;
        for _ in 0..5 {
            log_in(&skep.operator, &ada.email, "incorrect horse").await?.expect(401)?;
        }
        log_in(&skep.operator, &ada.email, PASSWORD).await?.problem(429, "too_many_attempts")?;
        let older = reset(&skep.operator, &ada.id).await?;
        let secret = reset(&skep.operator, &ada.id).await?;
        let nobody = anybody(&skep.operator);
        let path = "/v1/password-resets";
        let of = |secret: &str, password: &str| json!({ "secret": secret, "password": password });
        nobody.post(path, &of(&older, NEXT)).await?.problem(404, "not_found")?;
        // Of two at once, one is.
        let (one, other) = join(
            nobody.post_once(path, &of(&secret, NEXT), "one"),
            nobody.post_once(path, &of(&secret, "a third correct horse"), "other"),
        )
        .await;
        let mut statuses = [one?.status, other?.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 404]);
        let rows = "SELECT key FROM idempotency_keys WHERE route LIKE '%password-resets'";
        let key = sql::row(skep.database.owner(), rows).await?;
        let key = text(&key, "/key")?;
        let again = nobody.post_once(path, &of(&secret, NEXT), key).await?;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        again.expect(200)?;
        let again = nobody.post_once(path, &of(&secret, NEXT), "later").await?;
        again.problem(404, "not_found")?;
        // Every session is over, and the wait too.
        wait_until("the session to be over", Duration::from_secs(2), async || {
            Ok(ada.client.get("/v1/me").await?.status == 401)
        })
        .await?;
        let password = if key == "one" { NEXT } else { "a third correct horse" };
        log_in(&skep.operator, &ada.email, password).await?.expect(201)?;
        let secret = reset(&skep.operator, &ada.id).await?;
        let expire = "UPDATE password_resets SET expires_at = now()";
        sql::execute(skep.database.owner(), expire).await?;
        nobody.post(path, &of(&secret, NEXT)).await?.problem(404, "not_found")?;
        Ok(())
    })
}

#[test]
fn who_has_a_role_in_the_platform_is_reset_by_admins_only() -> Outcome {
    run(async |skep| {
        let ada = person(&skep.operator, "ada@example.org").await?;
        let who = Holder::Platform(PlatformRole::Operator);
        let secret =
            holder(skep.database.owner(), who, TokenKind::Platform, TokenScope::ALL).await?;
        let operator = skep.operator.with_token(Some(&secret));
        let path = format!("/v1/admin/users/{}", ada.id);
        let reset = format!("{path}/password-reset");
        let made = operator.post(&reset, &json!(null)).await?.expect(201)?;
        let admin = json!({ "platform_role": "admin" });
        operator.patch(&path, &admin).await?.problem(403, "forbidden")?;
        skep.operator.patch(&path, &admin).await?.expect(200)?;
        for refused in [
            operator.post(&reset, &json!(null)).await?,
            operator.patch(&path, &json!({ "disabled": true })).await?,
            operator.patch(&path, &json!({ "platform_role": null })).await?,
        ] {
            refused.problem(403, "forbidden")?;
        }
        // What was made when there was less to gain works no more.
        let body = json!({ "secret": text(&made, "/secret")?, "password": NEXT });
        anybody(&skep.operator)
            .post("/v1/password-resets", &body)
            .await?
            .problem(404, "not_found")?;
        skep.operator.post(&reset, &json!(null)).await?.expect(201)?;
        Ok(())
    })
}

#[test]
fn a_hash_of_old_parameters_is_renewed_by_the_next_login() -> Outcome {
    run(async |skep| {
        let ada = person(&skep.operator, "ada@example.org").await?;
        let weak = Argon2::from(Params::new(64, 1, 1, Some(32)).map_err(anyhow::Error::msg)?);
        let weak = weak.hash_password(PASSWORD.as_bytes()).map_err(anyhow::Error::msg)?;
        let owner = skep.database.owner();
        sql::execute(owner, &format!("UPDATE user_passwords SET hash = '{weak}'")).await?;
        let hash = async || sql::row(owner, "SELECT hash, updated_at FROM user_passwords").await;
        let before = hash().await?;
        log_in(&skep.operator, &ada.email, "incorrect horse").await?.expect(401)?;
        assert_eq!(hash().await?, before);
        log_in(&skep.operator, &ada.email, PASSWORD).await?.expect(201)?;
        let after = hash().await?;
        ensure!(text(&after, "/hash")?.contains("$m=19456,t=2,p=1$"), "{after}");
        assert_eq!(after["updated_at"], before["updated_at"]);
        log_in(&skep.operator, &ada.email, PASSWORD).await?.expect(201)?;
        assert_eq!(hash().await?, after);
        Ok(())
    })
}
