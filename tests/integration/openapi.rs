//! The OpenAPI document, whose changes show in review.

use std::path::Path;

use tests::answer::text;
use tests::environment::is_set;
use tests::{Outcome, run};

#[test]
fn openapi_snapshot() -> Outcome {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let document = format!("{}\n", api::openapi_document());
    if is_set("SKEP_UPDATE_SNAPSHOTS") {
        std::fs::create_dir_all(path.parent().unwrap())?;
        std::fs::write(&path, &document)?;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = document.lines().zip(kept.lines()).position(|(now, then)| now != then);
    assert!(
        document == kept,
        "docs/openapi.json is not the document of this build (from line {}): look at the difference after \
         SKEP_UPDATE_SNAPSHOTS=1 ./dev test openapi_snapshot",
        differs.map_or(kept.lines().count(), |line| line) + 1,
    );
    Ok(())
}

#[test]
fn is_served_to_anybody_with_its_page() -> Outcome {
    run(async |skep| {
        let anonymous = skep.operator.with_token(None);
        let served = anonymous.get("/openapi.json").await?;
        assert_eq!(served.header("content-type"), Some("application/json"));
        let served = served.expect(200)?;
        assert_eq!(served, serde_json::from_str::<serde_json::Value>(&api::openapi_document())?);
        let page = anonymous.get("/docs").await?;
        assert_eq!(page.status, 200);
        assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
        // The type of a problem is an address, and leads to where its code is explained.
        let problem = anonymous.get("/nowhere").await?.problem(404, "not_found")?;
        let (path, anchor) = text(&problem, "/type")?.split_once('#').unwrap();
        let explained = anonymous.get(path).await?;
        assert_eq!(explained.status, 200);
        assert!(explained.text.contains(&format!("id=\"{anchor}\"")), "{}", explained.text);
        Ok(())
    })
}
