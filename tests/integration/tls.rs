//! TLS: what is asked for is had or refused, and never given up for clear text.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use db::Database;
use db::bootstrap::{API, OWNER, WORKER, bootstrap_cluster};
use db::migrations::migrate;
use db::notifications::listen;
use db::trust::client_config;
use model::error::ErrorCode;
use rustix::process::{Signal, getpid, kill_process};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ProtocolVersion, ServerConfig};
use tests::api::Api;
use tests::certificates::Authority;
use tests::encrypted_postgres::EncryptedPostgres;
use tests::environment::environment;
use tests::{Outcome, raw, run, sql, wait_for, wait_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use url::Url;

/// The answer to a GET over TLS, and the bytes of the certificate that was shown.
async fn get(authority: &Authority, address: SocketAddr) -> anyhow::Result<(String, Vec<u8>)> {
    let config = client_config(Some(&authority.file())).map_err(anyhow::Error::msg)?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(address).await?;
    let mut stream = connector.connect(ServerName::try_from("localhost")?, stream).await?;
    assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let shown =
        stream.get_ref().1.peer_certificates().context("no certificate was shown")?[0].to_vec();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok((answer, shown))
}

#[test]
fn the_api_speaks_tls_and_reads_its_certificate_again() -> Outcome {
    run(async |skep| {
        let authority = Authority::new("api")?;
        let (certificate, key) = authority.issue()?;
        let mut settings = skep.api_settings()?;
        (settings.tls_certificate, settings.tls_key) =
            (Some(certificate.clone()), Some(key.clone()));
        settings.client_timeout = 1;
        let api = Api::start(settings.clone()).await?;
        let address: SocketAddr = api.url().trim_start_matches("http://").parse()?;
        let (answer, first) = get(&authority, address).await?;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("strict-transport-security: max-age=31536000"), "{answer}");
        let clear_text = raw::answer(api.url(), "GET /healthz HTTP/1.1\r\n\r\n").await?;
        assert!(!clear_text.contains("HTTP"), "{clear_text}");
        let silent = raw::rest(&mut raw::connect(api.url()).await?).await?;
        assert_eq!(silent, "", "whoever does not agree upon TLS in time is gone");
        // Files that are no good change nothing; good ones are shown from then on.
        std::fs::write(&certificate, "nonsense")?;
        kill_process(getpid(), Signal::HUP)?;
        assert_eq!(get(&authority, address).await?.1, first);
        authority.issue()?;
        kill_process(getpid(), Signal::HUP)?;
        wait_until("the new certificate", Duration::from_secs(10), async || {
            Ok(get(&authority, address).await?.1 != first)
        })
        .await?;
        let stranger = Authority::new("stranger")?;
        assert!(get(&stranger, address).await.is_err());
        api.stop().await?;
        // What cannot be served with is refused at start, in a sentence.
        let other = Authority::new("other")?.issue()?.1;
        for (wrong, told) in [
            (other.clone(), "cannot read the private key"),
            (certificate.clone(), "cannot read the private key"),
        ] {
            settings.tls_key = Some(wrong);
            let refused =
                Api::start(settings.clone()).await?.ended(Duration::from_secs(10)).await?;
            let refused = format!("{:#}", refused.unwrap_err());
            assert!(refused.contains(told), "{refused}");
        }
        let mismatched = Authority::new("mismatched")?;
        settings.tls_key = Some(mismatched.issue()?.1);
        let refused = Api::start(settings).await?.ended(Duration::from_secs(10)).await?;
        let refused = format!("{:#}", refused.unwrap_err());
        assert!(refused.contains("does not go with"), "{refused}");
        Ok(())
    })
}

