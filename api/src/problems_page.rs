//! `/docs/problems`: what the codes of problems mean. Each problem's `type` leads to its row. A page of
//! its own, because what `/docs` shows is made by a script, in which no address leads anywhere.

use std::fmt::Write as _;
use std::sync::LazyLock;

use model::error::ErrorCode;
use poem::Response;
use poem::http::header;

use crate::docs_page::POLICY;
use crate::problem::{status_of, title_of};

/// Where the page is served.
pub(crate) const PATH: &str = "/docs/problems";

/// Where a code is explained: the `type` of its problems.
pub(crate) fn address(code: ErrorCode) -> String {
    format!("{PATH}#{code}")
}

/// The answer that carries the page.
pub(crate) fn answer() -> Response {
    static PAGE: LazyLock<String> = LazyLock::new(page);
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, POLICY)
        .body(PAGE.as_str())
}

const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
    <title>Skep API: problems</title>\n\
    <style>body { font-family: sans-serif; margin: 2em } th, td { text-align: left; padding: 0.3em 1em }\n\
    :target { background: #ffd }</style>\n\
    <h1>Problems</h1>\n\
    <p>Errors are problem details (RFC 9457); their <code>type</code> leads here. All else is in\n\
    <a href=\"/docs\">the API's documentation</a>.</p>\n\
    <table>\n<tr><th>code</th><th>status</th><th>meaning</th></tr>\n";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for code in ErrorCode::ALL {
        let (status, title) = (status_of(*code).as_u16(), title_of(*code));
        // Writing into a String cannot fail.
        let _ = writeln!(
            page,
            "<tr id=\"{code}\"><td><code>{code}</code></td><td>{status}</td><td>{title}</td></tr>"
        );
    }
    page + "</table>\n</html>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_every_problem_leads_to_its_row() {
        let page = page();
        for code in ErrorCode::ALL {
            let address = address(*code);
            let (path, anchor) = address.split_once('#').unwrap();
            assert_eq!(path, PATH);
            assert_eq!(page.matches(&format!("id=\"{anchor}\"")).count(), 1, "{code}");
            // Nothing in the table has to be escaped.
            assert!(!title_of(*code).contains(['<', '&']), "{code}");
        }
    }
}
