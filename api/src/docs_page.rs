//! `/docs`: the OpenAPI document to browse and try, in one page that loads nothing from elsewhere.

use std::sync::LazyLock;

use poem::Response;
use poem::http::header;

use crate::document::document;
use crate::endpoints;

/// The browser is held to it: nothing but this page and calls to this API.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
     img-src data:; font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// The answer that carries the page.
pub(crate) fn answer() -> Response {
    static PAGE: LazyLock<String> = LazyLock::new(page);
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, POLICY)
        .body(PAGE.as_str())
}

fn page() -> String {
    let service = endpoints::service();
    // poem-openapi prints its own document into the page: ours is the finished one.
    let page = service.rapidoc_html().replacen(&service.spec(), document().text(), 1);
    let page = without_font_link(&page);
    page.replace("https://fonts.gstatic.com/", "data:,")
        .replace("<title>RapiDoc</title>", "<title>Skep API</title>")
        .replace("\"Open Sans\"", "\"sans-serif\"")
        .replace("\"Roboto Mono\"", "\"monospace\"")
}

/// The page without the style sheet that it would fetch from Google.
fn without_font_link(page: &str) -> String {
    let lines = page.lines().filter(|line| !line.contains("<link href=\"https://fonts."));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        let page = page();
        assert!(page.contains(document().text()));
        for loads in ["<link", "src=\"http", "@import", "fonts.googleapis", "fonts.gstatic"] {
            assert!(!page.contains(loads), "{loads}");
        }
    }
}
