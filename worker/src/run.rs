//! `worker run`: the runner, the watch over what is live, the outbox relay, the purge, retention, the end of organizations and of
//! networks, until a signal.

use std::sync::Arc;
use std::time::Duration;

use db::Database;
use model::id::WorkerId;
use orchestrator::swarm::DockerSwarm;
use orchestrator::vault::issuing::Issuer;
use orchestrator::{
    Answers, AuditChain, DiskAudit, Endings, IsolationChecks, Live, Logs, NetworkAudit, NodeAudit,
    Purge, Retention, Retirements, Runner, SealedVault, SecretKeeping, Vault,
};
use queue::{Consumer, Relay};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::settings::Run;
use crate::{keyring, measures};

pub(crate) async fn run(settings: Run) -> anyhow::Result<()> {
    queue::check(&settings.amqp_url)?;
    let database = Database::new(settings.database_url, settings.database_connections)?;
    db::migrations::schema_check(&database).await?;
    let platform = Arc::new(db::platform::platform_get(&database).await?);
    for warning in platform.warnings() {
        tracing::warn!(warning, "the installation is set in a way that costs a promise");
    }
    let sealed_to = db::sealing_keys::sealing_key_current(&database).await?.map(Into::into);
    keyring::check(settings.sealing_keyring_file.as_deref(), sealed_to.as_ref())?;
    let swarm = DockerSwarm::connect(&settings.docker_host, settings.advertise_address)?
        .with_hosts(&settings.hosts)?;
    let swarm = Arc::new(swarm);
    let stop = CancellationToken::new();
    if let Some(address) = settings.metrics_listen {
        measures::listen(address, database.clone(), stop.clone())?;
    }
    // The relay goes on while the runner hands over: that wakes other workers.
    let relay_stop = CancellationToken::new();
    let relay = Relay::start(
        database.clone(),
        settings.amqp_url.clone(),
        &settings.queue_prefix,
        relay_stop.clone(),
    );
    let (questions, streams) = (settings.amqp_url.clone(), settings.amqp_url.clone());
    let wakeups =
        Consumer::start(settings.amqp_url, &settings.queue_prefix, settings.slots, stop.clone());
    let worker = WorkerId::new();
    let issuer = settings.registry_refresh_command.map(Issuer);
    let vault =
        SealedVault::new(database.clone(), keyring::reader(settings.sealing_keyring_file), issuer);
    let answers = Arc::new(Answers {
        database: database.clone(),
        swarm: Arc::clone(&swarm),
        vault: vault.clone(),
    });
    let secrets = vault.clone();
    let vault: Arc<dyn Vault> = Arc::new(vault);
    let runner = Runner {
        worker,
        ledger: database.clone(),
        swarm: Arc::clone(&swarm),
        platform: Arc::clone(&platform),
        vault: Arc::clone(&vault),
        slots: usize::from(settings.slots.max(1)),
        relay: relay.clone(),
    };
    let purge = Purge { database: database.clone() };
    let audit_chain = AuditChain { database: database.clone() };
    let retention = Retention { database: database.clone(), swarm: Arc::clone(&swarm) };
    let endings = Endings {
        database: database.clone(),
        swarm: Arc::clone(&swarm),
        platform: Arc::clone(&platform),
        relay: relay.clone(),
    };
    let retirements = Retirements {
        database: database.clone(),
        swarm: Arc::clone(&swarm),
        platform: Arc::clone(&platform),
        relay: relay.clone(),
    };
    let network_audit = NetworkAudit {
        database: database.clone(),
        swarm: Arc::clone(&swarm),
        platform: Arc::clone(&platform),
    };
    let node_audit = NodeAudit {
        database: database.clone(),
        swarm: Arc::clone(&swarm),
        platform: Arc::clone(&platform),
    };
    let hours = u64::from(settings.isolation_check_hours);
    let isolation_checks = IsolationChecks {
        database: database.clone(),
        swarm: Arc::clone(&swarm),
        platform: Arc::clone(&platform),
        every: (hours > 0).then(|| Duration::from_secs(hours * 3600)),
    };
    let secret_keeping = SecretKeeping {
        database: database.clone(),
        swarm: Arc::clone(&swarm),
        platform: Arc::clone(&platform),
        vault: secrets,
    };
    let seconds = u64::from(settings.disk_interval);
    let disk_audit = DiskAudit {
        database: database.clone(),
        swarm: Arc::clone(&swarm),
        platform: Arc::clone(&platform),
        relay: relay.clone(),
        every: (seconds > 0).then(|| Duration::from_secs(seconds)),
    };
    let logs = Arc::new(Logs::new(database.clone(), Arc::clone(&swarm)));
    let live = Live { database, swarm, platform, vault, relay: relay.clone() };
    tracing::info!(%worker, slots = settings.slots, "driving");
    let mut running = tokio::spawn(runner.run(wakeups, stop.clone()));
    let mut watching = tokio::spawn(live.run(stop.clone()));
    // Cut off anywhere, they leave nothing half done: they are not waited for.
    tokio::spawn(purge.run(stop.clone()));
    tokio::spawn(audit_chain.run(stop.clone()));
    tokio::spawn(retention.run(stop.clone()));
    tokio::spawn(endings.run(stop.clone()));
    tokio::spawn(retirements.run(stop.clone()));
    tokio::spawn(network_audit.run(stop.clone()));
    tokio::spawn(node_audit.run(stop.clone()));
    tokio::spawn(isolation_checks.run(stop.clone()));
    tokio::spawn(secret_keeping.run(stop.clone()));
    tokio::spawn(disk_audit.run(stop.clone()));
    let (prefix, giving) = (settings.queue_prefix.clone(), stop.clone());
    tokio::spawn(async move {
        let giver = move |request, outlet| {
            let logs = Arc::clone(&logs);
            async move { logs.give(request, outlet).await }
        };
        queue::streams::give(streams, &prefix, giving, giver).await;
    });
    let (prefix, answering) = (settings.queue_prefix.clone(), stop.clone());
    tokio::spawn(async move {
        let reply = move |question| {
            let answers = Arc::clone(&answers);
            async move { answers.reply(question).await }
        };
        queue::asks::answer(questions, &prefix, answering, reply).await;
    });
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        // Neither ends by itself: a worker that drives nothing must not look alive.
        ended = &mut running => anyhow::bail!("the runner ended: {ended:?}"),
        ended = &mut watching => anyhow::bail!("nobody watches what is live any more: {ended:?}"),
    }
    tracing::info!("stopping: what is in progress is handed over");
    stop.cancel();
    running.await?;
    watching.await?;
    relay_stop.cancel();
    relay.ended().await;
    Ok(())
}
