//! What is left of a rate, in the headers of every answer to a request that was counted (draft-ietf-httpapi-ratelimit-headers).

use std::sync::{Arc, OnceLock};

use model::rate::WINDOW_SECONDS;
use poem::Request;
use poem::http::{HeaderMap, HeaderName, HeaderValue};

use crate::rates::Standing;

static LEFT: HeaderName = HeaderName::from_static("ratelimit");
static POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Where whoever counts a request says how its asker stands.
#[derive(Clone, Default)]
pub(crate) struct StandingOf(Arc<OnceLock<Standing>>);

impl StandingOf {
    /// The asker of this request stands so.
    pub(crate) fn tell(request: &Request, standing: Standing) {
        if let Some(of) = request.data::<Self>() {
            // A request is counted once.
            let _ = of.0.set(standing);
        }
    }

    /// Writes it into the headers of the answer, where the request was counted.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let Some(Standing { class, limit, remaining, reset, .. }) = self.0.get() else { return };
        let left = format!("\"{class}\";r={remaining};t={reset}");
        let policy = format!("\"{class}\";q={limit};w={WINDOW_SECONDS}");
        for (name, value) in [(&LEFT, left), (&POLICY, policy)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
}
