//! Health checks: exactly one of `http`, `tcp` and `command`.

use model::Error;
use model::error::Violation;
use model::health_check::HealthTest;
use poem_openapi::Object;
use serde::Serialize;
use serde_with::skip_serializing_none;

/// How a replica is asked whether it is well: exactly one of `http`, `tcp` and `command`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Object, Serialize)]
pub(crate) struct HealthCheck {
    /// A GET that is answered with a status from 200 to 399.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) http: Option<HttpCheck>,
    /// A TCP connection that is accepted.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) tcp: Option<TcpCheck>,
    /// A command of the image that exits 0. No shell is assumed.
    #[oai(skip_serializing_if_is_none, validator(min_items = 1, max_items = 64))]
    pub(crate) command: Option<Vec<String>>,
    /// Seconds between two probes.
    #[oai(default = "default_interval", validator(minimum(value = "1"), maximum(value = "300")))]
    pub(crate) interval: u32,
    /// Seconds that one probe may take.
    #[oai(default = "default_timeout", validator(minimum(value = "1"), maximum(value = "60")))]
    pub(crate) timeout: u32,
    /// Failures in a row that make a replica unhealthy.
    #[oai(default = "default_retries", validator(minimum(value = "1"), maximum(value = "10")))]
    pub(crate) retries: u32,
    /// Seconds after the start in which failures do not count.
    #[oai(default, validator(maximum(value = "1800")))]
    pub(crate) start_period: u32,
}

/// A GET.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Object, Serialize)]
pub(crate) struct HttpCheck {
    /// Container port; the app's `port` where it is not given, also when that is patched.
    #[oai(skip_serializing_if_is_none, validator(minimum(value = "1"), maximum(value = "65535")))]
    pub(crate) port: Option<u16>,
    /// Path, starting with a slash.
    #[oai(default = "default_path", validator(max_length = 1024, pattern = "^/[!-~]*$"))]
    pub(crate) path: String,
}

/// A TCP connection.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Object, Serialize)]
pub(crate) struct TcpCheck {
    /// Container port; the app's `port` where it is not given, also when that is patched.
    #[oai(skip_serializing_if_is_none, validator(minimum(value = "1"), maximum(value = "65535")))]
    pub(crate) port: Option<u16>,
}

fn default_interval() -> u32 {
    5
}

fn default_timeout() -> u32 {
    3
}

fn default_retries() -> u32 {
    3
}

fn default_path() -> String {
    "/".into()
}

/// The rule that the schema cannot say.
pub(super) const ONE_OF: &str = "exactly one of http, tcp and command";

/// The rule of a check without a port in an app without one.
pub(super) const NEEDS_PORT: &str = "a port here, or `port` of the app";

impl HealthCheck {
    /// The check in `model`'s form; `port` is the app's.
    pub(super) fn into_model(
        self,
        port: Option<u16>,
    ) -> Result<model::health_check::HealthCheck, Error> {
        let needed = |own: Option<u16>, field: &str| {
            own.or(port).ok_or_else(|| Error::invalid(vec![Violation::new(field, NEEDS_PORT)]))
        };
        let port_of_app = self.http.as_ref().is_some_and(|http| http.port.is_none())
            || self.tcp.as_ref().is_some_and(|tcp| tcp.port.is_none());
        let test = match (self.http, self.tcp, self.command) {
            (Some(http), None, None) => HealthTest::Http {
                port: needed(http.port, "health_check.http.port")?,
                path: http.path,
            },
            (None, Some(tcp), None) => {
                HealthTest::Tcp { port: needed(tcp.port, "health_check.tcp.port")? }
            }
            (None, None, Some(command)) => HealthTest::Command { command },
            _ => return Err(Error::invalid(vec![Violation::new("health_check", ONE_OF)])),
        };
        Ok(model::health_check::HealthCheck {
            test,
            port_of_app,
            interval_seconds: self.interval,
            timeout_seconds: self.timeout,
            retries: self.retries,
            start_period_seconds: self.start_period,
        })
    }
}

impl From<model::health_check::HealthCheck> for HealthCheck {
    fn from(check: model::health_check::HealthCheck) -> Self {
        let own = |port| (!check.port_of_app).then_some(port);
        let (http, tcp, command) = match check.test {
            HealthTest::Http { port, path } => {
                (Some(HttpCheck { port: own(port), path }), None, None)
            }
            HealthTest::Tcp { port } => (None, Some(TcpCheck { port: own(port) }), None),
            HealthTest::Command { command } => (None, None, Some(command)),
        };
        Self {
            http,
            tcp,
            command,
            interval: check.interval_seconds,
            timeout: check.timeout_seconds,
            retries: check.retries,
            start_period: check.start_period_seconds,
        }
    }
}
