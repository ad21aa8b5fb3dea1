//! Specs as somebody would write them who wants more than an app.

use model::health_check::{HealthCheck, HealthTest};
use model::policy;
use model::spec::{AppSpec, Tmpfs};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// What somebody would try who wants more than an app.
const HOSTILE: &[&str] = &[
    "/var/run/docker.sock",
    "/var/run/docker.sock:/var/run/docker.sock",
    "type=bind,src=/,dst=/host",
    "/",
    "/proc/../etc",
    "/run/secrets/../../etc",
    "/tmp/{{.Node.Hostname}}",
    "{{.Node.Hostname}}",
    "{{{.Service.Name}}}",
    "{{ env \"PATH\" }}",
    "host",
    "container:web",
    "ingress",
    "docker_gwbridge",
    "--privileged",
    "CAP_SYS_ADMIN",
    "kernel.core_pattern=|/bin/sh",
    "node.role==manager",
    "node.role == manager",
    "node.role!=worker",
    "node.labels.a==b,node.role==manager",
    "node.hostname==a",
    "skep.platform",
    "skep.organization",
    "com.docker.swarm.service.name",
    "tenant.x",
    "SKEP_PLATFORM",
    "PATH",
    "0:0",
    "root",
    "web\0",
    "a=b",
    "=",
    "",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        select(HOSTILE).prop_map(str::to_owned),
        "[ -~]{0,24}",
        "/[a-z/.{}]{0,16}",
        "node\\.(labels\\.[a-z]{1,4}|role|hostname|platform\\.os)(==|!=)[a-z]{1,8}",
        any::<String>().prop_map(|text| text.chars().take(24).collect()),
    ]
}

/// One field of a spec, set to something.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Command(Vec<String>),
    Args(Vec<String>),
    User(String),
    WorkingDir(String),
    Env(String, String),
    Ports(u16, Vec<u16>),
    Size(u32, u32, u32),
    Probe(u16, String),
    Check(Vec<String>),
    Constraints(Vec<String>),
    StopSignal(String),
    Tmpfs(String, u32),
    Label(String, String),
    Flags(bool, bool),
}

pub(super) fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        vec(text(), 0..4).prop_map(Change::Command),
        vec(text(), 0..4).prop_map(Change::Args),
        text().prop_map(Change::User),
        text().prop_map(Change::WorkingDir),
        (prop_oneof![text(), "[A-Z]{1,6}"], text())
            .prop_map(|(name, value)| Change::Env(name, value)),
        (any::<u16>(), vec(any::<u16>(), 0..3)).prop_map(|(port, more)| Change::Ports(port, more)),
        (400..70_000_u32, 200..300_000_u32, 0..600_u32).prop_map(|(c, m, d)| Change::Size(c, m, d)),
        (any::<u16>(), text()).prop_map(|(port, path)| Change::Probe(port, path)),
        vec(text(), 0..4).prop_map(Change::Check),
        vec(text(), 0..3).prop_map(Change::Constraints),
        prop_oneof![text(), select(policy::STOP_SIGNALS).prop_map(str::to_owned)]
            .prop_map(Change::StopSignal),
        (text(), 0..2000_u32).prop_map(|(path, size)| Change::Tmpfs(path, size)),
        (text(), text()).prop_map(|(key, value)| Change::Label(key, value)),
        any::<(bool, bool)>().prop_map(|(init, read_only)| Change::Flags(init, read_only)),
    ]
}

pub(super) fn changed(changes: Vec<Change>) -> AppSpec {
    let mut spec = AppSpec::of_image("web:v1");
    let checked = |test| HealthCheck {
        test,
        port_of_app: false,
        interval_seconds: 10,
        timeout_seconds: 5,
        retries: 3,
        start_period_seconds: 0,
    };
    for change in changes {
        match change {
            Change::Command(words) => spec.command = Some(words),
            Change::Args(words) => spec.args = Some(words),
            Change::User(user) => spec.user = Some(user),
            Change::WorkingDir(path) => spec.working_dir = Some(path),
            Change::Env(name, value) => _ = spec.env.insert(name, value),
            Change::Ports(port, more) => (spec.port, spec.extra_ports) = (Some(port), more),
            Change::Size(cpu, memory, disk) => {
                (spec.cpu_millis, spec.memory_mb, spec.disk_gb) = (cpu, memory, disk);
            }
            Change::Probe(port, path) => {
                spec.health_check = Some(checked(HealthTest::Http { port, path }));
            }
            Change::Check(command) => {
                spec.health_check = Some(checked(HealthTest::Command { command }));
            }
            Change::Constraints(constraints) => spec.constraints = constraints,
            Change::StopSignal(signal) => spec.stop_signal = signal,
            Change::Tmpfs(path, size_mb) => spec.tmpfs.push(Tmpfs { path, size_mb }),
            Change::Label(key, value) => _ = spec.labels.insert(key, value),
            Change::Flags(init, read_only) => (spec.init, spec.read_only) = (init, read_only),
        }
    }
    spec
}
