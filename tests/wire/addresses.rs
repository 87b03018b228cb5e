//! Files and tokens full of addresses: nobody behind them is ever asked.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::json;
use tongban::formats::zip::{Archive, DosTime, Limits, Packing, Writer};

use super::*;

/// Whatever a licence or a token names, the gateway fetches nothing for it; what cannot be judged without is no pass.
pub async fn nothing_is_fetched(federation: &Federation) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let host = listener.local_addr().expect("an address");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let listening = tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let url = format!("http://{host}");
    // The good licence with an external entity, an external schema and an external resource in each of its XML parts.
    let good = federation.licence();
    let archive = Archive::open(&good[..], &Limits::default()).expect("an archive");
    let rewritten = |change: &dyn Fn(&str) -> String| {
        let mut writer = Writer::new(Vec::new(), DosTime::day_of(tongban::terms::UnixMillis::now()));
        for entry in archive.files() {
            let mut octets = archive.read(&entry.name, 1 << 24).expect("read");
            if entry.name.ends_with(".xml") {
                octets = change(&String::from_utf8(octets).expect("text")).into_bytes();
            }
            writer.add(&entry.name, Packing::Deflated, &octets).expect("added");
        }
        writer.finish().expect("a file")
    };
    let behind_declaration = |text: &str, what: &str| match text.find("?>") {
        Some(at) => format!("{}{what}{}", &text[..at + 2], &text[at + 2..]),
        None => format!("{what}{text}"),
    };
    let doctype = rewritten(&|text| behind_declaration(text, &format!("<!DOCTYPE x SYSTEM \"{url}/x.dtd\">")));
    let entity =
        rewritten(&|text| behind_declaration(text, &format!("<!DOCTYPE x [<!ENTITY % a SYSTEM \"{url}/e\"> %a;]>")));
    let sheet = rewritten(&|text| behind_declaration(text, &format!("<?xml-stylesheet href=\"{url}/s.xsl\"?>")));
    let pdf = format!(
        "%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R/OpenAction<</S/URI/URI({url}/a)>>>>endobj\n\
         2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n3 0 obj<</F<</FS/URL/F({url}/f)>>>>endobj\n\
         trailer<</Root 1 0 R>>\nstartxref\n0\n%%EOF\n"
    );
    let segment = |value: Value| B64.encode(value.to_string());
    let credential = format!(
        "{}.{}.{}~",
        segment(
            json!({"alg": "ES256", "typ": "dc+sd-jwt", "kid": url, "x5u": format!("{url}/x5u"), "jku": format!("{url}/jwks")})
        ),
        segment(
            json!({"iss": url, "vct": format!("{url}/vct"), "iat": 1, "status": {"status_list": {"uri": format!("{url}/list"), "idx": 0}}})
        ),
        B64.encode([1; 64])
    );
    let portal = federation.anybody(0);
    let headers: Headers = vec![("authorization", format!("Bearer {}", federation.token("citizen")))];
    for (what, media, octets) in [
        ("an external document type", "application/ofd", doctype),
        ("an external entity", "application/ofd", entity),
        ("an external style sheet", "application/ofd", sheet),
        ("a PDF that opens an address", "application/pdf", pdf.into_bytes()),
        ("a credential whose issuer is an address", "application/dc+sd-jwt", credential.clone().into_bytes()),
    ] {
        let body = Some((media, octets));
        let answer = portal.send("POST", "/v1/verify?purpose=counter&consent=true", &headers, body).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        assert_ne!(answer.json["indication"], "TOTAL-PASSED", "{what}: {}", answer.text());
    }
    // As a token, too.
    let bearer: Headers = vec![("authorization", format!("Bearer {}", credential.trim_end_matches('~')))];
    let answer = portal.get("/v1/cases", &bearer).await;
    assert_eq!(answer.json["code"], "TB-IDN-0005", "{}", answer.text());
    others_are_served(federation).await;
    assert_eq!(asked.load(Ordering::SeqCst), 0, "somebody was asked");
    // The listener does count: a visit of our own is one.
    TcpStream::connect(host).await.expect("a connection");
    for _ in 0..100 {
        if asked.load(Ordering::SeqCst) == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    listening.abort();
}
