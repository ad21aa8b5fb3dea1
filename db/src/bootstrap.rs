//! Setting an installation up: roles, database, settings, subnet pools, the first operator token.
//! Every step is idempotent. Done by `worker bootstrap`, as an administrator of the cluster;
//! nothing else in Skep connects as one.

use std::net::Ipv4Addr;

use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use ipnet::{IpNet, Ipv4Net};
use model::id::TokenId;
use model::platform::Platform;
use model::schema::{platform, sealing_keys, subnet_pools, tokens};
use model::token::{TokenKind, TokenScope};
use model::user::PlatformRole;
use model::{Error, Result};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::address;
use crate::failure;
use crate::now::now;
use crate::tokens::{NewToken, TokenRow, token_insert};

/// The role that owns the schema and runs migrations.
pub const OWNER: &str = "skep_owner";
/// The role of API processes: no superuser, no bypass of row security.
pub const API: &str = "skep_api";
/// The role of workers.
pub const WORKER: &str = "skep_worker";

/// A role's name with the password that it gets (`None`: the cluster's own authentication decides).
pub type Role<'a> = (&'a str, Option<&'a SecretString>);

/// Makes the roles and the database where they are missing.
pub async fn bootstrap_cluster(
    admin: &SecretString,
    database: &str,
    roles: &[Role<'_>],
) -> Result<()> {
    let mut connection = connect(admin).await?;
    for (role, password) in roles {
        let exists = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS found";
        if !found(&mut connection, exists, role).await? {
            let attributes = "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOREPLICATION NOCREATEDB";
            let create = format!("CREATE ROLE %1$I {attributes}");
            run_formatted(&mut connection, &create, role, "").await?;
        }
        if let Some(password) = password {
            let alter = "ALTER ROLE %1$I PASSWORD %2$L";
            run_formatted(&mut connection, alter, role, password.expose_secret()).await?;
        }
    }
    let exists = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1) AS found";
    if !found(&mut connection, exists, database).await? {
        run_formatted(&mut connection, "CREATE DATABASE %1$I OWNER %2$I", database, OWNER).await?;
    }
    Ok(())
}

/// Writes the installation's settings, and the pools where there are none yet.
pub async fn bootstrap_settings(
    owner: &SecretString,
    settings: &Platform,
    pools: &[Ipv4Net],
) -> Result<()> {
    let mut connection = connect(owner).await?;
    connection
        .transaction(async |connection| {
            diesel::insert_into(platform::table)
                .values(settings)
                .on_conflict(platform::id)
                .do_update()
                .set((settings, platform::updated_at.eq(now())))
                .execute(connection)
                .await?;
            let present: i64 = subnet_pools::table.count().get_result(connection).await?;
            if present == 0 {
                for pool in pools {
                    pool_insert(connection, pool.trunc()).await?;
                }
            }
            Ok(())
        })
        .await
        .map_err(failure::postgres)
}

/// Has values sealed to this public key, where nothing is sealed to another one that a worker could open it with: none, or one that
/// is in nobody's hands (`known`: the names of keys that are). Answers the name of the one that values are sealed to.
pub async fn bootstrap_sealing_key(
    owner: &SecretString,
    (id, public_key): (&str, &[u8]),
    known: &[String],
) -> Result<String> {
    let mut connection = connect(owner).await?;
    let unused = "DELETE FROM sealing_keys k WHERE k.is_current AND k.id <> ALL ($1)
        AND NOT EXISTS (SELECT FROM secret_versions v WHERE v.key_id = k.id)
        AND NOT EXISTS (SELECT FROM registry_credentials c WHERE k.id IN (c.key_id, c.issued_key_id))";
    diesel::sql_query(unused)
        .bind::<Array<Text>, _>(known)
        .execute(&mut connection)
        .await
        .map_err(failure::postgres)?;
    diesel::insert_into(sealing_keys::table)
        .values((
            sealing_keys::id.eq(id),
            sealing_keys::public_key.eq(public_key),
            sealing_keys::is_current.eq(true),
        ))
        .on_conflict_do_nothing()
        .execute(&mut connection)
        .await
        .map_err(failure::postgres)?;
    sealing_keys::table
        .filter(sealing_keys::is_current)
        .select(sealing_keys::id)
        .first(&mut connection)
        .await
        .map_err(failure::postgres)
}

/// Makes an operator's token: the first one, or another one where `even_if_present`.
pub async fn bootstrap_operator_token(
    owner: &SecretString,
    name: &str,
    even_if_present: bool,
) -> Result<Option<NewToken>> {
    let mut connection = connect(owner).await?;
    connection
        .transaction(async |connection| {
            let present: i64 = tokens::table
                .filter(tokens::kind.eq(TokenKind::Platform))
                .filter(tokens::platform_role.eq(PlatformRole::Admin))
                .filter(tokens::revoked_at.is_null())
                .count()
                .get_result(connection)
                .await?;
            if present > 0 && !even_if_present {
                return Ok(None);
            }
            let row = TokenRow {
                id: TokenId::new(),
                kind: TokenKind::Platform,
                organization_id: None,
                user_id: None,
                platform_role: Some(PlatformRole::Admin),
                name: name.to_owned(),
                scopes: vec![TokenScope::Admin],
                environments: None,
                networks: None,
                expires_at: None,
            };
            token_insert(connection, &row).await.map(Some)
        })
        .await
        .map_err(failure::postgres)
}

async fn pool_insert(connection: &mut AsyncPgConnection, pool: Ipv4Net) -> diesel::QueryResult<()> {
    let start: Ipv4Addr = pool.network();
    diesel::insert_into(subnet_pools::table)
        .values((
            subnet_pools::id.eq(Uuid::now_v7()),
            subnet_pools::range.eq(IpNet::from(pool)),
            subnet_pools::cursor.eq(IpNet::from(Ipv4Net::from(start))),
        ))
        .execute(connection)
        .await?;
    Ok(())
}

async fn connect(url: &SecretString) -> Result<AsyncPgConnection> {
    address::connect(url.expose_secret())
        .await
        .map_err(|error| Error::unavailable("the database", error))
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

#[derive(QueryableByName)]
struct Statement {
    #[diesel(sql_type = Text)]
    statement: String,
}

async fn found(connection: &mut AsyncPgConnection, query: &str, name: &str) -> Result<bool> {
    let found: Found = diesel::sql_query(query)
        .bind::<Text, _>(name)
        .get_result(connection)
        .await
        .map_err(failure::postgres)?;
    Ok(found.found)
}

/// Runs a statement whose names and literals Postgres itself has quoted: DDL takes no parameters.
async fn run_formatted(
    connection: &mut AsyncPgConnection,
    template: &str,
    first: &str,
    second: &str,
) -> Result<()> {
    // The template's own spelling of `format` decides which argument is a name and which a literal.
    let Statement { statement } = diesel::sql_query("SELECT format($1, $2, $3) AS statement")
        .bind::<Text, _>(template)
        .bind::<Text, _>(first)
        .bind::<Text, _>(second)
        .get_result(connection)
        .await
        .map_err(failure::postgres)?;
    diesel::sql_query(statement).execute(connection).await.map_err(failure::postgres)?;
    Ok(())
}
