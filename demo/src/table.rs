//! Tables for people: columns as wide as their widest cell; numbers to the right.

/// A column: its title, and whether its cells are numbers.
pub(crate) type Column = (&'static str, bool);

/// The lines of a table, heading first.
pub(crate) fn lines(columns: &[Column], rows: &[Vec<String>]) -> Vec<String> {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, (title, _))| {
            let cells = rows.iter().filter_map(|row| row.get(index));
            cells.map(|cell| cell.chars().count()).fold(title.chars().count(), usize::max)
        })
        .collect();
    let heading: Vec<String> = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
    std::iter::once(&heading).chain(rows).map(|row| line(columns, &widths, row)).collect()
}

fn line(columns: &[Column], widths: &[usize], row: &[String]) -> String {
    let cells = columns.iter().zip(widths).zip(row).map(|(((_, number), width), cell)| {
        if *number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
    });
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let columns = [("#", true), ("kind", false), ("seconds", true)];
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["1", "deploy", "8.1"]), row(["10", "rollback", "13.0"])];
        assert_eq!(
            lines(&columns, &rows),
            [" #  kind      seconds", " 1  deploy        8.1", "10  rollback     13.0"]
        );
    }
}
