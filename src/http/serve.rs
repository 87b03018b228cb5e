//! A listener: accepts, speaks TLS, hands requests to one handler, drains when told to stop.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::upstream::Body;

/// Whom a connection belongs to, as far as the socket tells.
#[derive(Clone, Debug)]
pub struct Connection {
    pub remote: SocketAddr,
    /// The verified client certificate chain, leaf first; empty without one.
    pub client: Arc<[CertificateDer<'static>]>,
    /// The name the client asked for in TLS.
    pub server_name: Option<String>,
}

/// Limits of one listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections: usize,
    /// Time for a TLS handshake, in seconds.
    pub handshake_s: u64,
    /// Time for the head of a request, in seconds; also how long a kept connection may idle.
    pub head_s: u64,
    /// Time to finish what runs when the listener stops, in seconds.
    pub drain_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 10_000, handshake_s: 10, head_s: 30, drain_s: 10 }
    }
}

/// Serves until `stop` turns true, then lets running requests finish.
pub async fn serve<H, F>(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
    handler: H,
) where
    H: Fn(Request<Incoming>, Connection) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    let acceptor = tls.map(TlsAcceptor::from);
    loop {
        let place = tokio::select! {
            place = places.clone().acquire_owned() => match place {
                Ok(place) => place,
                Err(_) => break,
            },
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
        let (acceptor, handler, watcher) = (acceptor.clone(), handler.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _place = place;
            let _ = socket.set_nodelay(true);
            match acceptor {
                None => {
                    let who = Connection { remote, client: Arc::from([]), server_name: None };
                    run(socket, who, limits, handler, watcher).await;
                }
                Some(acceptor) => {
                    if let Some((stream, who)) = handshake(acceptor, socket, remote, limits).await {
                        run(stream, who, limits, handler, watcher).await;
                    }
                }
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(Duration::from_secs(limits.drain_s), graceful.shutdown()).await;
}

async fn handshake(
    acceptor: TlsAcceptor,
    socket: TcpStream,
    remote: SocketAddr,
    limits: Limits,
) -> Option<(tokio_rustls::server::TlsStream<TcpStream>, Connection)> {
    let limit = Duration::from_secs(limits.handshake_s);
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

async fn run<S, H, F>(stream: S, who: Connection, limits: Limits, handler: H, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>, Connection) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(limits.head_s))
        .max_buf_size(64 * 1024)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(64 * 1024)
        .max_pending_accept_reset_streams(Some(32))
        .keep_alive_interval(Some(Duration::from_secs(limits.head_s)))
        .keep_alive_timeout(Duration::from_secs(10));
    let service = service_fn(move |request| {
        let answer = handler(request, who.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection ended early");
    }
}
