//! Octets that no client of good will sends, at a running gateway: HTTP/1.1 and HTTP/2 as attack kits write them, TLS under
//! odd certificates, connections that dribble, files full of addresses. One federation for all of it.

#[path = "wire/addresses.rs"]
mod addresses;
mod federation;
#[path = "wire/h1.rs"]
mod h1;
#[path = "wire/h2.rs"]
mod h2;
#[path = "wire/pace.rs"]
mod pace;
#[path = "wire/slow.rs"]
mod slow;
#[path = "wire/tls.rs"]
mod tls;
mod tools;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use federation::{Federation, Headers};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tongban::upstream::tls::{Identity, certificates, roots};

/// How long anything may take that is no test of slowness.
const WAIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_octets() {
    let federation = Federation::start(8).await;
    let slow = slow::begin(&federation).await;
    h1::heads(&federation).await;
    h1::bodies(&federation).await;
    h1::paths(&federation).await;
    h1::borrowed_identities(&federation).await;
    h1::upgrades(&federation).await;
    h2::forbidden(&federation).await;
    h2::floods(&federation).await;
    tls::certificates_for_something_else(&federation).await;
    tls::resumed(&federation).await;
    addresses::nothing_is_fetched(&federation).await;
    pace::each_caller_waits_for_itself(&federation).await;
    slow::ended(&federation, slow).await;
    others_are_served(&federation).await;
}

/// Settings of a client of one gateway: with or without a certificate, under these protocols.
fn settings(
    federation: &Federation,
    gateway: usize,
    identity: Option<Identity>,
    alpn: &[&[u8]],
) -> rustls::ClientConfig {
    let ca = federation.told["gateways"][gateway]["ca"].as_str().expect("a CA");
    let roots = roots(&certificates(Path::new(ca)).expect("a CA")).expect("roots");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(own) => builder.with_client_auth_cert(own.chain, own.key).expect("an identity"),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

async fn connect(federation: &Federation, gateway: usize, config: Arc<rustls::ClientConfig>) -> TlsStream<TcpStream> {
    let socket = TcpStream::connect(authority(federation, gateway)).await.expect("a connection");
    let name = "127.0.0.1".try_into().expect("a name");
    tokio_rustls::TlsConnector::from(config).connect(name, socket).await.expect("TLS")
}

fn authority(federation: &Federation, gateway: usize) -> String {
    let api = federation.told["gateways"][gateway]["api"].as_str().expect("an address");
    api.trim_start_matches("https://").to_owned()
}

/// Sends octets and reads what comes until the connection ends.
async fn said(stream: &mut TlsStream<TcpStream>, octets: &[u8]) -> String {
    let mut answer = Vec::new();
    // A gateway that has had enough may end the connection while we still talk.
    let _ = stream.write_all(octets).await;
    let _ = stream.flush().await;
    tokio::time::timeout(WAIT, stream.read_to_end(&mut answer)).await.map(drop).unwrap_or_else(|_| {
        panic!("the connection stays open: {}", String::from_utf8_lossy(&answer));
    });
    String::from_utf8_lossy(&answer).into_owned()
}

async fn plain(federation: &Federation, gateway: usize, octets: &[u8]) -> String {
    let config = Arc::new(settings(federation, gateway, None, &[]));
    said(&mut connect(federation, gateway, config).await, octets).await
}

/// Answers in one connection's octets: status, and the problem where there is one.
fn answers(text: &str) -> Vec<(u16, Value)> {
    // `HTTP/1.1 200 OK`, and not the name of the protocol in a sentence.
    let status = |at: usize| text.get(at + 9..at + 12).and_then(|s| s.parse::<u16>().ok());
    let begins: Vec<_> = text.match_indices("HTTP/1.").filter_map(|(at, _)| Some((at, status(at)?))).collect();
    let ends = begins.iter().skip(1).map(|(at, _)| *at).chain([text.len()]);
    let answer = |((at, status), end): (&(usize, u16), usize)| {
        let body = text[*at..end].split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let json = body.find('{').zip(body.rfind('}')).and_then(|(from, to)| body.get(from..=to));
        (*status, json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default())
    };
    begins.iter().zip(ends).map(answer).collect()
}

/// Refusals in gateway A's log, by trace.
fn refusals(federation: &Federation) -> BTreeMap<String, Value> {
    let shown =
        tools::tongban(&["audit", "show", &federation.folder.path().join("gw-440305/data/log").display().to_string()]);
    assert!(shown.status.success(), "{}", tools::text(&shown));
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let lines = shown.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let refused = lines.filter(|line| ["deny", "input.reject"].contains(&line["kind"].as_str().unwrap_or_default()));
    refused.map(|line| (line["trace"].as_str().unwrap_or_default().to_owned(), line)).collect()
}

/// Their codes.
fn logged(federation: &Federation) -> BTreeMap<String, String> {
    let code = |line: Value| line["dec"]["reason"].as_str().unwrap_or_default().to_owned();
    refusals(federation).into_iter().map(|(trace, line)| (trace, code(line))).collect()
}

/// What was tried, the problem it was answered with, and the status and code it must have.
type Row = (String, (u16, Value), (u16, &'static str));

/// Each has its status and code, and a line under that code in the log of gateway A.
fn judged(federation: &Federation, rows: &[Row]) {
    let lines = logged(federation);
    let mut wrong = Vec::new();
    for (what, (status, problem), (want, code)) in rows {
        let got = problem["code"].as_str().unwrap_or_default();
        let line = lines.get(problem["trace"].as_str().unwrap_or_default()).map_or("no line", String::as_str);
        if (*status, got, line) != (*want, *code, *code) {
            wrong.push(format!("{what}: wants {want} {code}, got {status} {got}, in the log {line}: {problem}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// A count of gateway A.
fn count(federation: &Federation, name: &str) -> i64 {
    let text = tools::plain(federation.told["gateways"][0]["metrics"].as_str().expect("an address"), "/metrics");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name} ")))
        .unwrap_or_else(|| panic!("{name}: {text}"));
    line.trim().parse().expect("a number")
}

/// Whatever somebody else does to the gateway.
async fn others_are_served(federation: &Federation) {
    let citizen: Headers = vec![("authorization", format!("Bearer {}", federation.token("citizen")))];
    let answer = federation.anybody(0).get("/v1/cases", &citizen).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}
