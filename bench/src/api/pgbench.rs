//! Accepts beside pgbench: the statements that an API sent for one accept, sent by pgbench for app after
//! app, with as many clients, as the same role, with row security on. What pgbench reaches is what
//! Postgres can do; the rest is the API's.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use db::bootstrap::API;
use db::pool::PLANS;
// `tests` alone would be this file's own.
use ::tests::wire::{Statement, Transaction};
use tokio::process::Command;
use uuid::Uuid;

use super::dataset::{FEW, Made, Size, id};
use super::statements::RELEASE;
use crate::installation::Installation;

/// A lock's number is the hash of a key, and no count is as large.
const LARGEST_COUNT: u64 = 1 << 40;
/// Between the numbers of releases in two runs: the API's are in between.
const RUN: u32 = 100_000;

/// A script of pgbench with its variables.
pub(crate) struct Script {
    text: String,
    /// Values that are the same for every app.
    variables: Vec<(String, String)>,
    size: Size,
}

/// Ids of the recorded accept, and what they are for another app.
struct Ids {
    known: HashMap<Uuid, String>,
    /// How many ids were new.
    new: usize,
}

impl Script {
    /// Of the accept of the first app.
    pub(crate) fn of(accept: &Transaction, size: Size) -> Result<Self> {
        let organizations = size.organizations;
        let mut script = Self { text: String::new(), variables: Vec::new(), size };
        let mut ids = Ids { known: HashMap::new(), new: 0 };
        for (of, number) in [(Made::App, "n"), (Made::Organization, "g"), (Made::Token, "g")] {
            ids.known.insert(id(of, 1)?, format!("{}::uuid", made(of, number)));
        }
        // Each accept is of another app; `step` and `id` are of one accept, `g` and `a` name its app.
        script.text = format!(
            "\\set step :step + 1\n\\set n :client_id + :step * :clients + 1\n\
             \\set g 1 + (:n - 1) % {organizations}\n\\set a 1 + (:n - 1) / {organizations}\n\
             \\set id :client_id * 1000000 + :step\n\
             \\startpipeline\n\
             SELECT set_config('skep.organization', {}, false), set_config('skep.person', '', false);\n\
             BEGIN;\n\\endpipeline\n",
            made(Made::Organization, "g"),
        );
        for (index, statement) in accept.iter().enumerate() {
            let parameters = (0..statement.parameters.len())
                .map(|parameter| script.expression(statement, index, parameter, &mut ids))
                .collect::<Result<Vec<_>>>()?;
            script.text.push_str(&filled(&statement.text, &parameters)?);
            script.text.push_str(";\n");
        }
        script.text.push_str("COMMIT;\n");
        Ok(script)
    }

    /// How many accepts each client can send without superseding one.
    pub(crate) fn accepts_each(&self, clients: u32) -> u32 {
        self.size.organizations * FEW / clients
    }

    /// Runs it; transactions a second.
    pub(crate) async fn run(
        &self,
        pgbench: &Path,
        installation: &Installation,
        clients: u32,
        run: u32,
    ) -> Result<f64> {
        let file = installation.directory.join("accept.pgbench");
        fs::write(&file, &self.text)?;
        let mut command = Command::new(pgbench);
        command.args(["--no-vacuum", "--protocol=prepared", "--jobs=2"]);
        command.arg(format!("--client={clients}"));
        command.arg(format!("--transactions={}", self.accepts_each(clients)));
        command.arg("--file").arg(&file);
        let counted = [
            ("step", "-1".to_owned()),
            ("clients", clients.to_string()),
            ("run", run.to_string()),
            ("number", (run * RUN).to_string()),
        ];
        let counted = counted.iter().map(|(name, value)| (*name, value));
        let recorded = self.variables.iter().map(|(name, value)| (name.as_str(), value));
        for (name, value) in counted.chain(recorded) {
            command.arg(format!("--define={name}={value}"));
        }
        // What the API tells each of its connections.
        let plans = PLANS.map(|(name, value)| format!("-c {name}={value} "));
        command.env("PGOPTIONS", plans.concat());
        let output = command.arg(installation.url(API)?).output().await?;
        let told = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pgbench: {complaint}");
        tps_in(&told).with_context(|| format!("pgbench told no tps: {told}{complaint}"))
    }

    /// SQL for a parameter, in another accept than the recorded one.
    fn expression(
        &mut self,
        statement: &Statement,
        index: usize,
        parameter: usize,
        ids: &mut Ids,
    ) -> Result<String> {
        let value = statement.parameters.get(parameter).context("a parameter has a value")?;
        let kind = *statement.types.get(parameter).context("a parameter has a type")?;
        let name =
            type_name(kind).with_context(|| format!("type {kind} in: {}", statement.text))?;
        let Some(value) = value else { return Ok(format!("NULL::{name}")) };
        let text = match name {
            "uuid" => return Ok(ids.expression(Uuid::from_slice(value)?)),
            "bigint" => {
                let number = i64::from_be_bytes(value.as_slice().try_into()?);
                if number.unsigned_abs() > LARGEST_COUNT {
                    return Ok("(:run::bigint * 1000000000000 + :id::bigint)".to_owned());
                }
                number.to_string()
            }
            "integer" => {
                let number = i32::from_be_bytes(value.as_slice().try_into()?);
                if number == RELEASE {
                    return Ok(":number::integer".to_owned());
                }
                number.to_string()
            }
            "smallint" => i16::from_be_bytes(value.as_slice().try_into()?).to_string(),
            "boolean" => (value.as_slice() != [0]).to_string(),
            "uuid[]" => {
                let made = elements(value).context("an array")?.into_iter();
                let made: Vec<String> = made.map(|id| ids.expression(id)).collect();
                return Ok(format!("ARRAY[{}]::uuid[]", made.join(", ")));
            }
            "bytea" => format!("\\x{}", hex::encode(value)),
            // One byte tells the version of the form.
            "jsonb" => String::from_utf8(value.get(1..).unwrap_or_default().to_vec())?,
            _ => String::from_utf8(value.clone())?,
        };
        if text == "app-1" {
            return Ok("('app-' || :a::text)".to_owned());
        }
        if text.starts_with("bench-") {
            return Ok("('pgbench-' || :run::text || '-' || :id::text)".to_owned());
        }
        let variable = format!("v{index}_{parameter}");
        self.variables.push((variable.clone(), text));
        Ok(format!(":{variable}::{name}"))
    }
}

