//! The files that secrets and configs become in a container: what they may be named, and where they may stand.

use std::collections::BTreeMap;

use super::Findings;
use crate::names::PROBE_PATH;
use crate::secret::{NAME_RULE, SECRETS_DIRECTORY, SecretKind, SecretName};
use crate::spec::AppSpec;

/// Where no config's file may be, nor below: the kernel's, and what Swarm and the platform keep there.
const CLOSED: &[&str] = &["/proc", "/sys", "/dev", SECRETS_DIRECTORY, PROBE_PATH];
/// Files that Docker writes itself.
const DOCKERS: &[&str] = &["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];
/// What holds for a config's path.
const PATH_RULE: &str = "a file's path: not /, not /proc, /sys, /dev, /run/secrets or /skep-probe, nor below them, nor /etc/hosts, /etc/hostname, /etc/resolv.conf";

/// Whether `path` is `directory`, or below it.
fn within(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(super) fn check_files(spec: &AppSpec, found: &mut Findings) {
    found.count("secrets", spec.secrets.len());
    found.count("configs", spec.configs.len());
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    let mut paths: BTreeMap<String, String> = BTreeMap::new();
    for file in spec.mounted() {
        let list = file.kind.plural();
        let Ok(name) = file.reference.name.parse::<SecretName>() else {
            found.add(format!("{list}.name"), NAME_RULE);
            continue;
        };
        let field = file.field();
        if file.reference.version.is_some_and(|version| version < 1) {
            found.add(format!("{field}.version"), "a version's number, from 1 on");
        }
        let variable = name.variable();
        if spec.env.contains_key(&variable) {
            let rule = format!("its file is told to the app by {variable}, which env sets, too");
            found.add(&field, rule);
        }
        if let Some(other) = variables.insert(variable.clone(), field.clone()) {
            let rule =
                format!("its file is told to the app by {variable}, and so is that of {other}");
            found.add(&field, rule);
        }
        let path = file.path();
        if let Some(other) = paths.insert(path.trim_end_matches('/').to_owned(), field.clone())
            && file.kind == SecretKind::Config
        {
            found.add(format!("{field}.path"), format!("each path once; {other} is there, too"));
        }
        if file.kind == SecretKind::Config {
            check_path(spec, &format!("{field}.path"), &path, found);
        }
    }
    check_nesting(&paths, found);
}

fn check_path(spec: &AppSpec, field: &str, path: &str, found: &mut Findings) {
    found.path(field, path);
    let plain = path.trim_end_matches('/');
    let odd = plain.len() != path.len()
        || plain.split('/').skip(1).any(|part| part.is_empty() || part == ".");
    if odd || DOCKERS.contains(&plain) || CLOSED.iter().any(|closed| within(plain, closed)) {
        found.add(field, PATH_RULE);
    }
    let covering = spec.tmpfs.iter().find(|tmpfs| within(plain, tmpfs.path.trim_end_matches('/')));
    if let Some(tmpfs) = covering {
        found.add(field, format!("not within the tmpfs {}, which would cover it", tmpfs.path));
    }
}

/// A file has nothing below it.
fn check_nesting(paths: &BTreeMap<String, String>, found: &mut Findings) {
    for (path, field) in paths {
        let above = paths.iter().find(|(other, _)| *other != path && within(path, other));
        if let Some((other, _)) = above {
            found.add(format!("{field}.path"), format!("not below {other}, which is a file"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Violation;
    use crate::policy::{Exceptions, check};
    use crate::secret::{ConfigRef, SecretRef};
    use crate::spec::Tmpfs;

    fn reference(name: &str) -> SecretRef {
        SecretRef { name: name.to_owned(), version: None, follows: false }
    }

    fn config(name: &str, path: &str) -> ConfigRef {
        ConfigRef { config: reference(name), path: path.to_owned() }
    }

    fn fields(change: impl FnOnce(&mut AppSpec)) -> Vec<String> {
        let mut spec = AppSpec::of_image("web:v1");
        change(&mut spec);
        let field = |violation: Violation| violation.field;
        check(&spec, Exceptions::NONE).into_iter().map(field).collect()
    }

    #[test]
    fn what_apps_usually_have_is_fine() {
        let broken = fields(|spec| {
            spec.secrets = vec![
                reference("db-password"),
                SecretRef { version: Some(3), ..reference("tls.key") },
            ];
            spec.configs =
                vec![config("nginx", "/etc/nginx/nginx.conf"), config("app", "/app.toml")];
            spec.env.insert("DB_PASSWORD".into(), "x".into());
        });
        assert_eq!(broken, Vec::<String>::new());
    }

    #[test]
    fn names_variables_and_paths_stand_alone() {
        let twice = fields(|spec| spec.secrets = vec![reference("a-b"), reference("a.b")]);
        assert_eq!(twice, ["secrets.a.b"]);
        let env = fields(|spec| {
            spec.secrets = vec![reference("key")];
            spec.env.insert("KEY_FILE".into(), "/mine".into());
        });
        assert_eq!(env, ["secrets.key"]);
        assert_eq!(fields(|spec| spec.secrets = vec![reference("../etc")]), ["secrets.name"]);
        let version = SecretRef { version: Some(0), ..reference("a") };
        assert_eq!(fields(|spec| spec.secrets = vec![version]), ["secrets.a.version"]);
        let paths =
            fields(|spec| spec.configs = vec![config("a", "/etc/x"), config("b", "/etc/x")]);
        assert_eq!(paths, ["configs.b.path"]);
        let below = fields(|spec| spec.configs = vec![config("a", "/x"), config("b", "/x/y")]);
        assert_eq!(below, ["configs.b.path"]);
    }

    #[test]
    fn no_path_reaches_what_is_not_the_tenants() {
        for path in [
            "/",
            "/proc/1/mem",
            "/sys",
            "/dev/null",
            "/run/secrets/db",
            "/skep-probe",
            "/etc/hosts",
            "/etc/../etc/hosts",
            "relative",
            "/a//b",
            "/a/./b",
            "/dir/",
            "/{{.Node.ID}}",
        ] {
            let broken = fields(|spec| spec.configs = vec![config("a", path)]);
            assert!(
                broken.iter().all(|field| field == "configs.a.path") && !broken.is_empty(),
                "{path}"
            );
        }
        let covered = fields(|spec| {
            spec.tmpfs = vec![Tmpfs { path: "/cache/".into(), size_mb: 1 }];
            spec.configs = vec![config("a", "/cache/x")];
        });
        assert_eq!(covered, ["configs.a.path"]);
    }
}
