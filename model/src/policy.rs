//! What a tenant may ask for. Every spec passes here before it is written, and again before it is
//! deployed: an allow-list, so that a field which nobody thought of is refused and not forwarded.
//!
//! A spec has no field for mounts of the host, host networking, privileges, capabilities, devices,
//! published ports or foreign networks. What is checked here is what the fields that exist could
//! still smuggle.
//!
//! Who may ask at all is in [`access`]; what an organization may have beyond the rules, in [`exception`].

pub mod access;
pub mod exception;
mod files;

use std::collections::BTreeSet;

use crate::error::Violation;
use crate::health_check::{HealthCheck, HealthTest};
use crate::image::{IMAGE_RULE, ImageReference};
use crate::spec::AppSpec;
use crate::update_policy::{Deadlines, UpdatePolicy};
use crate::{Error, Result};

pub use exception::{Exceptions, PolicyException};

/// Most environment variables of an app.
pub const MAX_ENV: usize = 256;
/// Most bytes of all environment values together.
pub const MAX_ENV_BYTES: usize = 32 * 1024;
/// Most entries of any list or map of a spec.
pub const MAX_ENTRIES: usize = 64;
/// Longest single text of a spec, in bytes.
pub const MAX_TEXT: usize = 4096;
/// Prefix of environment names that the platform keeps for itself.
pub const RESERVED_ENV_PREFIX: &str = "SKEP_";

/// Signals that a tenant may choose to stop a replica with.
pub const STOP_SIGNALS: &[&str] =
    &["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGKILL"];

/// Paths that a tmpfs must not cover: the kernel's, the platform's, and the root itself.
const PROTECTED_PATHS: &[&str] =
    &["/", "/proc", "/sys", "/dev", "/etc", "/run/secrets", crate::names::PROBE_PATH];

/// Lets a spec pass that a tenant with these exceptions may have, and says of another one what it breaks.
pub fn admit(spec: &AppSpec, exceptions: Exceptions) -> Result<()> {
    let violations = check(spec, exceptions);
    if violations.is_empty() { Ok(()) } else { Err(Error::invalid(violations)) }
}

/// Every rule that `spec` breaks; empty: a tenant with these exceptions may have it.
pub fn check(spec: &AppSpec, exceptions: Exceptions) -> Vec<Violation> {
    let mut found = Findings(Vec::new());
    if ImageReference::parse(&spec.image).is_none() {
        found.add("image", IMAGE_RULE);
    } else if spec.image.starts_with("sha256:") {
        found.add("image", "a reference to a repository, and no image's id");
    }
    found.words("command", spec.command.as_deref());
    found.words("args", spec.args.as_deref());
    if spec.command.as_ref().is_some_and(Vec::is_empty) {
        found.add("command", "names at least the program");
    }
    if let Some(user) = &spec.user {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
        if user.is_empty() || user.len() > 64 || !user.chars().all(allowed) {
            found.add(
                "user",
                "a user name or id, with :group at will; 1 to 64 of a-z, A-Z, 0-9, . _ - :",
            );
        }
    }
    if let Some(dir) = &spec.working_dir {
        found.path("working_dir", dir);
    }
    check_env(spec, &mut found);
    files::check_files(spec, &mut found);
    check_ports(spec, &mut found);
    if exceptions.have(PolicyException::LargeReplicas) {
        found.range("cpu", spec.cpu_millis, 500, 64_000, "from 0.5 to 64 cores");
        found.range("memory", spec.memory_mb, 256, 256 * 1024, "from 256 to 262144 MB");
    } else {
        found.range("cpu", spec.cpu_millis, 500, 16_000, "from 0.5 to 16 cores");
        found.range("memory", spec.memory_mb, 256, 32 * 1024, "from 256 to 32768 MB");
    }
    found.range("disk", spec.disk_gb, 1, 500, "from 1 to 500 GB");
    if let Some(check) = &spec.health_check {
        check_health(check, &mut found);
    }
    check_update_policy(&spec.update_policy, &mut found);
    check_deadlines(&spec.deadlines, &mut found);
    check_patience(spec, &mut found);
    found.count("placement.constraints", spec.constraints.len());
    for constraint in &spec.constraints {
        if !constraint_allowed(constraint, exceptions) {
            found.add("placement.constraints", CONSTRAINT_RULE);
        }
    }
    if !STOP_SIGNALS.contains(&spec.stop_signal.as_str()) {
        found.add("stop_signal", format!("one of {}", STOP_SIGNALS.join(", ")));
    }
    found.range(
        "stop_grace_period",
        spec.stop_grace_period_seconds,
        1,
        300,
        "from 1 to 300 seconds",
    );
    found.range("restart.delay", spec.restart.delay_seconds, 0, 600, "from 0 to 600 seconds");
    check_tmpfs(spec, &mut found);
    check_labels(spec, &mut found);
    found.0
}

