//! Rates: how many requests of one token, or of one address without one, are taken in a minute of the clock.
//!
//! Every API process counts by itself, and tells the others through Postgres: when it has taken half a batch (a tenth of the rate)
//! that nobody was told of, on a task of its own, many askers in one statement. So no request waits for Postgres because it is counted,
//! but one: where a whole batch was taken and not told of yet. All processes together take at most one batch each beyond the rate.
//! While Postgres does not answer, each counts for itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use db::Database;
use db::credentials::Holder;
use db::rates::{Asker, rates_forget, rates_tell};
use model::error::ErrorCode;
use model::rate::{RateClass, WINDOW_SECONDS};
use model::{Error, Result};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Of a rate, what a process takes before it has to have told the others.
const BATCHES: u32 = 10;
/// How long a request waits for that.
const PATIENCE: Duration = Duration::from_secs(1);
/// Before Postgres is told again what it could not be told.
const PAUSE: Duration = Duration::from_secs(1);
/// Most askers of a minute that are counted. Those beyond are let through: whoever has so many addresses has not their match here.
const MOST_ASKERS: usize = 100_000;
/// Minutes that are kept, for processes whose clocks differ.
const KEPT: i64 = 2;

/// Counts requests.
#[derive(Clone)]
pub(crate) struct Limiter(Arc<Counting>);

struct Counting {
    database: Database,
    /// Requests a minute of an address that show no valid token.
    anonymous: u32,
    minute: Mutex<Minute>,
    /// Somebody is to be told of.
    due: Notify,
    /// The others were told, or could not be.
    told: Notify,
}

/// What was taken in a minute.
#[derive(Default)]
struct Minute {
    number: i64,
    tallies: HashMap<Asker, Tally>,
    /// Who has taken enough for the others to be told.
    due: Vec<Asker>,
    /// Whether Postgres did not answer the last time.
    is_alone: bool,
}

/// What one asker took.
#[derive(Debug, Default)]
struct Tally {
    limit: u32,
    /// All processes together, as this one was told last.
    shared: u32,
    /// This one, which the others are being told of.
    telling: u32,
    /// This one, which they are not yet.
    untold: u32,
    is_due: bool,
}

/// How an asker stands in this minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Of what.
    pub(crate) class: RateClass,
    /// Requests a minute.
    pub(crate) limit: u32,
    /// Requests that are left, as far as this process knows.
    pub(crate) remaining: u32,
    /// Seconds until the next minute.
    pub(crate) reset: u64,
    /// Whether the request was one too many.
    is_over: bool,
}

impl Standing {
    /// Refuses what was one too many.
    pub(crate) fn check(self) -> Result<()> {
        if !self.is_over {
            return Ok(());
        }
        let Self { class, limit, reset, .. } = self;
        let message = format!(
            "{limit} requests a minute are taken of the class {class}, and as many came: the next minute begins in {reset} s"
        );
        let mut error = Error::new(ErrorCode::RateLimited, message);
        error.retry_after = Some(reset);
        Err(error)
    }
}

/// What becomes of a request.
enum Turn {
    Taken(u32),
    /// The others have to be told first.
    Wait,
    Full,
}

impl Limiter {
    /// Starts to count, with a task that tells the other processes and ends with `shutdown`.
    pub(crate) fn start(database: Database, anonymous: u32, shutdown: CancellationToken) -> Self {
        let counting = Arc::new(Counting {
            database,
            anonymous,
            minute: Mutex::default(),
            due: Notify::new(),
            told: Notify::new(),
        });
        let telling = Arc::clone(&counting);
        tokio::spawn(async move { shutdown.run_until_cancelled(telling.tell()).await });
        Self(counting)
    }

    /// Takes a request of a token.
    pub(crate) async fn take(&self, holder: &Holder, class: RateClass) -> Standing {
        let organization = holder.organization.filter(|_| holder.is_somebody());
        let asker = Asker {
            who: holder.token.as_uuid(),
            organization: organization.map_or(Uuid::nil(), |id| id.as_uuid()),
            class,
        };
        self.0.take(asker, holder.rates.0.of(class)).await
    }

