//! Two sides measured in turns, at one connection: a small data set beside a large one, row security
//! beside none. What the machine does meanwhile meets both.

use std::time::Duration;

use anyhow::Result;
use db::Database;
use serde::Serialize;
// `tests` alone would be this file's own.
use ::tests::sql;

use super::load::{Figures, Target, Volume};
use super::requests::Operation;
use crate::figures;

/// What is compared.
pub(crate) const COMPARED: [Operation; 2] = [Operation::App, Operation::Apps];

/// One operation on both sides.
#[derive(Debug, Serialize)]
pub(crate) struct Compared {
    pub(crate) operation: Operation,
    /// What the other side is held against.
    pub(crate) base: Vec<Figures>,
    pub(crate) other: Vec<Figures>,
}

impl Compared {
    fn new(operation: Operation) -> Self {
        Self { operation, base: Vec::new(), other: Vec::new() }
    }

    /// Median of one figure on each side, base first.
    pub(crate) fn medians(&self, of: fn(&Figures) -> f64) -> Option<(f64, f64)> {
        let median = |side: &[Figures]| {
            let values: Vec<f64> = side.iter().map(of).collect();
            figures::Figures::of(&values).map(|found| found.median)
        };
        Some((median(&self.base)?, median(&self.other)?))
    }

    /// The other side's median as a multiple of the base's.
    pub(crate) fn ratio(&self, of: fn(&Figures) -> f64) -> Option<f64> {
        self.medians(of).map(|(base, other)| other / base)
    }
}

/// How long each turn is.
#[derive(Clone, Copy)]
pub(crate) struct Turns {
    pub(crate) rounds: u32,
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
}

impl Turns {
    /// The small data set is the base.
    pub(crate) async fn sizes(self, small: &Target, large: &Target) -> Result<Vec<Compared>> {
        let mut all = Vec::new();
        for operation in COMPARED {
            let mut compared = Compared::new(operation);
            for round in 0..self.rounds {
                for is_other in order(round) {
                    let target = if is_other { large } else { small };
                    self.turn(&mut compared, is_other, target).await?;
                }
            }
            all.push(compared);
        }
        Ok(all)
    }

    /// No row security is the base. Whatever happens, it is on in the end.
    pub(crate) async fn row_security(
        self,
        target: &Target,
        administrator: &Database,
    ) -> Result<Vec<Compared>> {
        let compared = self.without_row_security(target, administrator).await;
        row_security_set(administrator, true).await?;
        compared
    }

    async fn without_row_security(
        self,
        target: &Target,
        administrator: &Database,
    ) -> Result<Vec<Compared>> {
        let mut all: Vec<Compared> = COMPARED.into_iter().map(Compared::new).collect();
        for round in 0..self.rounds {
            for is_other in order(round) {
                row_security_set(administrator, is_other).await?;
                for compared in &mut all {
                    self.turn(compared, is_other, target).await?;
                }
            }
        }
        Ok(all)
    }

    async fn turn(self, compared: &mut Compared, is_other: bool, target: &Target) -> Result<()> {
        let volume = |time| Volume { connections: 1, time, most: u64::MAX };
        target.load(compared.operation, volume(self.warm_up)).await?;
        let figures = target.load(compared.operation, volume(self.time)).await?;
        let side = if is_other { &mut compared.other } else { &mut compared.base };
        side.push(figures);
        Ok(())
    }
}

/// Each side is first in every other round.
const fn order(round: u32) -> [bool; 2] {
    if round.is_multiple_of(2) { [false, true] } else { [true, false] }
}

/// Turns the policies of every table on or off. What connections are told stays.
async fn row_security_set(administrator: &Database, on: bool) -> Result<()> {
    let verb = if on { "ENABLE" } else { "DISABLE" };
    let script = format!(
        "DO $$ DECLARE walled regclass; BEGIN
             FOR walled IN SELECT DISTINCT polrelid FROM pg_policy LOOP
                 EXECUTE format('ALTER TABLE %s {verb} ROW LEVEL SECURITY', walled);
             END LOOP;
         END $$"
    );
    sql::scripts(administrator, &[&script]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_are_first_as_often() {
        assert_eq!([order(0), order(1), order(2)], [[false, true], [true, false], [false, true]]);
    }
}
