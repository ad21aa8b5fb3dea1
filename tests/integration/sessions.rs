//! Sessions: logging in and out, and what stands between a guesser and a password.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::future::try_join_all;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::api::Api;
use tests::people::{PASSWORD, anybody, join, log_in, person};
use tests::{Client, Outcome, run, sql, wait_until};

const WRONG: &str = "incorrect horse";

#[test]
fn a_person_logs_in_sees_it_and_logs_out() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let ada = join(&skep.operator, "acme", "Ada@Example.org", "developer").await?;
        let me = ada.client.get("/v1/me").await?.expect(200)?;
        assert_eq!(text(&me, "/email")?, "ada@example.org");
        assert_eq!(text(&me, "/memberships/0/organization")?, "acme");
        assert_eq!(text(&me, "/memberships/0/role")?, "developer");
        ada.client.get(&acme.home()).await?.expect(200)?;
        // Another login, in another spelling.
        let made = log_in(&skep.operator, "ADA@example.ORG", PASSWORD).await?;
        assert!(made.header("location").is_some_and(|path| path.starts_with("/v1/sessions/tok_")));
        let made = made.expect(201)?;
        ensure!(text(&made, "/secret")?.starts_with("skep_ses_"));
        let other = ada.client.with_token(Some(text(&made, "/secret")?));
        let listed = other.get("/v1/sessions").await?.expect(200)?;
        let current: Vec<&Value> =
            list(&listed, "/items")?.iter().map(|session| &session["current"]).collect();
        assert_eq!(current, [true, false]);
        // The one ends the other, then itself.
        let id = text(&listed, "/items/1/id")?;
        other.delete(&format!("/v1/sessions/{id}")).await?.expect(204)?;
        other.delete(&format!("/v1/sessions/{id}")).await?.expect(204)?;
        let eve = person(&skep.operator, "eve@example.org").await?;
        let own = text(&listed, "/items/0/id")?;
        eve.client.delete(&format!("/v1/sessions/{own}")).await?.problem(404, "not_found")?;
        other.delete("/v1/sessions/current").await?.expect(204)?;
        for client in [&ada.client, &other] {
            wait_until("the session to be over", Duration::from_secs(2), async || {
                Ok(client.get("/v1/me").await?.status == 401)
            })
            .await?;
        }
        Ok(())
    })
}

#[test]
fn a_session_ends_by_itself() -> Outcome {
    run(async |skep| {
        let ada = person(&skep.operator, "ada@example.org").await?;
        let listed = ada.client.get("/v1/sessions").await?.expect(200)?;
        let hours =
            "SELECT extract(epoch FROM expires_at - created_at)::int / 60 AS minutes FROM tokens
            WHERE kind = 'session'";
        let lasts = sql::row(skep.database.owner(), hours).await?["minutes"].clone();
        ensure!(lasts == 12 * 60 || lasts == 12 * 60 - 1, "{lasts} minutes: {listed}");
        sql::execute(
            skep.database.owner(),
            "UPDATE tokens SET expires_at = now() WHERE kind = 'session'",
        )
        .await?;
        wait_until("the session to be over", Duration::from_secs(2), async || {
            Ok(ada.client.get("/v1/me").await?.status == 401)
        })
        .await
    })
}

#[test]
fn who_is_unknown_is_refused_as_who_is_wrong() -> Outcome {
    run(async |skep| {
        person(&skep.operator, "ada@example.org").await?;
        let body = json!({ "email": "new@example.org", "name": "Has no password yet" });
        skep.operator.post("/v1/admin/users", &body).await?.expect(201)?;
        let mut told = Vec::new();
        for email in ["ada@example.org", "new@example.org", "nobody@example.org"] {
            let refused = log_in(&skep.operator, email, WRONG).await?;
            let mut refused = refused.problem(401, "invalid_credentials")?;
            refused["request_id"] = Value::Null;
            told.push(refused);
        }
        ensure!(told[0] == told[1] && told[1] == told[2], "{told:?}");
        // Who is shut out is told so, once the password was right.
        let ada =
            sql::row(skep.database.owner(), "SELECT id FROM users WHERE email LIKE 'ada%'").await?;
        let shut =
            format!("UPDATE users SET disabled_at = now() WHERE id = '{}'", text(&ada, "/id")?);
        sql::execute(skep.database.owner(), &shut).await?;
        let email = "ada@example.org";
        log_in(&skep.operator, email, WRONG).await?.problem(401, "invalid_credentials")?;
        log_in(&skep.operator, email, PASSWORD).await?.problem(403, "forbidden")?;
        let audited =
            "SELECT object, after FROM audit_log WHERE action = 'session.refuse' ORDER BY id";
        let audited = sql::rows(skep.database.owner(), audited).await?;
        assert_eq!(audited.len(), 5);
        assert_eq!(text(&audited[2], "/object")?, "nobody");
        ensure!(!Value::from(audited).to_string().contains("example.org"));
        Ok(())
    })
}

