//! The rig: several real nodes in one Swarm, which can be killed, cut off and drained. `./dev rig up` starts their daemons, each in
//! a network namespace of its own; here they are joined. One test has it at a time, and each has a new one.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bollard::models::{
    NodeSpec, NodeSpecAvailabilityEnum, NodeSpecRoleEnum, SwarmInitRequest, SwarmJoinRequest,
};
use bollard::query_parameters::UpdateNodeOptionsBuilder;
use futures::FutureExt as _;
use model::platform::Encryption;
use model::spec::EndpointMode;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::Outcome;
use crate::answer::{list, text};
use crate::dev::dev;
use crate::docker::Engine;
use crate::environment::environment;
use crate::run::{in_harness, run_at};
use crate::site::Site;
use crate::skep::Skep;
use crate::wait::{wait_for, wait_until};

/// Nodes of a rig (`rig_nodes` in `dev.d/rig.sh`).
const NODES: usize = 3;
/// The nodes' network (`rig_network` there): node N is .N.
pub const NETWORK: &str = "203.0.113";
/// How long the nodes of a new swarm may take to be ready.
const FORMED: Duration = Duration::from_secs(60);
/// No story on several nodes takes longer.
const LONGEST: Duration = Duration::from_secs(900);

/// One test at a time.
static TAKEN: Mutex<()> = Mutex::const_new(());

/// A node of the rig.
pub struct Node {
    /// Its number, from 1.
    pub number: usize,
    /// Its id in the swarm.
    pub id: String,
    /// Its daemon.
    pub engine: Engine,
    /// Where that is reached: a `unix://` URL.
    pub host: String,
}

/// Several nodes in one Swarm: the first is its manager, and the others are workers.
pub struct Rig {
    nodes: Vec<Node>,
}

/// Runs one test on the two nodes of the virtual machine that `./dev rig vm` starts, whose kernel has ESP and virtual addresses for
/// services: with an installation whose networks are encrypted, or not.
pub fn run_on_vm(
    encryption: Encryption,
    story: impl AsyncFnOnce(&Rig, &Skep) -> Outcome,
) -> Outcome {
    in_harness(async {
        let rig = Rig::form(vec![socket("vm1")?, socket("vm2")?]).await?;
        let site = Site {
            encryption,
            endpoint_mode: EndpointMode::Vip,
            tenants_on_managers: true,
            ..rig.site()
        };
        run_at(site, LONGEST, async |skep: &Skep| story(&rig, skep).await).await
    })
}

/// Runs one test on a rig, with an installation that drives its manager and reaches all of its nodes. Its networks are not
/// encrypted: the kernels that the suite runs on cannot, and nothing would cross between nodes.
pub fn run_on_rig(story: impl AsyncFnOnce(&Rig, &Skep) -> Outcome) -> Outcome {
    run_on_all_of_rig(false, story)
}

/// The same; its manager may take apps, too.
pub fn run_on_all_of_rig(
    tenants_on_managers: bool,
    story: impl AsyncFnOnce(&Rig, &Skep) -> Outcome,
) -> Outcome {
    in_harness(async {
        let _taken = TAKEN.lock().await;
        let told = async {
            let rig = Rig::start().await.context("no rig for this test")?;
            let site = Site { tenants_on_managers, ..rig.site() };
            run_at(site, LONGEST, async |skep: &Skep| story(&rig, skep).await).await
        };
        // Whatever became of it, three daemons less for the tests that follow.
        let told = AssertUnwindSafe(told).catch_unwind().await;
        let ended = dev(&["rig", "down"]).await;
        match told {
            Err(panic) => resume_unwind(panic),
            Ok(told) => told.and(ended),
        }
    })
}

impl Rig {
    async fn start() -> Result<Self> {
        dev(&["rig", "up"]).await?;
        Self::form(
            (1..=NODES).map(|number| socket(&format!("rig{number}"))).collect::<Result<_>>()?,
        )
        .await
    }

