//! Invitations: who gets into an organization by one, and who does not.

use anyhow::ensure;
use futures::future::join as both;
use reqwest::Method;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::people::{PASSWORD, anybody, invite, join, log_in, person};
use tests::{Outcome, run, sql};

const ACCEPT: &str = "/v1/invitations/accept";

fn new(secret: &str) -> Value {
    json!({ "secret": secret, "name": "Somebody new", "password": PASSWORD })
}

#[test]
fn somebody_new_becomes_a_person_once() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let secret = invite(&acme.client, "acme", "New@Example.org", "developer").await?;
        ensure!(secret.starts_with("skep_inv_"));
        let nobody = anybody(&skep.operator);
        for (missing, field) in [("name", "name"), ("password", "password")] {
            let mut body = new(&secret);
            body.as_object_mut().map(|body| body.remove(missing));
            let refused = nobody.post(ACCEPT, &body).await?.problem(400, "invalid")?;
            assert_eq!(text(&refused, "/violations/0/field")?, field);
        }
        let mut weak = new(&secret);
        weak["password"] = "somebody new".into();
        nobody.post(ACCEPT, &weak).await?.problem(400, "invalid")?;
        assert_eq!(sql::count(skep.database.owner(), "users").await?, 0, "nothing half-written");
        // Of two at once, one comes in.
        let one = new(&secret);
        let two = both(nobody.post_once(ACCEPT, &one, "1"), nobody.post_once(ACCEPT, &one, "2"));
        let (first, second) = two.await;
        let (first, second) = (first?, second?);
        let mut statuses = [first.status, second.status];
        statuses.sort_unstable();
        ensure!(statuses == [201, 404] || statuses == [201, 401], "{statuses:?}");
        let key = if first.status == 201 { "1" } else { "2" };
        let again = nobody.post_once(ACCEPT, &one, key).await?;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.expect(201)?["organization"], "acme");
        nobody.post(ACCEPT, &one).await?.problem(404, "not_found")?;
        let session = log_in(&skep.operator, "new@example.org", PASSWORD).await?.expect(201)?;
        let client = skep.operator.with_token(Some(text(&session, "/secret")?));
        client.get(&acme.home()).await?.expect(200)?;
        let open = client.get(&format!("{}/invitations", acme.home())).await?.expect(200)?;
        assert_eq!(open["items"], json!([]));
        let kept = sql::rows(skep.database.owner(), "SELECT * FROM idempotency_keys").await?;
        ensure!(!Value::from(kept).to_string().contains(secret.trim_start_matches("skep_inv_")));
        Ok(())
    })
}

#[test]
fn the_secret_alone_acts_on_nobody_who_is_there() -> Outcome {
    run(async |skep| {
        skep.tenant("acme").await?;
        let ada = person(&skep.operator, "ada@example.org").await?;
        let eve = person(&skep.operator, "eve@example.org").await?;
        let secret = invite(&skep.operator, "acme", &ada.email, "admin").await?;
        let hash = "SELECT u.email, p.hash FROM users u JOIN user_passwords p ON p.user_id = u.id ORDER BY 1";
        let before = sql::rows(skep.database.owner(), hash).await?;
        let mut body = new(&secret);
        body["password"] = "chosen by who holds the secret".into();
        anybody(&skep.operator).post(ACCEPT, &body).await?.problem(401, "unauthenticated")?;
        eve.client.post(ACCEPT, &body).await?.problem(403, "forbidden")?;
        let broken = ada.client.with_token(Some("skep_nonsense"));
        broken.post(ACCEPT, &body).await?.problem(401, "unauthenticated")?;
        // A token of the person's, which may have leaked, is no session.
        let token = json!({ "name": "x", "scopes": ["admin"] });
        let token = ada.client.post("/v1/account/tokens", &token).await?.expect(201)?;
        let token = ada.client.with_token(Some(text(&token, "/secret")?));
        token.post(ACCEPT, &body).await?.problem(403, "forbidden")?;
        let hers = "audit_log a JOIN users u ON u.id = a.user_id
            WHERE a.result = 'refused' AND u.email = 'ada@example.org'";
        assert_eq!(
            sql::count(skep.database.owner(), hers).await?,
            1,
            "who is known is written down"
        );
        assert_eq!(sql::count(skep.database.owner(), "members").await?, 0);
        // The person comes in; their password and name stay as they are.
        let joined = ada.client.post(ACCEPT, &body).await?.expect(201)?;
        assert_eq!((&joined["role"], &joined["user"]), (&json!("admin"), &json!(ada.id)));
        assert_eq!(sql::rows(skep.database.owner(), hash).await?, before);
        assert_eq!(ada.client.get("/v1/me").await?.expect(200)?["name"], "A person");
        // A second one, of a member: no second membership.
        let secret = invite(&skep.operator, "acme", &ada.email, "viewer").await?;
        let again = ada.client.post(ACCEPT, &json!({ "secret": secret })).await?;
        again.problem(409, "already_exists")?;
        Ok(())
    })
}

