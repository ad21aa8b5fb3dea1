//! The pool of Postgres connections: bounded, with a time limit on every wait.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use deadpool::managed::{QueueMode, Timeouts};
use diesel::{ConnectionError, ConnectionResult, sql_query};
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures::poll;
use model::id::{OrganizationId, UserId};
use model::{Error, Result};
use secrecy::{ExposeSecret, SecretString};

use crate::scope::OperatorScope;
use crate::{address, failure};

/// How long a request waits for a connection before it is told that the database is not there.
const WAIT: Duration = Duration::from_secs(3);

/// What bounds every statement of ours, on Postgres's side: a request that was cut off, or a process
/// that hangs, must not hold what others need. No statement of ours takes a second, and no lock is
/// waited for longer than the short transactions in front; but a transaction may rest while the
/// broker confirms its outbox rows, five seconds at most, so resting is allowed for longer than that.
const LIMITS: &str = "SET statement_timeout = '10s'; SET lock_timeout = '5s'; \
     SET idle_in_transaction_session_timeout = '15s'";

/// How Postgres plans what requests ask. A statement that is kept has one plan, whatever its values: to plan the look-up of
/// a token took as long as ten look-ups. And pages are where an index leads to them, not far away on a disk that turns: with
/// the default of 4, Postgres would rather sort an environment than follow its order.
pub const PLANS: [(&str, &str); 2] =
    [("plan_cache_mode", "force_generic_plan"), ("random_page_cost", "1.1")];

/// What row security knows every organization by, for who operates the platform: an id that none has.
const EVERY_ORGANIZATION: &str = "00000000-0000-0000-0000-000000000000";

/// A connection out of the pool.
pub type Connection = Object<AsyncPgConnection>;

/// Connects, and sets this once for the connection's life.
async fn establish(url: &str, settings: &str) -> ConnectionResult<AsyncPgConnection> {
    let mut connection = address::connect(url).await?;
    let set = connection.batch_execute(settings).await;
    set.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

/// A handle on one database; cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: Pool<AsyncPgConnection>,
    url: SecretString,
}

/// How many connections there are, and how many more are wanted.
#[derive(Debug, Clone, Copy)]
pub struct PoolUse {
    /// Connections at rest.
    pub idle: usize,
    /// Connections that somebody works on.
    pub used: usize,
    /// Who waits for one.
    pub waiting: usize,
}

impl Database {
    /// A pool of at most `connections`; connects when it is first asked. Fails where the URL asks for TLS in a way
    /// that cannot be had.
    pub fn new(url: SecretString, connections: usize) -> Result<Self> {
        Self::with(url, connections, LIMITS.to_owned())
    }

    /// The same, for who answers requests: planned by [`PLANS`].
    pub fn for_requests(url: SecretString, connections: usize) -> Result<Self> {
        let plans = PLANS.map(|(name, value)| format!("; SET {name} = {value}"));
        Self::with(url, connections, format!("{LIMITS}{}", plans.concat()))
    }

    fn with(url: SecretString, connections: usize, settings: String) -> Result<Self> {
        address::check(&url)?;
        let settings: Arc<str> = settings.into();
        // `Fast` trusts a connection that is not known to be closed, and saves one SELECT each
        // checkout; a query on a connection that died meanwhile fails as `unavailable`.
        let mut config = ManagerConfig::default();
        config.recycling_method = RecyclingMethod::Fast;
        config.custom_setup = Box::new(move |url| {
            let settings = Arc::clone(&settings);
            Box::pin(async move { establish(url, &settings).await })
        });
        let connector = AsyncDieselConnectionManager::new_with_config(url.expose_secret(), config);
        let pool = Pool::builder(connector)
            .max_size(connections)
            .runtime(deadpool::Runtime::Tokio1)
            // The one that was used last: its statements are prepared, and Postgres has them in its caches.
            .queue_mode(QueueMode::Lifo)
            .timeouts(Timeouts { wait: Some(WAIT), create: Some(WAIT), recycle: Some(WAIT) })
            .build()
            .map_err(Error::internal)?;
        Ok(Self { pool, url })
    }

    /// A connection on which an API finds no tenant's rows; fails as `unavailable` within three seconds.
    pub async fn connection(&self) -> Result<Connection> {
        self.walled("", "").await
    }

    /// A connection on which an API finds this organization's rows, and no other's.
    pub(crate) async fn tenant(&self, organization: OrganizationId) -> Result<Connection> {
        self.walled(&organization.as_uuid().to_string(), "").await
    }

    /// A connection on which an API finds this person's own rows, and no organization's.
    pub(crate) async fn person(&self, user: UserId) -> Result<Connection> {
        self.walled("", &user.as_uuid().to_string()).await
    }

    /// A connection on which an API finds nothing, and writes audit rows of what concerns no organization: row
    /// security lets who is told to be somebody do so, and the nil id is nobody's.
    pub(crate) async fn nobody(&self) -> Result<Connection> {
        self.person(UserId::from(uuid::Uuid::nil())).await
    }

    /// A connection on which an API finds this organization's rows and this person's own: for who goes in
    /// or out.
    pub(crate) async fn member(
        &self,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<Connection> {
        self.walled(&organization.as_uuid().to_string(), &user.as_uuid().to_string()).await
    }

    /// A connection on which an API finds every organization's rows.
    pub(crate) async fn platform(&self, _operator: OperatorScope) -> Result<Connection> {
        self.walled(EVERY_ORGANIZATION, "").await
    }

    /// A connection whose row security has been told whose rows are asked for. The statement goes out ahead
    /// of the first query and its answer is not waited for: Postgres carries them out in their order. One
    /// that failed would take the connection with it.
    async fn walled(&self, organization: &str, user: &str) -> Result<Connection> {
        let connection = self.pool.get().await.map_err(failure::pool)?;
        let wall =
            format!("SET skep.organization TO '{organization}'; SET skep.person TO '{user}'");
        {
            let mut shared = &*connection;
            let set = pin!(shared.batch_execute(&wall));
            if let Poll::Ready(answer) = poll!(set) {
                answer.map_err(failure::postgres)?;
            }
        }
        Ok(connection)
    }

    /// How the pool is used.
    pub fn pool(&self) -> PoolUse {
        let status = self.pool.status();
        let used = status.size.saturating_sub(status.available);
        PoolUse { idle: status.available, used, waiting: status.waiting }
    }

    /// Whether Postgres answers.
    pub async fn ping(&self) -> Result<()> {
        let mut connection = self.connection().await?;
        sql_query("SELECT 1").execute(&mut connection).await.map_err(failure::postgres)?;
        Ok(())
    }

    /// The URL, for the one connection that lives outside the pool (LISTEN).
    pub(crate) const fn url(&self) -> &SecretString {
        &self.url
    }
}
