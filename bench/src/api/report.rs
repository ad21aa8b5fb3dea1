//! The report: tables for people, and everything that was measured as JSON.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::json;

use super::accepts::{Beside, CLIENTS};
use super::aims::aims;
use super::dataset::Size;
use super::load::Figures;
use super::statements::Count;
use super::turns::Compared;
use crate::machine::{Machine, Versions};
use crate::report::{PROFILE, aim_lines};
use crate::settings::Api;

/// Resident memory of the API in bytes, each time when it had settled.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Resident {
    pub(crate) idle: u64,
    /// Every app was served many times.
    pub(crate) after_reads: u64,
    pub(crate) after_accepts: u64,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) steps: Vec<Figures>,
    pub(crate) statements: Vec<Count>,
    /// Base: without it.
    pub(crate) row_security: Vec<Compared>,
    /// Base: the small data set.
    pub(crate) sizes: Vec<Compared>,
    pub(crate) beside: Beside,
    pub(crate) resident: Resident,
}

/// It, with what it belongs to.
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) versions: Versions,
    pub(crate) size: Size,
    pub(crate) settings: Api,
    pub(crate) measured: Measured,
}

impl Report {
    /// The tables, and which aims hold.
    pub(crate) fn text(&self) -> String {
        let measured = &self.measured;
        let mut lines = vec![
            format!("The API at {}: row security on, relay running, no worker; {PROFILE} build.", self.size.text()),
            self.machine.text(),
            "The load is one thread of this program on the same CPUs; what it takes is told, and counted for nobody. \
             Others are the CPUs\nthat RabbitMQ, the kernel and whatever else runs here kept busy."
                .to_owned(),
            format!(
                "\n{:<24}{:>6}{:>9}{:>9}{:>9}{:>9}{:>10}{:>10}{:>8}{:>9}",
                "milliseconds", "conns", "a second", "p50", "p99", "most", "API CPU", "Postgres", "load", "others"
            ),
        ];
        lines.extend(measured.steps.iter().map(step));
        lines.push(format!(
            "\n{:<40}{:>12}{:>24}",
            "statements a request", "statements", "SETs ahead of them"
        ));
        lines.extend(measured.statements.iter().map(|count| {
            format!(
                "  {:<38}{:>12.2}{:>24.2}",
                count.operation.title(),
                count.statements,
                count.settings
            )
        }));
        lines.extend(compared("row security", ["off", "on"], &measured.row_security));
        let titles = ["100 apps", "large"];
        lines.extend(compared("the same requests beside more data", titles, &measured.sizes));
        lines.extend(beside(&measured.beside));
        let Resident { idle, after_reads, after_accepts } = measured.resident;
        let [idle, after_reads, after_accepts] =
            [idle, after_reads, after_accepts].map(|bytes| bytes as f64 / 1e6);
        lines.push(format!(
            "\nresident memory of the API: idle {idle:.1} MB, after the reads {after_reads:.1} MB, after the accepts \
             {after_accepts:.1} MB"
        ));
        lines.extend(aim_lines(&aims(measured)));
        lines.join("\n")
    }

    /// Writes all of it.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let all = json!({
            "benchmark": "api",
            "date": chrono::Utc::now().to_rfc3339(),
            "profile": PROFILE,
            "versions": self.versions,
            "machine": self.machine,
            "settings": {
                "data": self.size.text(),
                "seconds": self.settings.seconds,
                "rounds": self.settings.rounds,
            },
            "units": "milliseconds; CPU is of a request; `others` are CPUs",
            "aims": aims(&self.measured),
            "measured": self.measured,
        });
        let text = serde_json::to_string_pretty(&all)?;
        std::fs::write(file, text + "\n")
            .with_context(|| format!("{} cannot be written", file.display()))
    }
}

fn step(figures: &Figures) -> String {
    format!(
        "  {:<22}{:>6}{:>9.0}{:>9.2}{:>9.2}{:>9.1}{:>10.3}{:>10.3}{:>8.3}{:>9.2}",
        figures.operation.title(),
        figures.connections,
        figures.requests_per_second,
        figures.p50,
        figures.p99,
        figures.most,
        figures.api_cpu,
        figures.postgres_cpu,
        figures.load_cpu,
        figures.others,
    )
}

/// What is compared: its title, and the figure.
type Row = (&'static str, fn(&Figures) -> f64);

const COMPARED: [Row; 3] = [
    ("API CPU", |figures| figures.api_cpu),
    ("Postgres CPU", |figures| figures.postgres_cpu),
    ("p50", |figures| figures.p50),
];

fn compared(title: &str, sides: [&str; 2], all: &[Compared]) -> Vec<String> {
    let [base, other] = sides;
    let mut lines = vec![format!("\n{title:<40}{base:>12}{other:>12}{:>12}", "ratio")];
    for compared in all {
        for (row, of) in COMPARED {
            let Some((base, other)) = compared.medians(of) else { continue };
            let title = format!("{}, {row}", compared.operation.title());
            lines.push(format!("  {title:<38}{base:>12.3}{other:>12.3}{:>12.3}", other / base));
        }
    }
    lines
}

fn beside(beside: &Beside) -> Vec<String> {
    let mut lines = vec![format!("\naccepts a second at {CLIENTS} clients, in turns")];
    let rates = |rates: &mut dyn Iterator<Item = f64>| {
        let rates: Vec<String> = rates.map(|rate| format!("{rate:.0}")).collect();
        rates.join(", ")
    };
    let api = rates(&mut beside.accepts.iter().map(|run| run.requests_per_second));
    lines.push(format!("  {:<38}{api}", "the API"));
    let pgbench = match beside.pgbench.is_empty() {
        true => "not measured: there is no pgbench (Debian: postgresql)".to_owned(),
        false => rates(&mut beside.pgbench.iter().copied()),
    };
    lines.push(format!("  {:<38}{pgbench}", "pgbench, the same statements"));
    lines
}
