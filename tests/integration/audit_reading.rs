//! The audit log over the API: what it tells of looks and refusals, and who reads what of it.

use anyhow::{Context as _, Result, ensure};
use db::audit::chain::audit_chain_extend;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::people::{anybody, join, log_in};
use tests::{Client, Outcome, run, sql};

use crate::web;

/// The entries that a path answers with, newest first.
async fn entries(client: &Client, path: &str) -> Result<Vec<Value>> {
    let page = client.get(path).await?.expect(200)?;
    Ok(list(&page, "/items")?.to_vec())
}

/// Of each entry these fields.
fn of<'a>(entries: &'a [Value], fields: &[&str]) -> Vec<Vec<&'a str>> {
    let field = |entry: &'a Value, name: &&str| entry[*name].as_str().unwrap_or_default();
    entries.iter().map(|entry| fields.iter().map(|name| field(entry, name)).collect()).collect()
}

#[test]
fn an_operators_look_is_told_and_a_members_is_not() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let app = acme.path("apps/web");
        let viewer = join(&skep.operator, &acme.slug, "viewer@example.org", "viewer").await?;
        viewer.client.get(&app).await?.expect(200)?;
        acme.client.get(&app).await?.expect(200)?;
        let audit = format!("{}/audit", acme.home());
        let looks = format!("{audit}?action=operator.look");
        let before = entries(&acme.client, &looks).await?.len();
        skep.operator.get(&app).await?.expect(200)?;
        skep.operator.get(&acme.path("apps/none")).await?.problem(404, "not_found")?;
        let told = entries(&acme.client, &looks).await?;
        let new = &told[..told.len() - before];
        assert_eq!(
            of(new, &["object", "result"]),
            [[acme.path("apps/none").as_str(), "done"], [app.as_str(), "done"]]
        );
        assert_eq!(new[0]["after"], json!({ "action": "app.read" }));
        assert_eq!((&new[0]["address"], &new[0]["user"]), (&"127.0.0.1".into(), &Value::Null));
        ensure!(text(&new[0], "/token")?.starts_with("tok_"), "whose it was: {}", new[0]);
        // To read the log is a look as well.
        entries(&skep.operator, &audit).await?;
        let told = entries(&acme.client, &looks).await?;
        assert_eq!(
            (&told[0]["object"], &told[0]["after"]["action"]),
            (&audit.into(), &"audit.read".into())
        );
        Ok(())
    })
}

#[test]
fn an_operator_who_is_a_member_looks_as_one() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let member = join(&skep.operator, &acme.slug, "both@example.org", "owner").await?;
        let role = json!({ "platform_role": "viewer" });
        skep.operator.patch(&format!("/v1/admin/users/{}", member.id), &role).await?.expect(200)?;
        let globex = skep.tenant("globex").await?;
        for tenant in [&acme, &globex] {
            member.client.get(&tenant.home()).await?.expect(200)?;
            let looks = format!("{}/audit?action=operator.look&user={}", tenant.home(), member.id);
            let told = entries(&tenant.client, &looks).await?;
            assert_eq!(told.len(), usize::from(tenant.slug == "globex"), "{told:?}");
        }
        Ok(())
    })
}

