//! `worker bootstrap` and `worker migrate`: from an empty Postgres cluster to an installation that
//! an operator can log in to.

use std::io::Write;

use anyhow::{Context, anyhow};
use db::bootstrap::{
    API, OWNER, WORKER, bootstrap_cluster, bootstrap_operator_token, bootstrap_sealing_key,
    bootstrap_settings,
};
use db::tokens::NewToken;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::settings::{Bootstrap, Migrate};
use crate::{keyring, secret_file};

/// Name of the token that a bootstrap makes.
const TOKEN_NAME: &str = "bootstrap";

pub(crate) async fn migrate(settings: Migrate) -> anyhow::Result<()> {
    let applied = db::migrations::migrate(&settings.owner_database_url).await?;
    tracing::info!(?applied, "the schema is up to date");
    Ok(())
}

pub(crate) async fn bootstrap(settings: Box<Bootstrap>) -> anyhow::Result<()> {
    let roles = [
        (OWNER, settings.owner_password.as_ref()),
        (API, settings.api_password.as_ref()),
        (WORKER, settings.worker_password.as_ref()),
    ];
    bootstrap_cluster(&settings.admin_url, &settings.database, &roles).await?;
    let owner = owner_url(&settings)?;
    let applied = db::migrations::migrate(&owner).await?;
    tracing::info!(?applied, "the schema is up to date");
    let pools = &settings.platform.subnet_pools;
    bootstrap_settings(&owner, &settings.platform.platform(), pools).await?;
    if let Some(file) = &settings.sealing_keyring_file {
        let keyring = keyring::read_or_make(file)?;
        let key = keyring.current();
        let known: Vec<String> = keyring.ids().iter().map(ToString::to_string).collect();
        let (id, bytes) = (key.id(), key.to_bytes());
        let current = bootstrap_sealing_key(&owner, (id.as_str(), &bytes), &known).await?;
        keyring::check(Some(file), Some(&current.into()))?;
    }
    match &settings.operator_token_file {
        Some(file) if file.exists() => {}
        Some(file) => {
            let made = bootstrap_operator_token(&owner, TOKEN_NAME, true).await?;
            secret_file::write(file, &secret(made)?)?;
            tracing::info!(file = %file.display(), "wrote an operator token");
        }
        None => {
            if let Some(made) = bootstrap_operator_token(&owner, TOKEN_NAME, false).await? {
                writeln!(std::io::stdout(), "{}", made.secret.expose_secret())?;
            }
        }
    }
    Ok(())
}

/// The administrator's URL, as the owner's role and with Skep's database.
fn owner_url(settings: &Bootstrap) -> anyhow::Result<SecretString> {
    let mut url = Url::parse(settings.admin_url.expose_secret())
        .map_err(|_| anyhow!("the administrator's URL is not a URL"))?;
    let password = settings.owner_password.as_ref().map(ExposeSecret::expose_secret);
    let set = url.set_username(OWNER).and_then(|()| url.set_password(password));
    set.map_err(|()| anyhow!("the administrator's URL names no host"))?;
    url.set_path(&settings.database);
    Ok(url.to_string().into())
}

fn secret(made: Option<NewToken>) -> anyhow::Result<SecretString> {
    Ok(made.context("no token was made")?.secret)
}
