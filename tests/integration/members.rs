//! Members: nobody acts on who is above them, and an organization keeps an owner.

use std::time::Duration;

use anyhow::ensure;
use futures::future::join as both;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::people::join;
use tests::{Client, Outcome, run, sql, wait_until};

/// The path of a member, by email.
async fn member(client: &Client, home: &str, email: &str) -> anyhow::Result<String> {
    let listed = client.get(&format!("{home}/members")).await?.expect(200)?;
    let found = list(&listed, "/items")?.iter().find(|member| member["email"] == email);
    let found = found.ok_or_else(|| anyhow::anyhow!("{email} is not in {listed}"))?;
    Ok(format!("{home}/members/{}", text(found, "/id")?))
}

fn role(role: &str) -> Value {
    json!({ "role": role })
}

#[test]
fn nobody_changes_who_is_above_them() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let home = acme.home();
        let owner = join(&skep.operator, "acme", "owner@example.org", "owner").await?;
        let admin = join(&skep.operator, "acme", "admin@example.org", "admin").await?;
        let dev = join(&skep.operator, "acme", "dev@example.org", "developer").await?;
        let owner_path = member(&owner.client, &home, &owner.email).await?;
        let admin_path = member(&owner.client, &home, &admin.email).await?;
        let dev_path = member(&dev.client, &home, &dev.email).await?;
        // A token of the organization acts as an admin.
        for client in [&admin.client, &acme.client] {
            client.patch(&owner_path, &role("viewer")).await?.problem(403, "forbidden")?;
            client.delete(&owner_path).await?.problem(403, "forbidden")?;
            client.patch(&admin_path, &role("owner")).await?.problem(403, "forbidden")?;
            client.patch(&dev_path, &role("owner")).await?.problem(403, "forbidden")?;
            client.patch(&dev_path, &role("viewer")).await?.expect(200)?;
            client.patch(&dev_path, &role("developer")).await?.expect(200)?;
        }
        dev.client.patch(&dev_path, &role("admin")).await?.problem(403, "forbidden")?;
        dev.client.delete(&admin_path).await?.problem(403, "forbidden")?;
        // Foreign members are not there.
        let globex = skep.tenant("globex").await?;
        let foreign = dev_path.replace("/acme/", "/globex/");
        globex.client.patch(&foreign, &role("viewer")).await?.problem(404, "not_found")?;
        globex.client.delete(&foreign).await?.problem(404, "not_found")?;
        // What was changed holds at once, and what was removed is gone.
        owner.client.patch(&dev_path, &role("viewer")).await?.expect(200)?;
        wait_until("the role to be less", Duration::from_secs(2), async || {
            Ok(dev.client.post(&acme.path("apps"), &json!({})).await?.status == 403)
        })
        .await?;
        admin.client.delete(&dev_path).await?.expect(204)?;
        wait_until("the organization to be gone", Duration::from_secs(2), async || {
            Ok(dev.client.get(&home).await?.status == 404)
        })
        .await?;
        let audited = "SELECT action, before, after FROM audit_log
            WHERE action LIKE 'member.%' AND result = 'done' ORDER BY id";
        let audited = sql::rows(skep.database.owner(), audited).await?;
        assert_eq!(audited.len(), 6);
        assert_eq!(audited[5]["action"], "member.remove");
        assert_eq!(audited[5]["before"], json!({ "user": dev.id, "role": "viewer" }));
        Ok(())
    })
}

#[test]
fn anybody_leaves_but_the_last_owner() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let owner = join(&skep.operator, "acme", "owner@example.org", "owner").await?;
        let viewer = join(&skep.operator, "acme", "viewer@example.org", "viewer").await?;
        let leave = "/v1/me/memberships/acme";
        owner.client.delete(leave).await?.problem(409, "last_owner")?;
        let path = member(&owner.client, &acme.home(), &owner.email).await?;
        for client in [&owner.client, &skep.operator] {
            client.delete(&path).await?.problem(409, "last_owner")?;
            client.patch(&path, &role("admin")).await?.problem(409, "last_owner")?;
        }
        owner.client.patch(&path, &role("owner")).await?.expect(200)?;
        viewer.client.delete("/v1/me/memberships/globex").await?.problem(404, "not_found")?;
        let id = text(&acme.organization, "/id")?;
        viewer.client.delete(&format!("/v1/me/memberships/{id}")).await?.expect(204)?;
        viewer.client.delete(leave).await?.problem(404, "not_found")?;
        let me = viewer.client.get("/v1/me").await?.expect(200)?;
        assert_eq!(me["memberships"], json!([]));
        // With another owner there, the first one can go.
        let heir = join(&skep.operator, "acme", "heir@example.org", "developer").await?;
        let heirs = member(&owner.client, &acme.home(), &heir.email).await?;
        owner.client.patch(&heirs, &role("owner")).await?.expect(200)?;
        owner.client.delete(leave).await?.expect(204)?;
        heir.client.delete(leave).await?.problem(409, "last_owner")?;
        Ok(())
    })
}

#[test]
fn of_two_owners_who_are_demoted_at_once_one_stays() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let home = acme.home();
        let one = join(&skep.operator, "acme", "one@example.org", "owner").await?;
        let other = join(&skep.operator, "acme", "other@example.org", "owner").await?;
        let paths = [
            member(&skep.operator, &home, &one.email).await?,
            member(&skep.operator, &home, &other.email).await?,
        ];
        let owners = "members WHERE role = 'owner'";
        for round in 0..20 {
            let less = role("admin");
            let demoted =
                both(skep.operator.patch(&paths[0], &less), skep.operator.patch(&paths[1], &less));
            let demoted = demoted.await;
            let mut statuses = [demoted.0?.status, demoted.1?.status];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 409], "round {round}");
            assert_eq!(sql::count(skep.database.owner(), owners).await?, 1);
            for path in &paths {
                skep.operator.patch(path, &role("owner")).await?.expect(200)?;
            }
        }
        // Both leave at once.
        let leave = "/v1/me/memberships/acme";
        let left = both(one.client.delete(leave), other.client.delete(leave)).await;
        let mut statuses = [left.0?.status, left.1?.status];
        statuses.sort_unstable();
        ensure!(statuses == [204, 409], "{statuses:?}");
        assert_eq!(sql::count(skep.database.owner(), owners).await?, 1);
        Ok(())
    })
}