impl Ids {
    /// An id that is not known is one that the accept makes.
    fn expression(&mut self, recorded: Uuid) -> String {
        let new = &mut self.new;
        let make = || {
            *new += 1;
            format!(
                "(lpad(:run::text, 8, '0') || '-0000-7000-8{new:03}-' || lpad(:id::text, 12, '0'))::uuid"
            )
        };
        self.known.entry(recorded).or_insert_with(make).clone()
    }
}

/// The text of an id of the data set, of what the variable numbers: see [`id`].
fn made(of: Made, variable: &str) -> String {
    format!("('0199{:04}-0000-7000-8000-' || lpad(:{variable}::text, 12, '0'))", of as u32)
}

/// Those that our statements have.
const fn type_name(id: u32) -> Option<&'static str> {
    Some(match id {
        16 => "boolean",
        17 => "bytea",
        20 => "bigint",
        21 => "smallint",
        23 => "integer",
        25 => "text",
        2950 => "uuid",
        2951 => "uuid[]",
        3802 => "jsonb",
        _ => return None,
    })
}

/// The ids of an array of one dimension, or none, in Postgres's binary form: a head of 12 bytes, of each dimension its length and lower bound,
/// and each element behind its length.
fn elements(array: &[u8]) -> Option<Vec<Uuid>> {
    let Some(elements) = array.get(20..) else { return Some(Vec::new()) };
    elements.chunks(20).map(|element| Uuid::from_slice(element.get(4..)?).ok()).collect()
}

/// A statement with an expression in the place of each `$1`.
fn filled(text: &str, parameters: &[String]) -> Result<String> {
    let mut parts = text.split('$');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|byte: char| byte.is_ascii_digit()).len();
        let (number, rest) = part.split_at(digits);
        let number: usize = number.parse().with_context(|| format!("no parameter in: {text}"))?;
        let parameter = number.checked_sub(1).and_then(|index| parameters.get(index));
        filled.push_str(parameter.with_context(|| format!("${number} is not bound in: {text}"))?);
        filled.push_str(rest);
    }
    Ok(filled)
}

fn tps_in(told: &str) -> Option<f64> {
    let line = told.lines().find_map(|line| line.strip_prefix("tps = "))?;
    line.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_an_array_are_found() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let head = [[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0x0b, 0x86], [0, 0, 0, 2], [0, 0, 0, 1]];
        let mut array = head.concat();
        for id in [one, other] {
            array.extend([0, 0, 0, 16]);
            array.extend(id.as_bytes());
        }
        assert_eq!(elements(&array), Some(vec![one, other]));
        assert_eq!(elements(&head[..3].concat()), Some(Vec::new()));
        assert_eq!(elements(&array[..30]), None);
    }

    #[test]
    fn a_recorded_accept_becomes_one_of_any_app() {
        let bound = |text: &str, parameters: Vec<(u32, Option<Vec<u8>>)>| {
            let (types, parameters) = parameters.into_iter().unzip();
            Statement { text: text.to_owned(), types, parameters }
        };
        let (app, new) = (id(Made::App, 1).unwrap(), Uuid::from_u128(7));
        let accept = vec![
            bound(
                "SELECT $2 WHERE key = $1 AND $3",
                vec![
                    (25, Some(b"bench-0-0".to_vec())),
                    (2950, Some(app.as_bytes().to_vec())),
                    (20, Some((1_i64 << 50).to_be_bytes().to_vec())),
                ],
            ),
            bound(
                "INSERT $1, $2, $3, $4",
                vec![
                    (2950, Some(new.as_bytes().to_vec())),
                    (23, Some(RELEASE.to_be_bytes().to_vec())),
                    (3802, Some(b"\x01{}".to_vec())),
                    (25, None),
                ],
            ),
        ];
        let script = Script::of(&accept, Size { organizations: 1000 }).unwrap();
        let lines: Vec<&str> = script.text.lines().rev().take(3).collect();
        assert_eq!(
            lines,
            [
                "COMMIT;",
                "INSERT (lpad(:run::text, 8, '0') || '-0000-7000-8001-' || lpad(:id::text, 12, '0'))::uuid, \
                 :number::integer, :v1_2::jsonb, NULL::text;",
                "SELECT ('01990003-0000-7000-8000-' || lpad(:n::text, 12, '0'))::uuid WHERE key = \
                 ('pgbench-' || :run::text || '-' || :id::text) AND \
                 (:run::bigint * 1000000000000 + :id::bigint);",
            ]
        );
        assert_eq!(script.variables, [("v1_2".to_owned(), "{}".to_owned())]);
        assert!(filled("SELECT $2", &["1".to_owned()]).is_err());
    }

    #[test]
    fn reads_what_pgbench_tells() {
        let told = "latency average = 3 ms\ntps = 5120.5 (without initial connection time)\n";
        assert_eq!(tps_in(told), Some(5120.5));
    }
}
