//! How many requests are worked on at once, and for how long.

use std::sync::Arc;
use std::time::Duration;

use model::Error;
use model::error::ErrorCode;
use poem::{Endpoint, Request, Response};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::asks_to_wait;
use crate::endpoints::deployments::MAX_WAIT;
use crate::problem::Problem;

/// How long a request may take, beside the time for which it asks to wait.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// How many may wait for a deployment, for each that may be worked on: a waiting one costs memory
/// and a look now and then.
const WAITERS: usize = 4;

/// The bounds of a process.
#[derive(Clone)]
pub(crate) struct Bounds {
    in_flight: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Bounds {
    /// At most `in_flight` at once.
    pub(crate) fn new(in_flight: usize) -> Self {
        Self {
            in_flight: Arc::new(Semaphore::new(in_flight)),
            waiting: Arc::new(Semaphore::new(in_flight * WAITERS)),
        }
    }

    /// Calls `next` within the bounds.
    pub(super) async fn keep<E>(self, next: Arc<E>, request: Request) -> poem::Result<Response>
    where
        E: Endpoint<Output = Response>,
    {
        // Whoever asks whether the process is well must be told, most of all when it is busy.
        if !request.uri().path().starts_with("/v1/") {
            return next.call(request).await;
        }
        let wait = asks_to_wait(&request).map(|seconds| seconds.min(MAX_WAIT.into()));
        let slots = if wait.is_some() { &self.waiting } else { &self.in_flight };
        let Ok(_slot) = slots.try_acquire() else {
            let message = "too many requests are in progress; try again in a second";
            return Err(Problem::from(Error::new(ErrorCode::Overloaded, message)).into());
        };
        let limit = TIME_LIMIT + Duration::from_secs(wait.unwrap_or_default());
        timeout(limit, next.call(request)).await.unwrap_or_else(|_| {
            let message = format!("the request took longer than {} s", limit.as_secs());
            Err(Problem::from(Error::new(ErrorCode::TimedOut, message)).into())
        })
    }
}

#[cfg(test)]
mod tests {
    use poem::endpoint::make;
    use poem::http::{StatusCode, Uri};

    use super::*;

    fn request(path: &'static str) -> Request {
        Request::builder().uri(Uri::from_static(path)).finish()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_ends_in_time() {
        let slow = Arc::new(make(|_| async {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok::<_, poem::Error>(Response::default())
        }));
        let started = tokio::time::Instant::now();
        let error = Bounds::new(1).keep(Arc::clone(&slow), request("/v1/x")).await.unwrap_err();
        assert_eq!(error.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(started.elapsed().as_secs(), 30);
        let error = Bounds::new(1).keep(slow, request("/v1/x?wait=60")).await.unwrap_err();
        assert_eq!(error.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(started.elapsed().as_secs(), 30 + 90);
    }

    #[tokio::test]
    async fn beyond_the_bound_is_overloaded() {
        let bounds = Bounds::new(1);
        let quick = Arc::new(make(|_| async { Ok::<_, poem::Error>(Response::default()) }));
        let held = bounds.in_flight.clone().try_acquire_owned().unwrap();
        let call = |path| bounds.clone().keep(Arc::clone(&quick), request(path));
        let error = call("/v1/x").await.unwrap_err();
        assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(call("/healthz").await.is_ok());
        assert!(call("/v1/x?wait=5").await.is_ok());
        drop(held);
        assert!(call("/v1/x").await.is_ok());
    }
}
