//! What is aimed at, held against what was measured: the aims of PRODUCT.md, "Targets", and for many
//! deployments at once and for the answer to a scale our own.

use serde::Serialize;

use crate::crowd::{Contender, OPERATIONS, Run};
use crate::figures::Figures;
use crate::operation::{Operation, STAGES, Side, of_stage};
use crate::recovery::{End, Recovery};
use crate::report::Measured;

/// A verdict may come so much later than a raw caller's, whichever is larger.
const OVERHEAD: (f64, f64) = (1.05, 300.0);
/// The spec is with Swarm so soon after the answer, in milliseconds.
const SPEC: f64 = 20.0;
/// A scale is accepted so soon, in milliseconds.
const ACCEPT: f64 = 1000.0;
/// The last verdict of many deployments at once may come so much later than the last of raw callers.
const CROWD: f64 = 1.5;
/// Another worker drives what a killed one drove so soon, in milliseconds.
const TAKEN_OVER: f64 = 15_000.0;
/// A process is ready so soon, in milliseconds.
const READY: f64 = 1000.0;
/// Resident memory, in bytes.
const MEMORY: f64 = 30e6;

/// An aim and whether it holds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Aim {
    /// What is aimed at.
    pub(crate) aim: String,
    /// What was measured.
    pub(crate) measured: String,
    /// Whether that is within.
    pub(crate) holds: bool,
}

/// All aims that these measurements can tell of.
pub(crate) fn aims(measured: &Measured) -> Vec<Aim> {
    let mut aims = Vec::new();
    for operation in Operation::ALL {
        aims.extend(overhead(measured, operation));
    }
    aims.extend(Operation::KNOWN.into_iter().filter_map(|operation| spec(measured, operation)));
    aims.extend(Operation::SCALES.into_iter().filter_map(|scale| accepted(measured, scale)));
    aims.extend(OPERATIONS.into_iter().filter_map(|operation| crowd(&measured.crowds, operation)));
    aims.extend(taken_over(&measured.recoveries));
    for process in &measured.processes {
        if let Some(start) = Figures::of(&process.start_to_ready) {
            aims.push(Aim {
                aim: format!("{} ready < {READY:.0} ms after start", process.name),
                measured: format!("median {:.0} ms, most {:.0} ms", start.median, start.most),
                holds: start.most < READY,
            });
        }
        let most = process.resident_idle.max(process.resident_after) as f64;
        aims.push(Aim {
            aim: format!(
                "{} resident < {:.0} MB (here: without the 10,000 apps)",
                process.name,
                MEMORY / 1e6
            ),
            measured: format!(
                "idle {:.1} MB, after the runs {:.1} MB",
                process.resident_idle as f64 / 1e6,
                process.resident_after as f64 / 1e6
            ),
            holds: most < MEMORY,
        });
    }
    aims
}

fn overhead(measured: &Measured, operation: Operation) -> Option<Aim> {
    let verdict = STAGES.last()?.of;
    let of = |side| Figures::of(&of_stage(&measured.samples, operation, side, verdict));
    let (skep, raw) = (of(Side::Skep)?.median, of(Side::Raw)?.median);
    let (ratio, more) = OVERHEAD;
    Some(Aim {
        aim: format!("{}: verdict ≤ {ratio} × raw or + {more:.0} ms", operation.title()),
        measured: format!("{:.3} ×, {:+.0} ms", skep / raw, skep - raw),
        holds: skep <= f64::max(raw * ratio, raw + more),
    })
}

/// Known digest, existing network. (An update's digest has to be asked for; a first deployment's network made.)
fn spec(measured: &Measured, operation: Operation) -> Option<Aim> {
    let after = of_stage(&measured.samples, operation, Side::Skep, |timeline| {
        timeline.spec_changed - timeline.answered
    });
    let after = Figures::of(&after)?;
    Some(Aim {
        aim: format!("{}: spec changed < {SPEC:.0} ms after accept", operation.title()),
        measured: format!("median {:.1} ms, most {:.1} ms", after.median, after.most),
        holds: after.median < SPEC,
    })
}

fn accepted(measured: &Measured, scale: Operation) -> Option<Aim> {
    let answered = of_stage(&measured.samples, scale, Side::Skep, |timeline| timeline.answered);
    let answered = Figures::of(&answered)?;
    Some(Aim {
        aim: format!("{}: accepted < {ACCEPT:.0} ms", scale.title()),
        measured: format!("median {:.1} ms, most {:.1} ms", answered.median, answered.most),
        holds: answered.most < ACCEPT,
    })
}

/// The first contender is the installation as it is; one that was given more slots tells why.
fn crowd(crowds: &[Run], operation: Operation) -> Option<Aim> {
    let mut skeps = Vec::new();
    let mut raw = None;
    for run in crowds.iter().filter(|run| run.operation == operation) {
        match run.contender {
            Contender::Skep { slots } => skeps.push((slots, run.last())),
            Contender::Raw => raw = Some(run.last()),
        }
    }
    let (raw, (_, first)) = (raw?, *skeps.first()?);
    let told = skeps.iter().map(|(slots, last)| {
        format!("{:.2} × with {slots} slots ({last:.0} against {raw:.0} ms)", last / raw)
    });
    let apps = crowds.first()?.members.len();
    Some(Aim {
        aim: format!("{} of {apps} at once: last verdict ≤ {CROWD} × raw", operation.title()),
        measured: told.collect::<Vec<_>>().join(", "),
        holds: first <= raw * CROWD,
    })
}