#[test]
fn postgres_over_tls_or_not_at_all() -> Outcome {
    run(async |skep| {
        let authority = Authority::new("postgres")?;
        let postgres = EncryptedPostgres::start(&authority).await?;
        let trusted =
            |mode: &str| format!("sslmode={mode}&sslrootcert={}", authority.file().display());
        let verified = trusted("verify-full");
        let admin = postgres.url("postgres", "postgres", &verified).into();
        wait_until("Postgres to serve", Duration::from_secs(30), async || {
            Ok(Database::new(postgres.url("postgres", "postgres", &verified).into(), 1)?
                .ping()
                .await
                .is_ok())
        })
        .await?;
        bootstrap_cluster(&admin, "skep", &[(OWNER, None), (API, None), (WORKER, None)]).await?;
        migrate(&postgres.url(OWNER, "skep", &verified).into()).await?;
        for mode in ["verify-full", "require"] {
            let database = Database::new(postgres.url(OWNER, "skep", &trusted(mode)).into(), 1)?;
            let ssl = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
            let row = sql::row(&database, ssl).await?;
            assert_eq!((&row["ssl"], &row["version"]), (&true.into(), &"TLSv1.3".into()));
            listen(&database).await?;
        }
        let stranger = Authority::new("postgres-stranger")?;
        let unknown = format!("sslmode=verify-full&sslrootcert={}", stranger.file().display());
        let by_address = postgres.url(OWNER, "skep", &verified).replace("localhost", "127.0.0.1");
        for url in [
            postgres.url(OWNER, "skep", "sslmode=disable"),
            postgres.url(OWNER, "skep", &unknown),
            postgres.url(OWNER, "skep", &unknown.replace("verify-full", "require")),
            by_address,
            // A server without TLS.
            format!("{}?{verified}", environment().admin_url.replace("127.0.0.1", "localhost")),
        ] {
            let refused = Database::new(url.clone().into(), 1)?.ping().await.unwrap_err();
            assert_eq!(refused.code, ErrorCode::Unavailable, "{url}");
        }
        // Whoever starts with an address that cannot be had does not start.
        let mut settings = skep.api_settings()?;
        settings.database_url = format!("{}?sslmode=prefer", skep.database.api_url()?).into();
        let refused = Api::start(settings).await?.ended(Duration::from_secs(10)).await?;
        let refused = model::error::chain(&*refused.unwrap_err());
        assert!(refused.contains("clear text"), "{refused}");
        Ok(())
    })
}

/// Ends TLS in front of the real broker; whether anything came through.
async fn encrypted_broker(authority: &Authority) -> anyhow::Result<SocketAddr> {
    let (certificate, key) = authority.issue()?;
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let broker = Url::parse(&environment().amqp_url)?;
    let host = broker.host_str().context("the broker's URL names no host")?;
    let broker = format!("{host}:{}", broker.port().unwrap_or(5672));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, broker) = (acceptor.clone(), broker.clone());
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await?;
                let mut server = TcpStream::connect(broker).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    Ok(address)
}

#[test]
fn the_broker_over_tls_or_not_at_all() -> Outcome {
    run(async |skep| {
        let authority = Authority::new("broker")?;
        let port = encrypted_broker(&authority).await?.port();
        let stranger = Authority::new("broker-stranger")?;
        let mut url = Url::parse(&environment().amqp_url)?;
        url.set_host(Some("localhost"))?;
        url.set_port(Some(port)).unwrap();
        let clear_text = url.to_string();
        let encrypted = clear_text.replacen("amqp://", "amqps://", 1);
        let by = |authority: &Authority| {
            format!("{encrypted}?cacertfile={}", authority.file().display())
        };
        let broker = async |amqp_url: String| {
            let mut settings = skep.api_settings()?;
            settings.amqp_url = amqp_url.into();
            let api = Api::start(settings).await?;
            let ready = skep.operator.at(api.url());
            let found = wait_for("a word about the broker", Duration::from_secs(15), async || {
                let told = ready.get("/readyz").await?;
                Ok((told.status == 200).then_some(told.body))
            });
            let found = found.await?;
            anyhow::Ok((api, ready, found))
        };
        let (api, ready, _) = broker(by(&authority)).await?;
        wait_until("the relay to reach the broker", Duration::from_secs(15), async || {
            Ok(ready.get("/readyz").await?.body["parts"]["broker"] == "up")
        })
        .await?;
        ready.get("/v1/admin/dead-letters").await?.expect(200)?;
        api.stop().await?;
        for url in [by(&stranger), clear_text.clone()] {
            let (api, ready, _) = broker(url.clone()).await?;
            let refused = ready.get("/v1/admin/dead-letters").await?;
            refused.problem(503, "unavailable")?;
            assert_ne!(ready.get("/readyz").await?.body["parts"]["broker"], "up", "{url}");
            api.stop().await?;
        }
        Ok(())
    })
}
