//! Each rule with what breaks it.

use super::*;
use crate::spec::Tmpfs;

fn fields(change: impl FnOnce(&mut AppSpec)) -> Vec<String> {
    fields_with(&[], change)
}

fn fields_with(exceptions: &[PolicyException], change: impl FnOnce(&mut AppSpec)) -> Vec<String> {
    let mut spec = AppSpec::of_image("web:v1");
    change(&mut spec);
    check(&spec, exceptions.iter().collect()).into_iter().map(|violation| violation.field).collect()
}

#[test]
fn the_defaults_are_allowed() {
    assert_eq!(check(&AppSpec::of_image("web:v1"), Exceptions::NONE), []);
}

#[test]
fn each_broken_rule_names_its_field() {
    assert_eq!(fields(|s| s.image = "web".into()), ["image"]);
    assert_eq!(fields(|s| s.cpu_millis = 499), ["cpu"]);
    assert_eq!(fields(|s| s.memory_mb = 255), ["memory"]);
    assert_eq!(fields(|s| s.update_policy.delay_seconds = 11), ["update_policy.monitor"]);
    assert_eq!(
        fields(|s| s.update_policy.max_failure_ratio = f32::NAN),
        ["update_policy.max_failure_ratio"]
    );
    assert_eq!(fields(|s| s.stop_signal = "SIGSTOP".into()), ["stop_signal"]);
    assert_eq!(fields(|s| s.deadlines.healthy_seconds = 595), ["deadlines.progress"]);
    let slow = |s: &mut AppSpec| {
        s.health_check = Some(HealthCheck {
            test: HealthTest::Tcp { port: 80 },
            port_of_app: false,
            interval_seconds: 60,
            timeout_seconds: 1,
            retries: 3,
            start_period_seconds: 0,
        });
    };
    assert_eq!(fields(slow), ["deadlines.healthy"]);
    assert_eq!(fields(|s| s.user = Some("a b".into())), ["user"]);
    assert_eq!(fields(|s| s.extra_ports = vec![80, 80]), ["extra_ports"]);
    assert_eq!(fields(|s| _ = s.env.insert("SKEP_X".into(), "1".into())), ["env.SKEP_X"]);
    assert_eq!(fields(|s| _ = s.env.insert("A".into(), "\0".into())), ["env.A"]);
    assert_eq!(fields(|s| _ = s.env.insert("A".into(), "x".repeat(40_000))), ["env"]);
}

#[test]
fn placement_is_by_label_and_platform_only() {
    for good in ["node.labels.gpu==true", "node.platform.arch!=arm64"] {
        assert_eq!(fields(|s| s.constraints = vec![good.into()]), [""; 0], "{good}");
    }
    for bad in [
        "node.role==manager",
        "node.hostname==a",
        "node.id==x",
        "node.ip==1.2.3.4",
        "engine.labels.x==y",
        "node.labels.==x",
        "node.labels.a==",
        "node.labels.a == b",
        "",
    ] {
        assert_eq!(
            fields(|s| s.constraints = vec![bad.into()]),
            ["placement.constraints"],
            "{bad}"
        );
    }
}

#[test]
fn a_tmpfs_covers_nothing_of_the_platforms() {
    for bad in [
        "/",
        "/proc",
        "/dev/shm/x",
        "/run/secrets",
        "/etc/x",
        "/{{\"proc\"}}",
        "/skep-probe",
        "tmp",
        "/a/../etc",
    ] {
        let found = fields(|s| s.tmpfs = vec![Tmpfs { path: bad.into(), size_mb: 1 }]);
        assert_eq!(found, ["tmpfs.path"], "{bad}");
    }
    assert_eq!(fields(|s| s.tmpfs = vec![Tmpfs { path: "/tmp".into(), size_mb: 64 }]), [""; 0]);
}

#[test]
fn an_exception_widens_its_own_rule_only() {
    use PolicyException::{LargeReplicas, NamedNodes};
    let large = |s: &mut AppSpec| (s.cpu_millis, s.memory_mb) = (64_000, 256 * 1024);
    let larger = |s: &mut AppSpec| (s.cpu_millis, s.memory_mb) = (64_001, 256 * 1024 + 1);
    let named = |s: &mut AppSpec| s.constraints = vec!["node.hostname==a".into()];
    for (exceptions, of_large, of_named) in [
        (&[][..], &["cpu", "memory"][..], &["placement.constraints"][..]),
        (&[LargeReplicas], &[], &["placement.constraints"]),
        (&[NamedNodes], &["cpu", "memory"], &[]),
        (&[LargeReplicas, NamedNodes], &[], &[]),
    ] {
        assert_eq!(fields_with(exceptions, large), of_large, "{exceptions:?}");
        assert_eq!(fields_with(exceptions, named), of_named, "{exceptions:?}");
        assert_eq!(fields_with(exceptions, larger), ["cpu", "memory"], "{exceptions:?}");
        let manager = |s: &mut AppSpec| s.constraints = vec!["node.role==manager".into()];
        assert_eq!(fields_with(exceptions, manager), ["placement.constraints"]);
    }
}
