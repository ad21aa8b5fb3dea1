//! The data that the API serves: organizations, apps, releases, deployments with their events, status
//! rows, tokens; inserted by a few statements, as an administrator. Ids and secrets follow from numbers,
//! so that a caller knows them without asking.

use anyhow::Result;
use db::Database;
use model::evidence::TaskRecord;
use model::health_check::{HealthCheck, HealthTest};
use model::spec::AppSpec;
use model::token::secret_text;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
// `tests` alone would be this file's own.
use ::tests::sql;

/// Makes it in an empty database.
const MADE: &str = include_str!("dataset.sql");
/// Of ten organizations one has so many apps, the others [`FEW`].
pub(crate) const MANY: u32 = 55;
/// Every organization has at least so many.
pub(crate) const FEW: u32 = 5;
/// Deployments of each app.
pub(crate) const DEPLOYMENTS: u32 = 10;

/// What an id is of: its digits in `dataset.sql`.
#[derive(Clone, Copy)]
pub(crate) enum Made {
    Organization = 1,
    App = 3,
    Token = 4,
    Session = 5,
}

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) organizations: u32,
}

/// An app: the organization that it belongs to, and its number in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AppNumber {
    pub(crate) organization: u32,
    pub(crate) number: u32,
}

impl Size {
    /// The apps in the order in which they were made: the first has the number 1.
    pub(crate) fn apps(self) -> Vec<AppNumber> {
        let made = (1..=MANY).flat_map(|number| {
            (1..=self.organizations)
                .filter(move |organization| number <= FEW || has_many(*organization))
                .map(move |organization| AppNumber { organization, number })
        });
        made.collect()
    }

    /// All organizations.
    pub(crate) fn organizations(self) -> Vec<u32> {
        (1..=self.organizations).collect()
    }

    /// Ten organizations with a hundred apps, the first and the last among them: as many as in the smallest
    /// data set, and of the same sizes.
    pub(crate) fn sample(self) -> Vec<u32> {
        let apart = |number: u32| (self.organizations - 10) * (number - 1) / 9 / 10 * 10;
        (1..=10).map(|number| apart(number) + number).collect()
    }

    /// For people.
    pub(crate) fn text(self) -> String {
        let apps = self.apps().len();
        let deployments = apps * DEPLOYMENTS as usize;
        format!("{} organizations, {apps} apps, {deployments} deployments", self.organizations)
    }

    /// Makes the data.
    pub(crate) async fn fill(self, administrator: &Database) -> Result<()> {
        let set = format!(
            "SET bench.organizations = {}; SET bench.spec = '{}'; SET bench.tasks = '{}'",
            self.organizations,
            serde_json::to_string(&spec())?.replace('\'', "''"),
            serde_json::to_string(&tasks())?.replace('\'', "''"),
        );
        // As it is after days: no statistics to be gathered, no pages to be tidied up meanwhile.
        sql::scripts(administrator, &[&set, MADE, "VACUUM ANALYZE", "CHECKPOINT"]).await
    }
}

/// Whether this organization fills a page of apps.
pub(crate) const fn has_many(organization: u32) -> bool {
    organization.is_multiple_of(10)
}

/// The id of what was made under this number.
pub(crate) fn id(of: Made, number: u32) -> Result<Uuid> {
    Ok(format!("0199{:04}-0000-7000-8000-{number:012}", of as u32).parse()?)
}

/// The secret of the token of this number.
pub(crate) fn secret(mark: &str, number: u32) -> String {
    secret_text(mark, &Sha256::digest(format!("{mark}{number}")).into())
}

/// A spec as a tenant writes one for a web service.
fn spec() -> AppSpec {
    let env = [
        ("DATABASE_URL_FILE", "/run/secrets/database-url"),
        ("CACHE_URL", "redis://cache.internal:6379/0"),
        ("LOG_LEVEL", "info"),
        ("LOG_FORMAT", "json"),
        ("PUBLIC_URL", "https://www.example.com"),
        ("SESSION_LIFETIME_SECONDS", "86400"),
        ("MAIL_HOST", "mail.internal"),
        ("MAIL_FROM", "no-reply@example.com"),
        ("FEATURES", "search,export,invoices"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.internal:4317"),
    ];
    let labels = [("team", "shop"), ("tier", "web")];
    let owned = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    AppSpec {
        env: owned(&env),
        labels: owned(&labels),
        port: Some(8080),
        health_check: Some(HealthCheck {
            test: HealthTest::Http { port: 8080, path: "/health".to_owned() },
            port_of_app: true,
            interval_seconds: 5,
            timeout_seconds: 3,
            retries: 3,
            start_period_seconds: 10,
        }),
        ..AppSpec::of_image("replaced")
    }
}

/// Two replicas that run.
fn tasks() -> Vec<TaskRecord> {
    let task = |slot: i64| TaskRecord {
        id: format!("t9x4k2m7q1w8e5r3z6u0i9o{slot}"),
        slot,
        node: Some(format!("node-{slot}")),
        address: Some([10, 64, 0, 10 + slot as u8].into()),
        state: "running".to_owned(),
        desired_state: "running".to_owned(),
        error: None,
        exit_code: None,
        ended_at: None,
        out_of_memory: false,
        health: None,
    };
    vec![task(1), task(2)]
}

#[cfg(test)]
mod tests {
    use model::token::is_secret;

    use super::*;

    #[test]
    fn sizes_are_what_they_are_called() {
        assert_eq!(Size { organizations: 1000 }.apps().len(), 10_000);
        let small = Size { organizations: 10 }.apps();
        assert_eq!(small.len(), 100);
        assert_eq!(small.iter().filter(|app| app.organization == 10).count(), MANY as usize);
        let sample = Size { organizations: 1000 }.sample();
        assert_eq!(sample, [1, 112, 223, 334, 445, 556, 667, 778, 889, 1000]);
        assert_eq!(Size { organizations: 10 }.sample(), Size { organizations: 10 }.organizations());
        assert!(is_secret(&secret("org", 7)));
    }
}
