//! The real engine does what the simulated Swarm does: each case of the contract, on dockerd.

tests::swarm_contract!(tests::contract::swarm::engine::on_engine);