/// The rule of placement constraints, as people read it.
pub const CONSTRAINT_RULE: &str = "node.labels.KEY, node.platform.os or node.platform.arch, then == or != and a value of a-z, A-Z, 0-9, . _ -; node.hostname where the organization has the exception named_nodes";

/// Whether a tenant may place by this: never by role, id or address of a node, and by its name with an
/// exception only.
fn constraint_allowed(text: &str, exceptions: Exceptions) -> bool {
    let Some((key, value)) = text.split_once("==").or_else(|| text.split_once("!=")) else {
        return false;
    };
    let plain = |text: &str| {
        (1..=63).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let key_allowed = match key.strip_prefix("node.labels.") {
        Some(label) => plain(label),
        None if key == "node.hostname" => exceptions.have(PolicyException::NamedNodes),
        None => ["node.platform.os", "node.platform.arch"].contains(&key),
    };
    key_allowed && plain(value)
}

fn check_env(spec: &AppSpec, found: &mut Findings) {
    if spec.env.len() > MAX_ENV {
        found.add("env", format!("at most {MAX_ENV} names"));
    }
    let bytes: usize = spec.env.values().map(String::len).sum();
    if bytes > MAX_ENV_BYTES {
        found.add(
            "env",
            format!("values of at most {MAX_ENV_BYTES} bytes in all; these have {bytes}"),
        );
    }
    for (name, value) in &spec.env {
        let mut chars = name.chars();
        let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !starts || name.len() > 128 || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
            found
                .add("env", "names of a-z, A-Z, 0-9 and _, not starting with a digit, at most 128");
        } else if name.starts_with(RESERVED_ENV_PREFIX) {
            found.add(format!("env.{name}"), "names that start with SKEP_ are the platform's");
        } else if value.contains('\0') {
            found.add(format!("env.{name}"), "no NUL characters");
        }
    }
}

fn check_ports(spec: &AppSpec, found: &mut Findings) {
    found.count("extra_ports", spec.extra_ports.len());
    let mut seen = BTreeSet::new();
    for (field, port) in spec
        .port
        .iter()
        .map(|p| ("port", p))
        .chain(spec.extra_ports.iter().map(|p| ("extra_ports", p)))
    {
        if *port == 0 {
            found.add(field, "a port from 1 to 65535");
        } else if !seen.insert(*port) {
            found.add(field, format!("each port once; {port} is there twice"));
        }
    }
}

fn check_health(check: &HealthCheck, found: &mut Findings) {
    found.range("health_check.interval", check.interval_seconds, 1, 300, "from 1 to 300 seconds");
    found.range("health_check.timeout", check.timeout_seconds, 1, 60, "from 1 to 60 seconds");
    found.range("health_check.retries", check.retries, 1, 10, "from 1 to 10");
    found.range(
        "health_check.start_period",
        check.start_period_seconds,
        0,
        1800,
        "from 0 to 1800 seconds",
    );
    match &check.test {
        HealthTest::Http { port, path } => {
            found.range(
                "health_check.http.port",
                u32::from(*port),
                1,
                65_535,
                "a port from 1 to 65535",
            );
            let clean = |c: char| c.is_ascii_graphic();
            if !path.starts_with('/') || path.len() > 1024 || !path.chars().all(clean) {
                found.add(
                    "health_check.http.path",
                    "starts with a slash; visible ASCII characters, at most 1024",
                );
            }
        }
        HealthTest::Tcp { port } => {
            found.range(
                "health_check.tcp.port",
                u32::from(*port),
                1,
                65_535,
                "a port from 1 to 65535",
            );
        }
        HealthTest::Command { command } => {
            if command.is_empty() {
                found.add("health_check.command", "names at least the program");
            }
            found.words("health_check.command", Some(command));
        }
    }
}

fn check_update_policy(policy: &UpdatePolicy, found: &mut Findings) {
    found.range("update_policy.parallelism", policy.parallelism, 1, 100, "from 1 to 100");
    found.range("update_policy.delay", policy.delay_seconds, 0, 600, "from 0 to 600 seconds");
    found.range("update_policy.monitor", policy.monitor_seconds, 5, 900, "from 5 to 900 seconds");
    if policy.monitor_seconds < policy.delay_seconds.saturating_add(5) {
        found.add(
            "update_policy.monitor",
            format!("at least delay + 5 s, here {} s", policy.delay_seconds.saturating_add(5)),
        );
    }
    if !(0.0..=1.0).contains(&policy.max_failure_ratio) {
        found.add("update_policy.max_failure_ratio", "from 0 to 1");
    }
}

