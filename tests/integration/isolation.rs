//! Isolation through the API: every operation of the document, tried by nobody, by a stranger, and
//! with a stranger's ids in one's own paths. An operation that the table does not hold fails the
//! test, so that none is forgotten.

use std::collections::BTreeSet;

use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};
use tests::answer::text;
use tests::client::Ask;
use tests::{Client, Outcome, Skep, Tenant, pretend, run, sql};

use crate::web;

/// Who may ask for an operation.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Reach {
    Anybody,
    Operator,
    /// Operators, within an organization that a token may not even see.
    OperatorOfOrganization,
    Tenant,
}

const APP: &str = "/v1/organizations/{organization}/environments/{environment}/apps/{app}";

/// Method, path, who, and a body that would be accepted.
pub(crate) fn table() -> Vec<(&'static str, String, Reach, Value)> {
    use Reach::{Anybody, Operator, OperatorOfOrganization, Tenant};
    let app = |rest: &str| format!("{APP}{rest}");
    let apps = APP.trim_end_matches("/{app}").to_owned();
    let none = Value::Null;
    vec![
        ("GET", "/healthz".into(), Anybody, none.clone()),
        ("GET", "/readyz".into(), Anybody, none.clone()),
        ("GET", "/v1/organizations".into(), Operator, none.clone()),
        ("POST", "/v1/organizations".into(), Operator, json!({ "slug": "stolen" })),
        ("GET", "/v1/organizations/{organization}".into(), Tenant, none.clone()),
        (
            "POST",
            "/v1/organizations/{organization}/tokens".into(),
            OperatorOfOrganization,
            json!({ "name": "x" }),
        ),
        ("GET", "/v1/organizations/{organization}/environments".into(), Tenant, none.clone()),
        (
            "GET",
            "/v1/organizations/{organization}/environments/{environment}".into(),
            Tenant,
            none.clone(),
        ),
        ("GET", apps.clone(), Tenant, none.clone()),
        ("POST", apps, Tenant, json!({ "slug": "stolen", "image": "demo:v1" })),
        ("GET", app(""), Tenant, none.clone()),
        ("PATCH", app(""), Tenant, json!({ "replicas": 9 })),
        ("DELETE", app(""), Tenant, none.clone()),
        ("GET", app("/deployments"), Tenant, none.clone()),
        ("POST", app("/deployments"), Tenant, json!({})),
        ("GET", app("/deployments/{deployment}"), Tenant, none.clone()),
        ("POST", app("/rollback"), Tenant, json!({ "release": 1 })),
        ("POST", app("/scale"), Tenant, json!({ "replicas": 9 })),
        ("POST", app("/restart"), Tenant, none.clone()),
        ("POST", app("/stop"), Tenant, none.clone()),
        ("POST", app("/start"), Tenant, none.clone()),
        ("POST", app("/deployments/{deployment}/cancel"), Tenant, none.clone()),
        ("GET", app("/diff"), Tenant, none.clone()),
        ("GET", app("/health"), Tenant, none.clone()),
        ("GET", app("/releases"), Tenant, none.clone()),
        ("GET", app("/releases/{release}"), Tenant, none.clone()),
        ("GET", "/v1/admin/dead-letters".into(), Operator, none.clone()),
        ("POST", "/v1/admin/dead-letters/replay".into(), Operator, json!({ "count": 1 })),
        ("DELETE", "/v1/admin/dead-letters".into(), Operator, none.clone()),
        ("GET", "/v1/admin/drift".into(), Operator, none),
    ]
}

