//! The story, act by act.

mod apart;
mod back;
mod beginning;
mod history;
mod update;

use anyhow::Result;

use crate::agreement::Witnesses;
use crate::client::Client;
use crate::docker::Witness;
use crate::farewell;
use crate::ledger::Ledger;
use crate::narrator::chapter;
use crate::settings::Settings;

/// The sample app's images; `tests/fixtures/image.sh` makes them. v3 never becomes healthy.
const IMAGES: [&str; 3] = ["skep-demo:v1", "skep-demo:v2", "skep-demo:v3"];

/// Replicas of each `web`.
const REPLICAS: i32 = 2;

/// Tells it.
pub(crate) async fn tell(settings: Settings) -> Result<()> {
    let operator = Client::new(&settings.url, settings.operator_token)?;
    let witnesses = Witnesses {
        docker: Witness::connect(&settings.docker_host)?,
        ledger: Ledger::new(settings.database_url),
    };

    chapter("Two organizations, each with an encrypted network of its own");
    let acme = beginning::tenant(&operator, "acme", "Acme").await?;
    let bloom = beginning::tenant(&operator, "bloom", "Bloom").await?;
    beginning::clear(&witnesses, &[&acme, &bloom]).await?;
    let (web, other) = beginning::webs(&witnesses, &acme, &bloom).await?;

    chapter("The same name in both, and neither reaches the other");
    let untouched = apart::prove(&witnesses, &web, &other).await?;

    chapter("An update under a stream of requests, seen from inside the network");
    let (visitor_app, visitor) = update::visit(&witnesses, &acme).await?;
    update::to_v2(&witnesses, &web, &visitor).await?;

    chapter("A broken version comes back by itself");
    let broken = back::by_itself(&witnesses, &web, &visitor).await?;

    chapter("Back to v1 by hand");
    back::by_hand(&witnesses, &web, &visitor).await?;
    update::rest(&witnesses, &visitor_app, visitor).await?;
    apart::still_untouched(&witnesses, &other, &untouched).await?;

    chapter("The history of acme/web");
    history::tell(&witnesses, &[&web, &visitor_app, &other]).await?;

    farewell::say(operator.url(), &web.tenant.slug, broken);
    Ok(())
}