fn check_deadlines(deadlines: &Deadlines, found: &mut Findings) {
    let Deadlines { schedule_seconds, pull_seconds, healthy_seconds, progress_seconds, .. } =
        *deadlines;
    found.range("deadlines.schedule", schedule_seconds, 10, 1800, "from 10 to 1800 seconds");
    found.range("deadlines.pull", pull_seconds, 30, 3600, "from 30 to 3600 seconds");
    found.range("deadlines.healthy", healthy_seconds, 5, 1800, "from 5 to 1800 seconds");
    found.range("deadlines.progress", progress_seconds, 60, 7200, "from 60 to 7200 seconds");
}

/// Deadlines that the app's own settings could never meet are refused before they fail every
/// deployment.
fn check_patience(spec: &AppSpec, found: &mut Findings) {
    let Deadlines { healthy_seconds, progress_seconds, .. } = spec.deadlines;
    if let Some(check) = &spec.health_check {
        // Docker probes first after one interval, and a task starts until a probe has said yes.
        let first = check.interval_seconds.saturating_add(check.timeout_seconds);
        let least = first.max(check.start_period_seconds);
        if healthy_seconds < least {
            found.add(
                "deadlines.healthy",
                format!(
                    "at least health_check.interval + timeout, and start_period: here {least} s"
                ),
            );
        }
    }
    let least = spec.update_policy.delay_seconds.saturating_add(healthy_seconds);
    if progress_seconds < least {
        found.add(
            "deadlines.progress",
            format!("at least update_policy.delay + deadlines.healthy: here {least} s"),
        );
    }
}

fn check_tmpfs(spec: &AppSpec, found: &mut Findings) {
    found.count("tmpfs", spec.tmpfs.len());
    let mut seen = BTreeSet::new();
    for tmpfs in &spec.tmpfs {
        found.path("tmpfs.path", &tmpfs.path);
        let path = tmpfs.path.trim_end_matches('/');
        let covers = |protected: &&str| {
            path.is_empty()
                || *protected == path
                || path.strip_prefix(*protected).is_some_and(|rest| rest.starts_with('/'))
                    && *protected != "/"
        };
        if PROTECTED_PATHS.iter().any(covers) {
            found.add("tmpfs.path", format!("not {}, nor below it", PROTECTED_PATHS.join(", ")));
        }
        if !seen.insert(path) {
            found.add("tmpfs.path", "each path once");
        }
        found.range("tmpfs.size", tmpfs.size_mb, 1, 1024, "from 1 to 1024 MB");
    }
}

fn check_labels(spec: &AppSpec, found: &mut Findings) {
    found.count("labels", spec.labels.len());
    for (key, value) in &spec.labels {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        if key.is_empty() || key.len() > 63 || !key.chars().all(plain) {
            found.add("labels", "keys of 1 to 63 of a-z, A-Z, 0-9, . _ - /");
        }
        found.text(&format!("labels.{key}"), value, 256);
    }
}

struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, field: impl Into<String>, rule: impl Into<String>) {
        let violation = Violation::new(field, rule);
        if !self.0.contains(&violation) {
            self.0.push(violation);
        }
    }

    fn range(&mut self, field: &str, value: u32, min: u32, max: u32, rule: &str) {
        if !(min..=max).contains(&value) {
            self.add(field, rule);
        }
    }

    fn count(&mut self, field: &str, count: usize) {
        if count > MAX_ENTRIES {
            self.add(field, format!("at most {MAX_ENTRIES} entries"));
        }
    }

    fn words(&mut self, field: &str, words: Option<&[String]>) {
        let words = words.unwrap_or_default();
        self.count(field, words.len());
        for word in words {
            // Tabs and line breaks are fine in an argument (a script), NUL is not.
            if word.len() > MAX_TEXT || word.contains('\0') {
                self.add(field, format!("words of at most {MAX_TEXT} bytes without NUL"));
            }
        }
    }

    fn text(&mut self, field: &str, text: &str, max: usize) {
        if text.len() > max || text.chars().any(char::is_control) {
            self.add(field, format!("at most {max} bytes without control characters"));
        }
    }

    fn path(&mut self, field: &str, path: &str) {
        let steps_up = path.split('/').any(|part| part == "..");
        // Swarm expands Go templates in mount targets.
        let clean = path.chars().all(|c| !c.is_control() && !":,{}".contains(c));
        if !path.starts_with('/') || path.len() > 255 || steps_up || !clean {
            self.add(
                field,
                "an absolute path of at most 255 bytes, without .. and without : , { } or control characters",
            );
        }
    }
}

#[cfg(test)]
mod tests;
