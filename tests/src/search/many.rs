//! Many stories at once: each processor tells one after the other.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result};
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{iter, thread};

use super::{Report, StoryDatabase, run};

/// Most broken stories that are kept to be told of; all are counted.
const KEPT: usize = 5;

/// What came of many stories.
#[derive(Debug, Default)]
pub struct Found {
    /// Stories that were told.
    pub stories: u64,
    /// Those that broke a promise.
    pub broken: u64,
    /// How deployments ended, calls that workers made, workers that died.
    pub counts: BTreeMap<String, u64>,
    /// The first ones that broke a promise.
    pub reports: Vec<Report>,
}

impl Found {
    fn add(&mut self, report: Report) {
        self.stories += 1;
        for (status, count) in &report.ends {
            *self.counts.entry(status.to_string()).or_default() += *count as u64;
        }
        *self.counts.entry("calls".into()).or_default() += report.calls;
        *self.counts.entry("deaths".into()).or_default() += report.deaths;
        if !report.violations.is_empty() {
            self.broken += 1;
            if self.reports.len() < KEPT {
                self.reports.push(report);
            }
        }
    }

    fn joined(mut self, other: Self) -> Self {
        self.join(other);
        self
    }

    /// Takes in what came of others.
    pub fn join(&mut self, other: Self) {
        self.stories += other.stories;
        self.broken += other.broken;
        for (what, count) in other.counts {
            *self.counts.entry(what).or_default() += count;
        }
        let room = KEPT.saturating_sub(self.reports.len());
        self.reports.extend(other.reports.into_iter().take(room));
    }
}

impl Display for Found {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let counts = self.counts.iter().map(|(what, count)| format!("{count} {what}"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        write!(f, "{} stories, {} broken: {counts}", self.stories, self.broken)?;
        for report in &self.reports {
            let seed = report.seed;
            write!(f, "\nseed {seed}; again with: SKEP_FAULT_SEED={seed} ./dev test stories")?;
            for why in report.violations.iter().take(3) {
                write!(f, "\n  {why}")?;
            }
        }
        Ok(())
    }
}

/// Tells the stories of these seeds in memory.
pub fn search(seeds: Range<u64>) -> Found {
    let next = AtomicU64::new(seeds.start);
    let tell = || {
        let mut found = Found::default();
        taken(&next, seeds.end).for_each(|seed| found.add(run(seed, None)));
        found
    };
    on_each_processor(tell).into_iter().fold(Found::default(), Found::joined)
}

/// Tells the stories of these seeds on Postgres, on a database for each processor. One that is
/// another story than in memory counts as broken: the twin has no rule of its own.
pub fn search_on_postgres(seeds: Range<u64>) -> anyhow::Result<Found> {
    let next = AtomicU64::new(seeds.start);
    let tell = || {
        StoryDatabase::with(|database| {
            let mut found = Found::default();
            for seed in taken(&next, seeds.end) {
                let mut report = database.run(seed, None)?;
                report.violations.extend(report.difference(&run(seed, None)));
                found.add(report);
            }
            Ok(found)
        })
    };
    let found: Vec<Found> = on_each_processor(tell).into_iter().collect::<anyhow::Result<_>>()?;
    Ok(found.into_iter().fold(Found::default(), Found::joined))
}

/// The seeds that nobody else has taken.
fn taken(next: &AtomicU64, end: u64) -> impl Iterator<Item = u64> {
    iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed)).take_while(move |seed| *seed < end)
}

fn on_each_processor<T: Send>(tell: impl Fn() -> T + Sync) -> Vec<T> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(&tell)).collect();
        let told = threads.into_iter().map(|thread| thread.join());
        told.map(|told| told.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}
