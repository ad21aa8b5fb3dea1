//! The schema: what diesel believes, what the migrations make, and what they take back.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use db::Database;
use serde_json::Value;
use tests::answer::text;
use tests::{Outcome, Skep, run, sql};

/// Column by column: Postgres's type, and whether it may be null.
type Tables = BTreeMap<String, BTreeMap<String, (String, bool)>>;

#[test]
fn schema_matches() -> Outcome {
    run(async |skep| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/src/schema.rs");
        let believed = believed(&std::fs::read_to_string(path)?)?;
        let real = real(skep).await?;
        for (table, columns) in &real {
            assert_eq!(believed.get(table), Some(columns), "{table}");
        }
        assert_eq!(believed.keys().collect::<Vec<_>>(), real.keys().collect::<Vec<_>>());
        Ok(())
    })
}

/// The tables as `model/src/schema.rs` has them.
fn believed(source: &str) -> anyhow::Result<Tables> {
    let mut tables = Tables::new();
    for block in source.split("table! {").skip(1) {
        let mut lines = block.lines().map(str::trim).filter(|line| !line.is_empty());
        let head = lines.next().context("a table has a name")?;
        let name = head.split_once(" (").context("and a key")?.0;
        let mut columns = BTreeMap::new();
        for line in lines.take_while(|line| *line != "}") {
            let (column, kind) =
                line.trim_end_matches(',').split_once(" -> ").with_context(|| line.to_owned())?;
            let inner = kind.strip_prefix("Nullable<").and_then(|rest| rest.strip_suffix('>'));
            let postgres = inner.unwrap_or(kind).to_lowercase();
            columns.insert(column.to_owned(), (postgres, inner.is_some()));
        }
        tables.insert(name.to_owned(), columns);
    }
    ensure!(tables.len() > 10, "schema.rs was not understood");
    Ok(tables)
}

async fn real(skep: &Skep) -> anyhow::Result<Tables> {
    let select = "SELECT table_name, column_name, udt_name, is_nullable FROM information_schema.columns \
        WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_diesel%'";
    let mut tables = Tables::new();
    for row in sql::rows(skep.database.owner(), select).await? {
        let field = |name| text(&row, name).map(str::to_owned);
        let name = field("/udt_name")?;
        // Postgres names an array's type after its elements'.
        let kind = name.strip_prefix('_').map(|element| format!("array<{element}>"));
        let column = (kind.unwrap_or(name), field("/is_nullable")? == "YES");
        tables.entry(field("/table_name")?).or_default().insert(field("/column_name")?, column);
    }
    Ok(tables)
}

/// Everything that the migrations make: relations, functions, triggers, constraints, rights.
async fn everything(skep: &Skep) -> anyhow::Result<Vec<Value>> {
    let select = "
        SELECT 'relation' AS kind, relname::text AS name, relacl::text AS detail FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE '\\_\\_diesel%'
        UNION ALL SELECT 'column', attrelid::regclass || '.' || attname,
            format_type(atttypid, atttypmod) || attnotnull || coalesce(attacl::text, '') FROM pg_attribute
            WHERE attnum > 0 AND NOT attisdropped AND attrelid IN (SELECT oid FROM pg_class
                WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname NOT LIKE '\\_\\_diesel%')
        UNION ALL SELECT 'function', proname::text, prosrc FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace AND proname NOT LIKE 'diesel%'
        UNION ALL SELECT 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) FROM pg_trigger
            WHERE NOT tgisinternal
        UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
            FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE '\\_\\_diesel%'
        UNION ALL SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
            WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace
                AND relname NOT LIKE '\\_\\_diesel%')
        ORDER BY 1, 2, 3";
    sql::rows(skep.database.owner(), select).await
}

#[test]
fn migrations_go_down_and_up_again_to_the_same_schema() -> Outcome {
    run(async |skep| {
        let url = skep.database.owner_url()?.into();
        let before = everything(skep).await?;
        assert!(before.len() > 200, "{}", before.len());
        db::migrations::revert_all(&url).await?;
        assert_eq!(everything(skep).await?, Vec::<Value>::new(), "down.sql takes everything back");
        let applied = db::migrations::migrate(&url).await?;
        assert!(!applied.is_empty());
        assert_eq!(everything(skep).await?, before);
        assert!(db::migrations::migrate(&url).await?.is_empty(), "twice is once");
        Ok(())
    })
}

#[test]
fn the_roles_of_processes_may_do_no_more_than_they_need() -> Outcome {
    run(async |skep| {
        let roles = "SELECT rolname::text, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication AS mighty \
            FROM pg_roles WHERE rolname IN ('skep_owner', 'skep_api', 'skep_worker') ORDER BY 1";
        let rows = sql::rows(skep.database.owner(), roles).await?;
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(|row| row["mighty"] == false), "{rows:?}");
        let worker = [
            "INSERT INTO tokens (id, name, secret_hash) VALUES (gen_random_uuid(), 'x', '\\x00')",
            "UPDATE organizations SET slug = 'x'",
            "DELETE FROM audit_log",
            "UPDATE releases SET spec = '{}'",
            "DELETE FROM deployments",
            "DROP TABLE outbox",
            "CREATE TABLE mine (id int)",
            "SELECT kept_answer(gen_random_uuid(), '/', 'x')",
            "SELECT keep_answer(gen_random_uuid(), '/', 'x', '', NULL, 200::smallint, '{}', '')",
        ];
        assert_refused(skep.database.worker(), &worker).await?;
        let api = [
            "UPDATE releases SET spec = '{}'",
            "UPDATE apps SET live_release_id = NULL",
            "DELETE FROM deployments",
            "DELETE FROM audit_log",
            "DELETE FROM organizations",
            "UPDATE subnet_pools SET range = '10.0.0.0/8'",
            "UPDATE networks SET subnet = '10.0.0.0/24'",
            "DELETE FROM networks",
            "DELETE FROM resting_subnets",
            "UPDATE apps SET live_addresses = 0",
            "DROP TABLE outbox",
            "CREATE TABLE mine (id int)",
        ];
        let as_api = Database::new(skep.database.api_url()?.into(), 1)?;
        assert_refused(&as_api, &api).await?;
        for table in real(skep).await?.keys() {
            let truncate = format!("TRUNCATE {table} CASCADE");
            assert_refused(&as_api, &[&truncate]).await?;
            assert_refused(skep.database.worker(), &[&truncate]).await?;
        }
        Ok(())
    })
}

async fn assert_refused(role: &Database, statements: &[&str]) -> Outcome {
    for statement in statements {
        let Err(error) = sql::execute(role, statement).await else {
            bail!("it was allowed: {statement}");
        };
        let told = format!("{error:#}");
        assert!(
            told.contains("permission denied")
                || told.contains("must be owner")
                || told.contains("is not a table"),
            "{statement}: {told}"
        );
    }
    Ok(())
}