/// Seconds to wait that a refused login is told.
async fn told_to_wait(client: &Client, email: &str, password: &str) -> anyhow::Result<u64> {
    let refused = log_in(client, email, password).await?;
    let seconds = refused.header("retry-after").unwrap_or_default().parse()?;
    refused.problem(429, "too_many_attempts")?;
    Ok(seconds)
}

#[test]
fn after_five_failures_each_try_waits_twice_as_long() -> Outcome {
    run(async |skep| {
        person(&skep.operator, "ada@example.org").await?;
        let owner = skep.database.owner();
        for email in ["ada@example.org", "nobody@example.org"] {
            for _ in 0..5 {
                log_in(&skep.operator, email, WRONG).await?.problem(401, "invalid_credentials")?;
            }
            for expected in [1, 2, 4] {
                // The right password waits like the wrong one.
                assert_eq!(told_to_wait(&skep.operator, email, PASSWORD).await?, expected);
                sql::execute(owner, "UPDATE login_failures SET locked_until = now()").await?;
                log_in(&skep.operator, email, WRONG).await?.problem(401, "invalid_credentials")?;
            }
            let long = "UPDATE login_failures SET failures = 100, locked_until = now()";
            sql::execute(owner, long).await?;
            log_in(&skep.operator, email, WRONG).await?.problem(401, "invalid_credentials")?;
            assert_eq!(told_to_wait(&skep.operator, email, WRONG).await?, 900);
        }
        // The right one, in its time, takes the count away.
        sql::execute(owner, "UPDATE login_failures SET locked_until = now()").await?;
        log_in(&skep.operator, "ada@example.org", PASSWORD).await?.expect(201)?;
        assert_eq!(sql::count(owner, "login_failures").await?, 1, "nobody's");
        log_in(&skep.operator, "ada@example.org", WRONG)
            .await?
            .problem(401, "invalid_credentials")?;
        // What nobody added to for a day is purged, in bounded steps, by workers.
        sql::execute(owner, "UPDATE login_failures SET tried_at = now() - interval '25 hours'")
            .await?;
        let worker = skep.database.worker();
        let purge = async || db::logins::login_failures_purge(worker, 1).await;
        assert_eq!([purge().await?, purge().await?, purge().await?], [1, 1, 0]);
        Ok(())
    })
}

#[test]
fn many_at_once_on_three_processes_are_five_tries() -> Outcome {
    run(async |skep| {
        person(&skep.operator, "ada@example.org").await?;
        let others = [skep.start_api_process().await?, skep.start_api_process().await?];
        let everywhere =
            [skep.operator.clone(), skep.operator.at(&others[0].1), skep.operator.at(&others[1].1)];
        for email in ["ada@example.org", "nobody@example.org"] {
            let started = Instant::now();
            let tries = (0..16).map(|n| log_in(&everywhere[n % 3], email, WRONG));
            let answers = try_join_all(tries).await?;
            let took = started.elapsed().as_secs_f64();
            let refused = answers.iter().filter(|answer| answer.status == 401).count();
            let waiting = answers.iter().filter(|answer| answer.status == 429).count();
            println!("{refused} tries and {waiting} that wait, in {took:.2} s");
            // Where it took so long that a wait was over, the next try was one.
            let over = (1..).take_while(|n| f64::from((1 << n) - 1) <= took).count();
            ensure!((5..=5 + over).contains(&refused) && refused + waiting == 16);
        }
        Ok(())
    })
}

#[test]
fn the_right_password_is_right_however_often_at_once() -> Outcome {
    run(async |skep| {
        let ada = person(&skep.operator, "ada@example.org").await?;
        let tries = (0..16).map(|_| log_in(&skep.operator, &ada.email, PASSWORD));
        for answer in try_join_all(tries).await? {
            answer.expect(201)?;
        }
        Ok(())
    })
}

