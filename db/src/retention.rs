//! Retention's claims on images: which images some release ran, and no release needs any more. Of the
//! whole installation: an image is shared by whoever named it. Says so; removes nothing.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Array, Double, Integer, Text};
use diesel_async::RunQueryDsl;
use model::Result;
use model::release::KEPT_RELEASES;

use crate::failure;
use crate::pool::Database;

/// How long the releases of a removed app keep their images: an app that was removed by mistake is made
/// again within that.
const AFTER_REMOVAL: Duration = Duration::from_secs(24 * 3600);

#[derive(QueryableByName)]
struct Unneeded {
    #[diesel(sql_type = Text)]
    image: String,
}

/// Which of these images (`repository@sha256:…`) were a release's and are needed by none: by none that is
/// live, that may be made live again, or that a deployment is about. An image that no release ever had is
/// not ours to judge. One statement.
pub async fn images_unneeded(database: &Database, images: &[String]) -> Result<Vec<String>> {
    let mut connection = database.connection().await?;
    let found: Vec<Unneeded> = diesel::sql_query(
        "SELECT named.image FROM unnest($1) AS named (image)
         WHERE (EXISTS (SELECT FROM releases WHERE resolved_image = named.image)
                OR EXISTS (SELECT FROM erased_images WHERE image = named.image))
           AND NOT EXISTS (
               SELECT FROM releases r JOIN apps a ON a.id = r.app_id
               WHERE r.resolved_image = named.image
                 AND (a.removed_at IS NULL OR a.removed_at > now() - make_interval(secs => $3))
                 AND (r.number > a.last_release - $2
                      OR r.id = a.live_release_id
                      OR EXISTS (SELECT FROM deployments d
                                 WHERE d.app_id = r.app_id AND d.release_id = r.id
                                   AND d.finished_at IS NULL)))",
    )
    .bind::<Array<Text>, _>(images)
    .bind::<Integer, _>(KEPT_RELEASES)
    .bind::<Double, _>(AFTER_REMOVAL.as_secs_f64())
    .load(&mut connection)
    .await
    .map_err(failure::postgres)?;
    Ok(found.into_iter().map(|row| row.image).collect())
}
