//! What many operations answer alike, said once: `components/responses` and `components/headers`. Inline it would be two thirds of the
//! document, and of what the process keeps of it.

use serde_json::{Map, Value, json};

/// What was said, and is referred to.
#[derive(Default)]
pub(super) struct Shared {
    responses: Map<String, Value>,
    headers: Map<String, Value>,
}

impl Shared {
    /// Puts references in the place of the headers of a response, and in the place of a problem.
    pub(super) fn refer(&mut self, status: &str, response: &mut Value) {
        let headers = response.get_mut("headers").and_then(Value::as_object_mut);
        for (name, header) in headers.into_iter().flatten() {
            refer(&mut self.headers, "headers", name, header);
        }
        if status.starts_with(['4', '5']) {
            refer(&mut self.responses, "responses", &format!("Problem{status}"), response);
        }
    }

    /// Says it, in a document.
    pub(super) fn say(self, document: &mut Value) {
        for (kind, values) in [("responses", self.responses), ("headers", self.headers)] {
            if !values.is_empty() {
                document["components"][kind] = values.into();
            }
        }
    }
}

/// The first value of a name is what is shared; another one of that name is its own.
fn refer(known: &mut Map<String, Value>, kind: &str, name: &str, value: &mut Value) {
    if known.entry(name).or_insert_with(|| value.clone()) == value {
        *value = json!({ "$ref": format!("#/components/{kind}/{name}") });
    }
}

/// Every answer says how its asker stands, which no handler does.
pub(super) fn tell_rates(response: &mut Value) {
    let about = [
        (
            "RateLimit-Policy",
            "The class of the request, requests a minute (`q`), the minute's seconds (`w`)",
        ),
        (
            "RateLimit",
            "The class, the requests that are left (`r`), seconds until the next minute (`t`)",
        ),
    ];
    for (name, about) in about {
        response["headers"][name] = json!({ "description": about, "schema": { "type": "string" } });
    }
}

/// What a value is, or refers to.
pub(super) fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let reference = value.get("$ref").and_then(Value::as_str);
    let pointer = reference.and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_is_said_once_and_what_is_not_is_its_own() {
        let mut shared = Shared::default();
        let limit = json!({ "description": "of all" });
        let mut given = json!({ "headers": { "RateLimit": limit }, "content": {} });
        let mut refused = json!({ "description": "one", "headers": { "RateLimit": limit } });
        let (mut alike, mut other) = (refused.clone(), json!({ "description": "other" }));
        shared.refer("200", &mut given);
        for problem in [&mut refused, &mut alike, &mut other] {
            shared.refer("400", problem);
        }
        assert_eq!(given["headers"]["RateLimit"]["$ref"], "#/components/headers/RateLimit");
        assert_eq!(refused, json!({ "$ref": "#/components/responses/Problem400" }));
        assert_eq!((alike, other), (refused.clone(), json!({ "description": "other" })));
        let mut document = json!({});
        shared.say(&mut document);
        let problem = resolved(&document, &refused);
        assert_eq!(problem["description"], "one");
        assert_eq!(resolved(&document, &problem["headers"]["RateLimit"]), &limit);
    }
}