#[test]
fn too_many_logins_at_once_are_told_to_come_again() -> Outcome {
    run(async |skep| {
        let mut settings = skep.api_settings()?;
        settings.login_queue = 2;
        let api = Api::start(settings).await?;
        let client = skep.operator.at(api.url());
        let emails: Vec<String> = (0..16).map(|n| format!("nobody{n}@example.org")).collect();
        let tries = emails.iter().map(|email| log_in(&client, email, WRONG));
        let (mut tried, mut overloaded) = (0, 0);
        for answer in try_join_all(tries).await? {
            if answer.status == 401 {
                tried += 1;
                continue;
            }
            assert_eq!(answer.header("retry-after"), Some("1"));
            answer.problem(503, "logins_overloaded")?;
            overloaded += 1;
        }
        println!("{tried} tried, {overloaded} told to come again");
        ensure!(tried >= 2 && overloaded >= 1);
        // What was not tried was not counted.
        assert_eq!(sql::count(skep.database.owner(), "login_failures").await?, tried);
        api.stop().await
    })
}

#[test]
fn a_repeated_login_is_one_session() -> Outcome {
    run(async |skep| {
        let ada = person(&skep.operator, "ada@example.org").await?;
        let body = json!({ "email": ada.email, "password": PASSWORD });
        let nobody = anybody(&skep.operator);
        let first = nobody.post_once("/v1/sessions", &body, "key").await?.expect(201)?;
        let again = nobody.post_once("/v1/sessions", &body, "key").await?;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        let again = again.expect(201)?;
        assert_eq!(again["id"], first["id"]);
        ensure!(again["secret"].is_null() && first["secret"].is_string());
        // What was answered is told to nobody who does not know the password.
        let guess = json!({ "email": ada.email, "password": WRONG });
        let refused = nobody.post_once("/v1/sessions", &guess, "key").await?;
        refused.problem(401, "invalid_credentials")?;
        assert_eq!(sql::count(skep.database.owner(), "tokens WHERE kind = 'session'").await?, 2);
        // Nor is a quick hash of the password kept, as that of the body would be.
        use sha2::Digest as _;
        for said in
            [body.to_string(), PASSWORD.to_owned()].map(|said| [format!("\0{said}"), said]).concat()
        {
            let hash = hex::encode(sha2::Sha256::digest(said));
            let kept = format!("idempotency_keys WHERE encode(request_hash, 'hex') = '{hash}'");
            assert_eq!(sql::count(skep.database.owner(), &kept).await?, 0);
        }
        assert_eq!(sql::count(skep.database.owner(), "idempotency_keys").await?, 1);
        Ok(())
    })
}

#[test]
fn no_password_and_no_hash_is_written_down() -> Outcome {
    run(async |skep| {
        let ada = person(&skep.operator, "ada@example.org").await?;
        let (api, url) = skep.start_api_process().await?;
        let client = ada.client.at(&url);
        log_in(&client, &ada.email, WRONG).await?.expect(401)?;
        log_in(&client, &ada.email, PASSWORD).await?.expect(201)?;
        let change = json!({ "current": PASSWORD, "new": "another correct horse" });
        client.put("/v1/me/password", &change).await?.expect(204)?;
        // A body that does not fit is told of without what it says.
        let bad = json!({ "email": "x", "password": [PASSWORD] });
        let told = client.with_token(None).post("/v1/sessions", &bad).await?;
        ensure!(!told.text.contains("horse"), "{}", told.text);
        told.problem(400, "invalid")?;
        let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'";
        let mut written = String::new();
        for table in sql::rows(skep.database.owner(), tables).await? {
            let name = text(&table, "/tablename")?;
            let rows = sql::rows(skep.database.owner(), &format!("SELECT * FROM {name}")).await?;
            let rows = Value::from(rows).to_string();
            assert_eq!(rows.contains("$argon2id$"), name == "user_passwords", "{name}");
            written += &rows;
        }
        ensure!(!written.contains("horse"));
        wait_until("the log to tell of it", Duration::from_secs(5), async || {
            Ok(api.log().iter().filter(|line| line.contains("/v1/sessions")).count() >= 3)
        })
        .await?;
        let log = api.log().join("\n");
        ensure!(!log.contains("horse") && !log.contains("argon2"), "{log}");
        // The API's role reads no hash but by the one door.
        let url = skep.database.api_url()?;
        let mut api = diesel_async::AsyncPgConnection::establish(&url).await?;
        use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
        let read = diesel::sql_query("SELECT hash FROM user_passwords").execute(&mut api).await;
        ensure!(format!("{read:?}").contains("permission denied"), "{read:?}");
        Ok(())
    })
}
