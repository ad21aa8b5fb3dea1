//! Of many who race for the last of a quota, exactly one gets it.

use futures::future::try_join_all;
use model::quota::Quota;
use serde_json::json;
use tests::{Outcome, run};

use super::{accept, invited, limit, replicas, sums_hold, used};

/// How many race for the last of each.
const CLIENTS: usize = 64;

#[test]
fn of_many_who_race_for_the_last_one_gets_it() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let mut apps = Vec::new();
        for number in 0..CLIENTS {
            apps.push(format!("app-{number}"));
            acme.create_app(&format!("app-{number}"), replicas(1)).await?;
        }
        let people = invited(skep, &acme, CLIENTS).await?;
        println!("quota                  clients  won  refused  used of limit");
        for quota in Quota::ALL {
            let asked = match quota {
                // One, and one beside it in an update.
                Quota::CpuMillis => 1000,
                Quota::MemoryMb => 1024,
                Quota::DiskGb | Quota::Replicas => 2,
                _ => 1,
            };
            let most = used(&acme, *quota).await? + asked;
            limit(skep, &acme, json!({ (quota.as_str()): most })).await?;
            let ask = async |number: usize| {
                let named = json!({ "name": format!("raced-{number}"), "value": "planted-raced", "scopes": ["read"] });
                let sluggish = json!({ "slug": format!("raced-{number}"), "image": "a:1" });
                let (path, body) = match quota {
                    Quota::Apps => (acme.path("apps"), sluggish),
                    Quota::Environments => (
                        format!("{}/environments", acme.home()),
                        json!({ "slug": format!("raced-{number}") }),
                    ),
                    Quota::Secrets => (
                        acme.path("secrets"),
                        json!({ "name": named["name"], "value": named["value"] }),
                    ),
                    Quota::Tokens => (
                        format!("{}/tokens", acme.home()),
                        json!({ "name": named["name"], "scopes": named["scopes"] }),
                    ),
                    Quota::Members => return accept(&people[number]).await,
                    Quota::CpuMillis
                    | Quota::MemoryMb
                    | Quota::DiskGb
                    | Quota::Replicas
                    | Quota::DeploymentsPerDay => {
                        (acme.path(&format!("apps/{}/deployments", apps[number])), json!({}))
                    }
                };
                acme.client.post(&path, &body).await
            };
            let answers = try_join_all((0..CLIENTS).map(ask)).await?;
            let (won, refused): (Vec<_>, Vec<_>) =
                answers.into_iter().partition(|answer| answer.status < 300);
            let lost = refused.len();
            for answer in refused {
                let problem = answer.problem(409, "quota_exceeded")?;
                let numbers =
                    json!({ "name": quota.as_str(), "limit": most, "used": most, "asked": asked });
                assert_eq!(problem["quota"], numbers, "{quota}");
            }
            let left = used(&acme, *quota).await?;
            println!(
                "{:<22} {CLIENTS:>7} {:>4} {lost:>8}  {left} of {most}",
                quota.as_str(),
                won.len()
            );
            assert_eq!((won.len(), left), (1, most), "{quota}");
            for answer in won {
                if answer.status == 202 {
                    acme.ask_cancel(&answer.body).await?.expect(202)?;
                }
            }
            limit(skep, &acme, json!({})).await?;
        }
        sums_hold(skep).await
    })
}