/// The things of one tenant, by the names of the paths' variables.
pub(crate) struct Things(Vec<(&'static str, String)>);

impl Things {
    pub(crate) async fn of(tenant: &Tenant, skep: &Skep) -> anyhow::Result<Self> {
        let app = tenant.create_app("web", web()).await?;
        let deployment = tenant.deploy("web", json!({})).await?;
        pretend::succeed(skep.database.worker()).await?;
        let environment = tenant
            .client
            .get(&format!("{}/environments/production", tenant.home()))
            .await?
            .expect(200)?;
        Ok(Self(vec![
            ("organization", text(&tenant.organization, "/id")?.to_owned()),
            ("environment", text(&environment, "/id")?.to_owned()),
            ("app", text(&app, "/id")?.to_owned()),
            ("deployment", text(&deployment, "/id")?.to_owned()),
            ("release", "1".to_owned()),
        ]))
    }

    pub(crate) fn fill(&self, template: &str) -> String {
        self.0
            .iter()
            .fold(template.to_owned(), |path, (name, id)| path.replace(&format!("{{{name}}}"), id))
    }

    /// Another value of one variable.
    pub(crate) fn name(&mut self, name: &str, id: &str) {
        self.0
            .iter_mut()
            .filter(|(found, _)| *found == name)
            .for_each(|(_, old)| id.clone_into(old));
    }

    /// The same, with another value of one variable.
    fn with(&self, name: &str, other: &Self) -> Self {
        let of_other =
            |name: &str| other.0.iter().find(|(found, _)| *found == name).map(|(_, id)| id.clone());
        Self(
            self.0
                .iter()
                .map(|(found, id)| {
                    (
                        *found,
                        if *found == name {
                            of_other(name).unwrap_or_default()
                        } else {
                            id.clone()
                        },
                    )
                })
                .collect(),
        )
    }
}

async fn ask(
    client: &Client,
    method: &str,
    path: &str,
    body: &Value,
) -> anyhow::Result<tests::Answer> {
    let body = (!body.is_null()).then(|| body.to_string().into_bytes());
    client.ask(Method::from_bytes(method.as_bytes())?, path, Ask { body, headers: &[] }).await
}

/// Everything that a tenant has.
async fn everything(skep: &Skep) -> anyhow::Result<Vec<Value>> {
    let mut found = Vec::new();
    for table in [
        "organizations",
        "environments",
        "networks",
        "tokens",
        "apps",
        "releases",
        "deployments",
        "deployment_events",
        "idempotency_keys",
        "audit_log",
    ] {
        found.extend(
            sql::rows(skep.database.owner(), &format!("SELECT * FROM {table} ORDER BY 1")).await?,
        );
    }
    Ok(found)
}

#[test]
fn the_table_holds_every_operation() -> Outcome {
    let document: Value = serde_json::from_str(&api::openapi_document())?;
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().context("no paths")? {
        for method in item.as_object().into_iter().flatten().map(|(method, _)| method) {
            if ["get", "post", "put", "patch", "delete"].contains(&method.as_str()) {
                documented.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    let held = table().into_iter().map(|(method, path, ..)| format!("{method} {path}")).collect();
    assert_eq!(documented, held);
    Ok(())
}

#[test]
fn a_stranger_finds_nothing_and_changes_nothing() -> Outcome {
    run(async |skep| {
        let (acme, globex) = (skep.tenant("acme").await?, skep.tenant("globex").await?);
        let (own, foreign) = (Things::of(&acme, skep).await?, Things::of(&globex, skep).await?);
        let before = everything(skep).await?;
        let nobody = acme.client.with_token(None);
        let malformed = acme.client.with_token(Some("skep_nonsense"));
        for (method, template, reach, body) in table() {
            let path = foreign.fill(&template);
            if reach == Reach::Anybody {
                ask(&nobody, method, &path, &body).await?.expect(200)?;
                continue;
            }
            for client in [&nobody, &malformed] {
                ask(client, method, &path, &body).await?.problem(401, "unauthenticated")?;
            }
            let stranger = ask(&acme.client, method, &path, &body).await?;
            match reach {
                Reach::Operator => stranger.problem(403, "forbidden")?,
                _ => stranger.problem(404, "not_found")?,
            };
            if reach == Reach::OperatorOfOrganization {
                ask(&acme.client, method, &own.fill(&template), &body)
                    .await?
                    .problem(403, "forbidden")?;
            }
            // In one's own organization, another's environment, app or deployment.
            for variable in ["environment", "app", "deployment"] {
                if template.contains(&format!("{{{variable}}}")) {
                    let mixed = own.with(variable, &foreign).fill(&template);
                    ask(&acme.client, method, &mixed, &body).await?.problem(404, "not_found")?;
                }
            }
        }
        assert_eq!(everything(skep).await?, before, "nothing was changed");
        Ok(())
    })
}

#[test]
fn a_foreign_thing_and_one_that_is_not_there_look_the_same() -> Outcome {
    run(async |skep| {
        let (acme, globex) = (skep.tenant("acme").await?, skep.tenant("globex").await?);
        globex.create_app("web", web()).await?;
        let foreign = acme.client.get(&globex.path("apps/web")).await?.problem(404, "not_found")?;
        let absent =
            acme.client.get("/v1/organizations/initech/environments/production/apps/web").await?;
        let absent = absent.problem(404, "not_found")?;
        for field in ["type", "title", "status", "detail", "code", "violations"] {
            assert_eq!(foreign[field], absent[field], "{field}");
        }
        Ok(())
    })
}
