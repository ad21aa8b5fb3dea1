//! dockerd from outside: what really runs. The engine's own JSON is read, not a client's types, so
//! that a field which bollard loses on the way is not lost here.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bollard::exec::StartExecResults;
use bollard::models::{ContainerCreateBody, ExecConfig, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions, WaitContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures::TryStreamExt as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::answer::{list, text};
use crate::environment::environment;

/// The longest that any call takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest that a command on a node takes.
const SHELL: Duration = Duration::from_secs(60);

/// The engine of this run.
#[derive(Clone)]
pub struct Engine {
    docker: Docker,
    socket: String,
}

impl Engine {
    /// Reaches it.
    pub fn connect() -> Result<Self> {
        Self::at(&environment().docker_host)
    }

    /// Reaches another, by its `unix://` URL.
    pub fn at(host: &str) -> Result<Self> {
        let docker = Docker::connect_with_unix(host, PATIENCE.as_secs(), API_DEFAULT_VERSION)?;
        Ok(Self { docker, socket: host.trim_start_matches("unix://").to_owned() })
    }

    /// The client, for what has no helper here.
    pub const fn client(&self) -> &Docker {
        &self.docker
    }

    /// GET of a path of the Engine API; `None`: 404.
    pub async fn find(&self, path: &str) -> Result<Option<Value>> {
        let (status, body) = timeout(PATIENCE, self.exchange("GET", path)).await??;
        match status {
            200 => Ok(Some(serde_json::from_str(&body)?)),
            404 => Ok(None),
            other => anyhow::bail!("dockerd answered {other} to GET {path}: {body}"),
        }
    }

    /// GET of a path of the Engine API that has to be there.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.find(path).await?.with_context(|| format!("dockerd knows no {path}"))
    }

    /// DELETE; what is gone already is fine. False: it cannot go yet.
    pub async fn delete(&self, path: &str) -> Result<bool> {
        let (status, _) = timeout(PATIENCE, self.exchange("DELETE", path)).await??;
        Ok(matches!(status, 200 | 204 | 404))
    }

    /// Objects (`services`, `networks` or `configs`) that carry this label.
    pub async fn labelled(&self, objects: &str, label: &str) -> Result<Vec<Value>> {
        let filters = format!(r#"{{"label":["{label}"]}}"#);
        let found = self.get(&format!("/{objects}?filters={}", encoded(&filters))).await?;
        Ok(list(&found, "")?.to_vec())
    }

    /// The service of an app, by the app's id.
    pub async fn service_of(&self, app: &str) -> Result<Option<Value>> {
        Ok(self.labelled("services", &format!("skep.app={app}")).await?.into_iter().next())
    }

    /// The tasks of an app's service that Swarm wants running.
    pub async fn tasks_of(&self, app: &str) -> Result<Vec<Value>> {
        let all = self.all_tasks_of(app).await?;
        Ok(all.into_iter().filter(|task| task["DesiredState"] == "running").collect())
    }

    /// The tasks of an app's service, those that ended included.
    pub async fn all_tasks_of(&self, app: &str) -> Result<Vec<Value>> {
        let Some(service) = self.service_of(app).await? else { return Ok(Vec::new()) };
        let filters = format!(r#"{{"service":["{}"]}}"#, text(&service, "/ID")?);
        let tasks = self.get(&format!("/tasks?filters={}", encoded(&filters))).await?;
        Ok(list(&tasks, "")?.to_vec())
    }

    /// Ids of an app's running tasks, sorted.
    pub async fn running_ids(&self, app: &str) -> Result<Vec<String>> {
        let tasks = self.tasks_of(app).await?;
        let running = tasks.iter().filter(|task| task["Status"]["State"] == "running");
        let mut ids =
            running.map(|task| Ok(text(task, "/ID")?.to_owned())).collect::<Result<Vec<_>>>()?;
        ids.sort();
        Ok(ids)
    }

    /// The container of an app's first running task.
    pub async fn container_of(&self, app: &str) -> Result<String> {
        let tasks = self.tasks_of(app).await?;
        let running = tasks.iter().find(|task| task["Status"]["State"] == "running");
        let task = running.with_context(|| format!("no task of {app} runs"))?;
        Ok(text(task, "/Status/ContainerStatus/ContainerID")?.to_owned())
    }

    /// The address of an app's first running task in a network.
    pub async fn address_of(&self, app: &str, network: &str) -> Result<Ipv4Addr> {
        let container =
            self.get(&format!("/containers/{}/json", self.container_of(app).await?)).await?;
        let attached = &container["NetworkSettings"]["Networks"][network];
        Ok(text(attached, "/IPAddress")?.parse()?)
    }

    /// The address that the app's first running task has on `docker_gwbridge`, the bridge by which
    /// every container on an overlay reaches its node.
    pub async fn bridge_address_of(&self, app: &str) -> Result<Ipv4Addr> {
        let container =
            self.get(&format!("/containers/{}/json", self.container_of(app).await?)).await?;
        let sandbox = text(&container, "/NetworkSettings/SandboxID")?;
        let bridge = self.get("/networks/docker_gwbridge").await?;
        let endpoints = bridge["Containers"].as_object().context("the bridge has no containers")?;
        let name = format!("gateway_{}", sandbox.get(..12).unwrap_or(sandbox));
        let endpoint = endpoints.values().find(|endpoint| endpoint["Name"] == name);
        let address = text(
            endpoint.with_context(|| format!("{name} is not on the bridge"))?,
            "/IPv4Address",
        )?;
        Ok(address.split('/').next().unwrap_or(address).parse()?)
    }

    /// What the sample app answers, asked from inside a container of `app`: from inside its
    /// network, that is.
    pub async fn ask_from(&self, app: &str, url: &str) -> Result<(u16, Value)> {
        let answer = self.try_from(app, url).await?;
        answer.map_err(|why| anyhow::anyhow!("asked from inside {app}: {why}"))
    }

    /// The same; the inner error says why nobody answered.
    pub async fn try_from(&self, app: &str, url: &str) -> Result<Result<(u16, Value), String>> {
        self.try_from_container(&self.container_of(app).await?, url).await
    }

    /// The same, asked from inside one of this node's containers.
    pub async fn try_from_container(
        &self,
        container: &str,
        url: &str,
    ) -> Result<Result<(u16, Value), String>> {
        let output = self.exec(container, &["/app", "get", url]).await?;
        let (status, body) = output.split_once('\n').unwrap_or((&output, ""));
        Ok(match status.trim().parse() {
            Ok(status) => Ok((status, serde_json::from_str(body).unwrap_or_default())),
            Err(_) => Err(output),
        })
    }

    async fn exec(&self, container: &str, command: &[&str]) -> Result<String> {
        let config = ExecConfig {
            cmd: Some(command.iter().map(ToString::to_string).collect()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let exec = self.docker.create_exec(container, config).await?.id;
        let StartExecResults::Attached { output, .. } = self.docker.start_exec(&exec, None).await?
        else {
            anyhow::bail!("the command started detached")
        };
        let lines: Vec<_> = timeout(PATIENCE, output.try_collect()).await??;
        Ok(lines.into_iter().map(|line| line.to_string()).collect())
    }

    /// Runs a command line as root in this node's own network namespace, with the programs that the node has; what it printed. An
    /// error where it fails.
    pub async fn shell(&self, image: &str, command: &str) -> Result<String> {
        let binds = ["/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc"];
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(["/bin/bash", "-euo", "pipefail", "-c"].map(str::to_owned).to_vec()),
            cmd: Some(vec![command.to_owned()]),
            user: Some("0:0".to_owned()),
            host_config: Some(HostConfig {
                network_mode: Some("host".to_owned()),
                cap_add: Some(["NET_ADMIN", "NET_RAW"].map(str::to_owned).to_vec()),
                binds: Some(binds.iter().map(|path| format!("{path}:{path}:ro")).collect()),
                tmpfs: Some([("/run".to_owned(), String::new())].into()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let id = self.docker.create_container(None::<CreateContainerOptions>, body).await?.id;
        self.docker.start_container(&id, None::<StartContainerOptions>).await?;
        let ended = self.docker.wait_container(&id, None::<WaitContainerOptions>);
        // That it failed is an error of bollard's.
        let ended = timeout(SHELL, ended.try_collect::<Vec<_>>()).await;
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).build();
        let lines = self.docker.logs(&id, Some(options)).map_ok(|line| line.to_string());
        let printed: Vec<String> = timeout(PATIENCE, lines.try_collect()).await??;
        let printed = printed.concat();
        let remove = RemoveContainerOptionsBuilder::new().force(true).build();
        self.docker.remove_container(&id, Some(remove)).await?;
        ended
            .with_context(|| format!("`{command}` did not end: {printed}"))?
            .with_context(|| format!("`{command}` failed: {printed}"))?;
        Ok(printed)
    }

    /// Everything that a task has written to standard output.
    pub async fn task_log(&self, task: &str) -> Result<Vec<String>> {
        let options = LogsOptionsBuilder::new().stdout(true).build();
        let stream = self.docker.task_logs(task, Some(options)).map_ok(|line| line.to_string());
        let chunks: Vec<String> = timeout(PATIENCE, stream.try_collect()).await??;
        Ok(chunks.concat().lines().map(str::to_owned).collect())
    }

    /// Takes away every service, config and network of an installation.
    pub async fn remove_platform(&self, platform: &str) -> Result<()> {
        // Probes of a check that nobody ended: they bear a label of their own, and hold networks.
        for probe in self.labelled("services", &format!("skep.checks={platform}")).await? {
            self.delete(&format!("/services/{}", text(&probe, "/ID")?)).await?;
        }
        let label = format!("skep.platform={platform}");
        for (objects, delay) in [("services", 0), ("configs", 50), ("networks", 50)] {
            for found in self.labelled(objects, &label).await? {
                let id = found["ID"].as_str().or(found["Id"].as_str()).context("no id")?;
                // A network or a config can go when its last task has.
                let path = format!("/{objects}/{id}");
                let mut tries = 0;
                while !self.delete(&path).await? {
                    tries += 1;
                    ensure!(tries < 400, "{objects} {id} of {platform} cannot be removed");
                    tokio::time::sleep(Duration::from_millis(delay.max(10))).await;
                }
            }
        }
        Ok(())
    }

    /// One request on a connection of its own. HTTP/1.0, so that the answer ends with the connection.
    async fn exchange(&self, method: &str, path: &str) -> Result<(u16, String)> {
        let stream = UnixStream::connect(&self.socket).await;
        let mut stream = stream.with_context(|| self.socket.clone())?;
        stream
            .write_all(format!("{method} {path} HTTP/1.0\r\nHost: docker\r\n\r\n").as_bytes())
            .await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        let answer = String::from_utf8(bytes)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("not an HTTP answer")?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok((status, body.to_owned()))
    }
}

/// Percent-encoded for a query.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