fn taken_over(recoveries: &[Recovery]) -> Option<Aim> {
    let killed = recoveries.iter().filter(|recovery| recovery.end == End::Killed);
    let took: Vec<f64> = killed.map(|recovery| recovery.taken_over).collect();
    let figures = Figures::of(&took)?;
    Some(Aim {
        aim: format!("worker killed: taken over < {:.0} s", TAKEN_OVER / 1000.0),
        measured: format!(
            "median {:.1} s, worst of {} {:.1} s",
            figures.median / 1000.0,
            took.len(),
            figures.most / 1000.0
        ),
        holds: figures.most < TAKEN_OVER,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::Member;
    use crate::operation::{Sample, Timeline};
    use crate::report::ProcessFigures;

    fn sample(operation: Operation, side: Side, verdict: f64) -> Sample {
        let timeline = Timeline { answered: 5.0, spec_changed: 20.0, running: 1600.0, verdict };
        Sample { round: 1, operation, side, timeline }
    }

    fn measured(skep: f64, raw: f64) -> Measured {
        let samples = Operation::ALL.into_iter().flat_map(|operation| {
            [sample(operation, Side::Skep, skep), sample(operation, Side::Raw, raw)]
        });
        Measured {
            samples: samples.collect(),
            crowds: Vec::new(),
            recoveries: Vec::new(),
            cancels: Vec::new(),
            processes: vec![ProcessFigures {
                name: "api",
                start_to_ready: vec![100.0, 1200.0],
                resident_idle: 10_000_000,
                resident_after: 20_000_000,
            }],
        }
    }

    #[test]
    fn the_larger_allowance_counts() {
        let holds = |skep, raw| aims(&measured(skep, raw)).first().unwrap().holds;
        assert!(holds(6900.0, 6600.0));
        assert!(!holds(6950.0, 6600.0));
        assert!(holds(10_500.0, 10_000.0));
        assert!(!holds(10_501.0, 10_000.0));
    }

    #[test]
    fn each_aim_says_what_was_measured() {
        let aims = aims(&measured(6700.0, 6600.0));
        let told: Vec<_> = aims.iter().map(|aim| (aim.measured.as_str(), aim.holds)).collect();
        assert_eq!(
            told,
            [
                ("1.015 ×, +100 ms", true),
                ("1.015 ×, +100 ms", true),
                ("1.015 ×, +100 ms", true),
                ("1.015 ×, +100 ms", true),
                ("1.015 ×, +100 ms", true),
                ("median 15.0 ms, most 15.0 ms", true),
                ("median 15.0 ms, most 15.0 ms", true),
                ("median 15.0 ms, most 15.0 ms", true),
                ("median 5.0 ms, most 5.0 ms", true),
                ("median 5.0 ms, most 5.0 ms", true),
                ("median 650 ms, most 1200 ms", false),
                ("idle 10.0 MB, after the runs 20.0 MB", true),
            ]
        );
    }
    #[test]
    fn a_crowd_is_judged_with_the_slots_that_an_installation_has() {
        let run = |contender, last: f64| {
            let member = |verdict| Member {
                taken_up: None,
                timeline: Timeline { answered: 5.0, spec_changed: 20.0, running: 1600.0, verdict },
            };
            let members = vec![member(last), member(last / 2.0)];
            Run { contender, operation: Operation::Create, members }
        };
        let crowds = [
            run(Contender::Skep { slots: 16 }, 14_000.0),
            run(Contender::Raw, 8_000.0),
            run(Contender::Skep { slots: 20 }, 8_800.0),
        ];
        let aim = crowd(&crowds, Operation::Create).unwrap();
        assert_eq!(
            aim.measured,
            "1.75 × with 16 slots (14000 against 8000 ms), 1.10 × with 20 slots (8800 against 8000 ms)"
        );
        assert!(!aim.holds);
        assert!(crowd(&crowds, Operation::Update).is_none());
    }

    #[test]
    fn the_worst_of_killed_workers_counts() {
        let recovery = |end, taken_over| Recovery {
            round: 1,
            end,
            status: "updating".into(),
            lease_left: 8_000.0,
            taken_over,
            verdict: 20_000.0,
        };
        let mut recoveries = vec![recovery(End::Killed, 9_000.0), recovery(End::Stopped, 16_000.0)];
        assert!(taken_over(&recoveries).unwrap().holds);
        recoveries.push(recovery(End::Killed, 15_100.0));
        assert_eq!(taken_over(&recoveries).unwrap().measured, "median 12.1 s, worst of 2 15.1 s");
        assert!(!taken_over(&recoveries).unwrap().holds);
    }
}
