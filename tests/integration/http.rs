//! HTTP as a contract: methods, media types and headers mean what RFC 9110 says, on every path alike.

use std::collections::{BTreeMap, BTreeSet};

use model::member::Role;
use model::token::{TokenKind, TokenScope};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tests::api::Api;
use tests::client::Ask;
use tests::holders::{Holder, holder};
use tests::{Client, Outcome, run};

use crate::doors::{Things, ask, everything, table};

const ACCOUNT: &str = "/v1/account/";

fn told(headers: &HeaderMap) -> BTreeMap<String, String> {
    // Without a body there is no encoding of it; and each request is counted.
    let own = ["date", "x-request-id", "transfer-encoding", "ratelimit"];
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), format!("{value:?}")))
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .collect()
}

#[test]
fn head_is_get_without_the_body() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let mut things = Things::of(&acme, skep).await?;
        let who = Holder::Member(&acme.slug, Role::Owner);
        let owner = holder(skep.database.owner(), who, TokenKind::Session, TokenScope::ALL).await?;
        let person = skep.operator.with_token(Some(&owner));
        let mut found = 0;
        for (method, template, ..) in table() {
            if method != "GET" {
                continue;
            }
            if template.starts_with("/v1/admin/tokens/") {
                let tokens = skep.operator.get("/v1/admin/tokens").await?.expect(200)?;
                things.name("token", tokens["items"][0]["id"].as_str().unwrap());
            }
            // An operator who reads an audit log makes it longer, but not by refusals.
            let client = if template.starts_with(ACCOUNT) { &person } else { &skep.operator };
            let mut path = things.fill(&template);
            if path.contains("/audit") {
                path.push_str("?result=refused");
            }
            let get = client.get(&path).await?;
            let head = client.ask(Method::HEAD, &path, Ask::default()).await?;
            assert_eq!((head.status, head.text.as_str()), (get.status, ""), "{path}");
            // Between the two, the use of a token may have been stamped.
            let again = client.get(&path).await?;
            let gets = [told(&get.headers), told(&again.headers)];
            assert!(gets.contains(&told(&head.headers)), "{path}: {:?}: {gets:?}", head.headers);
            if !template.ends_with("/export") {
                let length = get.text.len().to_string();
                assert_eq!(get.header("content-length"), Some(&*length), "{path}");
            }
            found += i32::from(get.status == 200);
        }
        assert!(found >= 20, "{found} were found");
        for path in ["/openapi.json", "/docs", "/docs/problems"] {
            let head = skep.operator.ask(Method::HEAD, path, Ask::default()).await?;
            assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
        }
        Ok(())
    })
}

#[test]
fn another_method_is_told_which_there_are() -> Outcome {
    run(async |skep| {
        let mut taken: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for (method, template, ..) in table() {
            taken.entry(template).or_default().insert(method);
        }
        for path in ["/openapi.json", "/docs", "/docs/problems"] {
            taken.entry(path.to_owned()).or_default().insert("GET");
        }
        let anonymous = skep.operator.with_token(None);
        for (path, mut methods) in taken {
            if methods.contains("GET") {
                methods.insert("HEAD");
            }
            for method in
                ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]
            {
                if methods.contains(method) {
                    continue;
                }
                let answer = ask(&anonymous, method, &path, &Value::Null).await?;
                let allow = answer.header("allow").unwrap_or_default().to_owned();
                if method == "HEAD" {
                    assert_eq!((answer.status, answer.text.as_str()), (405, ""), "{path}");
                } else {
                    answer.problem(405, "method_not_allowed")?;
                }
                let allowed: BTreeSet<&str> = allow.split(", ").collect();
                assert_eq!(allowed, methods, "{method} {path}");
            }
        }
        for method in ["GET", "POST", "DELETE", "OPTIONS"] {
            ask(&anonymous, method, "/v1/nowhere", &Value::Null)
                .await?
                .problem(404, "not_found")?;
        }
        Ok(())
    })
}

#[test]
fn an_answer_that_nobody_would_take_is_not_made() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let things = Things::of(&acme, skep).await?;
        let before = everything(skep).await?;
        for (method, template, _, body) in table() {
            let body = (!body.is_null()).then(|| body.to_string().into_bytes());
            let method = Method::from_bytes(method.as_bytes())?;
            let headers = &[("Accept", "text/html, application/xml;q=0.9")];
            let path = things.fill(&template);
            let answer = skep.operator.ask(method.clone(), &path, Ask { headers, body }).await?;
            let problem = answer.problem(406, "not_acceptable")?;
            assert!(problem["detail"].as_str().unwrap().contains("Accept must allow it"));
        }
        assert_eq!(everything(skep).await?, before, "nothing was changed");
        for accept in ["application/problem+json", "text/html, */*;q=0.1", "application/*"] {
            let answer =
                skep.operator.ask_with(Method::GET, &acme.home(), None, ("Accept", accept)).await?;
            answer.expect(200)?;
        }
        Ok(())
    })
}

