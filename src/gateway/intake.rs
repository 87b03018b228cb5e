//! What comes in with a filing: one JSON part and files, streamed into the vault, never whole in memory.

use serde::de::DeserializeOwned;

use super::multipart::{self, Multipart, MultipartError};
use crate::exchange::vault::Writing;
use crate::exchange::{ExchangeError, Kept, Key, Vault, VaultError};
use crate::terms::refusal::tolds;
use crate::terms::{Digest, Next, Refusal};
use crate::upstream::Body;
use crate::upstream::body::BoxError;

tolds! {
    /// The form data are not what a filing is made of.
    pub const FORM = "TB-GW-0001", 422,
        "提交的表单不完整或不正确，请按提示更正。",
        "The form is incomplete or wrong: correct it as told.",
        Next::CorrectAndResend;
    /// More files than a filing may have.
    pub const TOO_MANY_FILES = "TB-GW-0002", 413,
        "文件数量超过限制，请合并后提交。",
        "There are more files than one filing may have: merge some.",
        Next::CorrectAndResend;
    /// The upload broke off.
    pub const BROKEN_OFF = "TB-GW-0003", 400,
        "上传中断，未保存任何内容，请重新提交。",
        "The upload broke off; nothing was kept. Send it again.",
        Next::CorrectAndResend;
    /// The body did not come in time.
    pub const SLOW = "TB-GW-0004", 408,
        "上传超时，未保存任何内容，请检查网络后重新提交。",
        "The upload took too long; nothing was kept. Check the line and send it again.",
        Next::CorrectAndResend;
    /// One applicant's filings of a day.
    pub const TOO_MANY_FILINGS = "TB-GW-0005", 429,
        "该申请人今日申请次数已达上限，请明日再试。",
        "This applicant has filed as often as one may in a day: try again tomorrow.",
        Next::TryLater;
}

/// Bounds of one filing.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub file_octets: u64,
    pub files: usize,
    /// Largest JSON part in octets.
    pub json_octets: usize,
    /// Filings one citizen may try in a day.
    pub filings: u32,
}

/// One uploaded file, durable in the vault but not yet named by any case.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Name of the form field; materials refer to it.
    pub field: String,
    pub media: String,
    pub kept: Kept,
}

/// A filing as it came.
#[derive(Debug)]
pub struct Intake<T> {
    pub request: T,
    pub uploads: Vec<Upload>,
    /// Over the JSON part and the digests of the files: equal filings have equal digests.
    pub digest: Digest,
}

/// Name of the JSON part.
const REQUEST_FIELD: &str = "request";

/// Reads `multipart/form-data` with one part `request` (JSON) and any files.
///
/// # Errors
/// `TB-GW-0001…0003`, or what the vault says. Files written before the error are removed.
pub async fn read<T: DeserializeOwned>(
    content_type: Option<&str>,
    body: Body,
    vault: &Vault,
    key: &Key,
    bounds: Bounds,
) -> Result<Intake<T>, Refusal> {
    let boundary = multipart::boundary(content_type).map_err(broken)?;
    let mut form = Multipart::new(body, &boundary);
    let mut uploads = Vec::new();
    let outcome = parts(&mut form, vault, key, bounds, &mut uploads).await;
    match outcome {
        Ok((request, text)) => {
            let mut named = text.to_vec();
            for upload in &uploads {
                named.extend(format!("\n{} {} {}", upload.field, upload.media, upload.kept.digest).bytes());
            }
            Ok(Intake { request, uploads, digest: Digest::of(&named) })
        }
        Err(refusal) => {
            discard(vault, &uploads);
            Err(refusal)
        }
    }
}

/// Removes files that no case will name.
pub fn discard(vault: &Vault, uploads: &[Upload]) {
    for upload in uploads {
        if let Err(error) = vault.forget(&upload.kept.id) {
            tracing::warn!(%error, "an unused upload could not be removed");
        }
    }
}