#[test]
fn who_is_refused_is_told_where_they_are_somebody() -> Outcome {
    run(async |skep| {
        let (acme, globex) = (skep.tenant("acme").await?, skep.tenant("globex").await?);
        acme.create_app("web", web()).await?;
        let app = acme.path("apps/web");
        let viewer = join(&skep.operator, &acme.slug, "viewer@example.org", "viewer").await?;
        let change = json!({ "replicas": 9 });
        let refused = viewer.client.patch(&app, &change).await?;
        let request = refused.header("x-request-id").context("no id")?.to_owned();
        refused.problem(403, "forbidden")?;
        // To a stranger there is no such organization: nothing is written into its log.
        globex.client.patch(&app, &change).await?.problem(404, "not_found")?;
        anybody(&skep.operator).patch(&app, &change).await?.problem(401, "unauthenticated")?;
        viewer.client.get("/v1/organizations").await?.problem(403, "forbidden")?;
        let told = entries(&acme.client, &format!("{}/audit?result=refused", acme.home())).await?;
        assert_eq!(
            of(&told, &["action", "object", "user", "email", "request"]),
            [["app.manage", app.as_str(), &viewer.id, "viewer@example.org", &request]]
        );
        let told = entries(&skep.operator, "/v1/admin/audit?result=refused").await?;
        let told = of(&told, &["action", "object", "organization"]);
        assert_eq!(told[0], ["organization.list", "/v1/organizations", ""]);
        assert_eq!(told.len(), 2);
        // A login that failed was refused as well.
        log_in(&skep.operator, &viewer.email, "wrong horse battery")
            .await?
            .problem(401, "invalid_credentials")?;
        let told = entries(&skep.operator, "/v1/admin/audit?result=refused&limit=1").await?;
        assert_eq!(of(&told, &["action", "object"]), [["session.refuse", viewer.id.as_str()]]);
        Ok(())
    })
}

#[test]
fn what_cannot_be_written_down_is_not_looked_at_and_a_refusal_stands() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let viewer = join(&skep.operator, &acme.slug, "viewer@example.org", "viewer").await?;
        acme.create_app("web", web()).await?;
        let app = acme.path("apps/web");
        sql::execute(skep.database.owner(), "REVOKE INSERT ON audit_log FROM skep_api").await?;
        let look = skep.operator.get(&app).await?;
        ensure!(!look.text.contains("demo:v1"), "the app was shown: {}", look.text);
        look.problem(500, "internal")?;
        acme.client.get(&app).await?.expect(200)?;
        let change = json!({ "replicas": 9 });
        viewer.client.patch(&app, &change).await?.problem(403, "forbidden")?;
        sql::execute(skep.database.owner(), "GRANT INSERT ON audit_log TO skep_api").await?;
        skep.operator.get(&app).await?.expect(200)?;
        Ok(())
    })
}

#[test]
fn is_filtered_and_paged_within_ones_own() -> Outcome {
    run(async |skep| {
        let (acme, globex) = (skep.tenant("acme").await?, skep.tenant("globex").await?);
        let app = acme.create_app("web", web()).await?;
        globex.create_app("web", web()).await?;
        for replicas in 2..8 {
            acme.patch_app("web", json!({ "replicas": replicas })).await?;
        }
        let audit = format!("{}/audit", acme.home());
        let of_acme = entries(&acme.client, &audit).await?;
        let id = text(&acme.organization, "/id")?;
        ensure!(of_acme.iter().all(|entry| entry["organization"] == id), "{of_acme:?}");
        let (mut paged, mut path) = (Vec::new(), format!("{audit}?limit=3"));
        loop {
            let page = acme.client.get(&path).await?.expect(200)?;
            paged.extend(list(&page, "/items")?.to_vec());
            let Some(next) = page["next_cursor"].as_str() else { break };
            path = format!("{audit}?limit=3&cursor={next}");
        }
        assert_eq!(paged, of_acme);
        let third = &of_acme[2];
        let (at, since) = (text(third, "/created_at")?, text(&of_acme[5], "/created_at")?);
        for (filter, expected) in [
            ("action=app.create".to_owned(), 1),
            (format!("object={}", text(&app, "/id")?), 7),
            (format!("object={}&action=app.update", text(&app, "/id")?), 6),
            (format!("token={}", text(third, "/token")?), 7),
            (format!("request={}", text(third, "/request")?), 1),
            (format!("since={at}"), 3),
            (format!("since={since}&until={at}"), 3),
            ("result=refused".to_owned(), 0),
            ("user=usr_01jd3k00000000000000000000".to_owned(), 0),
        ] {
            let found = entries(&acme.client, &format!("{audit}?{filter}")).await?;
            assert_eq!(found.len(), expected, "{filter}: {found:?}");
        }
        let of_globex =
            format!("/v1/admin/audit?organization={}", text(&globex.organization, "/id")?);
        let found = entries(&skep.operator, &of_globex).await?;
        ensure!(
            found.len() > 1
                && found.iter().all(|entry| entry["organization"] == globex.organization["id"])
        );
        // And was seen doing so: of one organization in its own log, of all in the platform's.
        let looks = format!("{}/audit?action=operator.look", globex.home());
        let looks = entries(&globex.client, &looks).await?;
        ensure!(looks.iter().any(|look| look["object"] == "/v1/admin/audit"), "{looks:?}");
        let nobody = "organization=org_01jd3k00000000000000000000";
        for (filter, expected) in [("action=operator.look", 1), (nobody, 2)] {
            let answer = skep.operator.get(&format!("/v1/admin/audit/export?{filter}")).await?;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let looks = "SELECT count(*) AS count FROM audit_log
                 WHERE organization_id IS NULL AND action = 'operator.look' AND object = '/v1/admin/audit/export'";
            let row = sql::row(skep.database.owner(), looks).await?;
            assert_eq!(row["count"], expected, "{filter}");
        }
        for (filter, field) in [
            ("action=app%20update", "action"),
            ("object=%00", "object"),
            ("user=me", "user"),
            ("token=org_01jd3k00000000000000000000", "token"),
            ("request=a%20b", "request"),
            ("result=lost", "result"),
            ("since=yesterday", "since"),
            ("until=2026", "until"),
            ("organization=acme", "organization"),
        ] {
            let problem =
                acme.client.get(&format!("{audit}?{filter}")).await?.problem(400, "invalid")?;
            assert_eq!(problem["violations"][0]["field"], field);
        }
        Ok(())
    })
}