#[test]
fn every_answer_says_what_a_browser_must_not_do() -> Outcome {
    run(async |skep| {
        let anonymous = skep.operator.with_token(None);
        for (path, status) in [
            ("/v1/organizations", 401),
            ("/v1/nowhere", 404),
            ("/healthz", 200),
            ("/openapi.json", 200),
            ("/docs", 200),
            ("/docs/problems", 200),
        ] {
            let answer = anonymous.get(path).await?;
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
            assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
            assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
            assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
            let is_page = path.starts_with("/docs");
            assert_eq!(policy.contains("style-src"), is_page, "{path}: {policy}");
            let public = is_page || path == "/openapi.json";
            assert_eq!(answer.header("cache-control"), (!public).then_some("no-store"), "{path}");
            let clear_text = answer.header("strict-transport-security");
            assert_eq!(clear_text, None, "{path}: it would lock clients out");
            assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
        }
        Ok(())
    })
}

#[test]
fn pages_of_listed_origins_may_call_and_no_others() -> Outcome {
    const LISTED: &str = "https://console.example.org";
    run(async |skep| {
        let mut settings = skep.api_settings()?;
        settings.cors_origins = vec![LISTED.to_owned(), "http://localhost:3000".to_owned()];
        let api = Api::start(settings).await?;
        let open: Client = skep.operator.at(api.url());
        let preflight = async |client: &Client, origin: &str, path: &str| {
            let headers = &[("Origin", origin), ("Access-Control-Request-Method", "POST")];
            client.with_token(None).ask(Method::OPTIONS, path, Ask { headers, body: None }).await
        };
        let allowed = preflight(&open, LISTED, "/v1/organizations").await?;
        assert_eq!((allowed.status, allowed.text.as_str()), (204, ""));
        assert_eq!(allowed.header("access-control-allow-origin"), Some(LISTED));
        assert_eq!(allowed.header("access-control-allow-methods"), Some("GET, POST, HEAD"));
        let headers = allowed.header("access-control-allow-headers").unwrap();
        for name in ["Authorization", "Content-Type", "Idempotency-Key", "If-Match"] {
            assert!(headers.contains(name), "{headers}");
        }
        assert_eq!(allowed.header("access-control-allow-credentials"), None);
        let get = async |client: &Client, origin: &str| {
            client.ask_with(Method::GET, "/v1/organizations", None, ("Origin", origin)).await
        };
        let answer = get(&open, LISTED).await?;
        assert_eq!(answer.header("access-control-allow-origin"), Some(LISTED));
        assert_eq!(answer.header("vary"), Some("Origin"));
        assert!(answer.header("access-control-expose-headers").unwrap().contains("ETag"));
        answer.expect(200)?;
        // A failure can be read as well.
        let refused = get(&open.with_token(None), LISTED).await?;
        assert_eq!(refused.header("access-control-allow-origin"), Some(LISTED));
        refused.problem(401, "unauthenticated")?;
        for other in ["https://evil.example", "null", "https://console.example.org.evil.example"] {
            for answer in
                [get(&open, other).await?, preflight(&open, other, "/v1/organizations").await?]
            {
                assert_eq!(answer.header("access-control-allow-origin"), None, "{other}");
                assert_eq!(answer.header("vary"), Some("Origin"), "{other}");
            }
        }
        preflight(&open, LISTED, "/v1/nowhere").await?.problem(404, "not_found")?;
        // By default there are none.
        let closed = preflight(&skep.operator, LISTED, "/v1/organizations").await?;
        closed.problem(405, "method_not_allowed")?;
        assert_eq!(get(&skep.operator, LISTED).await?.header("access-control-allow-origin"), None);
        api.stop().await
    })
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let before = everything(skep).await?;
        let apps = acme.path("apps");
        let post = async |body: &str, headers: &[(&str, &str)]| {
            let ask = Ask { headers, body: Some(body.as_bytes().to_vec()) };
            acme.client.ask(Method::POST, &apps, ask).await
        };
        for body in [
            r#"{"slug":"a","slug":"b","image":"demo:v1"}"#,
            r#"{"slug":"a","image":"demo:v1","env":{"A":"1","\u0041":"2"}}"#,
            r#"{"slug":"a","image":"demo:v1","#,
        ] {
            let problem = post(body, &[]).await?.problem(400, "invalid")?;
            assert_eq!(problem["violations"][0]["field"], "body", "{problem}");
        }
        let nul = r#"{"slug":"a","image":"demo:v1","command":["x\u0000y"]}"#;
        let problem = post(nul, &[]).await?.problem(400, "invalid")?;
        assert_eq!(problem["violations"][0]["field"], "command.0");
        let unknown = r#"{"slug":"a","image":"demo:v1","privileged":true}"#;
        let problem = post(unknown, &[]).await?.problem(400, "invalid")?;
        assert_eq!(problem["violations"][0]["field"], "privileged");
        let good = json!({ "slug": "a", "image": "demo:v1" }).to_string();
        for (name, value) in [("Authorization", "Bearer skep_x"), ("Content-Type", "text/plain")] {
            let problem = post(&good, &[(name, value)]).await?.problem(400, "invalid")?;
            assert_eq!(problem["violations"][0]["field"], name, "{problem}");
        }
        let twenty = " ".repeat(20 * 1024 * 1024);
        post(&twenty, &[]).await?.problem(413, "too_large")?;
        assert_eq!(everything(skep).await?, before, "nothing was changed");
        post(&good, &[]).await?.expect(201)?;
        Ok(())
    })
}
