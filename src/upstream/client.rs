//! One client per set of TLS settings; connections are pooled and kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::breaker::Breaker;
use super::{Body, ClientTls, UpstreamError};
use crate::terms::UnixMillis;

type Pool = hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Body>;

/// Cheap to clone; clones share the pool and the breakers.
#[derive(Clone)]
pub struct Client {
    pool: Pool,
    /// None where the answers are somebody else's, who may be slow or down without the host being so.
    breakers: Option<Arc<Mutex<HashMap<String, Breaker>>>>,
    /// Whether "unavailable" is said of the host itself.
    own_word: bool,
}

/// Idle connections are closed after this many seconds.
const IDLE_S: u64 = 60;
const CONNECT_S: u64 = 5;

impl Client {
    /// A client over TLS, and over plain HTTP where a configured address says `http:` (a department system on the same
    /// machine).
    pub fn new(tls: &ClientTls) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(Duration::from_secs(CONNECT_S)));
        tcp.enforce_http(false);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config((*tls.0).clone())
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(tcp);
        let pool = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(IDLE_S))
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { pool, breakers: Some(Arc::default()), own_word: true }
    }

    /// The same connections with breakers of their own: trouble with one kind of call says nothing about another.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { breakers: Some(Arc::default()), ..self.clone() }
    }

    /// The same connections without breakers: for requests that the host only relays.
    #[must_use]
    pub fn relayed(&self) -> Self {
        Self { breakers: None, ..self.clone() }
    }

    /// The same, for a host that also tells of others who are down: any answer of its own is a sign of life.
    #[must_use]
    pub fn relaying(&self) -> Self {
        Self { own_word: false, ..self.clone() }
    }

    /// Sends a request and waits at most `limit` for the head of the answer; the body streams afterwards.
    pub async fn send(&self, request: Request<Body>, limit: Duration) -> Result<Response<Incoming>, UpstreamError> {
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        if !self.breaker(&host, |b| b.allows(UnixMillis::now())).unwrap_or(true) {
            return Err(UpstreamError::Resting { host });
        }
        let outcome = match tokio::time::timeout(limit, self.pool.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(e)) => Err(UpstreamError::Unreachable { host: host.clone(), why: chain(&e) }),
            Err(_) => Err(UpstreamError::Late { host: host.clone(), limit_ms: limit.as_millis() as u64 }),
        };
        let failed = match &outcome {
            Ok(response) => self.own_word && matches!(response.status().as_u16(), 502..=504),
            Err(_) => true,
        };
        self.breaker(&host, |b| if failed { b.failed(UnixMillis::now()) } else { b.succeeded() });
        outcome
    }

    /// Sends a request and reads an answer of at most `max` octets, all within `limit`.
    pub async fn fetch(
        &self,
        request: Request<Body>,
        limit: Duration,
        max: usize,
    ) -> Result<Response<Bytes>, UpstreamError> {
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let whole = async {
            let (head, body) = self.send(request, limit).await?.into_parts();
            let body = Limited::new(body, max).collect().await.map_err(|e| {
                if e.is::<http_body_util::LengthLimitError>() {
                    UpstreamError::TooLarge { host: host.clone(), limit: max }
                } else {
                    UpstreamError::Unusable { host: host.clone(), why: e.to_string() }
                }
            })?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        match tokio::time::timeout(limit, whole).await {
            Ok(outcome) => outcome,
            Err(_) => Err(UpstreamError::Late { host: host.clone(), limit_ms: limit.as_millis() as u64 }),
        }
    }

    fn breaker<T>(&self, host: &str, ask: impl FnOnce(&mut Breaker) -> T) -> Option<T> {
        let mut breakers = self.breakers.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(ask(breakers.entry(host.to_owned()).or_default()))
    }
}

/// An error with its causes on one line: hyper keeps the reason two levels down.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::super::body::empty;
    use super::*;

    /// A host that says "unavailable" to everybody.
    fn unavailable() -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4_096]);
                let _ = stream
                    .write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        });
        url
    }

    #[tokio::test]
    async fn who_tells_of_others_is_not_down_itself() {
        let client = Client::new(&ClientTls::new(&[], None).unwrap());
        for (what, client, rests) in
            [("its own word", client.clone(), true), ("of others", client.apart().relaying(), false)]
        {
            let url = unavailable();
            let mut last = None;
            for _ in 0..6 {
                let request = Request::get(&url).body(empty()).unwrap();
                last = Some(client.fetch(request, Duration::from_secs(5), 1_024).await);
            }
            let resting = matches!(last, Some(Err(UpstreamError::Resting { .. })));
            assert_eq!(resting, rests, "{what}: {last:?}");
        }
    }
}
