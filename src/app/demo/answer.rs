//! What the small servers of the demonstration share: listening, bodies with a bound, JSON answers.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::http::places::Places;
use crate::http::serve::{self, Connection, Limits};
use crate::http::tls::{Clients, server};
use crate::trust::certificate::Certificate;
use crate::upstream::Body;
use crate::upstream::body::{NotWhole, full, whole};
use crate::upstream::tls::{Identity, certificates};

/// Listens at `address` until `stop`; waits a moment for a port that an earlier start has not let go yet.
pub async fn run<H, F>(
    name: &'static str,
    address: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
    stop: watch::Receiver<bool>,
    handler: H,
) -> Result<(), String>
where
    H: Fn(Request<Body>, Connection) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = bind(name, address).await?;
    tracing::info!(%address, "{name} listens");
    let limits = Limits { connections: Places::new(1_000), drain_s: 2, ..Limits::default() };
    let tls = tls.map(|tls| Arc::new(arc_swap::ArcSwap::new(tls)));
    serve::serve(listener, tls, limits, stop, handler).await;
    Ok(())
}

async fn bind(name: &str, address: SocketAddr) -> Result<TcpListener, String> {
    const TRIES: u32 = 20;
    const PAUSE_MS: u64 = 100;
    for _ in 1..TRIES {
        match TcpListener::bind(address).await {
            Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
                tokio::time::sleep(std::time::Duration::from_millis(PAUSE_MS)).await;
            }
            other => return other.map_err(|e| format!("{name}: {address}: {e}")),
        }
    }
    TcpListener::bind(address).await.map_err(|e| format!("{name}: {address}: {e}"))
}

/// TLS under the certificate and key of these files. With `clients`, nobody connects without a certificate of one of
/// these authorities.
pub fn tls(
    pair: &(std::path::PathBuf, std::path::PathBuf),
    clients: &[&Path],
) -> Result<Arc<rustls::ServerConfig>, String> {
    let identity = Identity::read(&pair.0, &pair.1).map_err(|e| e.to_string())?;
    let mut anchors = Vec::new();
    for file in clients {
        anchors.extend(certificates(file).map_err(|e| e.to_string())?);
    }
    let asked = if anchors.is_empty() { Clients::Anyone } else { Clients::Required(&anchors) };
    server(identity, asked).map_err(|e| e.to_string())
}

/// The gateway at the other end, by the URI in its certificate.
pub fn gateway_of(connection: &Connection) -> Option<String> {
    let certificate = Certificate::parse(connection.client.first()?).ok()?;
    certificate.uris().find_map(|uri| uri.strip_prefix("urn:tongban:gateway:").map(str::to_owned))
}

/// Reads a body of at most `max` octets.
pub async fn body(request: Request<Body>, max: usize) -> Result<Bytes, Response<Body>> {
    whole(request.into_body(), max).await.map_err(|e| match e {
        NotWhole::TooLarge(_) => problem(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        NotWhole::Broken(_) => problem(StatusCode::BAD_REQUEST, "the body broke off"),
    })
}

/// A JSON answer that nobody may keep.
pub fn answer(status: StatusCode, value: &Value) -> Response<Body> {
    typed(status, "application/json", value.to_string())
}

pub fn typed(status: StatusCode, media: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

/// A no, in the form of RFC 9457.
pub fn problem(status: StatusCode, detail: &str) -> Response<Body> {
    let value = json!({ "status": status.as_u16(), "title": status.canonical_reason(), "detail": detail });
    typed(status, "application/problem+json", value.to_string())
}

pub fn not_found() -> Response<Body> {
    problem(StatusCode::NOT_FOUND, "there is nothing here")
}
