//! How the answer of a live request ended stands in the log: whole, broken off by the system, or abandoned by the caller.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::Operator;
use super::federation::Federation;

const OCTETS: &str = "{\"paid\":true}";

/// A department's system: what it answers, its path says.
fn answers() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut asked = [0; 4_096];
    let read = stream.read(&mut asked).unwrap_or(0);
    let asked = String::from_utf8_lossy(&asked[..read]).into_owned();
    let path = asked.split(' ').nth(1).unwrap_or_default();
    let head = |more: &str| format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{more}\r\n\r\n");
    let long = head(&format!("content-length: {}", OCTETS.len()));
    let text = match path {
        "/whole" => long + OCTETS,
        "/chunked" => head("transfer-encoding: chunked") + &format!("d\r\n{OCTETS}\r\n0\r\n\r\n"),
        "/none" => "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned(),
        "/broken" => long + &OCTETS[..4],
        "/cut" => head("transfer-encoding: chunked") + &format!("d\r\n{OCTETS}\r\n"),
        _ => head("transfer-encoding: chunked"),
    };
    let _ = stream.write_all(text.as_bytes());
    // Goes on for as long as somebody takes it.
    while path == "/endless" && stream.write_all(b"1\r\n.\r\n").is_ok() {
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub async fn all(federation: &Federation) {
    let operator = Operator::at(federation, 1);
    let config = operator.read("tongban.toml");
    let part = &config[config.find("[[system]]\nid = \"social-security\"").expect("the system")..];
    let url = part.lines().find(|line| line.starts_with("url = ")).expect("an address");
    operator.write("tongban.toml", &config.replace(url, &format!("url = \"http://{}\"", answers())));
    operator.reload();

    let portal = federation.anybody(1);
    let token = federation.token("citizen");
    let mut digests = Vec::new();
    for (path, comes, result, has_digest) in [
        ("whole", OCTETS, "2xx", true),
        ("whole", OCTETS, "2xx", true),
        ("chunked", OCTETS, "2xx", true),
        ("none", "", "2xx", false),
        ("broken", "", "broken", true),
        ("cut", "", "broken", true),
        ("endless", "", "abandoned", true),
    ] {
        let before = operator.lines("pass.outcome").len();
        let request = format!(
            "GET /pass/social-security/{path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n",
            portal.authority
        );
        let asked = tokio::time::timeout(Duration::from_secs(2), portal.raw(&request)).await;
        if let Ok(answer) = &asked {
            assert!(answer.text().contains(comes), "{path}: {}", answer.text());
        }
        assert_eq!(asked.is_err(), path == "endless", "{path}");
        let line = outcome(&operator, before).await;
        assert_eq!(
            (&line["up"]["result"], &line["out"]["status"]),
            (&result.into(), &(if has_digest { 200 } else { 204 }).into()),
            "{path}: {line}"
        );
        let digest = line["ev"][0]["digest"].as_str();
        assert_eq!(digest.is_some(), has_digest, "{path}: {line}");
        let intents = operator.lines("pass.intent");
        let names = |leaf: &Value| intents.iter().any(|intent| intent["trace"] == line["trace"]) && leaf.is_string();
        assert!(names(&line["of"]), "{path}: {line}");
        digests.extend(digest.map(str::to_owned));
    }
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), 6, "equal answers do not look alike");
    operator.write("tongban.toml", &config);
    operator.reload();
}

/// The line that came after the `before` others: a caller who goes away does not wait for it.
async fn outcome(operator: &Operator<'_>, before: usize) -> Value {
    for _ in 0..50 {
        if let Some(line) = operator.lines("pass.outcome").get(before) {
            return line.clone();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no line of an outcome");
}