    /// Takes a request without a valid token, of this address.
    pub(crate) async fn take_anonymous(&self, address: Option<IpAddr>) -> Standing {
        let asker = Asker {
            who: address.map_or(Uuid::nil(), neighbourhood),
            organization: Uuid::nil(),
            class: RateClass::General,
        };
        self.0.take(asker, self.0.anonymous).await
    }
}

/// An address as it is counted: of IPv6 its first half, for a customer of a provider has all of the other.
fn neighbourhood(address: IpAddr) -> Uuid {
    match address.to_canonical() {
        IpAddr::V4(address) => Uuid::from_bytes(address.to_ipv6_mapped().octets()),
        IpAddr::V6(address) => Uuid::from_u128(address.to_bits() >> 64 << 64),
    }
}

/// The minute of now (since 1970), and the seconds that are left of it.
fn now() -> (i64, u64) {
    let seconds = Utc::now().timestamp().unsigned_abs();
    let minute = i64::try_from(seconds / WINDOW_SECONDS).unwrap_or(i64::MAX);
    (minute, WINDOW_SECONDS - seconds % WINDOW_SECONDS)
}

/// Requests that a process may take without having told the others.
const fn batch(limit: u32) -> u32 {
    let batch = limit / BATCHES;
    if batch == 0 { 1 } else { batch }
}

impl Counting {
    async fn take(&self, asker: Asker, limit: u32) -> Standing {
        let class = asker.class;
        let standing = |remaining: Option<u32>, reset| Standing {
            class,
            limit,
            remaining: remaining.unwrap_or(0),
            reset,
            is_over: remaining.is_none(),
        };
        let turn = timeout(PATIENCE, async {
            loop {
                // Before it is looked: who is told in between is not waited for in vain.
                let told = self.told.notified();
                let (minute, reset) = now();
                match self.turn(minute, asker, limit, false) {
                    Turn::Taken(remaining) => return standing(Some(remaining), reset),
                    Turn::Full => return standing(None, reset),
                    Turn::Wait => told.await,
                }
            }
        });
        if let Ok(standing) = turn.await {
            return standing;
        }
        // Postgres takes its time: this process counts for itself.
        let (minute, reset) = now();
        match self.turn(minute, asker, limit, true) {
            Turn::Taken(remaining) => standing(Some(remaining), reset),
            Turn::Full | Turn::Wait => standing(None, reset),
        }
    }

    fn turn(&self, number: i64, asker: Asker, limit: u32, alone: bool) -> Turn {
        let mut minute = self.minute();
        let turn = minute.turn(number, asker, limit, alone);
        let is_due = !minute.due.is_empty();
        drop(minute);
        if is_due {
            self.due.notify_one();
        }
        turn
    }

    fn minute(&self) -> MutexGuard<'_, Minute> {
        self.minute.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the other processes, and learns of them.
    async fn tell(&self) {
        let mut forgotten = 0;
        loop {
            self.due.notified().await;
            let (number, took) = self.minute().begin();
            if took.is_empty() {
                continue;
            }
            let told = rates_tell(&self.database, number, &took).await;
            let failed = told.as_ref().err().map(Error::chain);
            self.minute().end(number, &took, told.ok());
            self.told.notify_waiters();
            match failed {
                None if forgotten < number => {
                    forgotten = number;
                    if let Err(error) = rates_forget(&self.database, number - KEPT).await {
                        tracing::warn!(error = %error.chain(), "counts of past minutes were not taken away");
                    }
                }
                None => {}
                Some(error) => {
                    tracing::warn!(error, "requests are counted by this process alone");
                    sleep(PAUSE).await;
                }
            }
            if !self.minute().due.is_empty() {
                self.due.notify_one();
            }
        }
    }
}

impl Minute {
    /// Takes a request, if there is one to be had. `alone`: without having told the others.
    fn turn(&mut self, number: i64, asker: Asker, limit: u32, alone: bool) -> Turn {
        // Whoever looked at the clock before another one, and comes after it, counts towards the newer minute.
        if number > self.number {
            let is_alone = self.is_alone;
            *self = Self { number, is_alone, ..Self::default() };
        }
        if self.tallies.len() >= MOST_ASKERS && !self.tallies.contains_key(&asker) {
            return Turn::Taken(limit);
        }
        let tally = self.tallies.entry(asker).or_default();
        tally.limit = limit;
        let own = tally.telling + tally.untold;
        let taken = tally.shared.saturating_add(own);
        if taken >= limit {
            return Turn::Full;
        }
        if own >= batch(limit) && !alone && !self.is_alone {
            return Turn::Wait;
        }
        tally.untold += 1;
        if tally.becomes_due() {
            self.due.push(asker);
        }
        Turn::Taken(limit - taken - 1)
    }

