//! Clients that are slow, greedy or speak something else: none holds a connection for ever, and none gets
//! the better of the process.

use std::time::{Duration, Instant};

use tests::api::Api;
use tests::{Outcome, Skep, raw, run};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

/// An API that waits a second for its clients, and has room for so many.
async fn impatient(skep: &Skep, connections: usize) -> anyhow::Result<Api> {
    let mut settings = skep.api_settings()?;
    settings.client_timeout = 1;
    settings.max_connections = connections;
    Api::start(settings).await
}

const POST: &str =
    "POST /v1/organizations HTTP/1.1\r\nHost: skep\r\nContent-Type: application/json\r\n";

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

#[test]
fn slow_heads_slow_bodies_and_rest_end_in_time() -> Outcome {
    run(async |skep| {
        let api = impatient(skep, 64).await?;
        let started = Instant::now();
        let silent = async { raw::rest(&mut raw::connect(api.url()).await?).await };
        let head = b"GET /healthz HTTP/1.1\r\nX: ".iter().copied().chain(std::iter::repeat(b'x'));
        let slow_head = async { raw::drip(raw::connect(api.url()).await?, head).await };
        let resting = raw::answer(api.url(), "GET /healthz HTTP/1.1\r\nHost: skep\r\n\r\n");
        let (silent, slow_head, resting) = tokio::try_join!(silent, slow_head, resting)?;
        assert_eq!((silent.as_str(), slow_head.as_str()), ("", ""));
        assert_eq!(status(&resting), "200", "answered, and then closed: {resting}");
        let token = skep.operator.token().unwrap();
        let head = format!("{POST}Authorization: Bearer {token}\r\nContent-Length: 9000\r\n\r\n");
        let mut stream = raw::connect(api.url()).await?;
        stream.write_all(head.as_bytes()).await?;
        let slow_body = raw::drip(stream, std::iter::repeat(b' ')).await?;
        assert_eq!(status(&slow_body), "408", "{slow_body}");
        assert!(slow_body.contains("\"code\":\"request_timeout\""), "{slow_body}");
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        api.stop().await
    })
}

#[test]
fn who_does_not_read_gives_the_place_to_another() -> Outcome {
    run(async |skep| {
        let api = impatient(skep, 1).await?;
        let ask = "GET /openapi.json HTTP/1.1\r\nHost: skep\r\n\r\n";
        let mut deaf = raw::connect(api.url()).await?;
        // Far more than the buffers between the two hold: what cannot be written is not read either.
        let asked =
            timeout(Duration::from_millis(500), deaf.write_all(ask.repeat(400).as_bytes())).await;
        if let Ok(asked) = asked {
            asked?;
        }
        let started = Instant::now();
        let next = raw::answer(
            api.url(),
            "GET /healthz HTTP/1.1\r\nHost: skep\r\nConnection: close\r\n\r\n",
        );
        assert_eq!(status(&next.await?), "200");
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        drop(deaf);
        api.stop().await
    })
}

#[test]
fn what_is_no_http_and_what_is_too_long_is_refused() -> Outcome {
    run(async |skep| {
        let api = impatient(skep, 64).await?;
        let long = "x".repeat(100_000);
        let many = "X: 1\r\n".repeat(300);
        for (request, expected) in [
            ("nonsense\r\n\r\n".to_owned(), "400"),
            ("GET /healthz HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), "400"),
            ("GET /healthz HTTP/1.1\r\nX: a\0b\r\n\r\n".to_owned(), "400"),
            (format!("GET /healthz HTTP/1.1\r\nX: {long}\r\n\r\n"), "431"),
            (format!("GET /healthz HTTP/1.1\r\n{many}\r\n"), "431"),
            (format!("{POST}Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), "400"),
            (format!("{POST}Content-Length: -1\r\n\r\n"), "400"),
            (format!("{POST}Transfer-Encoding: gzip\r\n\r\n"), "400"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "none"),
        ] {
            let answer = raw::answer(api.url(), &request).await?;
            let told: String = request.chars().take(80).collect();
            assert_eq!(status(&answer), expected, "{told}: {answer}");
        }
        // It goes on serving.
        let well =
            raw::answer(api.url(), "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(status(&well.await?), "200");
        api.stop().await
    })
}

#[test]
fn malformed_paths_and_queries_are_the_callers_fault() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let url = skep.operator.base().to_owned();
        let (home, apps, token) = (acme.home(), acme.path("apps"), &acme.token);
        for (path, expected) in [
            (format!("{home}%00"), "404"),
            (format!("{home}%zz"), "404"),
            (format!("{home}%ff"), "400"),
            ("/v1/organizations/".to_owned() + &"a".repeat(5000), "404"),
            ("/v1/organizations/../../healthz".to_owned(), "404"),
            ("//v1/organizations".to_owned(), "404"),
            ("*".to_owned(), "404"),
            (format!("{apps}?limit=%ff"), "400"),
            (format!("{apps}?limit=%00"), "400"),
            (format!("{apps}?limit=1&limit=2"), "400"),
            (format!("{apps}?limit=1&%6cimit=2"), "400"),
            (format!("{apps}?limit=101"), "400"),
            (format!("{apps}?limit=99999999999999999999"), "400"),
            (format!("{apps}?cursor={}", "7".repeat(26)), "200"),
            (format!("{apps}?cursor=%2e%2e%2f"), "400"),
            (format!("{apps}?cursor={}", "8".repeat(26)), "400"),
            (format!("{apps}?{}", "a=b&".repeat(2000)), "400"),
            (format!("{apps}?=&&=1&?"), "400"),
            (format!("{apps}/web/deployments/dep_{}", "z".repeat(26)), "404"),
            (format!("{apps}/web/releases/-1"), "404"),
            (format!("{apps}/web/releases/99999999999"), "404"),
        ] {
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
            );
            let answer = raw::answer(&url, head).await?;
            assert_eq!(status(&answer), expected, "{path}: {answer}");
            assert!(expected == "200" || answer.contains("application/problem+json"), "{answer}");
        }
        Ok(())
    })
}
