//! The loop of connections: HTTP/1.1, on plain TCP or within TLS.
//!
//! It bounds what poem's own server does not: how many connections there are, how long a client may take
//! to send the head of a request or to read an answer, how large that head is, and how long a connection
//! lives at all. (The time for a body is bounded where it is read, in `body`; that for a whole request in
//! `middleware`.) It knows nothing of what is asked and answered.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long requests in progress may take once the process was asked to stop.
const DRAIN: Duration = Duration::from_secs(30);
/// How long a connection lives: whoever reads or writes a byte now and then holds it no longer.
const LIFE: Duration = Duration::from_secs(3600);
/// How long the last request on it may still take: longer than any does.
const LAST_REQUEST: Duration = Duration::from_secs(120);
/// Most bytes of a request's line and headers.
const MAX_HEAD: usize = 32 * 1024;
/// Pause where no connection can be accepted, because the process has no file descriptor left.
const AGAIN: Duration = Duration::from_millis(100);

/// Serves connections.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) listener: TcpListener,
    /// `None`: in clear text.
    pub(crate) tls: Option<TlsAcceptor>,
    /// Most connections at once; what comes beyond waits to be accepted.
    pub(crate) connections: usize,
    /// How long a client may take over what is its part.
    pub(crate) patience: Duration,
}

impl Server {
    /// Serves until `stop`, then finishes the requests in progress.
    pub(crate) async fn run<E>(self, endpoint: E, stop: CancellationToken)
    where
        E: Endpoint<Output = Response> + 'static,
    {
        let server = Arc::new(Connections {
            endpoint,
            tls: self.tls,
            patience: self.patience,
            stop: stop.clone(),
        });
        let free = Arc::new(Semaphore::new(self.connections));
        let open = TaskTracker::new();
        while let Some((permit, accepted)) =
            stop.run_until_cancelled(accept(&self.listener, &free)).await
        {
            match accepted {
                Ok((socket, remote)) => {
                    let server = Arc::clone(&server);
                    open.spawn(async move {
                        server.connection(socket, remote).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(AGAIN).await;
                }
            }
        }
        drop(self.listener);
        open.close();
        open.wait().await;
    }
}

type Accepted = (Option<OwnedSemaphorePermit>, io::Result<(TcpStream, SocketAddr)>);

/// The next connection, once there is room for it.
async fn accept(listener: &TcpListener, free: &Arc<Semaphore>) -> Accepted {
    // The semaphore is never closed.
    let permit = Arc::clone(free).acquire_owned().await.ok();
    (permit, listener.accept().await)
}

/// What all connections share.
struct Connections<E> {
    endpoint: E,
    tls: Option<TlsAcceptor>,
    patience: Duration,
    stop: CancellationToken,
}

impl<E: Endpoint<Output = Response>> Connections<E> {
    async fn connection(&self, socket: TcpStream, remote: SocketAddr) {
        let local = socket.local_addr().ok();
        // Answers are small and wait for nothing: without it the last bytes of one may.
        _ = socket.set_nodelay(true);
        let mut socket = TimeoutStream::new(socket);
        socket.set_write_timeout(Some(self.patience));
        let socket = Box::pin(socket);
        match &self.tls {
            None => self.serve(socket, Scheme::HTTP, local, remote).await,
            Some(tls) => {
                let agreed = timeout(self.patience, tls.accept(socket));
                match self.stop.run_until_cancelled(agreed).await {
                    Some(Ok(Ok(stream))) => {
                        self.serve(stream, Scheme::HTTPS, local, remote).await;
                    }
                    Some(Ok(Err(error))) => {
                        tracing::debug!(%remote, %error, "no TLS was agreed upon");
                    }
                    Some(Err(_)) => tracing::debug!(%remote, "too slow to agree upon TLS"),
                    None => {}
                }
            }
        }
    }

    async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        scheme: Scheme,
        local: Option<SocketAddr>,
        remote: SocketAddr,
    ) {
        let local = LocalAddr(local.map(Addr::from).unwrap_or_default());
        let remote = RemoteAddr(remote.into());
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let request = Request::from((request, local.clone(), remote.clone(), scheme.clone()));
            async {
                Ok::<hyper::Response<_>, Infallible>(
                    self.endpoint.get_response(request).await.into(),
                )
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // From the end of one request to the end of the next one's head: a connection at rest as well.
            .header_read_timeout(self.patience)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let last = tokio::select! {
            // Whatever ended it (a client that went, or spoke no HTTP) is the client's.
            _ = &mut connection => return,
            () = self.stop.cancelled() => DRAIN,
            () = sleep(LIFE) => LAST_REQUEST,
        };
        connection.as_mut().graceful_shutdown();
        _ = timeout(last, connection).await;
    }
}