    /// Joins the daemons at these addresses in a swarm, where they are not in one.
    pub(crate) async fn form(hosts: Vec<String>) -> Result<Self> {
        let engines = hosts.iter().map(|host| Engine::at(host)).collect::<Result<Vec<_>>>()?;
        let manager = engines.first().context("a swarm of no nodes")?;
        let mut nodes = Vec::new();
        for (number, (host, engine)) in (1..).zip(hosts.into_iter().zip(&engines)) {
            let state = engine.get("/info").await?;
            if state["Swarm"]["LocalNodeState"] != "active" {
                join(engine, manager, number).await?;
            }
            let info = engine.get("/info").await?;
            let id = text(&info, "/Swarm/NodeID")?.to_owned();
            nodes.push(Node { number, id, engine: engine.clone(), host });
        }
        let rig = Self { nodes };
        for node in &rig.nodes {
            rig.wait_for_state(node, "ready", FORMED).await?;
        }
        Ok(rig)
    }

    /// Where an installation is that drives the manager and reaches all nodes.
    pub fn site(&self) -> Site {
        self.site_of(1)
    }

    /// Where one is that drives another manager.
    pub fn site_of(&self, manager: usize) -> Site {
        let others = self.nodes.iter().filter(|node| node.number != manager);
        Site {
            docker_host: self.node(manager).host.clone(),
            hosts: others.map(|node| node.host.clone()).collect(),
            encryption: Encryption::Off,
            ..Site::here()
        }
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node, by its number.
    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number - 1]
    }

    /// The manager's daemon.
    pub fn manager(&self) -> &Engine {
        &self.node(1).engine
    }

    /// The node that has this id in the swarm.
    pub fn node_of(&self, task: &Value) -> Result<&Node> {
        let id = text(task, "/NodeID")?;
        self.nodes.iter().find(|node| node.id == id).context("a task of no node of the rig")
    }

    /// The node that an app's first running task is on.
    pub async fn node_of_app(&self, app: &str) -> Result<&Node> {
        let tasks = self.running(app).await?;
        self.node_of(tasks.first().context("no task of it runs")?)
    }

    /// An app's running tasks.
    pub async fn running(&self, app: &str) -> Result<Vec<Value>> {
        let tasks = self.manager().tasks_of(app).await?;
        Ok(tasks.into_iter().filter(|task| task["Status"]["State"] == "running").collect())
    }

    /// Numbers of the nodes that an app's running tasks are on, sorted.
    pub async fn places(&self, app: &str) -> Result<Vec<usize>> {
        let tasks = self.running(app).await?;
        let places = tasks.iter().map(|task| Ok(self.node_of(task)?.number));
        let mut places = places.collect::<Result<Vec<_>>>()?;
        places.sort_unstable();
        Ok(places)
    }

    /// What the sample app answers to one of an app's tasks, asked from inside its container on its own node.
    pub async fn ask_from(&self, task: &Value, url: &str) -> Result<Result<(u16, Value), String>> {
        let container = text(task, "/Status/ContainerStatus/ContainerID")?;
        self.node_of(task)?.engine.try_from_container(container, url).await
    }

    /// Switches a node off, as a power cut does.
    pub async fn kill(&self, number: usize) -> Result<()> {
        dev(&["rig", "kill", &number.to_string()]).await
    }

    /// Switches it on again.
    pub async fn start_node(&self, number: usize) -> Result<()> {
        dev(&["rig", "start", &number.to_string()]).await
    }

    /// Cuts a node off from the others. What runs on it goes on running, and its daemon is reached as before.
    pub async fn cut(&self, number: usize) -> Result<()> {
        dev(&["rig", "cut", &number.to_string()]).await
    }

    /// Ends that.
    pub async fn mend(&self, number: usize) -> Result<()> {
        dev(&["rig", "mend", &number.to_string()]).await
    }

    /// Waits until the manager says this state of a node: `ready` or `down`.
    pub async fn wait_for_state(&self, node: &Node, state: &str, longest: Duration) -> Result<()> {
        let what = format!("node {} to be {state}", node.number);
        wait_until(&what, longest, async || {
            let nodes = self.manager().get("/nodes").await?;
            let found = list(&nodes, "")?.iter().find(|found| found["ID"] == *node.id);
            Ok(found.is_some_and(|found| found["Status"]["State"] == state))
        })
        .await
    }

    /// Sets whether a node takes tasks.
    pub async fn set_availability(
        &self,
        number: usize,
        availability: NodeSpecAvailabilityEnum,
    ) -> Result<()> {
        self.update(number, |spec| spec.availability = Some(availability)).await
    }

    /// Makes managers of the workers, one at a time: Swarm wants each to be reachable before the next.
    pub async fn promote_all(&self) -> Result<()> {
        for node in self.nodes.iter().skip(1) {
            self.update(node.number, |spec| spec.role = Some(NodeSpecRoleEnum::MANAGER)).await?;
            let path = format!("/nodes/{}", node.id);
            wait_until("a manager to be reachable", FORMED, async || {
                let found = self.manager().get(&path).await?;
                Ok(found["ManagerStatus"]["Reachability"] == "reachable")
            })
            .await?;
        }
        Ok(())
    }

    async fn update(&self, number: usize, change: impl Fn(&mut NodeSpec)) -> Result<()> {
        let docker = self.manager().client();
        let id = &self.node(number).id;
        wait_for("an update of a node", FORMED, async || {
            let node = docker.inspect_node(id).await?;
            let version = node.version.and_then(|version| version.index).context("no version")?;
            let mut spec = node.spec.context("a node without a spec")?;
            change(&mut spec);
            let options = UpdateNodeOptionsBuilder::new().version(i64::try_from(version)?).build();
            match docker.update_node(id, spec, options).await {
                Ok(()) => Ok(Some(())),
                // Swarm itself writes to nodes, too.
                Err(error) if error.to_string().contains("out of sequence") => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }
}

/// Where the daemon of a node of this name is.
fn socket(name: &str) -> Result<String> {
    let sockets = environment().rig_sockets.as_deref().context(
        "no rig: SKEP_DEV_RIG_SOCKETS is not set. ./dev test says where its nodes may be, unless SKEP_DEV_DOCKER_HOST names a \
         dockerd of yours",
    )?;
    Ok(format!("unix://{sockets}/{name}.sock"))
}

/// The first makes the swarm, and the others join it as workers.
async fn join(engine: &Engine, manager: &Engine, number: usize) -> Result<()> {
    let listen_addr = Some("0.0.0.0:2377".to_owned());
    let advertise_addr = Some(address(number));
    if number == 1 {
        let request =
            SwarmInitRequest { advertise_addr, listen_addr, ..SwarmInitRequest::default() };
        engine.client().init_swarm(request).await?;
        return Ok(());
    }
    let swarm = manager.get("/swarm").await?;
    let request = SwarmJoinRequest {
        advertise_addr,
        listen_addr,
        remote_addrs: Some(vec![format!("{}:2377", address(1))]),
        join_token: Some(text(&swarm, "/JoinTokens/Worker")?.to_owned()),
        ..SwarmJoinRequest::default()
    };
    Ok(engine.client().join_swarm(request).await?)
}

/// A node's address on the rig's network.
fn address(number: usize) -> String {
    format!("{NETWORK}.{number}")
}

/// The memory of a node's daemon and of everything below it (its part of what is shared counted once), in bytes.
pub fn memory_of(node: &Node) -> Result<u64> {
    let socket = node.host.trim_start_matches("unix://");
    let record = socket.trim_end_matches(".sock").replace("/rig", "/pid/rig");
    let record = std::fs::read_to_string(record)?;
    let root: u32 = record.split(' ').nth(1).context("no process id")?.parse()?;
    let mut below: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(process) = entry?.file_name().to_string_lossy().parse() else { continue };
        // One that has ended meanwhile has no memory.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { continue };
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        below.entry(parent.context("no parent")?.parse()?).or_default().push(process);
    }
    let (mut kilobytes, mut left) = (0, vec![root]);
    while let Some(process) = left.pop() {
        left.extend(below.get(&process).into_iter().flatten());
        let rollup = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"));
        let rollup = rollup.unwrap_or_default();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let size = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kilobytes += size.unwrap_or(0);
    }
    ensure!(kilobytes > 0, "no process of node {} was found", node.number);
    Ok(kilobytes * 1024)
}
