//! A log behind a URL, as a stranger reads it: bounded in time and size, nothing followed, everything named.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{Request, StatusCode, Uri, header};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::audit::anchor::MAX_ANCHOR;
use crate::audit::note::MAX_NOTE;
use crate::audit::retention::PRUNED_ANCHOR;
use crate::audit::verify::{Fetch, MAX_RESOURCE};
use crate::upstream::body::empty;
use crate::upstream::tls::{Identity, certificates};
use crate::upstream::{Client, ClientTls, UpstreamError};

/// Tries of a resource when the server is in trouble, and the waits between them, in milliseconds.
const WAITS_MS: [u64; 2] = [500, 2_000];
/// Resources asked for before they are read.
const IN_FLIGHT: usize = 8;
/// Longest hash tile, in octets.
const MAX_TILE: u64 = 256 * 32;
/// Where operating systems keep the authorities they trust.
const SYSTEM_ANCHORS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// How to reach it.
pub struct Reach<'a> {
    /// PEM file of authorities; the operating system's without it.
    pub anchors: Option<&'a Path>,
    /// PEM files of our certificate and its key, for entry bundles.
    pub identity: Option<(&'a Path, &'a Path)>,
    /// Longest wait for one resource, from the request to its last octet.
    pub each: Duration,
    /// Longest time for everything.
    pub all: Option<Duration>,
}

/// A prefix with the C2SP layout below it.
pub struct Url {
    prefix: String,
    client: Client,
    runtime: Runtime,
    each: Duration,
    until: Option<Instant>,
    soon: RefCell<HashMap<String, JoinHandle<Answer>>>,
    /// Why nothing more is asked: a server that fails is not asked ten thousand times.
    given_up: RefCell<Option<String>>,
    /// Octets received.
    pub received: Cell<u64>,
}

type Answer = Result<Option<Bytes>, Failure>;

#[derive(Debug)]
enum Failure {
    /// Not for us; other resources may be.
    Refused(String),
    /// This resource cannot be had; others may.
    Unusable(String),
    /// The server cannot be reached, or does not answer.
    Broken(String),
}

impl Url {
    /// # Errors
    /// An address that is none, or TLS files that cannot be read: a sentence for the terminal.
    pub fn new(prefix: &str, reach: &Reach<'_>) -> Result<Self, String> {
        let prefix = prefix.trim_end_matches('/');
        let uri: Uri = prefix.parse().map_err(|e| format!("{prefix}: {e}"))?;
        if uri.scheme().is_none() || uri.host().is_none() || uri.query().is_some() || prefix.contains(['#', '@']) {
            return Err(format!("{prefix}: 应为 https://主机/前缀 · an address like https://HOST/PREFIX is wanted"));
        }
        let anchors = match (reach.anchors, uri.scheme_str()) {
            (Some(file), _) => certificates(file).map_err(|e| e.to_string())?,
            (None, Some("https")) => system_anchors()?,
            (None, _) => Vec::new(),
        };
        let identity = match reach.identity {
            Some((certificate, key)) => Some(Identity::read(certificate, key).map_err(|e| e.to_string())?),
            None => None,
        };
        let tls = ClientTls::new(&anchors, identity).map_err(|e| e.to_string())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|e| e.to_string())?;
        let _inside = runtime.enter();
        Ok(Self {
            prefix: prefix.to_owned(),
            client: Client::new(&tls),
            each: reach.each,
            until: reach.all.and_then(|all| Instant::now().checked_add(all)),
            soon: RefCell::default(),
            given_up: RefCell::default(),
            received: Cell::new(0),
            runtime,
        })
    }

    fn ask(&self, path: &str) -> JoinHandle<Answer> {
        let url = format!("{}/{path}", self.prefix);
        self.runtime.spawn(patiently(self.client.clone(), url, self.each, self.until, longest(path)))
    }
}

/// Most octets of the resource at a path.
fn longest(path: &str) -> u64 {
    match path {
        _ if path.starts_with("tile/entries/") => MAX_RESOURCE,
        _ if path.starts_with("tile/") => MAX_TILE,
        "anchor" | PRUNED_ANCHOR => MAX_ANCHOR as u64,
        _ => MAX_NOTE as u64,
    }
}

