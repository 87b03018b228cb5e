//! What a reload takes of the configuration itself: limits, systems, lists and responders, at once and wholly; and what it
//! leaves to the next start, which it says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::federation::{Answer, Federation, Headers};
use super::{Operator, code, tools};

pub async fn all(federation: &Federation) {
    limits(federation).await;
    systems(federation).await;
    sources(federation).await;
    at_next_start(federation);
}

fn person(federation: &Federation) -> Headers {
    vec![("authorization", format!("Bearer {}", federation.token("citizen")))]
}

/// Bounds of a filing count for the next request, also on connections that are open.
async fn limits(federation: &Federation) {
    let operator = Operator::new(federation);
    let config = operator.read("tongban.toml");
    let (portal, headers) = (federation.anybody(0), person(federation));
    let file = async |octets: usize, files: usize| {
        let request = json!({
            "item": "002009901000", "places": {"household": "419001"}, "mode": "online", "consent": true,
            "form": {"use": "入学"}, "materials": [{"no": 1, "file": "id.ofd"}],
        });
        let more = (1..files).map(|n| (format!("more-{n}.ofd"), Vec::new()));
        let mut all = vec![("id.ofd".to_owned(), if octets == 0 { federation.licence() } else { vec![0; octets] })];
        all.extend(more);
        let all: Vec<_> = all.iter().map(|(name, file)| (name.as_str(), file.clone())).collect();
        federation.send_filing(&portal, &headers, &request, &all).await
    };
    const LIMITS: &str = "[limits]\nfilings = 1000\n";
    for (what, limits, octets, files, want) in [
        ("as it was", LIMITS, 0, 1, (202, "")),
        ("larger files", "[limits]\nfilings = 1000\nfile_mib = 1\n", (1 << 20) + 1, 1, (413, "TB-EXC-0008")),
        ("more files", "[limits]\nfilings = 1000\nfiles = 2\n", 0, 3, (413, "TB-GW-0002")),
        ("more filings", "[limits]\nfilings = 1\n", 0, 1, (429, "TB-GW-0005")),
        // One connection is one connection: the client here keeps its own and is served on.
        ("fewer connections", "[limits]\nfilings = 1000\nconnections = 1\n", 0, 1, (202, "")),
        ("as it was again", LIMITS, 0, 1, (202, "")),
    ] {
        operator.write("tongban.toml", &config.replace(LIMITS, limits));
        let told = operator.reload();
        assert!(!told.contains("next start"), "{what}: {told}");
        let answer = file(octets, files).await;
        assert_eq!(code(&answer), want, "{what}: {}", answer.text());
    }
}

