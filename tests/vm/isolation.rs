//! The isolation check on encrypted networks that cross nodes.

use std::time::Duration;

use model::platform::Encryption;
use serde_json::json;
use tests::answer::{list, text};
use tests::rig::run_on_vm;
use tests::{Outcome, wait_for};

const CHECKS: &str = "/v1/admin/isolation-checks";

#[test]
#[ignore = "needs the virtual machine: ./dev rig vm"]
fn two_organizations_are_apart_on_encrypted_networks_of_two_nodes() -> Outcome {
    run_on_vm(Encryption::On, async |_, skep| {
        skep.start_worker().await?;
        for slug in ["acme", "globex"] {
            skep.tenant(slug).await?;
        }
        let body = json!({ "organizations": ["acme", "globex"] });
        let made = skep.operator.post(CHECKS, &body).await?.expect(202)?;
        let path = format!("{CHECKS}/{}", text(&made, "/id")?);
        let check = wait_for("the check's end", Duration::from_secs(300), async || {
            let found = skep.operator.get(&path).await?.expect(200)?;
            Ok((found["status"] == "ended").then_some(found))
        })
        .await?;
        println!("verdict  isolation, encrypted, two nodes: {}", text(&check, "/sentence")?);
        assert_eq!(check["verdict"], "isolated", "{}", check["sentence"]);
        let findings = list(&check, "/findings")?;
        let inside = findings.iter().filter(|finding| finding["expected"] == "answer");
        assert_eq!(inside.count(), 48, "from both nodes to both nodes");
        Ok(())
    })
}