pub(super) fn system_anchors() -> Result<Vec<rustls_pki_types::CertificateDer<'static>>, String> {
    let named = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
    let usual = SYSTEM_ANCHORS.iter().map(std::path::PathBuf::from).find(|path| path.exists());
    let file = named.or(usual).ok_or("未找到系统信任库，请给出 --ca · no system trust store: give --ca FILE")?;
    certificates(&file).map_err(|e| e.to_string())
}

impl Fetch for Url {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        if let Some(why) = &*self.given_up.borrow() {
            return Err(io::Error::other(why.clone()));
        }
        let begun = self.soon.borrow_mut().remove(path);
        let answer = self.runtime.block_on(begun.unwrap_or_else(|| self.ask(path)));
        let failure = match answer {
            Ok(Ok(found)) => {
                self.received.set(self.received.get() + found.as_ref().map_or(0, |bytes| bytes.len() as u64));
                return Ok(found.map(Vec::from));
            }
            Ok(Err(failure)) => failure,
            Err(_) => Failure::Broken("the request was cut off".into()),
        };
        Err(match failure {
            Failure::Refused(why) => io::Error::new(io::ErrorKind::PermissionDenied, why),
            Failure::Unusable(why) => io::Error::other(why),
            Failure::Broken(why) => {
                *self.given_up.borrow_mut() = Some(why.clone());
                io::Error::other(why)
            }
        })
    }

    fn ahead(&self, paths: &[String]) {
        if self.given_up.borrow().is_some() {
            return;
        }
        let mut soon = self.soon.borrow_mut();
        for path in paths {
            if soon.len() < IN_FLIGHT && !soon.contains_key(path) {
                soon.insert(path.clone(), self.ask(path));
            }
        }
    }
}

/// Asks again when the server is in trouble, never when it answers.
async fn patiently(client: Client, url: String, each: Duration, until: Option<Instant>, max: u64) -> Answer {
    let mut waits = WAITS_MS.iter();
    loop {
        let left = until.map_or(each, |until| until.saturating_duration_since(Instant::now()).min(each));
        if left.is_zero() {
            return Err(Failure::Broken("未在限定时间内完成 not finished within --max-time".into()));
        }
        let failure = match once(&client, &url, left, max).await {
            Err(Failure::Broken(why)) => why,
            other => return other,
        };
        match waits.next() {
            Some(wait) => tokio::time::sleep(Duration::from_millis(*wait)).await,
            None => return Err(Failure::Broken(failure)),
        }
    }
}

