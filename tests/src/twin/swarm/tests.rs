//! What the contract cannot try on an engine of one node, and what only the simulation has.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use model::names;
use model::spec::{EndpointMode, RestartCondition};
use model::update_policy::{FailureAction, UpdateOrder};
use orchestrator::swarm::{
    ImageLookup, NetworkSpec, RolloutSpec, ServiceSpec, Swarm as _, Task, TaskSpec, TaskState,
};
use tokio::time::{Instant, sleep};

use super::{Behaviour, Call, SimulatedSwarm};

const EPOCH: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// A swarm with a network.
async fn swarm(seed: u64, workers: usize) -> SimulatedSwarm {
    let swarm = SimulatedSwarm::new(seed, workers, EPOCH);
    let subnet = "10.0.0.0/24".parse().unwrap();
    let network = NetworkSpec {
        name: "net".into(),
        subnet,
        mtu: None,
        encrypted: true,
        internal: false,
        labels: BTreeMap::new(),
    };
    swarm.network_create(&network).await.unwrap();
    swarm
}

/// A service of the image `web`.
async fn web(swarm: &SimulatedSwarm, replicas: i32) -> ServiceSpec {
    let rollout = RolloutSpec {
        parallelism: 1,
        delay: Duration::ZERO,
        monitor: Duration::from_secs(5),
        max_failure_ratio: 0.3,
        order: UpdateOrder::StartFirst,
        failure_action: FailureAction::Rollback,
    };
    let task = TaskSpec {
        image: "web".into(),
        labels: BTreeMap::new(),
        command: None,
        args: None,
        env: BTreeMap::new(),
        user: None,
        working_dir: None,
        stop_signal: "SIGTERM".into(),
        stop_grace_period: Duration::from_secs(10),
        health_check: None,
        read_only: true,
        init: false,
        tmpfs: Vec::new(),
        configs: Vec::new(),
        secrets: Vec::new(),
        cpu_limit_nanos: 0,
        cpu_reserved_nanos: 0,
        memory_limit_bytes: 0,
        memory_reserved_bytes: 0,
        pids_limit: 0,
        restart: RestartCondition::Any,
        restart_delay: Duration::from_secs(5),
        constraints: vec!["node.role==worker".into()],
        network: swarm.network("net").await.unwrap().unwrap().id,
        aliases: Vec::new(),
    };
    ServiceSpec {
        name: "web".into(),
        labels: BTreeMap::from([(names::LABEL_DEPLOYMENT.into(), "dep_1".into())]),
        replicas,
        task,
        spec_hash: "one".into(),
        restart_counter: 0,
        update: rollout.clone(),
        rollback: rollout,
        endpoint_mode: EndpointMode::Dnsrr,
        login: orchestrator::swarm::Login::Nothing,
    }
}

fn on(tasks: &[Task], node: &str, desired: TaskState, state: TaskState) -> usize {
    let same = |task: &&Task| task.node.as_deref() == Some(node);
    tasks.iter().filter(same).filter(|t| t.desired == desired && t.state == state).count()
}