async fn parts<T: DeserializeOwned>(
    form: &mut Multipart<Body>,
    vault: &Vault,
    key: &Key,
    bounds: Bounds,
    uploads: &mut Vec<Upload>,
) -> Result<(T, bytes::Bytes), Refusal> {
    let mut request = None;
    while let Some(part) = form.next().await.map_err(broken)? {
        let name = part.name;
        if name == REQUEST_FIELD {
            if request.is_some() {
                return Err(Refusal::new(&FORM, "more than one part named request"));
            }
            let text = json_part(form, bounds.json_octets).await?;
            let parsed = object(&text).map_err(|why| Refusal::new(&FORM, format!("request: {why}")))?;
            request = Some((parsed, text));
            continue;
        }
        let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if name.is_empty() || name.len() > 64 || !is_plain || name.starts_with('.') {
            return Err(Refusal::new(&FORM, "a file part needs a name of letters, digits, - _ ."));
        }
        if !is_media_type(&part.media) {
            return Err(Refusal::new(&FORM, format!("{name}: the content type is not one, e.g. application/pdf")));
        }
        if uploads.iter().any(|u| u.field == name) {
            return Err(Refusal::new(&FORM, format!("two parts are named {name}")));
        }
        if uploads.len() == bounds.files {
            return Err(Refusal::new(&TOO_MANY_FILES, format!("more than {} files", bounds.files)));
        }
        let writing = vault.write(key, bounds.file_octets).map_err(ExchangeError::from)?;
        let kept = file_part(form, writing).await?;
        uploads.push(Upload { field: name, media: part.media, kept });
    }
    request.ok_or_else(|| Refusal::new(&FORM, "no part named request"))
}

/// Reads a JSON object. An array in the order of the members would do for the reader, but is not what is described.
pub fn object<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    match text.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(text).map_err(|e| e.to_string()),
        _ => Err("not a JSON object".to_owned()),
    }
}

/// A media type of RFC 9110 §8.3.1, in at most 100 characters; none that a browser would run.
fn is_media_type(text: &str) -> bool {
    let is_token =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b));
    let essence = text.split(';').next().unwrap_or_default().trim();
    let active = ["text/html", "application/xhtml+xml", "image/svg+xml", "text/javascript", "application/javascript"];
    text.len() <= 100
        && text.bytes().all(|b| (b' '..=b'~').contains(&b))
        && essence.split_once('/').is_some_and(|(kind, sub)| is_token(kind) && is_token(sub))
        && !active.contains(&essence.to_ascii_lowercase().as_str())
}

async fn json_part(form: &mut Multipart<Body>, limit: usize) -> Result<bytes::Bytes, Refusal> {
    let mut text = bytes::BytesMut::new();
    while let Some(chunk) = form.chunk().await.map_err(broken)? {
        if text.len() + chunk.len() > limit {
            return Err(Refusal::new(&FORM, format!("the request part is larger than {limit} octets")));
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text.freeze())
}

/// Encrypts and writes on the blocking pool: a slow disk must not stop other requests.
async fn file_part(form: &mut Multipart<Body>, mut writing: Writing) -> Result<Kept, Refusal> {
    while let Some(chunk) = form.chunk().await.map_err(broken)? {
        writing = blocking(move || {
            writing.push(&chunk)?;
            Ok(writing)
        })
        .await?;
    }
    blocking(move || writing.finish()).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VaultError> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done.map_err(ExchangeError::from)?),
        Err(_) => Err(Refusal::new(&crate::store::UNAVAILABLE, "the gateway is shutting down")),
    }
}

/// A body that ended before its end.
pub fn cut_off(error: &BoxError) -> Refusal {
    broken(MultipartError::of(error))
}

fn broken(error: MultipartError) -> Refusal {
    let told = match error {
        MultipartError::BrokenOff => &BROKEN_OFF,
        MultipartError::TooSlow => &SLOW,
        _ => &FORM,
    };
    Refusal::new(told, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_types_and_do_not_run() {
        for (text, good) in [
            ("application/ofd", true),
            ("application/vnd.etsi.asic-e+zip", true),
            ("text/plain; charset=utf-8", true),
            ("", false),
            ("pdf", false),
            ("application/", false),
            ("<script>/x", false),
            ("text/html", false),
            ("Text/HTML; charset=utf-8", false),
            ("image/svg+xml", false),
            ("application/pdf\r\nx: y", false),
        ] {
            assert_eq!(is_media_type(text), good, "{text}");
        }
    }
}
