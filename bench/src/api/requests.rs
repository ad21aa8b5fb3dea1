//! What is asked of the API, and by whom: requests as callers of many organizations send them, one after
//! the other.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use model::id::TokenId;
use serde::Serialize;

use super::dataset::{AppNumber, Made, Size, has_many, id, secret};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    /// A person's session, by who holds it: as little as an authenticated request can read.
    Session,
    /// One app with its live status.
    App,
    /// A page of 50 apps.
    Apps,
    /// A deployment, under an idempotency key of its own.
    Accept,
}

/// Those that change nothing.
pub(crate) const READS: [Operation; 3] = [Operation::Session, Operation::App, Operation::Apps];

impl Operation {
    /// For people.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Session => "session check",
            Self::App => "get app",
            Self::Apps => "list 50 apps",
            Self::Accept => "accept a deployment",
        }
    }

    /// What it is answered with.
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::Session | Self::App | Self::Apps => 200,
            Self::Accept => 202,
        }
    }
}

/// Callers of one API: an organization's token and a person's session for each organization.
pub(crate) struct Callers {
    host: String,
    callers: HashMap<u32, Caller>,
    organizations: Vec<u32>,
    apps: Vec<AppNumber>,
    /// Organizations whose apps fill a page.
    pages: Vec<u32>,
    /// Part of every idempotency key.
    run: u32,
}

struct Caller {
    token: String,
    session: String,
    session_id: TokenId,
}

impl Callers {
    /// Callers of these organizations, at this `host:port`.
    pub(crate) fn new(host: &str, data: Size, visited: &[u32], run: u32) -> Result<Self> {
        let mut callers = HashMap::new();
        for &number in visited {
            let caller = Caller {
                token: format!("Bearer {}", secret("org", number)),
                session: format!("Bearer {}", secret("ses", number)),
                session_id: id(Made::Session, number)?.into(),
            };
            callers.insert(number, caller);
        }
        let apps = data.apps().into_iter().filter(|app| callers.contains_key(&app.organization));
        Ok(Self {
            host: host.to_owned(),
            apps: apps.collect(),
            pages: visited.iter().copied().filter(|number| has_many(*number)).collect(),
            organizations: visited.to_vec(),
            callers,
            run,
        })
    }

    /// The first accept of every app is at one of so many turns: a second one supersedes it, and costs more.
    pub(crate) fn apps(&self) -> u64 {
        self.apps.len() as u64
    }

    /// The request at this turn. Turns that follow each other are of different organizations.
    pub(crate) fn request(&self, operation: Operation, turn: u64) -> Result<Request<String>> {
        let turn = usize::try_from(turn)?;
        let (number, path) = match operation {
            Operation::Session => {
                let at = turn % self.organizations.len();
                let number = *self.organizations.get(at).context("organizations")?;
                (number, format!("/v1/account/tokens/{}", self.caller(number)?.session_id))
            }
            Operation::Apps => {
                let number = *self.pages.get(turn % self.pages.len()).context("pages")?;
                (number, format!("{}/apps?limit=50", environment(number)))
            }
            Operation::App | Operation::Accept => {
                let app = *self.apps.get(turn % self.apps.len()).context("apps")?;
                let path = format!("{}/apps/app-{}", environment(app.organization), app.number);
                let deployments = if operation == Operation::Accept { "/deployments" } else { "" };
                (app.organization, path + deployments)
            }
        };
        let caller = self.caller(number)?;
        let authorization =
            if operation == Operation::Session { &caller.session } else { &caller.token };
        let request = Request::builder()
            .uri(path)
            .header(HOST, &self.host)
            .header(AUTHORIZATION, authorization);
        if operation == Operation::Accept {
            let request = request
                .method(Method::POST)
                .header(CONTENT_TYPE, "application/json")
                .header("idempotency-key", format!("bench-{}-{turn}", self.run));
            return Ok(request.body("{}".to_owned())?);
        }
        Ok(request.body(String::new())?)
    }

    fn caller(&self, number: u32) -> Result<&Caller> {
        self.callers.get(&number).context("an organization that is visited")
    }
}

fn environment(organization: u32) -> String {
    format!("/v1/organizations/org-{organization}/environments/production")
}
