//! What comes with a request: query, JSON, files.

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::Asked;
use crate::exchange::vault::Writing;
use crate::exchange::{ExchangeError, Kept, Key, VaultError};
use crate::gateway::intake;
use crate::http::{CONTENT, TOO_LARGE};
use crate::terms::{Lang, Refusal};
use crate::upstream::Body;
use crate::upstream::body::{NotWhole, whole};

/// Largest JSON body in octets.
pub const JSON_MAX: usize = 1 << 20;
/// Largest form of a few members in octets.
pub const FORM_MAX: usize = 32 << 10;

/// A query parameter, percent-decoded.
pub(in crate::http) fn query(asked: &Asked, name: &str) -> Option<String> {
    asked.query.split('&').find_map(|pair| {
        let (n, v) = pair.split_once('=').unwrap_or((pair, ""));
        (n == name).then(|| decode(v))
    })
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|h| u8::from_str_radix(h, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A name or value of a form, percent-decoded; `None` where it is not well formed.
pub fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        out.push(match octet {
            b'+' => b' ',
            b'%' => {
                let digit = |b: u8| char::from(b).to_digit(16);
                let (high, low) = (digit(octets.next()?)?, digit(octets.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// `lang=en`, else Chinese.
pub(in crate::http) fn lang(asked: &Asked) -> Lang {
    match query(asked, "lang").as_deref() {
        Some("en") => Lang::En,
        _ => Lang::Zh,
    }
}

/// The one value of a header.
pub fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

/// Reads a body of at most `limit` octets.
pub async fn body(request: Request<Body>, limit: usize) -> Result<Bytes, Refusal> {
    octets(request.into_body(), limit).await
}

async fn octets(body: Body, limit: usize) -> Result<Bytes, Refusal> {
    whole(body, limit).await.map_err(|e| match e {
        NotWhole::TooLarge(_) => Refusal::new(&TOO_LARGE, e.to_string()),
        NotWhole::Broken(error) => intake::cut_off(&error),
    })
}

/// Reads a form of at most `limit` octets as text.
pub async fn text_of(body: Body, limit: usize) -> Result<String, Refusal> {
    let bytes = octets(body, limit).await?;
    String::from_utf8(bytes.to_vec()).map_err(|_| Refusal::new(&CONTENT, "not text"))
}

/// Reads a JSON body of at most `limit` octets.
pub async fn json<T: DeserializeOwned>(request: Request<Body>, limit: usize) -> Result<T, Refusal> {
    let bytes = body(request, limit).await?;
    intake::object(&bytes).map_err(|why| Refusal::new(&CONTENT, why))
}

/// Streams a body into the vault under a fresh key, on the blocking pool.
pub(in crate::http) async fn to_vault(
    asked: &Asked,
    request: Request<Body>,
    limit: u64,
) -> Result<(Key, Kept), Refusal> {
    let key = Key::generate().map_err(ExchangeError::from)?;
    let mut writing = asked.rooms.vault.write(&key, limit).map_err(ExchangeError::from)?;
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| intake::cut_off(&e))?;
        if let Ok(data) = frame.into_data() {
            writing = blocking(move || writing.push(&data).map(|()| writing)).await?;
        }
    }
    Ok((key, blocking(move || Writing::finish(writing)).await?))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VaultError> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done.map_err(ExchangeError::from)?),
        Err(_) => Err(Refusal::new(&crate::store::UNAVAILABLE, "writing was cut off")),
    }
}
