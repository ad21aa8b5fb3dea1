//! The report: tables for people, and everything that was measured as JSON.

mod crowds;
mod operations;
mod recoveries;

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::json;

use crate::aim::{Aim, aims};
use crate::cancel::Cancel;
use crate::crowd;
use crate::figures::Figures;
use crate::machine::{Machine, Versions};
use crate::operation::{Operation, STAGES, Sample, Side, of_stage};
use crate::recovery::Recovery;

/// What a process takes.
#[derive(Debug, Serialize)]
pub(crate) struct ProcessFigures {
    pub(crate) name: &'static str,
    /// Milliseconds, of each start.
    pub(crate) start_to_ready: Vec<f64>,
    /// Bytes, when it had settled.
    pub(crate) resident_idle: u64,
    /// Bytes, when it had settled after the runs.
    pub(crate) resident_after: u64,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) samples: Vec<Sample>,
    pub(crate) crowds: Vec<crowd::Run>,
    pub(crate) recoveries: Vec<Recovery>,
    pub(crate) cancels: Vec<Cancel>,
    pub(crate) processes: Vec<ProcessFigures>,
}

/// It, with what it belongs to.
pub(crate) struct Report {
    pub(crate) measured: Measured,
    pub(crate) versions: Versions,
    pub(crate) machine: Machine,
    pub(crate) replicas: i32,
    pub(crate) rounds: u32,
    pub(crate) registry: bool,
}

/// The profile of this build.
pub(crate) const PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

impl Report {
    /// The tables, and which aims hold.
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![format!(
            "Deployments beside raw Docker API calls: {} replica(s), policy fast (5 s window), health \
             check each 1 s,\nimages from {}, {} rounds, {PROFILE} build. Milliseconds: median (least \
             – most).",
            self.replicas,
            if self.registry { "a registry" } else { "the node" },
            self.rounds,
        )];
        lines.push(self.machine.text());
        let measured = &self.measured;
        for operation in Operation::ALL {
            lines.extend(operations::lines(&measured.samples, operation));
        }
        for operation in crowd::OPERATIONS {
            lines.extend(crowds::lines(&measured.crowds, operation));
        }
        lines.extend(recoveries::lines(&measured.recoveries));
        lines.extend(recoveries::cancel_lines(&measured.cancels));
        lines.push(format!(
            "\n{:<26}{:>30}{:>30}",
            "process", "start → ready, ms", "resident MB idle, after runs"
        ));
        for process in &self.measured.processes {
            let start = Figures::of(&process.start_to_ready).map(shown).unwrap_or_default();
            let resident = format!(
                "{:.1}, {:.1}",
                process.resident_idle as f64 / 1e6,
                process.resident_after as f64 / 1e6
            );
            lines.push(format!("  {:<24}{start:>30}{resident:>30}", process.name));
        }
        lines.extend(aim_lines(&aims(&self.measured)));
        lines.join("\n")
    }

    /// Writes all of it.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let samples = &self.measured.samples;
        let medians = Operation::ALL.into_iter().flat_map(|operation| {
            STAGES.iter().map(move |stage| {
                let of = |side| Figures::of(&of_stage(samples, operation, side, stage.of));
                json!({
                    "operation": operation,
                    "stage": stage.title,
                    "skep": of(Side::Skep),
                    "raw": of(Side::Raw),
                })
            })
        });
        let all = json!({
            "benchmark": "deploy",
            "date": chrono::Utc::now().to_rfc3339(),
            "profile": PROFILE,
            "versions": self.versions,
            "machine": self.machine,
            "settings": {
                "rounds": self.rounds,
                "replicas": self.replicas,
                "policy": "fast",
                "images_from_registry": self.registry,
            },
            "clock": "milliseconds since the request was sent",
            "medians": medians.collect::<Vec<_>>(),
            "aims": aims(&self.measured),
            "measured": self.measured,
        });
        let text = serde_json::to_string_pretty(&all)?;
        std::fs::write(file, text + "\n")
            .with_context(|| format!("{} cannot be written", file.display()))
    }
}

/// Which aims hold.
pub(crate) fn aim_lines(aims: &[Aim]) -> Vec<String> {
    let mut lines = vec!["\naims".to_owned()];
    for aim in aims {
        let holds = if aim.holds { "holds" } else { "DOES NOT HOLD" };
        lines.push(format!("  {holds:<14}{}: {}", aim.aim, aim.measured));
    }
    if cfg!(debug_assertions) {
        lines.push("  (a debug build: these figures say nothing of the aims)".to_owned());
    }
    lines
}

fn shown(figures: Figures) -> String {
    let Figures { median, least, most } = figures;
    // Tenths where they tell something.
    if median.abs() < 100.0 {
        format!("{median:.1} ({least:.1} – {most:.1})")
    } else {
        format!("{median:.0} ({least:.0} – {most:.0})")
    }
}
