//! A survey of what every reached daemon shows.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{Network, SystemInfo};
use bollard::query_parameters::{
    ListNetworksOptions, ListNodesOptions, ListServicesOptionsBuilder,
};
use futures::future::join_all;
use ipnet::Ipv4Net;

use super::{DockerSwarm, Host, call};
use crate::swarm::SwarmResult;
use crate::swarm::survey::{FoundNetwork, Survey};

/// What a daemon that is not told otherwise makes local networks from (moby, daemon/libnetwork/ipamutils).
const DOCKERS_OWN: [&str; 7] = [
    "172.17.0.0/16",
    "172.18.0.0/16",
    "172.19.0.0/16",
    "172.20.0.0/14",
    "172.24.0.0/14",
    "172.28.0.0/14",
    "192.168.0.0/16",
];

impl DockerSwarm {
    /// Looks at every daemon that is reached. Fails where the manager does not answer; of another one that does not,
    /// nothing is told.
    pub(crate) async fn survey(&self) -> SwarmResult<Survey> {
        let nodes = call(self.docker.list_nodes(None::<ListNodesOptions>)).await?;
        let mut survey =
            Survey { nodes: i32::try_from(nodes.len()).unwrap_or(i32::MAX), ..Survey::default() };
        let (manager, others) = self.hosts().split_first().unzip();
        if let Some(manager) = manager {
            survey.add(look(manager).await?, true);
        }
        for found in join_all(others.unwrap_or_default().iter().map(look)).await {
            match found {
                Ok(found) => survey.add(found, false),
                Err(error) => tracing::warn!(%error, "a node's networks are not known"),
            }
        }
        Ok(survey)
    }
}

impl DockerSwarm {
    /// Services with this label, by name, with their labels.
    pub(crate) async fn services_labelled(
        &self,
        label: &str,
        value: &str,
    ) -> SwarmResult<Vec<(String, BTreeMap<String, String>)>> {
        let label = format!("{label}={value}");
        let filter = HashMap::from([("label", vec![label.as_str()])]);
        let options = ListServicesOptionsBuilder::new().filters(&filter).build();
        let services = call(self.docker.list_services(Some(options))).await?;
        let named = services.into_iter().filter_map(|service| {
            let spec = service.spec?;
            Some((spec.name?, spec.labels.unwrap_or_default().into_iter().collect()))
        });
        Ok(named.collect())
    }
}

async fn look(host: &Host) -> SwarmResult<(Vec<Network>, SystemInfo)> {
    let docker = host.docker()?;
    tokio::try_join!(call(docker.list_networks(None::<ListNetworksOptions>)), call(docker.info()),)
}

impl Survey {
    fn add(&mut self, (networks, info): (Vec<Network>, SystemInfo), is_manager: bool) {
        self.networks.extend(networks.into_iter().map(|network| found(network, is_manager)));
        let told = info.default_address_pools.unwrap_or_default();
        let told = told.iter().filter_map(|pool| pool.base.as_deref());
        let pools: Vec<Ipv4Net> = told.filter_map(|base| base.parse().ok()).collect();
        let pools = if pools.is_empty() {
            DOCKERS_OWN.iter().filter_map(|base| base.parse().ok()).collect()
        } else {
            pools
        };
        for pool in pools {
            if !self.local_pools.contains(&pool) {
                self.local_pools.push(pool);
            }
        }
    }
}

fn found(network: Network, is_manager: bool) -> FoundNetwork {
    let configs = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    let subnets = configs.into_iter().filter_map(|config| config.subnet?.parse().ok());
    FoundNetwork {
        name: network.name.unwrap_or_default(),
        driver: network.driver.unwrap_or_default(),
        labels: network.labels.unwrap_or_default().into_iter().collect(),
        subnets: subnets.collect(),
        encrypted: network.options.unwrap_or_default().contains_key("encrypted"),
        internal: network.internal.unwrap_or_default(),
        is_swarms: is_manager && network.scope.as_deref() == Some("swarm"),
    }
}
