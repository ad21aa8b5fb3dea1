//! The table of one operation on one app: Skep beside raw calls, stage by stage.

use super::shown;
use crate::figures::Figures;
use crate::operation::{Operation, STAGES, Sample, Side, of_stage};

/// Its lines; none where it was not measured.
pub(super) fn lines(samples: &[Sample], operation: Operation) -> Vec<String> {
    let heading = format!("{}: {}", operation.title(), operation.about());
    let mut lines = vec![format!(
        "\n{heading:<52}{:>4}{:>26}{:>8}{:>12}",
        "Skep", "raw", "ratio", "difference"
    )];
    for (index, stage) in STAGES.iter().enumerate() {
        let of = |side| Figures::of(&of_stage(samples, operation, side, stage.of));
        let Some(skep) = of(Side::Skep) else { return Vec::new() };
        // What lies between two points of a raw caller's own is no figure of Docker's.
        let raw = of(Side::Raw).filter(|_| index != 2);
        let (raw, ratio, difference) = match raw {
            Some(raw) => (
                shown(raw),
                format!("{:.3}", skep.median / raw.median),
                format!("{:+.1}", skep.median - raw.median),
            ),
            None => Default::default(),
        };
        lines.push(format!(
            "  {:<26}{:>28}{raw:>26}{ratio:>8}{difference:>12}",
            stage.title,
            shown(skep)
        ));
    }
    lines
}
