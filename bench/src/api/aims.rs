//! What is aimed at, held against what was measured: the aims of PRODUCT.md, "Targets".

use super::load::Figures;
use super::report::Measured;
use super::requests::{Operation, READS};
use super::turns::Compared;
use crate::aim::Aim;

/// The load at which single figures are judged.
const CONNECTIONS: u32 = 16;
/// CPU of the API, in milliseconds a request.
const API_CPU: [(Operation, f64); 2] = [(Operation::App, 0.12), (Operation::Apps, 0.3)];
/// The dearest request in a hundred, in milliseconds.
const READ_P99: f64 = 10.0;
const ACCEPT_P99: f64 = 25.0;
/// The same request beside a hundred times the data.
const FLAT: f64 = 1.1;
/// A read with row security, to one without.
const ROW_SECURITY: f64 = 1.1;
/// Statements of an accept.
const STATEMENTS: f64 = 8.0;
/// Accepts a second.
const ACCEPTS: f64 = 1500.0;
/// Of what pgbench reaches.
const OF_PGBENCH: f64 = 0.7;
/// Resident memory, in bytes.
const MEMORY: f64 = 30e6;

/// All aims that these measurements can tell of.
pub(crate) fn aims(measured: &Measured) -> Vec<Aim> {
    let at = |operation| {
        let mut steps = measured.steps.iter();
        steps.find(move |step| step.operation == operation && step.connections == CONNECTIONS)
    };
    let mut aims = Vec::new();
    for (operation, most) in API_CPU {
        aims.extend(at(operation).map(|step| api_cpu(step, most)));
    }
    for compared in &measured.sizes {
        let ratios = [
            ("API CPU", compared.ratio(|figures| figures.api_cpu)),
            ("Postgres CPU", compared.ratio(|figures| figures.postgres_cpu)),
        ];
        aims.push(ratio(&format!("large ≤ {FLAT} × small"), compared, &ratios, FLAT));
    }
    for compared in &measured.row_security {
        let ratios = [
            ("Postgres CPU", compared.ratio(|figures| figures.postgres_cpu)),
            ("p50", compared.ratio(|figures| figures.p50)),
        ];
        aims.push(ratio(
            &format!("row security ≤ {ROW_SECURITY} ×"),
            compared,
            &ratios,
            ROW_SECURITY,
        ));
    }
    let limits = READS.map(|operation| (operation, READ_P99));
    for (operation, most) in limits.into_iter().chain([(Operation::Accept, ACCEPT_P99)]) {
        aims.extend(at(operation).map(|step| Aim {
            aim: format!("{}: p99 < {most:.0} ms at {CONNECTIONS}", operation.title()),
            measured: format!("{:.1} ms, with {:.2} CPUs busy for others", step.p99, step.others),
            holds: step.p99 < most,
        }));
    }
    aims.extend(accepts(measured));
    let resident = measured.resident;
    aims.push(Aim {
        aim: format!("API resident < {:.0} MB", MEMORY / 1e6),
        measured: format!(
            "{:.1} MB after the reads, {:.1} MB after the accepts",
            resident.after_reads as f64 / 1e6,
            resident.after_accepts as f64 / 1e6
        ),
        holds: (resident.after_reads.max(resident.after_accepts) as f64) < MEMORY,
    });
    aims
}

fn api_cpu(step: &Figures, most: f64) -> Aim {
    Aim {
        aim: format!("{}: API CPU < {most} ms at {CONNECTIONS}", step.operation.title()),
        measured: format!("{:.3} ms (Postgres: {:.3} ms)", step.api_cpu, step.postgres_cpu),
        holds: step.api_cpu < most,
    }
}

fn ratio(aim: &str, compared: &Compared, ratios: &[(&str, Option<f64>)], most: f64) -> Aim {
    let told = ratios.iter().filter_map(|(title, ratio)| Some(format!("{title} {:.3}", (*ratio)?)));
    Aim {
        aim: format!("{}: {aim}", compared.operation.title()),
        measured: told.collect::<Vec<_>>().join(", "),
        holds: ratios.iter().all(|(_, ratio)| ratio.is_some_and(|ratio| ratio <= most)),
    }
}

fn accepts(measured: &Measured) -> Vec<Aim> {
    let mut aims = Vec::new();
    let counts = &measured.statements;
    if let Some(count) = counts.iter().find(|count| count.operation == Operation::Accept) {
        aims.push(Aim {
            aim: format!("accept ≤ {STATEMENTS:.0} statements"),
            measured: format!("{:.1}, beside BEGIN, COMMIT and one SET", count.statements),
            holds: count.statements <= STATEMENTS,
        });
    }
    let Some(rate) = measured.beside.accepts() else { return aims };
    aims.push(Aim {
        aim: format!("accepts ≥ {ACCEPTS:.0} a second at {CONNECTIONS}"),
        measured: format!("{rate:.0} a second"),
        holds: rate >= ACCEPTS,
    });
    if let Some(pgbench) = measured.beside.pgbench() {
        aims.push(Aim {
            aim: format!("accepts ≥ {:.0} % of pgbench", OF_PGBENCH * 100.0),
            measured: format!("{:.0} % ({rate:.0} of {pgbench:.0})", 100.0 * rate / pgbench),
            holds: rate >= OF_PGBENCH * pgbench,
        });
    }
    aims
}

#[cfg(test)]
mod tests {
    use super::super::accepts::Beside;
    use super::super::report::Resident;
    use super::super::statements::Count;
    use super::*;

    fn figures(operation: Operation, of: f64) -> Figures {
        Figures {
            operation,
            connections: CONNECTIONS,
            requests: 1,
            requests_per_second: 1000.0 * of,
            p50: of,
            p99: 10.0 * of,
            most: 20.0 * of,
            api_cpu: 0.1 * of,
            postgres_cpu: 0.2 * of,
            load_cpu: 0.1,
            others: 0.0,
        }
    }

    fn measured(of: f64) -> Measured {
        let compared = || {
            let side = |of| vec![figures(Operation::App, of)];
            vec![Compared { operation: Operation::App, base: side(1.0), other: side(of) }]
        };
        let operations = READS.into_iter().chain([Operation::Accept]);
        Measured {
            steps: operations.map(|operation| figures(operation, of)).collect(),
            statements: vec![Count {
                operation: Operation::Accept,
                statements: 8.0 * of,
                settings: 1.0,
            }],
            row_security: compared(),
            sizes: compared(),
            beside: Beside {
                accepts: vec![figures(Operation::Accept, 1.6)],
                pgbench: vec![2000.0 * of],
            },
            resident: Resident { idle: 0, after_reads: (25e6 * of) as u64, after_accepts: 0 },
        }
    }

    #[test]
    fn each_aim_can_fail() {
        assert!(aims(&measured(0.99)).iter().all(|aim| aim.holds), "{:#?}", aims(&measured(0.99)));
        let failed = aims(&measured(4.0));
        let holding: Vec<&str> =
            failed.iter().filter(|aim| aim.holds).map(|aim| aim.aim.as_str()).collect();
        assert_eq!(holding, ["accepts ≥ 1500 a second at 16"]);
    }
}