async fn once(client: &Client, url: &str, limit: Duration, max: u64) -> Answer {
    let request = Request::get(url)
        .header(header::USER_AGENT, concat!("tongban/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT_ENCODING, "gzip, identity")
        .body(empty())
        .map_err(|e| Failure::Unusable(format!("{url}: {e}")))?;
    let response = client.fetch(request, limit, max as usize).await.map_err(|error| match error {
        UpstreamError::TooLarge { limit, .. } => Failure::Unusable(format!("more than {limit} octets")),
        UpstreamError::Unusable { why, .. } => Failure::Broken(format!("the answer was cut off: {why}")),
        other => Failure::Broken(other.to_string()),
    })?;
    let (head, body) = response.into_parts();
    match head.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
        status @ (StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) => {
            return Err(Failure::Refused(format!("不对本方开放 not for us (HTTP {})", status.as_u16())));
        }
        status if status.is_redirection() => {
            let to = head.headers.get(header::LOCATION).and_then(|v| v.to_str().ok()).unwrap_or("?");
            let to: String = to.chars().filter(|c| !c.is_control()).take(200).collect();
            return Err(Failure::Unusable(format!("HTTP {} to {to}: redirects are not followed", status.as_u16())));
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(Failure::Broken(format!("the server answers HTTP {}", status.as_u16())));
        }
        status => return Err(Failure::Unusable(format!("HTTP {}", status.as_u16()))),
    }
    match head.headers.get(header::CONTENT_ENCODING).map(|v| v.as_bytes()) {
        None | Some(b"identity") => Ok(Some(body)),
        Some(b"gzip") => unzip(&body, max).map(Some),
        Some(_) => Err(Failure::Unusable("an encoding that was not asked for".into())),
    }
}

fn unzip(body: &[u8], max: u64) -> Result<Bytes, Failure> {
    use std::io::Read;
    let mut out = Vec::new();
    match GzDecoder::new(body).take(max + 1).read_to_end(&mut out) {
        Ok(len) if len as u64 > max => Err(Failure::Unusable(format!("more than {max} octets when unpacked"))),
        Ok(_) => Ok(out.into()),
        Err(error) => Err(Failure::Unusable(format!("gzip: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers each connection with the next of these octets, then closes it.
    fn server(answers: Vec<Vec<u8>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for answer in answers {
                let Ok((mut socket, _)) = listener.accept() else { return };
                let _ = socket.read(&mut [0; 4096]);
                let _ = socket.write_all(&answer);
            }
        });
        format!("http://{address}/log/")
    }

    fn ask(answers: Vec<Vec<u8>>, path: &str) -> Result<Option<Vec<u8>>, String> {
        let each = Duration::from_secs(5);
        let reach = Reach { anchors: None, identity: None, each, all: None };
        Url::new(&server(answers), &reach).unwrap().get(path).map_err(|e| e.to_string())
    }

    fn plain(head: &str, body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    }

    #[test]
    fn every_kind_of_bad_answer_is_named() {
        let cut = plain("200 OK", &[b'x'; 100])[..120].to_vec();
        let busy = plain("503 Busy", b"");
        for (answers, path, want) in [
            (vec![plain("200 OK", b"hello")], "checkpoint", Ok(Some(b"hello".to_vec()))),
            (vec![plain("404 Not Found", b"?")], "checkpoint", Ok(None)),
            (vec![plain("403 Forbidden", b"?")], "tile/entries/000", Err("HTTP 403")),
            (vec![plain("302 Found\r\nlocation: http://elsewhere/", b"")], "checkpoint", Err("not followed")),
            (vec![plain("200 OK", &[0; 8193])], "tile/0/000", Err("more than 8192 octets")),
            (vec![plain("418 Teapot", b"")], "tile/0/000", Err("HTTP 418")),
            (vec![plain("200 OK\r\ncontent-encoding: br", b"x")], "tile/0/000", Err("not asked for")),
            (vec![busy.clone(), plain("200 OK", b"later")], "checkpoint", Ok(Some(b"later".to_vec()))),
            (vec![busy.clone(), busy.clone(), busy], "checkpoint", Err("HTTP 503")),
            (vec![cut.clone(), cut.clone(), cut], "checkpoint", Err("cut off")),
        ] {
            let got = ask(answers, path);
            match (&got, &want) {
                (Ok(got), Ok(want)) => assert_eq!(got, want, "{path}"),
                (Err(got), Err(part)) => assert!(got.contains(part), "{got}: {part} is wanted"),
                _ => panic!("{got:?}, wanted {want:?}"),
            }
        }
    }

    #[test]
    fn what_unpacks_to_more_than_a_tile_is_refused() {
        let zip = |len: usize| {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            gzip.write_all(&vec![7; len]).unwrap();
            plain("200 OK\r\ncontent-encoding: gzip", &gzip.finish().unwrap())
        };
        assert_eq!(ask(vec![zip(8192)], "tile/0/000"), Ok(Some(vec![7; 8192])));
        assert!(ask(vec![zip(8193)], "tile/0/000").is_err_and(|e| e.contains("unpacked")));
    }

    #[test]
    fn a_server_that_is_gone_is_asked_no_more() {
        let reach = Reach { anchors: None, identity: None, each: Duration::from_secs(1), all: None };
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = Url::new(&format!("http://{gone}"), &reach).unwrap();
        let first = url.get("checkpoint").unwrap_err().to_string();
        assert_eq!(url.get("tile/0/000").unwrap_err().to_string(), first);
        for bad in ["http://", "https://user@host/", "http://host/?q", "http://host/#f"] {
            assert!(Url::new(bad, &reach).is_err(), "{bad}");
        }
    }
}
