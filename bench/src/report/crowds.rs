//! The table of an operation on many apps at once: each stage's median over the apps and its last
//! one, a column for each contender.

use super::shown;
use crate::crowd::{Contender, Member, Run};
use crate::figures::Figures;
use crate::operation::Operation;

/// A row: its title, and what it shows of each deployment.
type Stage = (&'static str, fn(&Member) -> Option<f64>);

const STAGES: [Stage; 5] = [
    ("request → answered", |member| Some(member.timeline.answered)),
    ("request → taken up", |member| member.taken_up),
    ("request → spec changed", |member| Some(member.timeline.spec_changed)),
    ("request → running", |member| Some(member.timeline.running)),
    ("request → verdict", |member| Some(member.timeline.verdict)),
];

/// Its lines; none where it was not measured.
pub(super) fn lines(crowds: &[Run], operation: Operation) -> Vec<String> {
    let runs: Vec<&Run> = crowds.iter().filter(|run| run.operation == operation).collect();
    let Some(apps) = runs.first().map(|run| run.members.len()) else { return Vec::new() };
    let heading = format!("{operation} of {apps} apps at once", operation = operation.title());
    let row = |title: &str, cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("{cell:>28}")).collect();
        format!("{title:<28}{cells}")
    };
    let titles = runs.iter().map(|run| match run.contender {
        Contender::Skep { slots } => format!("Skep, {slots} slots"),
        Contender::Raw => "raw".to_owned(),
    });
    let mut lines = vec![format!("\n{}", row(&heading, titles.collect()))];
    for (title, of) in STAGES {
        let cells = runs.iter().map(|run| {
            let figures: Vec<f64> = run.members.iter().filter_map(of).collect();
            Figures::of(&figures).map(shown).unwrap_or_default()
        });
        lines.push(row(&format!("  {title}"), cells.collect()));
    }
    lines
}
