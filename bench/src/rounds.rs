//! One app of each side goes through all operations, round after round, each beside the same done by
//! raw calls.

use anyhow::Result;

use crate::operation::{Operation, Sample, Side};
use crate::progress::Step;
use crate::raw::{Raw, spec_of};
use crate::skep::Skep;
use crate::watch::Pace;

/// Measures so many rounds.
pub(crate) async fn measure(skep: &Skep<'_>, rounds: u32) -> Result<Vec<Sample>> {
    let raw = warm_up(skep).await?;
    let mut samples = Vec::new();
    for round in 1..=rounds {
        round_of(round, rounds, skep, &raw, &mut samples).await?;
    }
    Ok(samples)
}

/// A deployment and an update of Skep's and a raw create that are not counted; what Docker holds of them afterwards is
/// what raw calls send.
async fn warm_up<'a>(skep: &Skep<'a>) -> Result<Raw<'a>> {
    let step = Step::begin("warm-up", "Skep and raw");
    let app = skep.make("warm-up").await?;
    let service = Skep::service(&app)?;
    skep.operate(&app, Operation::Create).await?;
    let v1 = spec_of(skep.engine, &service).await?;
    skep.operate(&app, Operation::Update).await?;
    let v2 = spec_of(skep.engine, &service).await?;
    let raw = Raw { engine: skep.engine, v1, v2, replicas: skep.replicas, pace: Pace::CLOSE };
    let name = raw_name(skep, 0);
    raw.operate(&name, Operation::Create).await?;
    tokio::try_join!(skep.remove(&app), raw.remove(&name))?;
    step.done("Docker holds the same spec of both sides");
    Ok(raw)
}

/// One app of each side goes through all operations, in turns, and is removed.
async fn round_of(
    round: u32,
    rounds: u32,
    skep: &Skep<'_>,
    raw: &Raw<'_>,
    samples: &mut Vec<Sample>,
) -> Result<()> {
    let app = skep.make(&format!("app-{round}")).await?;
    let (service, name) = (Skep::service(&app)?, raw_name(skep, round));
    for operation in Operation::ALL {
        let step = Step::begin(operation.title(), &format!("round {round} of {rounds}"));
        // Each side is first in every other round: what the first leaves behind meets both.
        let sides = if round % 2 == 1 { [Side::Skep, Side::Raw] } else { [Side::Raw, Side::Skep] };
        let mut told = Vec::new();
        for side in sides {
            let timeline = match side {
                Side::Skep => skep.operate(&app, operation).await?,
                Side::Raw => raw.operate(&name, operation).await?,
            };
            samples.push(Sample { round, operation, side, timeline });
            told.push(format!("{} {:.0} ms", side.title(), timeline.verdict));
        }
        raw.ensure_same(&service, operation).await?;
        step.done(&format!("round {round} of {rounds}: {}", told.join(", ")));
    }
    tokio::try_join!(skep.remove(&app), raw.remove(&name))?;
    Ok(())
}

/// Carries the installation's name, by which leftovers are found.
fn raw_name(skep: &Skep<'_>, round: u32) -> String {
    format!("{}-raw-{round}", skep.installation)
}
