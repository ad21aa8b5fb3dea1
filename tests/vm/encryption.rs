//! What somebody on the way between the nodes can read.

use model::platform::Encryption;
use tests::Outcome;
use tests::rig::run_on_vm;

use crate::crossing::{app_and_visitor, crossing};
use crate::specs::image;

/// Without this the next test could pass for want of traffic.
#[test]
#[ignore = "needs the virtual machine: ./dev rig vm"]
fn a_control_network_that_is_not_encrypted_shows_the_marker() -> Outcome {
    run_on_vm(Encryption::Off, async |rig, skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        app_and_visitor(rig, &acme).await?;
        let seen = crossing(rig).await?;
        println!("verdict  control, SKEP_ENCRYPTION=off: {seen}");
        assert!(seen.clear > 0 && seen.marked > 0 && seen.encrypted == 0, "{seen}");
        Ok(())
    })
}

#[test]
#[ignore = "needs the virtual machine: ./dev rig vm"]
fn an_encrypted_network_shows_nothing_until_the_firewall_is_flushed() -> Outcome {
    run_on_vm(Encryption::On, async |rig, skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        app_and_visitor(rig, &acme).await?;
        let seen = crossing(rig).await?;
        println!("verdict  encrypted: {seen}");
        assert!(seen.encrypted > 0 && seen.clear == 0 && seen.marked == 0, "{seen}");

        // As a reload of the firewall does: the rule that marks what is to be encrypted is gone.
        let engine = &rig.node(1).engine;
        engine.shell(&image("v1"), "iptables -t mangle -F OUTPUT").await?;
        let flushed = crossing(rig).await?;
        println!("verdict  after a flush of mangle OUTPUT on one node: {flushed}");
        assert!(flushed.clear > 0, "what docs/networking.md says of it is not so: {flushed}");
        Ok(())
    })
}
