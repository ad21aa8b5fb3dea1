//! Doors: every operation of the document, tried by everybody who may not go through: nobody, a token
//! that does not work any more, a stranger, every role and every scope that is too low, a suspended
//! organization. What each operation takes stands here by hand and is compared with the document: one
//! that the table does not hold, or that asks for something else, fails.

mod table;

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use model::id::{IsolationCheckId, OrganizationId, RegistryCredentialId};
use model::member::Role;
use model::policy::access::Permissions;
use model::token::{TokenKind, TokenScope};
use model::user::PlatformRole;
use reqwest::Method;
use serde_json::{Value, json};
use tests::answer::text;
use tests::client::Ask;
use tests::holders::{Holder, holder};
use tests::people::join;
use tests::{Answer, Client, Outcome, Skep, Tenant, pretend, run, sql};

pub(crate) use table::{Door, table};

use crate::web;

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
        let tokens = format!("{}/tokens", tenant.home());
        let email = format!("member@{}.example", tenant.slug);
        let member = join(&skep.operator, &tenant.slug, &email, "developer").await?;
        let members =
            tenant.client.get(&format!("{}/members", tenant.home())).await?.expect(200)?;
        let invitations = format!("{}/invitations", tenant.home());
        let guest = json!({ "email": "later@example.org", "role": "viewer" });
        let invitation = tenant.client.post(&invitations, &guest).await?.expect(201)?;
        let token = skep.operator.post(&tokens, &json!({ "name": "spare" })).await?.expect(201)?;
        let range = json!({ "range": "192.0.2.0/24", "note": tenant.slug });
        let range = skep.operator.post("/v1/admin/reserved-ranges", &range).await?.expect(201)?;
        let check = IsolationCheckId::new();
        let insert = format!(
            "INSERT INTO isolation_checks (id, environments)
             SELECT '{}', ARRAY[id, id] FROM environments LIMIT 1",
            check.as_uuid()
        );
        sql::execute(skep.database.owner(), &insert).await?;
        let value = json!({ "name": "thing", "value": "x" });
        let secret = tenant.client.post(&tenant.path("secrets"), &value).await?.expect(201)?;
        let config = tenant.client.post(&tenant.path("configs"), &value).await?.expect(201)?;
        let registry = RegistryCredentialId::new();
        let insert = format!(
            "INSERT INTO registry_credentials (id, organization_id, registry, kind, username, key_id, sealed)
             SELECT '{}', '{}', 'registry.test', 'basic', 'x', id, 'x' FROM sealing_keys WHERE is_current",
            registry.as_uuid(),
            text(&tenant.organization, "/id")?.parse::<OrganizationId>()?.as_uuid()
        );
        sql::execute(skep.database.owner(), &insert).await?;
        let plan = json!({ "name": format!("plan-{}", tenant.slug), "quotas": { "apps": 99 } });
        let plan = skep.operator.post("/v1/admin/plans", &plan).await?.expect(201)?;
        let pools = skep.operator.get("/v1/admin/subnet-pools").await?.expect(200)?;
        Ok(Self(vec![
            ("organization", text(&tenant.organization, "/id")?.to_owned()),
            ("environment", text(&environment, "/id")?.to_owned()),
            ("app", text(&app, "/id")?.to_owned()),
            ("secret", text(&secret, "/id")?.to_owned()),
            ("registry", registry.to_string()),
            ("config", text(&config, "/id")?.to_owned()),
            ("deployment", text(&deployment, "/id")?.to_owned()),
            ("token", text(&token, "/id")?.to_owned()),
            ("session", text(&token, "/id")?.to_owned()),
            ("user", member.id),
            ("member", text(&members, "/items/0/id")?.to_owned()),
            ("invitation", text(&invitation, "/id")?.to_owned()),
            ("release", "1".to_owned()),
            ("pool", text(&pools, "/items/0/id")?.to_owned()),
            ("check", check.to_string()),
            ("plan", text(&plan, "/name")?.to_owned()),
            ("reserved_range", text(&range, "/id")?.to_owned()),
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

    /// The same, with another one's value of one variable.
    pub(crate) fn with(&self, name: &str, other: &Self) -> Self {
        let pairs = self.0.iter().zip(&other.0);
        let chosen = pairs.map(|(own, foreign)| if own.0 == name { foreign } else { own });
        Self(chosen.cloned().collect())
    }
}

pub(crate) async fn ask(
    client: &Client,
    method: &str,
    path: &str,
    body: &Value,
) -> anyhow::Result<Answer> {
    let body = (!body.is_null()).then(|| body.to_string().into_bytes());
    client.ask(Method::from_bytes(method.as_bytes())?, path, Ask { body, headers: &[] }).await
}

/// Everything that is kept, but for the stamps of tokens' last uses, and what is written down of looks and
/// refusals.
pub(crate) async fn everything(skep: &Skep) -> anyhow::Result<Vec<Value>> {
    let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'
        AND tablename NOT IN ('__diesel_schema_migrations', 'audit_log', 'audit_unchained') ORDER BY 1";
    let mut found = Vec::new();
    for table in sql::rows(skep.database.owner(), tables).await? {
        let select = format!("SELECT * FROM {} ORDER BY 1", text(&table, "/tablename")?);
        found.extend(sql::rows(skep.database.owner(), &select).await?);
    }
    let changes =
        "SELECT * FROM audit_log WHERE result = 'done' AND action <> 'operator.look' ORDER BY id";
    found.extend(sql::rows(skep.database.owner(), changes).await?);
    for row in &mut found {
        row.as_object_mut().map(|row| row.remove("last_used_at"));
    }
    Ok(found)
}

#[test]
fn the_table_holds_every_operation_and_what_it_takes() -> Outcome {
    let document: Value = serde_json::from_str(&api::openapi_document())?;
    let mut documented = BTreeMap::new();
    for (path, item) in document["paths"].as_object().context("no paths")? {
        for (method, operation) in item.as_object().into_iter().flatten() {
            if ["get", "post", "put", "patch", "delete"].contains(&method.as_str()) {
                let schemes = operation["security"].as_array().into_iter().flatten();
                let names = schemes.filter_map(|scheme| scheme.as_object()?.keys().next().cloned());
                let names: Vec<String> = names.collect();
                documented.insert(format!("{} {path}", method.to_uppercase()), names.join(" or "));
            }
        }
    }
    let held: BTreeMap<String, String> = table()
        .into_iter()
        .map(|(method, path, door, _)| (format!("{method} {path}"), door.name().to_owned()))
        .collect();
    assert_eq!(documented, held);
    Ok(())
}

/// Whoever knocks: who it is, and what they may do in the organization of the things.
struct Visitor {
    name: String,
    client: Client,
    permissions: Permissions,
    kind: TokenKind,
    /// Whether the organization is there for them.
    knows: bool,
    /// Whether they have a role in the platform.
    operates: bool,
}

impl Visitor {
    /// The status that refuses them; `None`: they are let through.
    fn refusal(&self, path: &str, door: Door) -> Option<(u16, &'static str)> {
        let is_person = matches!(self.kind, TokenKind::Personal | TokenKind::Session);
        match door {
            Door::Anybody | Door::Secret(..) => None,
            Door::Person => (!is_person).then_some((403, "forbidden")),
            Door::Session => (self.kind != TokenKind::Session).then_some((403, "forbidden")),
            Door::To(_) if path.contains("{organization}") && !self.knows => {
                Some((404, "not_found"))
            }
            Door::To(_) if !path.contains("{organization}") && !self.operates => {
                Some((403, "forbidden"))
            }
            Door::To(action) => (!self.permissions.allow(action)).then_some((403, "forbidden")),
        }
    }
}

/// Every kind of holder with every scope alone, and every role with all of them.
async fn visitors(skep: &Skep, slug: &str, foreign: &str) -> anyhow::Result<Vec<Visitor>> {
    use TokenKind::{Organization, Personal, Platform, Session};
    let mut wanted = Vec::new();
    for scope in TokenScope::ALL {
        let scopes = std::slice::from_ref(scope);
        wanted.push((Holder::Organization(slug), Organization, scopes));
        wanted.push((Holder::Member(slug, Role::Owner), Personal, scopes));
        wanted.push((Holder::Platform(PlatformRole::Admin), Platform, scopes));
    }
    for role in Role::ALL {
        wanted.push((Holder::Member(slug, *role), Personal, TokenScope::ALL));
        wanted.push((Holder::Member(foreign, *role), Session, TokenScope::ALL));
    }
    for role in PlatformRole::ALL {
        wanted.push((Holder::Platform(*role), Platform, TokenScope::ALL));
    }
    wanted.push((Holder::Organization(foreign), Organization, TokenScope::ALL));
    wanted.push((Holder::Nobody, Session, TokenScope::ALL));
    let mut made = Vec::new();
    for (who, kind, scopes) in wanted {
        let secret = holder(skep.database.owner(), who, kind, scopes).await?;
        let (role, platform_role) = match who {
            Holder::Organization(of) => ((of == slug).then_some(Role::Admin), None),
            Holder::Member(of, role) => ((of == slug).then_some(role), None),
            Holder::Nobody => (None, None),
            Holder::Platform(role) => (None, Some(role)),
        };
        made.push(Visitor {
            name: format!("{kind} {who:?} {scopes:?}"),
            client: skep.operator.with_token(Some(&secret)),
            permissions: Permissions::of(role, platform_role, scopes),
            kind,
            knows: role.is_some() || platform_role.is_some(),
            operates: platform_role.is_some(),
        });
    }
    Ok(made)
}

/// Whether a path leads to a log: let in, one is told that no worker is there to read it.
fn is_log(template: &str) -> bool {
    template.ends_with("/logs")
}

#[test]
fn whoever_may_not_is_refused_and_changes_nothing() -> Outcome {
    run(async |skep| {
        let (acme, globex) = (skep.tenant("acme").await?, skep.tenant("globex").await?);
        let things = Things::of(&acme, skep).await?;
        let visitors = visitors(skep, &acme.slug, &globex.slug).await?;
        let ended = [("revoked_at = now()", "revoked"), ("expires_at = now()", "expired")];
        let mut strangers = vec![
            ("nobody", skep.operator.with_token(None)),
            ("malformed", skep.operator.with_token(Some("skep_nonsense"))),
        ];
        for (end, name) in ended {
            let who = Holder::Platform(PlatformRole::Admin);
            let secret =
                holder(skep.database.owner(), who, TokenKind::Platform, TokenScope::ALL).await?;
            let hash = hex::encode(model::token::secret_hash(&secret));
            let update = format!("UPDATE tokens SET {end} WHERE secret_hash = '\\x{hash}'");
            ensure!(sql::execute(skep.database.owner(), &update).await? == 1);
            strangers.push((name, skep.operator.with_token(Some(&secret))));
        }
        for (method, path, door, body) in table() {
            if let Door::Secret(status, code) = door {
                // What was refused is counted and written down: so before `before`.
                ask(&strangers[0].1, method, &path, &body).await?.problem(status, code)?;
            }
        }
        let before = everything(skep).await?;
        let (mut refused, mut opened) = (0, 0);
        for (method, template, door, body) in table() {
            let path = things.fill(&template);
            if door == Door::Anybody {
                ask(&strangers[0].1, method, &path, &body).await?.expect(200)?;
                continue;
            }
            if matches!(door, Door::Secret(..)) {
                continue;
            }
            for (name, client) in &strangers {
                let answer = ask(client, method, &path, &body).await?;
                answer.problem(401, "unauthenticated").with_context(|| (*name).to_owned())?;
                refused += 1;
            }
            for visitor in &visitors {
                let told = || format!("{method} {template} by {}", visitor.name);
                if let Some((status, code)) = visitor.refusal(&template, door) {
                    let answer = ask(&visitor.client, method, &path, &body).await?;
                    answer.problem(status, code).with_context(told)?;
                    refused += 1;
                } else if method == "GET" && template != "/v1/account/tokens/{token}" {
                    // The operator's tokens hold no organization's.
                    let status = ask(&visitor.client, method, &path, &body).await?.status;
                    let wanted = match template.as_str() {
                        "/v1/admin/tokens/{token}" => 404,
                        _ if is_log(&template) => 503,
                        _ => 200,
                    };
                    ensure!(status == wanted, "{status}: {}", told());
                    opened += 1;
                }
            }
        }
        assert_eq!(everything(skep).await?, before, "nothing was changed");
        println!("{refused} requests refused, {opened} let through");
        Ok(())
    })
}

#[test]
fn a_suspended_organization_is_read_and_not_changed() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let things = Things::of(&acme, skep).await?;
        let suspend = format!("{}/suspend", acme.home());
        let reason = json!({ "reason": "unpaid" });
        let told = skep.operator.post(&suspend, &reason).await?.expect(200)?;
        assert_eq!(text(&told, "/suspended_reason")?, "unpaid");
        let who = Holder::Member(&acme.slug, Role::Owner);
        let secret =
            holder(skep.database.owner(), who, TokenKind::Personal, TokenScope::ALL).await?;
        let owner = skep.operator.with_token(Some(&secret));
        let before = everything(skep).await?;
        for (method, template, door, body) in table() {
            let Door::To(action) = door else { continue };
            if !template.contains("{organization}") {
                continue;
            }
            let answer = ask(&owner, method, &things.fill(&template), &body).await?;
            if action.roles().is_empty() {
                answer.problem(403, "forbidden")?;
            } else if is_log(&template) {
                answer.problem(503, "unavailable")?;
            } else if method == "GET" {
                answer.expect(200)?;
            } else {
                answer.problem(403, "organization_suspended")?;
            }
        }
        assert_eq!(everything(skep).await?, before, "nothing was changed");
        // Whoever operates the platform sets things right.
        let web = acme.path("apps/web");
        skep.operator.patch(&web, &json!({ "replicas": 2 })).await?.expect(200)?;
        ask(&skep.operator, "POST", &format!("{}/resume", acme.home()), &Value::Null)
            .await?
            .expect(200)?;
        owner.patch(&web, &json!({ "replicas": 3 })).await?.expect(200)?;
        Ok(())
    })
}
