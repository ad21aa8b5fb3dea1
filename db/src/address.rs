//! How a Postgres URL asks for TLS, in libpq's words: `sslmode=verify-full` or `sslmode=require`, which is the same
//! here (a certificate that nobody verifies protects from nobody), and `sslrootcert=FILE` for the certificates to
//! trust, instead of the system's. What could end in clear text though TLS was asked for is refused.

use std::path::PathBuf;

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use model::{Error, Result};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;
use url::form_urlencoded;

use crate::trust::client_config;

/// Where Postgres is, and how it is spoken to.
struct Address {
    /// The URL without what is read here.
    url: String,
    /// `None`: in clear text.
    tls: Option<MakeRustlsConnect>,
}

/// Refuses a URL that could not be meant, and certificates that cannot be read: at start, and not when the first
/// connection is made.
pub(crate) fn check(url: &SecretString) -> Result<()> {
    Address::read(url.expose_secret()).map(|_| ()).map_err(Error::internal)
}

/// Connects as the URL asks.
pub(crate) async fn connect(url: &str) -> ConnectionResult<AsyncPgConnection> {
    let Address { url, tls } = Address::read(url).map_err(ConnectionError::InvalidConnectionUrl)?;
    let Some(tls) = tls else { return AsyncPgConnection::establish(&url).await };
    let bad =
        |error: tokio_postgres::Error| ConnectionError::BadConnection(model::error::chain(&error));
    let mut config: Config = url.parse().map_err(bad)?;
    let (client, connection) = config.ssl_mode(SslMode::Require).connect(tls).await.map_err(bad)?;
    AsyncPgConnection::try_from_client_and_connection(client, connection).await
}

impl Address {
    fn read(url: &str) -> Result<Self, String> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut wanted, mut trusted, mut others) = (false, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let read = form_urlencoded::parse(pair.as_bytes()).next();
            let (name, value) = read
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .unwrap_or_default();
            match (name.as_str(), value.as_str()) {
                ("sslmode", "require" | "verify-full") => wanted = true,
                ("sslmode", "disable") => {}
                ("sslmode", other) => {
                    return Err(format!(
                        "sslmode={other} is not taken, because it may end in clear text or with an unknown server: \
                         it is verify-full (or require, which is the same here) or disable"
                    ));
                }
                ("sslrootcert", file) => trusted = Some(PathBuf::from(file)),
                _ => others.push(pair),
            }
        }
        let tls = match (wanted, trusted) {
            (true, trusted) => Some(MakeRustlsConnect::new(client_config(trusted.as_deref())?)),
            (false, None) => None,
            (false, Some(_)) => {
                return Err("sslrootcert without sslmode=verify-full would be for nothing".into());
            }
        };
        let url = if others.is_empty() {
            base.to_owned()
        } else {
            format!("{base}?{}", others.join("&"))
        };
        Ok(Self { url, tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: &str) -> String {
        Address::read(&format!("postgres://skep@db/skep?{query}")).err().unwrap()
    }

    #[test]
    fn without_being_asked_it_is_clear_text() {
        for url in ["postgres://skep@db/skep", "postgres://skep@db/skep?sslmode=disable"] {
            let address = Address::read(url).unwrap();
            assert!(address.tls.is_none());
            assert_eq!(address.url, "postgres://skep@db/skep");
        }
        let other = "postgres://skep@db/skep?connect_timeout=3&application_name=a%20b";
        assert_eq!(Address::read(other).unwrap().url, other);
    }

    #[test]
    fn what_may_end_in_clear_text_is_refused() {
        for mode in ["prefer", "allow", "verify-ca", "", "REQUIRE"] {
            assert!(refused(&format!("sslmode={mode}")).contains("clear text"), "{mode}");
        }
        assert!(refused("sslrootcert=/ca.pem").contains("for nothing"));
        assert!(refused("sslmode=disable&sslrootcert=/ca.pem").contains("for nothing"));
    }

    #[test]
    fn certificates_that_are_not_there_are_named() {
        let told = refused("sslmode=verify-full&sslrootcert=/nowhere/ca.pem");
        assert!(told.contains("/nowhere/ca.pem"), "{told}");
        let empty = refused("sslmode=require&sslrootcert=%2Fdev%2Fnull");
        assert_eq!(empty, "the file /dev/null holds no certificate to trust");
    }
}
