//! The seeded fault search: thousands of stories on the twins, each with faults of its own.

use std::time::Instant;

use tests::Outcome;
use tests::environment::number;
use tests::search::{Planted, run, search};

/// Stories of each run of the suite.
const STORIES: u64 = 10_000;
/// Stories within which a planted defect has to be found.
const SOON: u64 = 500;

#[test]
fn stories_keep_every_promise() -> Outcome {
    let seeds = match number("SKEP_FAULT_SEED")? {
        Some(seed) => seed..seed + 1,
        None => 0..number("SKEP_FAULT_STORIES")?.unwrap_or(STORIES),
    };
    let is_one = seeds.end - seeds.start == 1;
    let begun = Instant::now();
    let found = search(seeds);
    if is_one {
        found.reports.iter().flat_map(|report| &report.told).for_each(|line| println!("{line}"));
    }
    println!("{found}; {:.1} s", begun.elapsed().as_secs_f64());
    anyhow::ensure!(found.broken == 0, "{} stories break a promise", found.broken);
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