#[test]
fn nobody_invites_above_themselves() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let owner = join(&skep.operator, "acme", "owner@example.org", "owner").await?;
        let admin = join(&skep.operator, "acme", "admin@example.org", "admin").await?;
        let dev = join(&skep.operator, "acme", "dev@example.org", "developer").await?;
        let path = format!("{}/invitations", acme.home());
        let of = |role: &str| json!({ "email": format!("{role}@example.net"), "role": role });
        dev.client.post(&path, &of("viewer")).await?.problem(403, "forbidden")?;
        for client in [&admin.client, &acme.client] {
            client.post(&path, &of("owner")).await?.problem(403, "forbidden")?;
        }
        admin.client.post(&path, &of("admin")).await?.expect(201)?;
        owner.client.post(&path, &of("owner")).await?.expect(201)?;
        // One open invitation of an email, in any spelling.
        let again = json!({ "email": "OWNER@example.net", "role": "viewer" });
        owner.client.post(&path, &again).await?.problem(409, "already_exists")?;
        for bad in ["", "x", "x@", "a b@c.d", "x@y\u{0}"] {
            let body = json!({ "email": bad, "role": "viewer" });
            let refused = owner.client.post(&path, &body).await?.problem(400, "invalid")?;
            assert_eq!(text(&refused, "/violations/0/field")?, "email", "{bad:?}");
        }
        Ok(())
    })
}

#[test]
fn what_was_revoked_or_has_expired_lets_nobody_in() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let path = format!("{}/invitations", acme.home());
        let email = "new@example.org";
        let secret = invite(&acme.client, "acme", email, "viewer").await?;
        let listed = acme.client.get(&path).await?.expect(200)?;
        ensure!(!listed.to_string().contains("skep_inv_"), "{listed}");
        let one = format!("{path}/{}", text(&listed, "/items/0/id")?);
        // Another organization's is not there.
        let globex = skep.tenant("globex").await?;
        let foreign = one.replace("/acme/", "/globex/");
        globex.client.delete(&foreign).await?.problem(404, "not_found")?;
        acme.client.delete(&one).await?.expect(204)?;
        acme.client.delete(&one).await?.problem(404, "not_found")?;
        let nobody = anybody(&skep.operator);
        nobody.post(ACCEPT, &new(&secret)).await?.problem(404, "not_found")?;
        let secret = invite(&acme.client, "acme", email, "viewer").await?;
        let expire = "UPDATE invitations SET expires_at = now() WHERE revoked_at IS NULL";
        sql::execute(skep.database.owner(), expire).await?;
        nobody.post(ACCEPT, &new(&secret)).await?.problem(404, "not_found")?;
        let listed = acme.client.get(&path).await?.expect(200)?;
        ensure!(list(&listed, "/items")?.is_empty());
        // What has expired is in nobody's way. While the organization is suspended or about to end, nobody comes in.
        let secret = invite(&acme.client, "acme", email, "viewer").await?;
        let closed = [
            ("suspend", json!({ "reason": "unpaid" }), "resume", 200),
            ("deletion", json!({ "grace_hours": 1 }), "restore", 202),
        ];
        for (close, body, open, status) in closed {
            let close = format!("{}/{close}", acme.home());
            skep.operator.post(&close, &body).await?.expect(status)?;
            let refused = nobody.post(ACCEPT, &new(&secret)).await?;
            refused.problem(403, "organization_suspended")?;
            let open = format!("{}/{open}", acme.home());
            skep.operator.ask(Method::POST, &open, Default::default()).await?.expect(status)?;
        }
        assert_eq!(sql::count(skep.database.owner(), "users").await?, 0);
        nobody.post(ACCEPT, &new(&secret)).await?.expect(201)?;
        for made_up in ["x", &secret.replace("inv", "pwr"), &format!("skep_inv_{}", "0".repeat(72))]
        {
            nobody.post(ACCEPT, &new(made_up)).await?.problem(404, "not_found")?;
        }
        Ok(())
    })
}
