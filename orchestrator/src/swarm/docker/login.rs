//! Asking a registry whether it takes a login, as `docker login` does. bollard does not know the endpoint; it is one POST.

use model::question::CredentialCheck;
use reqwest::StatusCode;
use serde::Deserialize;

use super::{DockerSwarm, incoming, outgoing};
use crate::swarm::{CALL, RegistryLogin, SwarmError, SwarmResult};

#[derive(Deserialize)]
struct Told {
    message: String,
}

impl DockerSwarm {
    /// What its registry says of a login. The daemon asks it, as it will when an image is pulled.
    pub async fn login_check(&self, login: &RegistryLogin) -> SwarmResult<CredentialCheck> {
        let unavailable = |error: reqwest::Error| SwarmError::Unavailable(error.to_string());
        let client = reqwest::Client::builder().unix_socket(self.hosts[0].socket()).timeout(CALL);
        let client = client.build().map_err(unavailable)?;
        // The host is only a name: the socket is the daemon's.
        let asked = client.post("http://docker/auth").json(&outgoing::login(login)).send().await;
        let answered = match asked {
            Err(error) if error.is_timeout() => {
                let answer = format!("it did not answer within {} s", CALL.as_secs());
                return Ok(CredentialCheck::Unreachable { answer });
            }
            answered => answered.map_err(unavailable)?,
        };
        let status = answered.status();
        let told = answered.json().await.map(|Told { message }| message);
        let answer = incoming::text(&told.unwrap_or_else(|_| format!("status {status}")));
        Ok(match status {
            StatusCode::OK | StatusCode::NO_CONTENT => CredentialCheck::Accepted,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => CredentialCheck::Refused { answer },
            // Of some registries' refusals dockerd says no more than that.
            _ if answer.to_lowercase().contains("unauthorized") => {
                CredentialCheck::Refused { answer }
            }
            _ => CredentialCheck::Unreachable { answer },
        })
    }
}
