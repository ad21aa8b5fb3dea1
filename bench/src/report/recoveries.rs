//! The tables of a worker that ended, and of a cancel.

use super::shown;
use crate::cancel::Cancel;
use crate::figures::Figures;
use crate::recovery::{End, Recovery};

/// A row: its title, and what it shows of a worker's end.
type Stage = (&'static str, fn(&Recovery) -> f64);

const STAGES: [Stage; 3] = [
    ("signal → lease runs out", |recovery| recovery.lease_left),
    ("signal → taken over", |recovery| recovery.taken_over),
    ("signal → verdict", |recovery| recovery.verdict),
];

/// The lines of recoveries; none where none was measured.
pub(super) fn lines(recoveries: &[Recovery]) -> Vec<String> {
    if recoveries.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!(
        "\n{:<52}{:>4}{:>30}",
        "the driving one of two workers ends", "killed", "stopped"
    )];
    for (title, of) in STAGES {
        let of = |end| {
            let found = recoveries.iter().filter(|recovery| recovery.end == end).map(of);
            Figures::of(&found.collect::<Vec<_>>()).map(shown).unwrap_or_default()
        };
        // A worker that is asked to stop gives its lease up: what was left of it counts for nothing.
        let stopped = if title == STAGES[0].0 { String::new() } else { of(End::Stopped) };
        lines.push(format!("  {title:<26}{:>30}{stopped:>30}", of(End::Killed)));
    }
    lines
}

/// The lines of cancels; none where none was measured.
pub(super) fn cancel_lines(cancels: &[Cancel]) -> Vec<String> {
    let of = |stage: fn(&Cancel) -> f64| {
        Figures::of(&cancels.iter().map(stage).collect::<Vec<_>>()).map(shown)
    };
    let (Some(answered), Some(ended)) = (of(|cancel| cancel.answered), of(|cancel| cancel.ended))
    else {
        return Vec::new();
    };
    vec![
        format!("\n{:<52}{:>4}", "cancel: an update whose replicas start", "Skep"),
        format!("  {:<26}{answered:>28}", "request → answered"),
        format!("  {:<26}{ended:>28}", "request → back, verified"),
    ]
}
