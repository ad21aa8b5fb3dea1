//! Users: people, as operators make, find, change and shut them out.

use std::time::Duration;

use anyhow::ensure;
use model::token::{TokenKind, TokenScope};
use model::user::PlatformRole;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::holders::{Holder, holder};
use tests::people::{PASSWORD, log_in, person};
use tests::{Outcome, run, sql, wait_until};

const USERS: &str = "/v1/admin/users";

#[test]
fn people_are_found_by_how_their_email_begins() -> Outcome {
    run(async |skep| {
        for email in ["ada@example.org", "adam@example.org", "a_a@example.org", "eve@example.org"] {
            let body = json!({ "email": email, "name": "x" });
            skep.operator.post(USERS, &body).await?.expect(201)?;
        }
        let found = async |query: &str| -> anyhow::Result<Vec<String>> {
            let listed = skep.operator.get(&format!("{USERS}?{query}")).await?.expect(200)?;
            let emails = list(&listed, "/items")?.iter();
            Ok(emails.filter_map(|user| user["email"].as_str().map(str::to_owned)).collect())
        };
        assert_eq!(found("limit=3").await?.len(), 3);
        assert_eq!(found("email=ADA").await?, ["ada@example.org", "adam@example.org"]);
        assert_eq!(found("email=a_").await?, ["a_a@example.org"], "_ is no wildcard");
        assert_eq!(found("email=%25").await?, [""; 0], "nor is %");
        assert_eq!(found("email=%5C").await?, [""; 0]);
        skep.operator.get(&format!("{USERS}?email=")).await?.problem(400, "invalid")?;
        let again = json!({ "email": "ADA@example.org", "name": "x" });
        skep.operator.post(USERS, &again).await?.problem(409, "already_exists")?;
        skep.operator.get(&format!("{USERS}/usr_x")).await?.problem(404, "not_found")?;
        Ok(())
    })
}

#[test]
fn roles_in_the_platform_are_given_by_its_admins() -> Outcome {
    run(async |skep| {
        let who = Holder::Platform(PlatformRole::Operator);
        let secret =
            holder(skep.database.owner(), who, TokenKind::Platform, TokenScope::ALL).await?;
        let operator = skep.operator.with_token(Some(&secret));
        let body = json!({ "email": "root@example.org", "name": "x", "platform_role": "viewer" });
        operator.post(USERS, &body).await?.problem(403, "forbidden")?;
        assert_eq!(sql::count(skep.database.owner(), "users").await?, 0);
        let ada = person(&skep.operator, "ada@example.org").await?;
        let path = format!("{USERS}/{}", ada.id);
        ada.client.get(USERS).await?.problem(403, "forbidden")?;
        let made = skep.operator.patch(&path, &json!({ "platform_role": "viewer" })).await?;
        assert_eq!(made.expect(200)?["platform_role"], "viewer");
        wait_until("the role to be there", Duration::from_secs(2), async || {
            Ok(ada.client.get(USERS).await?.status == 200)
        })
        .await?;
        // What is not named stays.
        let renamed = skep.operator.patch(&path, &json!({ "name": "Ada" })).await?.expect(200)?;
        assert_eq!(
            (&renamed["platform_role"], &renamed["name"]),
            (&json!("viewer"), &json!("Ada"))
        );
        let taken = skep.operator.patch(&path, &json!({ "platform_role": null })).await?;
        ensure!(taken.expect(200)?["platform_role"].is_null());
        wait_until("the role to be gone", Duration::from_secs(2), async || {
            Ok(ada.client.get(USERS).await?.status == 403)
        })
        .await
    })
}

#[test]
fn who_is_shut_out_is_out_with_every_token() -> Outcome {
    run(async |skep| {
        let ada = person(&skep.operator, "ada@example.org").await?;
        let token = json!({ "name": "laptop" });
        let token = ada.client.post("/v1/account/tokens", &token).await?.expect(201)?;
        let token = skep.operator.with_token(Some(text(&token, "/secret")?));
        let path = format!("{USERS}/{}", ada.id);
        let shut = skep.operator.patch(&path, &json!({ "disabled": true })).await?.expect(200)?;
        ensure!(shut["disabled_at"].is_string());
        for client in [&ada.client, &token] {
            wait_until("the token to be refused", Duration::from_secs(2), async || {
                Ok(client.get("/v1/me").await?.status == 401)
            })
            .await?;
        }
        log_in(&skep.operator, &ada.email, PASSWORD).await?.problem(403, "forbidden")?;
        skep.operator.patch(&path, &json!({ "disabled": false })).await?.expect(200)?;
        log_in(&skep.operator, &ada.email, PASSWORD).await?.expect(201)?;
        let audited = "SELECT * FROM audit_log WHERE action = 'user.update' ORDER BY id";
        let audited = sql::rows(skep.database.owner(), audited).await?;
        assert_eq!(audited.len(), 2);
        ensure!(audited[0]["before"]["disabled_at"] == Value::Null);
        ensure!(audited[0]["after"]["disabled_at"].is_string());
        Ok(())
    })
}

#[test]
fn an_organization_may_be_born_with_its_owner() -> Outcome {
    run(async |skep| {
        let ada = person(&skep.operator, "ada@example.org").await?;
        let body = json!({ "slug": "acme", "owner": "nobody@example.org" });
        let refused =
            skep.operator.post("/v1/organizations", &body).await?.problem(404, "not_found")?;
        assert!(text(&refused, "/detail")?.starts_with("nobody has the email address nobody@"));
        assert_eq!(sql::count(skep.database.owner(), "organizations").await?, 0);
        let body = json!({ "slug": "acme", "owner": "Ada@example.org" });
        skep.operator.post("/v1/organizations", &body).await?.expect(201)?;
        let me = ada.client.get("/v1/me").await?.expect(200)?;
        assert_eq!(me["memberships"][0]["role"], "owner");
        let members = ada.client.get("/v1/organizations/acme/members").await?.expect(200)?;
        assert_eq!(text(&members, "/items/0/email")?, ada.email);
        Ok(())
    })
}
