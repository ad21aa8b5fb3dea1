//! How an AMQP URL asks for TLS: by its scheme, `amqps`, and in RabbitMQ's own word `cacertfile=FILE` for the
//! certificates to trust, instead of the system's. There is no way from `amqps` to clear text.

use std::path::Path;

use db::trust::client_config;
use lapin::runtime::default_runtime;
use lapin::tcp::{AMQPUriTcpExt as _, RustlsConnector};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connect as _, Connection, ConnectionProperties};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::BrokerError;

/// The largest frame, in bytes, unless the URL says otherwise. An envelope has some hundred. lapin keeps
/// 64 frames' room for each connection: 8 MB with what RabbitMQ offers (128 KiB).
const FRAME_MAX: u32 = 16 * 1024;

/// Refuses a URL that could not be meant, and certificates that cannot be read: at start, and not each time that a
/// connection is tried.
pub fn check(url: &SecretString) -> Result<(), BrokerError> {
    read(url).map(|_| ())
}

/// Connects as the URL asks.
pub(crate) async fn connect(
    url: &SecretString,
    properties: ConnectionProperties,
) -> Result<Connection, BrokerError> {
    let (mut uri, tls) = read(url)?;
    uri.query.frame_max.get_or_insert(FRAME_MAX);
    let Some(tls) = tls else { return Ok(uri.connect(properties).await?) };
    let encrypt = async move |uri: AMQPUri, runtime| {
        let host = uri.authority.host.clone();
        let plain = AMQPUri { scheme: AMQPScheme::AMQP, ..uri };
        Ok(plain.connect_async(&runtime).await?.into_rustls(&tls, &host).await?)
    };
    Ok(Connection::connector(uri, default_runtime()?, encrypt, properties).await?)
}

fn read(url: &SecretString) -> Result<(AMQPUri, Option<RustlsConnector>), BrokerError> {
    // What is told must not repeat the URL, which holds a password.
    let uri: AMQPUri = url.expose_secret().parse().map_err(|_| {
        BrokerError::Address("it reads amqp://user:password@host:port/vhost".into())
    })?;
    let parsed = Url::parse(url.expose_secret()).ok();
    let trusted = parsed.as_ref().and_then(|url| {
        url.query_pairs().find(|(name, _)| name == "cacertfile").map(|(_, file)| file.into_owned())
    });
    let tls = match (&uri.scheme, trusted) {
        (AMQPScheme::AMQPS, trusted) => {
            let config = client_config(trusted.as_deref().map(Path::new));
            Some(config.map_err(BrokerError::Address)?.into())
        }
        (AMQPScheme::AMQP, None) => None,
        (AMQPScheme::AMQP, Some(_)) => {
            let message = "cacertfile without amqps would be for nothing";
            return Err(BrokerError::Address(message.into()));
        }
    };
    Ok((uri, tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(url: &str) -> String {
        check(&url.to_owned().into()).unwrap_err().to_string()
    }

    #[test]
    fn what_asks_for_tls_is_told_where_it_cannot_be_had() {
        assert!(check(&"amqp://guest:guest@localhost:5672/%2f".to_owned().into()).is_ok());
        let nowhere = told("amqps://guest:hunter2@localhost/?cacertfile=/nowhere/ca.pem");
        assert!(nowhere.contains("/nowhere/ca.pem") && !nowhere.contains("hunter2"), "{nowhere}");
        let empty = told("amqps://guest:hunter2@localhost/?cacertfile=/dev/null");
        assert!(empty.contains("holds no certificate"), "{empty}");
        assert!(told("amqp://localhost/?cacertfile=/ca.pem").contains("for nothing"));
        let bad = told("https://guest:hunter2@localhost");
        assert!(bad.contains("it reads amqp://") && !bad.contains("hunter2"), "{bad}");
    }
}
