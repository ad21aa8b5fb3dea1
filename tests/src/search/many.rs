//! Many stories at once: each processor tells one after the other.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::{Report, run};

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

/// Tells the stories of these seeds.
pub fn search(seeds: Range<u64>) -> Found {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new(Found::default());
    let tell = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let report = run(seed, None);
            found.lock().unwrap_or_else(PoisonError::into_inner).add(report);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(tell);
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}
