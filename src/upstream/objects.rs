//! Object storage that speaks S3, over our own client: one TLS stack, bounded in time and size.
//!
//! ```text
//!  put   is it there? ─yes─▶ the same? ─yes─▶ done                         no ─▶ Differs: nothing is overwritten, but the beginning of the same
//!             └─no──▶ PUT with its SHA-256, and until when it is locked ─▶ read again, whole ─▶ the same? ─▶ done
//! ```
//! Credentials come from a file or the environment; no error or log line shows them.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use object_store::{ClientOptions, ObjectStoreExt, RetryConfig};

use super::body::streamed;
use super::{Client, UpstreamError};
use crate::terms::UnixMillis;

/// Longest wait for one object.
const WAIT: Duration = Duration::from_secs(60);
/// Longest object: a full bundle of longest entries.
const MAX_OBJECT: usize = 256 * 65_537;
/// Longest file of credentials.
const MAX_FILE: u64 = 16 << 10;

/// Where objects lie.
#[derive(Clone, Debug)]
pub struct Place {
    /// Address of the service, e.g. `https://s3.example:9000`; buckets are named in the path.
    pub url: String,
    pub bucket: String,
    /// Before every name, without slashes around it; may be empty.
    pub prefix: String,
    pub region: String,
}

/// Who asks for them. Shows itself to nobody.
#[derive(Clone)]
pub struct Credentials {
    id: String,
    secret: String,
    token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Credentials {
    /// Reads a file in the form of `~/.aws/credentials`: lines `aws_access_key_id = …`, `aws_secret_access_key = …` and
    /// perhaps `aws_session_token = …`; the first of each counts.
    ///
    /// # Errors
    /// A sentence without any of its content.
    pub fn read(file: &Path) -> Result<Self, String> {
        let meta = std::fs::metadata(file).map_err(|e| format!("{}: {e}", file.display()))?;
        if meta.len() > MAX_FILE {
            return Err(format!("{}: too long for credentials", file.display()));
        }
        let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(name)?.trim_start().strip_prefix('='));
            line.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let pair = value("aws_access_key_id").zip(value("aws_secret_access_key"));
        let (id, secret) =
            pair.ok_or(format!("{}: lines aws_access_key_id and aws_secret_access_key are wanted", file.display()))?;
        Ok(Self { id, secret, token: value("aws_session_token") })
    }

    /// From `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and perhaps `AWS_SESSION_TOKEN`.
    ///
    /// # Errors
    /// A sentence that names them.
    pub fn from_env() -> Result<Self, String> {
        let value = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let pair = value("AWS_ACCESS_KEY_ID").zip(value("AWS_SECRET_ACCESS_KEY"));
        let (id, secret) = pair.ok_or("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")?;
        Ok(Self { id, secret, token: value("AWS_SESSION_TOKEN") })
    }
}

/// Why an object could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error("the object storage: {0}")]
    Storage(String),
    #[error("{0} is there already, and is something else")]
    Differs(String),
    #[error("{0} is not what was sent when it is read again")]
    Broken(String),
}

/// One bucket and prefix.
#[derive(Clone, Debug)]
pub struct Objects {
    prefix: String,
    read: Arc<AmazonS3>,
    place: Place,
    credentials: Credentials,
    connector: Through,
}

impl Objects {
    /// # Errors
    /// A sentence about the address.
    pub fn new(place: Place, credentials: Credentials, client: &Client) -> Result<Self, String> {
        let connector = Through(client.relayed()); // who archives waits between rounds by itself
        let read = Arc::new(build(&place, &credentials, connector.clone(), HeaderMap::new())?);
        Ok(Self { prefix: place.prefix.clone(), read, place, credentials, connector })
    }

    fn path(&self, name: &str) -> object_store::path::Path {
        let whole = if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) };
        object_store::path::Path::from(whole)
    }

    /// An object; `None` where there is none.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, ObjectError> {
        let found = match self.read.get(&self.path(name)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(ObjectError::Storage(told(&error))),
        };
        if found.meta.size > MAX_OBJECT as u64 {
            return Err(ObjectError::Storage(format!("{name} is larger than {MAX_OBJECT} octets")));
        }
        found.bytes().await.map(Some).map_err(|e| ObjectError::Storage(told(&e)))
    }

    /// A writer whose objects are locked until then (S3 Object Lock, compliance mode), where the storage has that.
    ///
    /// # Errors
    /// A sentence about the address.
    pub fn writer(&self, locked_until: Option<UnixMillis>) -> Result<Writer, String> {
        let mut headers = HeaderMap::new();
        if let Some(until) = locked_until {
            let until = HeaderValue::from_str(&until.to_string()).map_err(|e| e.to_string())?;
            headers.insert(HeaderName::from_static("x-amz-object-lock-mode"), HeaderValue::from_static("COMPLIANCE"));
            headers.insert(HeaderName::from_static("x-amz-object-lock-retain-until-date"), until);
        }
        let write = Arc::new(build(&self.place, &self.credentials, self.connector.clone(), headers)?);
        Ok(Writer { objects: self.clone(), write })
    }
}

