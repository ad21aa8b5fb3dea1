//! The parts of a spec as Docker tells it, hashed: two specs are told apart by what differs, and nothing that a tenant wrote
//! into one is kept. What bollard loses when it reads a spec has no part here: the health check.

use std::collections::BTreeMap;

use bollard::models::ServiceSpec;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Objects whose fields are parts of their own.
const OPENED: [&str; 3] = ["TaskTemplate", "ContainerSpec", "Resources"];

/// What is compared as what it is, as JSON pointers to objects and fields in them.
const TOLD_APART: [(&str, &str); 3] = [
    ("/Mode/Replicated", "Replicas"),
    ("/TaskTemplate", "ForceUpdate"),
    ("/TaskTemplate/ContainerSpec", "Image"),
];

/// Hashes of the parts, by their paths.
pub(super) fn parts(spec: &ServiceSpec) -> serde_json::Result<BTreeMap<String, String>> {
    let mut spec = serde_json::to_value(spec)?;
    for (object, field) in TOLD_APART {
        if let Some(Value::Object(object)) = spec.pointer_mut(object) {
            object.remove(field);
        }
    }
    // bollard keeps labels and options in maps without an order.
    spec.sort_all_objects();
    let mut parts = BTreeMap::new();
    gather("", &spec, &mut parts);
    Ok(parts)
}

fn gather(path: &str, object: &Value, parts: &mut BTreeMap<String, String>) {
    for (field, value) in object.as_object().into_iter().flatten() {
        let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
        if OPENED.contains(&field.as_str()) {
            gather(&path, value, parts);
        } else {
            parts.insert(path, hex::encode(&Sha256::digest(value.to_string())[..8]));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bollard::models::{
        Limit, ServiceSpecMode, ServiceSpecModeReplicated, TaskSpec, TaskSpecContainerSpec,
        TaskSpecResources,
    };

    use super::*;

    fn spec() -> ServiceSpec {
        let labels = (0..20).map(|number| (format!("label-{number}"), number.to_string()));
        ServiceSpec {
            labels: Some(labels.collect::<HashMap<_, _>>()),
            mode: Some(ServiceSpecMode {
                replicated: Some(ServiceSpecModeReplicated { replicas: Some(2) }),
                ..ServiceSpecMode::default()
            }),
            task_template: Some(TaskSpec {
                container_spec: Some(TaskSpecContainerSpec {
                    image: Some("web:v1".into()),
                    env: Some(vec!["KEY=secret".into()]),
                    ..TaskSpecContainerSpec::default()
                }),
                force_update: Some(0),
                ..TaskSpec::default()
            }),
            ..ServiceSpec::default()
        }
    }

    #[test]
    fn equal_specs_have_equal_parts_and_no_values() {
        // Maps of the standard library have another order each time.
        assert_eq!(parts(&spec()).unwrap(), parts(&spec()).unwrap());
        let parts = parts(&spec()).unwrap();
        let names: Vec<&str> = parts.keys().map(String::as_str).collect();
        assert_eq!(names, ["Labels", "Mode", "TaskTemplate.ContainerSpec.Env"]);
        assert!(!format!("{parts:?}").contains("secret"), "{parts:?}");
    }

    #[test]
    fn what_changed_is_a_part_and_what_is_compared_apart_is_none() {
        let before = parts(&spec()).unwrap();
        let mut other = spec();
        let template = other.task_template.as_mut().unwrap();
        template.force_update = Some(1);
        template.container_spec.as_mut().unwrap().image = Some("web:v2".into());
        other.mode.as_mut().unwrap().replicated.as_mut().unwrap().replicas = Some(5);
        assert_eq!(parts(&other).unwrap(), before);
        let template = other.task_template.as_mut().unwrap();
        template.container_spec.as_mut().unwrap().env = Some(vec!["KEY=another".into()]);
        template.resources = Some(TaskSpecResources {
            limits: Some(Limit { memory_bytes: Some(1), ..Limit::default() }),
            ..TaskSpecResources::default()
        });
        let after = parts(&other).unwrap();
        let changed = after.iter().filter(|(part, hash)| before.get(*part) != Some(hash));
        let changed: Vec<&str> = changed.map(|(part, _)| part.as_str()).collect();
        assert_eq!(changed, ["TaskTemplate.ContainerSpec.Env", "TaskTemplate.Resources.Limits"]);
    }
}
