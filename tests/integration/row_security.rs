//! The second wall: row security in Postgres. Here every filter of ours is left out: what the API's role
//! then finds is what Postgres lets it find.

use std::collections::BTreeMap;

use anyhow::ensure;
use diesel::sql_types::BigInt;
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use model::id::OrganizationId;
use serde_json::json;
use tests::answer::text;
use tests::{Outcome, Skep, Tenant, run, sql};

use crate::doors::Things;

/// Every table whose rows are somebody's, and the column that says whose.
const OWNED: &str = "SELECT c.relname AS name, c.relrowsecurity AS walled,
        CASE WHEN c.relname = 'organizations' THEN 'id' ELSE 'organization_id' END AS owner
    FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND (c.relname = 'organizations'
        OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id'))
    ORDER BY 1";

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// Counts, as the API's role.
async fn count(api: &mut AsyncPgConnection, what: &str) -> anyhow::Result<i64> {
    let query = sql_query(format!("SELECT count(*) AS rows FROM {what}"));
    Ok(query.get_result::<Count>(api).await?.rows)
}

async fn tell(api: &mut AsyncPgConnection, organization: &str) -> Outcome {
    Ok(api.batch_execute(&format!("SET skep.organization TO '{organization}'")).await?)
}

fn uuid(tenant: &Tenant) -> anyhow::Result<String> {
    let id: OrganizationId = text(&tenant.organization, "/id")?.parse()?;
    Ok(id.as_uuid().to_string())
}

/// Owned tables and the columns that say whose.
async fn owned(skep: &Skep) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for table in sql::rows(skep.database.owner(), OWNED).await? {
        let name = text(&table, "/name")?.to_owned();
        ensure!(table["walled"] == true, "{name} has no row security");
        found.insert(name, text(&table, "/owner")?.to_owned());
    }
    Ok(found)
}

#[test]
fn without_a_filter_the_api_finds_one_organizations_rows() -> Outcome {
    run(async |skep| {
        let (acme, globex) = (skep.tenant("acme").await?, skep.tenant("globex").await?);
        Things::of(&acme, skep).await?;
        Things::of(&globex, skep).await?;
        let ours = uuid(&acme)?;
        let mut api = AsyncPgConnection::establish(&skep.database.api_url()?).await?;
        let tables = owned(skep).await?;
        ensure!(tables.len() >= 12, "{tables:?}");
        let mut with_rows = 0;
        for (table, owner) in &tables {
            let (mine, all) = (
                sql::count(skep.database.owner(), &format!("{table} WHERE {owner} = '{ours}'"))
                    .await?,
                sql::count(skep.database.owner(), table).await?,
            );
            with_rows += usize::from(mine > 0 && mine < all);
            for (told, expected) in [
                (ours.as_str(), mine),
                // Told nothing: nothing.
                ("", 0),
                ("00000000-0000-0000-0000-000000000000", all),
            ] {
                tell(&mut api, told).await?;
                let found = count(&mut api, table).await?;
                ensure!(found == expected, "{table}, told {told:?}: {found} of {all}");
            }
        }
        ensure!(with_rows >= 6, "only {with_rows} tables have rows of both");
        let mut fresh = AsyncPgConnection::establish(&skep.database.api_url()?).await?;
        assert_eq!(
            count(&mut fresh, "apps").await?,
            0,
            "a connection that was told nothing at all"
        );
        Ok(())
    })
}

#[test]
fn without_a_filter_the_api_changes_one_organizations_rows() -> Outcome {
    run(async |skep| {
        let (acme, globex) = (skep.tenant("acme").await?, skep.tenant("globex").await?);
        Things::of(&acme, skep).await?;
        Things::of(&globex, skep).await?;
        let mut api = AsyncPgConnection::establish(&skep.database.api_url()?).await?;
        tell(&mut api, &uuid(&acme)?).await?;
        let stopped = sql_query("UPDATE apps SET replicas = 7").execute(&mut api).await?;
        assert_eq!(stopped, 1);
        let theirs = format!("apps WHERE replicas = 7 AND organization_id = '{}'", uuid(&globex)?);
        assert_eq!(sql::count(skep.database.owner(), &theirs).await?, 0);
        let planted = format!(
            "INSERT INTO audit_log (id, organization_id, action, object, request_id)
             VALUES (gen_random_uuid(), '{}', 'x', 'x', 'x')",
            uuid(&globex)?
        );
        let refused = sql_query(planted).execute(&mut api).await;
        ensure!(format!("{refused:?}").contains("row-level security"), "{refused:?}");
        Ok(())
    })
}

#[test]
fn what_was_answered_is_read_by_its_key_alone() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", crate::web()).await?;
        let deployments = acme.path("apps/web/deployments");
        acme.client.post_once(&deployments, &json!({}), "mine").await?.expect(202)?;
        let mut api = AsyncPgConnection::establish(&skep.database.api_url()?).await?;
        // Told that every organization's rows are asked for.
        tell(&mut api, "00000000-0000-0000-0000-000000000000").await?;
        for statement in [
            "SELECT count(*) FROM idempotency_keys",
            "SELECT key FROM idempotency_keys",
            "UPDATE idempotency_keys SET body = ''",
            "DELETE FROM idempotency_keys",
            "INSERT INTO idempotency_keys (token_id, route, key, request_hash)
             VALUES (gen_random_uuid(), '/', 'x', '')",
        ] {
            let refused = sql_query(statement).execute(&mut api).await;
            ensure!(
                format!("{refused:?}").contains("permission denied"),
                "{statement}: {refused:?}"
            );
        }
        let owner = skep.database.owner();
        let found = "idempotency_keys AS k, kept_answer(k.token_id, k.route, k.key) AS a WHERE a.body = k.body";
        assert_eq!(sql::count(owner, found).await?, sql::count(owner, "idempotency_keys").await?);
        let missed = "idempotency_keys AS k, kept_answer(gen_random_uuid(), k.route, k.key)";
        assert_eq!(sql::count(owner, missed).await?, 0);
        // The first answer stays, whoever comes second.
        let again = "idempotency_keys AS k, keep_answer(k.token_id, k.route, k.key, '', NULL, 200::smallint,
            '{}', 'another') AS is_kept WHERE is_kept";
        assert_eq!(sql::count(owner, again).await?, 0);
        assert_eq!(sql::count(owner, "idempotency_keys WHERE body = 'another'").await?, 0);
        Ok(())
    })
}

#[test]
fn one_connection_serves_one_organization_after_the_other() -> Outcome {
    run(async |skep| {
        let (acme, globex) = (skep.tenant("acme").await?, skep.tenant("globex").await?);
        acme.create_app("web", crate::web()).await?;
        // On few connections, which are told anew each time, requests of both at once.
        let ask = async |tenant: &Tenant, expected: u16| -> Outcome {
            for _ in 0..200 {
                tenant.client.get(&tenant.path("apps/web")).await?.expect(expected)?;
            }
            Ok(())
        };
        tokio::try_join!(ask(&acme, 200), ask(&globex, 404), ask(&acme, 200), ask(&globex, 404))?;
        Ok(())
    })
}