/// A system that is taken out is reached no more and may call no more; one that is put in is reached, at its address of now.
/// One mistake, and all of it stays as it was.
async fn systems(federation: &Federation) {
    let operator = Operator::at(federation, 1);
    let config = operator.read("tongban.toml");
    let (portal, headers) = (federation.anybody(1), person(federation));
    let reach = async || portal.get("/pass/social-security/status", &headers).await;
    let (certificate, key) =
        tongban::app::demo::World::open(federation.folder.path()).expect("a world").client("household-register");
    let provider = federation.with(1, &certificate, &key);
    let call = async || -> Answer {
        let body = Some(("application/json", b"{}".to_vec()));
        provider.send("POST", "/provider/v1/changes", &Headers::new(), body).await
    };
    assert_eq!(reach().await.status, 200);
    let known = call().await;
    assert_ne!(code(&known), (401, "TB-GW-0101"), "{}", known.text());

    let part = |id: &str| {
        let at = config.find(&format!("[[system]]\nid = \"{id}\"")).expect("a system");
        let end = config[at + 1..].find("\n[[").map_or(config.len(), |end| at + 1 + end + 1);
        config[at..end].to_owned()
    };
    let without = config.replace(&part("social-security"), "").replace(&part("household-register"), "");
    operator.write("tongban.toml", &without);
    let told = operator.reload();
    assert!(!told.contains("next start"), "{told}");
    let gone = reach().await;
    assert_eq!(code(&gone), (404, "TB-GW-0301"), "{}", gone.text());
    assert_eq!(code(&call().await), (401, "TB-GW-0101"), "its certificate is nobody's now");

    // Put back with a mistake beside it: not even the right part counts.
    let bad = config.replace("anchors = \"authorities/clients.pem\"", "anchors = \"certs/tls.key\"");
    assert_ne!(bad, config);
    operator.write("tongban.toml", &bad);
    for command in [["reload"], ["check"]] {
        let refused = operator.command(&command);
        assert_eq!(refused.status.code(), Some(1), "{}", tools::text(&refused));
        assert!(tools::text(&refused).contains("system[1].anchors"), "{}", tools::text(&refused));
    }
    assert_eq!(code(&reach().await), (404, "TB-GW-0301"));

    // At an address where nobody is, then where it was.
    let own = part("social-security");
    let url = own.lines().find(|line| line.starts_with("url = ")).expect("an address");
    let nowhere = config.replace(url, "url = \"http://127.0.0.1:1\"");
    for (text, want) in [(&nowhere, 502), (&config, 200)] {
        operator.write("tongban.toml", text);
        operator.reload();
        let answer = reach().await;
        assert_eq!(answer.status, want, "{}", answer.text());
    }
    let known = call().await;
    assert_ne!(code(&known), (401, "TB-GW-0101"), "{}", known.text());
}

/// Somebody who counts who asks, and answers nothing of use.
fn counted() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (address, asked) = (listener.local_addr().expect("an address"), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4_096]);
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (address, asked)
}

/// Addresses of lists are asked from the reload on, and no more after the next one; a responder's issuer must be a
/// certificate.
async fn sources(federation: &Federation) {
    let operator = Operator::new(federation);
    let config = operator.read("tongban.toml");
    let (address, asked) = counted();
    let with = |issuer: &str| {
        format!(
            "{config}\n[statuses]\nlists = [\"http://{address}/a.crl\"]\nevery_s = 10\nmax_age_h = 1\n\
             [[responder]]\nurl = \"http://{address}/ocsp\"\nissuer = \"{issuer}\"\n"
        )
    };
    operator.write("tongban.toml", &with("certs/tls.key"));
    let refused = operator.command(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(tools::text(&refused).contains("responder[1].issuer"), "{}", tools::text(&refused));
    operator.write("tongban.toml", &with("authorities/clients.pem"));
    let told = operator.reload();
    assert!(!told.contains("next start"), "{told}");
    for _ in 0..300 {
        if asked.load(Ordering::SeqCst) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(asked.load(Ordering::SeqCst) > 0, "a list that a reload named is fetched");
    operator.write("tongban.toml", &config);
    operator.reload();
}

/// What a running gateway cannot change is told by its name; the rest of the file counts at once.
fn at_next_start(federation: &Federation) {
    let operator = Operator::new(federation);
    let config = operator.read("tongban.toml");
    for (from, to, section) in [
        ("enquiry = \"12345\"", "enquiry = \"12346\"", "gateway"),
        ("gm_key = ", "# gm_key = ", "log"),
        ("anchors = \"../federation/services-ca.pem\"", "# anchors", "directory.anchors"),
    ] {
        operator.write("tongban.toml", &config.replacen(from, to, 1));
        for time in ["at once", "as long as it waits"] {
            let told = operator.reload();
            let line = told.lines().find(|line| line.contains("next start")).unwrap_or_else(|| panic!("{told}"));
            assert!(line.ends_with(&format!(": {section}")), "{time}: {line}");
        }
        operator.write("tongban.toml", &config);
        let told = operator.reload();
        assert!(!told.contains("next start"), "nothing waits any more: {told}");
    }
}