/// Keeps objects.
#[derive(Clone)]
pub struct Writer {
    objects: Objects,
    write: Arc<AmazonS3>,
}

impl Writer {
    /// Keeps an object that never changes; one that is there already must be the same. Whether it had to be sent.
    pub async fn keep(&self, name: &str, bytes: &Bytes) -> Result<bool, ObjectError> {
        match self.objects.get(name).await? {
            Some(found) if found == *bytes => return Ok(false),
            // Not every storage forgets an upload that was cut off.
            Some(found) if bytes.starts_with(&found) => {}
            Some(_) => return Err(ObjectError::Differs(name.to_owned())),
            None => {}
        }
        self.replace(name, bytes).await.map(|()| true)
    }

    /// Keeps an object in the place of another one, and reads it again.
    pub async fn replace(&self, name: &str, bytes: &Bytes) -> Result<(), ObjectError> {
        let sent = self.write.put(&self.objects.path(name), bytes.clone().into()).await;
        sent.map_err(|e| ObjectError::Storage(told(&e)))?;
        match self.objects.get(name).await? {
            Some(found) if found == *bytes => Ok(()),
            _ => Err(ObjectError::Broken(name.to_owned())),
        }
    }
}

fn build(place: &Place, who: &Credentials, through: Through, headers: HeaderMap) -> Result<AmazonS3, String> {
    let mut builder = AmazonS3Builder::new()
        .with_endpoint(place.url.trim_end_matches('/'))
        .with_bucket_name(&place.bucket)
        .with_region(&place.region)
        .with_virtual_hosted_style_request(false)
        .with_allow_http(true)
        .with_access_key_id(&who.id)
        .with_secret_access_key(&who.secret)
        .with_checksum_algorithm(Checksum::SHA256)
        .with_retry(RetryConfig { max_retries: 1, retry_timeout: WAIT, ..RetryConfig::default() })
        .with_client_options(ClientOptions::new().with_allow_http(true).with_default_headers(headers))
        .with_http_connector(through);
    if let Some(token) = &who.token {
        builder = builder.with_token(token);
    }
    builder.build().map_err(|e| format!("{}: {}", place.url, told(&e)))
}

/// One line, no longer than a terminal's few; what a storage answers is somebody else's text.
fn told(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect()
}

/// Requests of the crate, sent by our client.
#[derive(Clone)]
struct Through(Client);

impl std::fmt::Debug for Through {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Through(…)")
    }
}

impl HttpConnector for Through {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

impl HttpService for Through {
    fn call<'s, 'f>(
        &'s self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let request = http::Request::from_parts(head, streamed(body));
            let answer = self.0.fetch(request, WAIT, MAX_OBJECT + 1).await.map_err(|error| {
                let kind = match &error {
                    UpstreamError::Unreachable { .. } | UpstreamError::Resting { .. } => HttpErrorKind::Connect,
                    UpstreamError::Late { .. } => HttpErrorKind::Timeout,
                    UpstreamError::Unusable { .. } => HttpErrorKind::Interrupted,
                    _ => HttpErrorKind::Unknown,
                };
                HttpError::new(kind, error)
            })?;
            let (head, body) = answer.into_parts();
            Ok(HttpResponse::from_parts(head, HttpResponseBody::from(body)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("credentials");
        for (text, good) in [
            ("[default]\naws_access_key_id = AKIA1\naws_secret_access_key=s3cr3t/+=\n", true),
            ("aws_access_key_id = AKIA1\naws_secret_access_key = s3cr3t/+=\naws_session_token = t\n", true),
            ("aws_access_key_id = AKIA1\n", false),
            ("aws_access_key_id =\naws_secret_access_key = s3cr3t/+=\n", false),
            ("", false),
        ] {
            std::fs::write(&file, text).unwrap();
            let read = Credentials::read(&file);
            assert_eq!(read.is_ok(), good, "{text}");
            let shown = format!("{read:?}");
            assert!(!shown.contains("s3cr3t") && !shown.contains("AKIA1"), "{shown}");
            assert!(read.is_err() || read.is_ok_and(|read| read.secret == "s3cr3t/+="));
        }
        assert!(Credentials::read(&dir.path().join("none")).is_err());
    }
}
