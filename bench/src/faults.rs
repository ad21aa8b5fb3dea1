//! The seeded fault search at length: the stories of `./dev test`, a hundred times as many, each seed
//! another one. The one benchmark that judges: a story that breaks a promise fails it.

use std::time::Instant;

use anyhow::{Result, ensure};
use tests::search::{Found, search};

use crate::progress::Step;
use crate::settings::Faults;

/// Stories between two lines of progress.
const BATCH: u64 = 20_000;

pub(crate) fn run(settings: &Faults) -> Result<()> {
    let (begun, end) = (Instant::now(), settings.first + settings.stories);
    let mut all = Found::default();
    for first in (settings.first..end).step_by(usize::try_from(BATCH)?) {
        let seeds = first..end.min(first + BATCH);
        let step = Step::begin("faults", &format!("seeds {} to {}", seeds.start, seeds.end - 1));
        let found = search(seeds);
        step.done(&format!("{} of {} stories told", all.stories + found.stories, settings.stories));
        // At once: who stops a long search knows what it had found.
        if found.broken > 0 {
            println!("{found}");
        }
        all.join(found);
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("\n{all}\n{seconds:.0} s, {:.0} stories a second", all.stories as f64 / seconds);
    ensure!(all.broken == 0, "{} stories break a promise", all.broken);
    Ok(())
}