#[tokio::test(start_paused = true)]
async fn a_lost_nodes_tasks_run_elsewhere_and_end_when_it_is_back() {
    let swarm = swarm(1, 2).await;
    let spec = web(&swarm, 4).await;
    swarm.service_create(&spec).await.unwrap();
    sleep(Duration::from_secs(10)).await;
    let tasks = swarm.tasks("web").await.unwrap();
    for node in ["worker-1", "worker-2"] {
        assert_eq!(on(&tasks, node, TaskState::Running, TaskState::Running), 2, "{tasks:#?}");
    }
    swarm.lose_node("worker-1");
    // Until it is given up, nothing is known; then its tasks seem to run for ever.
    sleep(Duration::from_secs(10)).await;
    assert_eq!(swarm.tasks("web").await.unwrap(), tasks);
    sleep(Duration::from_secs(20)).await;
    let tasks = swarm.tasks("web").await.unwrap();
    assert_eq!(on(&tasks, "worker-2", TaskState::Running, TaskState::Running), 4, "{tasks:#?}");
    assert_eq!(on(&tasks, "worker-1", TaskState::Shutdown, TaskState::Running), 2, "{tasks:#?}");
    swarm.return_node("worker-1");
    sleep(Duration::from_secs(5)).await;
    let tasks = swarm.tasks("web").await.unwrap();
    assert_eq!(on(&tasks, "worker-2", TaskState::Running, TaskState::Running), 4, "{tasks:#?}");
    assert_eq!(on(&tasks, "worker-1", TaskState::Shutdown, TaskState::Shutdown), 2, "{tasks:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_soon_back_loses_nothing() {
    let swarm = swarm(1, 1).await;
    swarm.service_create(&web(&swarm, 2).await).await.unwrap();
    sleep(Duration::from_secs(10)).await;
    let tasks = swarm.tasks("web").await.unwrap();
    swarm.lose_node("worker-1");
    sleep(Duration::from_secs(5)).await;
    swarm.return_node("worker-1");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(swarm.tasks("web").await.unwrap(), tasks);
}

#[tokio::test(start_paused = true)]
async fn a_slot_keeps_no_more_than_five_tasks() {
    let swarm = swarm(1, 1).await;
    swarm.behave("web", [Behaviour::crashes(Duration::from_secs(2), 3)]);
    swarm.service_create(&web(&swarm, 1).await).await.unwrap();
    sleep(Duration::from_secs(600)).await;
    let tasks = swarm.tasks("web").await.unwrap();
    assert_eq!(tasks.len(), 5, "{tasks:#?}");
    assert!(tasks.iter().any(|task| task.exit_code == Some(3)));
}

#[tokio::test(start_paused = true)]
async fn a_seed_tells_the_same_story_each_time() {
    async fn story(seed: u64) -> Vec<Task> {
        let swarm = swarm(seed, 3).await;
        let crash = Behaviour::crashes(Duration::from_secs(2), 1);
        swarm.behave("web", [Behaviour::default(), crash]);
        swarm.service_create(&web(&swarm, 3).await).await.unwrap();
        sleep(Duration::from_secs(30)).await;
        swarm.tasks("web").await.unwrap()
    }
    let told = story(5).await;
    assert_eq!(told, story(5).await);
    assert_ne!(told, story(6).await);
}

#[tokio::test(start_paused = true)]
async fn effects_are_those_of_the_api() {
    let swarm = swarm(1, 1).await;
    let began = Instant::now();
    sleep(Duration::from_secs(1)).await;
    let mut spec = web(&swarm, 1).await;
    swarm.service_create(&spec).await.unwrap();
    swarm.service_create(&spec).await.unwrap_err();
    assert!(swarm.change("web", |spec| spec.replicas = 2));
    spec.labels.insert(names::LABEL_DEPLOYMENT.into(), "dep_2".into());
    let version = swarm.snapshot("web").unwrap().version;
    swarm.service_update("web", version, &spec).await.unwrap();
    swarm.take_away("web");
    swarm.service_remove("web").await.unwrap();
    let effects = swarm.effects(1);
    let calls: Vec<Call> = effects.iter().map(|effect| effect.call).collect();
    assert_eq!(calls, [Call::ServiceCreate, Call::ServiceUpdate]);
    assert_eq!(effects[1].deployment.as_deref(), Some("dep_2"));
    assert_eq!(effects[1].at - began, Duration::from_secs(1));
    assert!(swarm.service_names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_registry_answers_what_it_was_told() {
    let swarm = swarm(1, 1).await;
    swarm.register("web:gone", ImageLookup::NotFound);
    assert_eq!(swarm.image_in_registry("web:gone", None).await.unwrap(), ImageLookup::NotFound);
    let digest = swarm.image_in_registry("web:v1", None).await.unwrap();
    assert!(matches!(&digest, ImageLookup::Digest(_)));
    assert_eq!(swarm.image_in_registry("web:v1", None).await.unwrap(), digest);
    assert_ne!(swarm.image_in_registry("web:v2", None).await.unwrap(), digest);
}
