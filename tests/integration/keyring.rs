//! The keys that values are sealed to: replaced while everything serves, and in nobody's hands who does not need them.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use model::id::OrganizationId;
use model::registry_credential::identity;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tests::answer::text;
use tests::process::program;
use tests::{Outcome, Skep, run, sql};
use tokio::process::Command;
use tokio::task::JoinSet;

/// What `worker keyring …` says; an error where it fails.
async fn keyring(skep: &Skep, command: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program("worker")?)
        .arg("keyring")
        .args(command)
        .env("DATABASE_URL", skep.database.worker_url()?)
        .env("SKEP_SEALING_KEYRING_FILE", skep.keyring.file())
        .output()
        .await?;
    let (out, said) =
        (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr).into_owned());
    ensure!(output.status.success(), "{out}{said}");
    Ok(out)
}

async fn keys(skep: &Skep) -> anyhow::Result<Vec<Value>> {
    let told = keyring(skep, &["list", "--json"]).await?;
    Ok(told.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

#[test]
fn a_key_is_replaced_while_everything_serves() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        for number in 0..40 {
            let body =
                json!({ "name": format!("key-{number}"), "value": format!("value-{number}") });
            acme.client.post(&acme.path("secrets"), &body).await?.expect(201)?;
        }
        // And a credential for a registry, as a worker has found it good.
        let file = std::fs::read_to_string(skep.keyring.file())?;
        let ring = sealing::Keyring::of_file(&file.into())?;
        let organization = text(&acme.organization, "/id")?.parse::<OrganizationId>()?;
        let of_registry = identity(organization, "registry.test");
        let sealed =
            ring.current().seal(of_registry.as_bytes(), b"password").context("it is sealed")?;
        let insert = format!(
            "INSERT INTO registry_credentials (id, organization_id, registry, kind, username, key_id, sealed)
             VALUES (gen_random_uuid(), '{}', 'registry.test', 'basic', 'x', '{}', '\\x{}')",
            organization.as_uuid(),
            ring.current().id(),
            hex::encode(sealed.as_bytes())
        );
        sql::execute(skep.database.owner(), &insert).await?;
        let before = keys(skep).await?;
        ensure!(
            before.len() == 1 && before[0]["values"] == 41 && before[0]["sealed_to"] == true,
            "{before:?}"
        );
        let old = before[0]["key"].clone();

        // Callers who make secrets and versions all the while.
        let over = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for caller in 0..4 {
            let (acme, over) = (acme.clone(), Arc::clone(&over));
            callers.spawn(async move {
                let mut made = 0_u32;
                // As many as the versions of a secret may be, and no more.
                let mut pace = tokio::time::interval(Duration::from_millis(20));
                while !over.load(Ordering::Relaxed) {
                    let versions = acme.path(&format!("secrets/key-{}/versions", made % 40));
                    let body = json!({ "value": format!("{caller}-{made}") });
                    acme.client.post(&versions, &body).await?.expect(201)?;
                    made += 1;
                    pace.tick().await;
                }
                anyhow::Ok(made)
            });
        }
        let mut rotations = 0;
        for _ in 0..5 {
            keyring(skep, &["add"]).await?;
            keyring(skep, &["rotate"]).await?;
            rotations += 1;
        }
        over.store(true, Ordering::Relaxed);
        let mut made = 0;
        while let Some(caller) = callers.join_next().await {
            made += caller??;
        }
        // What a caller was about to seal to the key before shows in the next rotation, at the latest.
        keyring(skep, &["rotate"]).await?;
        println!("{made} versions made during {rotations} rotations, 0 refused");
        let after = keys(skep).await?;
        let sealed_to: Vec<&Value> = after.iter().filter(|key| key["values"] != 0).collect();
        ensure!(sealed_to.len() == 1 && sealed_to[0]["sealed_to"] == true, "{after:?}");
        ensure!(sealed_to[0]["values"] == 41 + made, "{after:?}");
        ensure!(after.iter().any(|key| key["key"] == old && key["in_file"] == true), "{after:?}");
        let left = sql::count(skep.database.owner(), "sealing_keys").await?;
        ensure!(left == 1, "the old keys are forgotten");
        Ok(())
    })
}

#[test]
fn without_the_old_key_a_rotation_says_what_it_cannot_open() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let body = json!({ "name": "key", "value": "value" });
        acme.client.post(&acme.path("secrets"), &body).await?.expect(201)?;
        let new = sealing::PrivateKey::generate();
        skep.keyring.write(&[&new])?;
        let failed = keyring(skep, &["rotate"]).await.unwrap_err().to_string();
        ensure!(failed.contains("stays as it is") && failed.contains("ver_"), "{failed}");
        // What is sealed from now on is not the old key's trouble.
        let body = json!({ "name": "other", "value": "value" });
        acme.client.post(&acme.path("secrets"), &body).await?.expect(201)?;
        let keys = keys(skep).await?;
        ensure!(keys.iter().all(|key| key["values"] == 1) && keys.len() == 2, "{keys:?}");
        Ok(())
    })
}

/// A process that held a value in its hands leaves nothing behind when it crashes.
#[test]
fn a_crash_leaves_no_core() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let (mut process, url) = skep.start_api_process().await?;
        let body = json!({ "name": "key", "value": "planted-in-memory-5d01" });
        acme.client.at(&url).post(&acme.path("secrets"), &body).await?.expect(201)?;
        let pid = process.id().context("it runs")?;
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"))
            .context("a limit")?;
        ensure!(core.split_whitespace().filter(|word| *word == "0").count() == 2, "{core}");
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(pid, Signal::ABORT)?;
        let status = process.ended().await?;
        ensure!(status.signal() == Some(6) && !status.core_dumped(), "{status}");
        Ok(())
    })
}
