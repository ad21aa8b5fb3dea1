//! The seeded fault search: thousands of stories on the twins, each with faults of its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use tests::Outcome;
use tests::search::{Planted, Report, run};

/// Stories of each run of the suite.
const STORIES: u64 = 10_000;
/// Stories within which a planted defect has to be found.
const SOON: u64 = 500;

/// Runs these seeds on all processors; returns the reports with violations, and what was counted.
fn search(seeds: std::ops::Range<u64>) -> (Vec<Report>, BTreeMap<String, u64>) {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new((Vec::new(), BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let report = run(seed, None);
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    for (status, count) in &report.ends {
                        *found.1.entry(status.to_string()).or_default() += *count as u64;
                    }
                    *found.1.entry("calls".into()).or_default() += report.calls;
                    *found.1.entry("deaths".into()).or_default() += report.deaths;
                    if !report.violations.is_empty() {
                        found.0.push(report);
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn stories_keep_every_promise() -> Outcome {
    let seeds = match tests::environment::number("SKEP_FAULT_SEED")? {
        Some(seed) => seed..seed + 1,
        None => 0..tests::environment::number("SKEP_FAULT_STORIES")?.unwrap_or(STORIES),
    };
    let begun = std::time::Instant::now();
    let stories = seeds.end - seeds.start;
    let (broken, counts) = search(seeds);
    println!("{stories} stories in {:.1} s: {counts:?}", begun.elapsed().as_secs_f64());
    for report in broken.iter().take(5) {
        println!(
            "seed {}; again with: SKEP_FAULT_SEED={} ./dev test stories",
            report.seed, report.seed
        );
        if stories == 1 {
            report.told.iter().for_each(|line| println!("  {line}"));
        }
        report.violations.iter().take(3).for_each(|why| println!("  {why}"));
    }
    anyhow::ensure!(broken.is_empty(), "{} of {stories} stories break a promise", broken.len());
    Ok(())
}

#[test]
fn a_seed_is_one_story() {
    for seed in [1, 77, 4711] {
        assert_eq!(run(seed, None), run(seed, None));
    }
}

#[test]
fn planted_defects_are_found() -> Outcome {
    for planted in [Planted::NoFence, Planted::EarlyAck, Planted::ReplicaCounts] {
        let found =
            (0..SOON).map(|seed| run(seed, Some(planted))).find(|one| !one.violations.is_empty());
        let found = found.ok_or_else(|| anyhow::anyhow!("{planted:?} was not found"))?;
        println!("{planted:?}: seed {}: {}", found.seed, found.violations[0]);
    }
    Ok(())
}