    /// What the others are to be told.
    fn begin(&mut self) -> (i64, Vec<(Asker, u32)>) {
        let mut took = Vec::new();
        for asker in std::mem::take(&mut self.due) {
            if let Some(tally) = self.tallies.get_mut(&asker) {
                (tally.telling, tally.untold, tally.is_due) = (tally.untold, 0, false);
                took.push((asker, tally.telling));
            }
        }
        (self.number, took)
    }

    /// They were told this in that minute, and answered; `None`: they could not be told.
    fn end(&mut self, number: i64, took: &[(Asker, u32)], told: Option<Vec<(Asker, u32)>>) {
        self.is_alone = told.is_none();
        if number != self.number {
            return;
        }
        let answered: HashMap<Asker, u32> = told.into_iter().flatten().collect();
        for (asker, _) in took {
            let Some(tally) = self.tallies.get_mut(asker) else { continue };
            match answered.get(asker) {
                Some(shared) => tally.shared = *shared,
                None => tally.untold += tally.telling,
            }
            tally.telling = 0;
            if tally.becomes_due() {
                self.due.push(*asker);
            }
        }
    }
}

impl Tally {
    /// Whether the others are to be told of it from now on: of half a batch, one time after the other.
    fn becomes_due(&mut self) -> bool {
        let worth = self.untold >= batch(self.limit).div_ceil(2);
        let becomes = worth && self.telling == 0 && !self.is_due;
        self.is_due |= becomes;
        becomes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKER: Asker =
        Asker { who: Uuid::nil(), organization: Uuid::nil(), class: RateClass::General };

    /// Takes as many as there are to be had; how many.
    fn exhaust(minute: &mut Minute, limit: u32, alone: bool) -> u32 {
        let mut taken = 0;
        while let Turn::Taken(_) = minute.turn(1, ASKER, limit, alone) {
            taken += 1;
        }
        taken
    }

    #[test]
    fn two_processes_take_no_more_than_one_batch_each_beyond_the_rate() {
        let (mut shared, limit) = (0, 100);
        let mut processes = [Minute::default(), Minute::default()];
        let mut taken = 0;
        loop {
            let before = taken;
            for process in &mut processes {
                taken += exhaust(process, limit, false);
            }
            // Postgres is asked when nobody can go on, which is the worst case.
            for process in &mut processes {
                let (number, took) = process.begin();
                shared += took.iter().map(|(_, count)| count).sum::<u32>();
                let told = took.iter().map(|(asker, _)| (*asker, shared)).collect();
                process.end(number, &took, Some(told));
            }
            if taken == before {
                break;
            }
        }
        assert!((limit..=limit + 2 * batch(limit)).contains(&taken), "{taken}");
    }

    #[test]
    fn who_cannot_tell_the_others_counts_alone() {
        let mut minute = Minute::default();
        assert_eq!(exhaust(&mut minute, 100, false), 10, "a batch");
        let (number, took) = minute.begin();
        assert_eq!(took, [(ASKER, 10)]);
        minute.end(number, &took, None);
        assert_eq!(exhaust(&mut minute, 100, false), 90);
        assert!(matches!(minute.turn(1, ASKER, 100, true), Turn::Full));
        // When they can be told again, it is all of it.
        assert_eq!(minute.begin().1, [(ASKER, 100)]);
        assert!(matches!(minute.turn(2, ASKER, 100, false), Turn::Taken(99)), "the next minute");
    }

    #[test]
    fn few_requests_are_nobody_elses_business() {
        let mut minute = Minute::default();
        for _ in 0..4 {
            assert!(matches!(minute.turn(1, ASKER, 100, false), Turn::Taken(_)));
        }
        assert!(minute.due.is_empty());
        minute.turn(1, ASKER, 100, false);
        assert_eq!(minute.due, [ASKER]);
    }

    #[test]
    fn an_ipv6_customer_is_one_asker() {
        let of = |text: &str| neighbourhood(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
    }
}
