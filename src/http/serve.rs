//! A listener: accepts, speaks TLS, hands requests to one handler, drains when told to stop.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::heads::{Faults, Heads};
use super::opening::Opening;
use super::places::Places;
use super::{BUSY, problem};
use crate::terms::Refusal;
use crate::upstream::Body;
use crate::upstream::body::empty;
use crate::upstream::body::{Pace, paced};

/// Whom a connection belongs to, as far as the socket tells.
#[derive(Clone, Debug)]
pub struct Connection {
    pub remote: SocketAddr,
    /// The verified client certificate chain, leaf first; empty without one.
    pub client: Arc<[CertificateDer<'static>]>,
    /// The name the client asked for in TLS.
    pub server_name: Option<String>,
}

/// Connections that ended before anybody could be answered, since the start.
#[derive(Debug, Default)]
pub struct Tally {
    handshakes: AtomicU64,
    slow: AtomicU64,
}

impl Tally {
    /// TLS handshakes that failed or took too long.
    pub fn handshakes(&self) -> u64 {
        self.handshakes.load(Ordering::Relaxed)
    }

    /// Connections cut off because no whole head, or no HTTP/2 preface, came in time.
    pub fn slow(&self) -> u64 {
        self.slow.load(Ordering::Relaxed)
    }
}

/// Limits of one listener.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Places for connections; who waits for one waits in the system's queue.
    pub connections: Places,
    /// Time for a TLS handshake, in seconds.
    pub handshake_s: u64,
    /// Time for the head of a request, in seconds; also how long a kept connection may idle.
    pub head_s: u64,
    /// Time to finish what runs when the listener stops, in seconds.
    pub drain_s: u64,
    /// Requests worked on at once; one more is told to come again.
    pub requests: usize,
    /// How slow the body of a request may be.
    pub pace: Pace,
    /// Counts who went unanswered; listeners may share one.
    pub tally: Arc<Tally>,
}

impl Default for Limits {
    fn default() -> Self {
        let pace = Pace { silence: Duration::from_secs(30), rate: 1_024, grace: Duration::from_secs(60) };
        let (connections, tally) = (Places::new(10_000), Arc::default());
        Self { connections, handshake_s: 10, head_s: 30, drain_s: 10, requests: 4_096, pace, tally }
    }
}

/// Serves until `stop` turns true, then lets running requests finish. The TLS settings are looked at anew for each
/// connection: whose certificates count may change while the listener runs.
pub async fn serve<H, F>(
    listener: TcpListener,
    tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
    handler: H,
) where
    H: Fn(Request<Body>, Connection) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let graceful = GracefulShutdown::new();
    let desks = Arc::new(Semaphore::new(limits.requests));
    loop {
        let place = tokio::select! {
            place = limits.connections.take() => place,
            () = crate::gateway::stopped(&mut stop) => break,
        };
        let (socket, remote) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, mostly: wait for some to come back instead of spinning.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = crate::gateway::stopped(&mut stop) => break,
        };
        let (acceptor, watcher) = (tls.as_ref().map(|tls| TlsAcceptor::from(tls.load_full())), graceful.watcher());
        let (handler, desks, limits) = (handler.clone(), desks.clone(), limits.clone());
        tokio::spawn(async move {
            let _place = place;
            let _ = socket.set_nodelay(true);
            match acceptor {
                None => {
                    let who = Connection { remote, client: Arc::from([]), server_name: None };
                    run(socket, false, who, limits, desks, handler, watcher).await;
                }
                Some(acceptor) => {
                    let Some((stream, who)) = handshake(acceptor, socket, remote, limits.handshake_s).await else {
                        limits.tally.handshakes.fetch_add(1, Ordering::Relaxed);
                        return;
                    };
                    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    run(stream, h2, who, limits, desks, handler, watcher).await;
                }
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(Duration::from_secs(limits.drain_s), graceful.shutdown()).await;
}

/// The answer to HEAD: what GET would have said, its length too, and no octet of it (RFC 9110 §9.3.2). HTTP/2 would send
/// the body along.
fn headed(answer: Response<Body>) -> Response<Body> {
    let (mut head, body) = answer.into_parts();
    let length = http_body::Body::size_hint(&body).exact().filter(|length| *length > 0);
    if let Some(length) = length {
        head.headers.entry(http::header::CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    Response::from_parts(head, empty())
}

async fn handshake(
    acceptor: TlsAcceptor,
    socket: TcpStream,
    remote: SocketAddr,
    limit_s: u64,
) -> Option<(tokio_rustls::server::TlsStream<TcpStream>, Connection)> {
    let limit = Duration::from_secs(limit_s);
    match tokio::time::timeout(limit, acceptor.accept(socket)).await {
        Ok(Ok(stream)) => {
            let session = stream.get_ref().1;
            let client = session.peer_certificates().unwrap_or_default().iter().cloned().collect();
            let server_name = session.server_name().map(str::to_owned);
            Some((stream, Connection { remote, client, server_name }))
        }
        Ok(Err(error)) => {
            tracing::info!(%remote, %error, "TLS handshake refused");
            None
        }
        Err(_) => {
            tracing::info!(%remote, "TLS handshake took too long");
            None
        }
    }
}

/// Speaks the protocol that TLS agreed on. Nothing is guessed from the first octets, so that every wait has its timer.
async fn run<S, H, F>(
    stream: S,
    h2: bool,
    who: Connection,
    limits: Limits,
    desks: Arc<Semaphore>,
    handler: H,
    watcher: Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Body>, Connection) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let (head, pace) = (Duration::from_secs(limits.head_s), limits.pace);
    let (faults, requests) = (Faults::default(), AtomicU64::new(0));
    let found = faults.clone();
    let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        if let Some(fault) = found.of(requests.fetch_add(1, Ordering::Relaxed)) {
            request.extensions_mut().insert(fault);
        }
        let is_head = request.method() == http::Method::HEAD;
        let desk = desks.clone().try_acquire_owned();
        let answer = desk.ok().map(|desk| (desk, handler(request.map(|body| paced(body, pace)), who.clone())));
        async move {
            let answer = match answer {
                Some((_desk, answer)) => answer.await,
                None => problem::answer(&Refusal::new(&BUSY, "too many requests at once"), "", None),
            };
            Ok::<_, Infallible>(if is_head { headed(answer) } else { answer })
        }
    });
    let ended = if h2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(128)
            .max_header_list_size(64 * 1024)
            .max_pending_accept_reset_streams(Some(32))
            .keep_alive_interval(Some(head))
            .keep_alive_timeout(Duration::from_secs(10));
        let stream = TokioIo::new(Opening::new(stream, head));
        watcher.watch(builder.serve_connection(stream, service)).await
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(64 * 1024);
        watcher.watch(builder.serve_connection(TokioIo::new(Heads::new(stream, faults)), service)).await
    };
    if let Err(error) = ended {
        if is_slow(&error) {
            limits.tally.slow.fetch_add(1, Ordering::Relaxed);
        }
        tracing::debug!(%error, "connection ended early");
    }
}

/// Whether a connection ended because its peer did not send what it had to in time.
fn is_slow(error: &hyper::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(inner) = cause {
        if inner.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::TimedOut) {
            return true;
        }
        cause = inner.source();
    }
    error.is_timeout()
}
