//! Streams of logs over a real broker, between an API's side and workers that have nothing to read.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use model::id::AppId;
use model::log::{LogCursor, LogEvent, LogRequest};
use queue::streams::{Outlet, give};
use queue::{Stream, Streams, Unanswered};
use tests::environment::environment;
use tests::{Outcome, Skep, run, wait_until};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Streams that one worker gives, and one API reads, at most (`queue/src/streams.rs`).
const AT_ONCE: usize = 256;

/// A worker that takes streams up and gives nothing.
struct Silent {
    taken: Arc<AtomicUsize>,
    _runs: DropGuard,
}

impl Silent {
    fn start(skep: &Skep) -> Self {
        let (stop, taken) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let (prefix, until, counted) = (skep.queue_prefix(), stop.clone(), Arc::clone(&taken));
        tokio::spawn(async move {
            let giver = move |_, outlet: Arc<Outlet>| {
                counted.fetch_add(1, Ordering::Relaxed);
                async move {
                    let _open = outlet;
                    pending().await
                }
            };
            give(environment().amqp_url.clone().into(), &prefix, until, giver).await;
        });
        Self { taken, _runs: stop.drop_guard() }
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

fn request() -> LogRequest {
    LogRequest {
        app: AppId::new(),
        deployment: None,
        task: None,
        tail: None,
        since: None,
        until: None,
        contains: None,
        follow: true,
        after: LogCursor::default(),
    }
}

/// The API's side of a process, once a worker listens.
async fn streams(skep: &Skep, stop: &CancellationToken) -> Result<Streams> {
    let url = environment().amqp_url.clone().into();
    let streams = Streams::start(url, &skep.queue_prefix(), stop.clone());
    wait_until("a worker that listens", Duration::from_secs(20), async || {
        Ok(streams.open(request()).await.is_ok())
    })
    .await?;
    Ok(streams)
}

#[test]
fn a_worker_that_is_full_says_so_and_another_takes_the_stream_up() -> Outcome {
    run(async |skep| {
        let (stop, _full) = (CancellationToken::new(), Silent::start(skep));
        let _stop = stop.clone().drop_guard();
        // One process reads no more than one worker gives: it takes two to fill a worker.
        let (one, other) = (streams(skep, &stop).await?, streams(skep, &stop).await?);
        let mut open: Vec<Stream> = Vec::new();
        let refused = loop {
            ensure!(open.len() <= AT_ONCE, "{} were taken up", open.len());
            let from = if open.len().is_multiple_of(2) { &one } else { &other };
            match from.open(request()).await {
                Ok(stream) => open.push(stream),
                Err(refused) => break refused,
            }
        };
        ensure!(matches!(refused, Unanswered::TooMany), "{refused:?}");
        // Those that were asked whether it listens may not be forgotten yet.
        ensure!(open.len() > AT_ONCE - 20, "{} were taken up", open.len());

        let empty = Silent::start(skep);
        wait_until("the other worker", Duration::from_secs(20), async || {
            Ok(one.open(request()).await.is_ok())
        })
        .await?;
        for _ in 0..10 {
            open.push(other.open(request()).await?);
        }
        ensure!(empty.taken() > 10, "{} at the one that has room", empty.taken());
        // Room is there again for each stream that is closed.
        drop(empty);
        drop(open);
        wait_until("room at the first", Duration::from_secs(20), async || {
            Ok(one.open(request()).await.is_ok())
        })
        .await
    })
}

#[test]
fn a_stream_that_is_open_beats_and_is_not_taken_for_lost() -> Outcome {
    run(async |skep| {
        let (stop, _worker) = (CancellationToken::new(), Silent::start(skep));
        let _stop = stop.clone().drop_guard();
        let streams = streams(skep, &stop).await?;
        let mut stream = streams.open(request()).await?;
        for _ in 0..3 {
            let beat = tokio::time::timeout(queue::streams::SILENCE, stream.next()).await?;
            assert_eq!(beat, Some(LogEvent::Beat));
        }
        Ok(())
    })
}