#[test]
fn is_exported_whole_and_in_order() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let insert = format!(
            "INSERT INTO audit_log (id, organization_id, action, object, request_id)
             SELECT ('01a20000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, id, 'app.update', n::text, 'req_x'
             FROM organizations, generate_series(1, 250) AS n WHERE slug = '{}'",
            acme.slug
        );
        sql::execute(skep.database.owner(), &insert).await?;
        while audit_chain_extend(skep.database.worker(), 100).await? > 0 {}
        let answer =
            acme.client.get(&format!("{}/audit/export?request=req_x", acme.home())).await?;
        assert_eq!(answer.header("content-type"), Some("application/jsonl"));
        ensure!(answer.status == 200 && answer.text.ends_with('\n'), "{}", answer.text);
        let lines: Vec<Value> =
            answer.text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let objects: Vec<&str> = lines.iter().filter_map(|line| line["object"].as_str()).collect();
        let expected: Vec<String> = (1..=250).map(|n| n.to_string()).collect();
        assert_eq!(objects, expected);
        for line in &lines {
            ensure!(line["number"].is_i64() && text(line, "/hash")?.len() == 64, "{line}");
        }
        let listed =
            entries(&acme.client, &format!("{}/audit?request=req_x&limit=1", acme.home())).await?;
        assert_eq!(listed.last(), lines.last());
        let whole = skep.operator.get("/v1/admin/audit/export?request=req_x").await?;
        assert_eq!(whole.text, answer.text);
        Ok(())
    })
}

#[test]
fn an_export_that_ends_early_is_not_taken_for_whole() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        // A first page that fills every buffer on the way: the second one is read when the client takes the first.
        let insert = format!(
            "INSERT INTO audit_log (id, organization_id, action, object, request_id, after)
             SELECT gen_random_uuid(), id, 'app.update', n::text, 'req_x', to_jsonb(repeat('x', 200000))
             FROM organizations, generate_series(1, 150) AS n WHERE slug = '{}'",
            acme.slug
        );
        sql::execute(skep.database.owner(), &insert).await?;
        let url = format!("{}{}/audit/export?request=req_x", acme.client.base(), acme.home());
        let http = reqwest::Client::builder().no_proxy().build()?;
        let answer =
            http.get(url).bearer_auth(acme.client.token().unwrap_or_default()).send().await?;
        assert_eq!(answer.status(), 200);
        sql::execute(skep.database.owner(), "REVOKE SELECT ON audit_log FROM skep_api").await?;
        let body = answer.bytes().await;
        ensure!(body.is_err(), "{} bytes, as if that were all", body.map_or(0, |body| body.len()));
        Ok(())
    })
}
