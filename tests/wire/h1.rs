//! HTTP/1.1: heads, framings, paths, borrowed identities, upgrades.

use serde_json::json;

use super::*;

/// Heads that are none, and framings that say two things: refused with their code, on record, and the connection ends.
pub async fn heads(federation: &Federation) {
    let own = authority(federation, 0);
    let long = format!("GET /v1/items HTTP/1.1\r\nHost: {own}\r\nX-Long: {}\r\n\r\n", "x".repeat(70_000));
    let many = format!("GET /v1/items HTTP/1.1\r\nHost: {own}\r\n{}\r\n", "X-Many: y\r\n".repeat(150));
    let target = format!("GET /v1/items?q={} HTTP/1.1\r\nHost: {own}\r\n\r\n", "x".repeat(9_000));
    let line = format!("GET /v1/items HTTP/1.1\r\nHost: {own}\r\nX-Long: {}\r\n\r\n", "x".repeat(20_000));
    let head = |lines: &str| format!("GET /v1/items HTTP/1.1\r\nHost: {own}\r\n{lines}\r\n\r\n");
    let post = |lines: &str, body: &str| format!("POST /v1/token HTTP/1.1\r\nHost: {own}\r\n{lines}\r\n\r\n{body}");
    let ask = |line: &str| format!("{line}\r\nHost: {own}\r\nConnection: close\r\n\r\n");
    const BAD: (u16, &str) = (400, "TB-HTTP-0001");
    const NOT_OURS: (u16, &str) = (421, "TB-HTTP-0008");
    const METHOD: (u16, &str) = (405, "TB-HTTP-0003");
    let mut rows = Vec::new();
    for (what, octets, want) in [
        ("bare LF after the request line", format!("GET /v1/items HTTP/1.1\nHost: {own}\r\n\r\n"), BAD),
        ("bare LF after a header", format!("GET /v1/items HTTP/1.1\r\nHost: {own}\nX: y\r\n\r\n"), BAD),
        ("bare LF for the end", format!("GET /v1/items HTTP/1.1\r\nHost: {own}\r\n\n"), BAD),
        ("nothing but bare LF", format!("GET /v1/items HTTP/1.1\nHost: {own}\n\n"), BAD),
        ("bare CR in a value", head("X: a\rAuthorization: b"), BAD),
        ("CR CR LF", head("X: a\r"), BAD),
        ("a folded line", head("X: a\r\n b"), BAD),
        ("a folded first line", format!("GET /v1/items HTTP/1.1\r\n Host: {own}\r\n\r\n"), BAD),
        ("a space before the colon", head("Content-Length : 0"), BAD),
        ("a space in a name", head("X Y: z"), BAD),
        ("no name", head(": z"), BAD),
        ("no colon", head("nothing"), BAD),
        ("NUL in a value", head("X: a\0b"), BAD),
        ("NUL in a name", head("X\0: a"), BAD),
        ("two spaces after the method", ask("GET  /v1/items HTTP/1.1"), BAD),
        ("a tab after the method", ask("GET\t/v1/items HTTP/1.1"), BAD),
        ("words behind the version", ask("GET /v1/items HTTP/1.1 x"), BAD),
        ("HTTP/0.9", "GET /v1/items\r\n\r\n".into(), BAD),
        ("HTTP/1.2", ask("GET /v1/items HTTP/1.2"), BAD),
        ("HTTP/3", ask("GET /v1/items HTTP/3.0"), BAD),
        ("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), BAD),
        ("a fragment", ask("GET /v1/items#/admin HTTP/1.1"), BAD),
        ("empty lines before it", format!("\r\n\r\n{}", head("X: y")), BAD),
        ("TLS in TLS", "\u{16}\u{3}\u{1}\0\u{5}hello\r\n\r\n".into(), BAD),
        ("both framings", post("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\nX"), BAD),
        ("both, the other way round", post("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\nX"), BAD),
        ("two lengths", post("Content-Length: 3\r\nContent-Length: 5", "abc"), BAD),
        ("the same length twice", post("Content-Length: 3\r\nContent-Length: 3", "abc"), BAD),
        ("a list of lengths", post("Content-Length: 3, 3", "abc"), BAD),
        ("a signed length", post("Content-Length: +3", "abc"), BAD),
        ("a negative length", post("Content-Length: -3", "abc"), BAD),
        ("a length in hexadecimal", post("Content-Length: 0x3", "abc"), BAD),
        ("a length of 2^64", post("Content-Length: 18446744073709551616", "abc"), BAD),
        ("an empty length", post("Content-Length: ", "abc"), BAD),
        ("chunked twice", post("Transfer-Encoding: chunked, chunked", "0\r\n\r\n"), BAD),
        ("chunked in two lines", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), BAD),
        ("identity, chunked", post("Transfer-Encoding: identity, chunked", "0\r\n\r\n"), BAD),
        ("xchunked", post("Transfer-Encoding: xchunked", "0\r\n\r\n"), BAD),
        ("chunked in quotes", post("Transfer-Encoding: \"chunked\"", "0\r\n\r\n"), BAD),
        ("a vertical tab before chunked", post("Transfer-Encoding: \u{b}chunked", "0\r\n\r\n"), BAD),
        (
            "chunks in HTTP/1.0",
            format!("POST /v1/token HTTP/1.0\r\nHost: {own}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            BAD,
        ),
        ("no host", "GET /v1/items HTTP/1.1\r\nX: y\r\n\r\n".into(), BAD),
        ("two hosts", head(&format!("Host: {own}")), BAD),
        ("an empty host", "GET /v1/items HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n".into(), NOT_OURS),
        ("another host", "GET /v1/items HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".into(), NOT_OURS),
        ("a user in the host", format!("GET /v1/items HTTP/1.1\r\nHost: root@{own}\r\n\r\n"), BAD),
        ("another host in the target", ask("GET https://evil.example/v1/items HTTP/1.1"), BAD),
        ("a user in the target", ask(&format!("GET https://root@{own}/v1/items HTTP/1.1")), BAD),
        ("a target without TLS", ask(&format!("GET http://{own}/v1/items HTTP/1.1")), NOT_OURS),
        ("a target of another scheme", ask(&format!("GET ftp://{own}/v1/items HTTP/1.1")), NOT_OURS),
        ("TRACE", ask("TRACE /v1/items HTTP/1.1"), METHOD),
        ("CONNECT", ask(&format!("CONNECT {own} HTTP/1.1")), METHOD),
        ("a method in small letters", ask("get /v1/items HTTP/1.1"), METHOD),
        ("an unknown method", ask("GETX /v1/items HTTP/1.1"), METHOD),
        ("TRACK", ask("TRACK /v1/items HTTP/1.1"), METHOD),
        ("OPTIONS *", ask("OPTIONS * HTTP/1.1"), BAD),
        ("a head of 70 KB", long, (431, "TB-HTTP-0010")),
        ("150 header lines", many, (431, "TB-HTTP-0010")),
        ("a target of 9 KB", target, BAD),
        ("a header line of 20 KB", line, (431, "TB-HTTP-0010")),
    ] {
        let text = plain(federation, 0, octets.as_bytes()).await;
        let all = answers(&text);
        assert_eq!(all.len(), 1, "{what}: one answer, and the end: {text}");
        rows.push((what.to_owned(), all[0].clone(), want));
    }
    judged(federation, &rows);
    // What is in order is served, absolute target and an empty line before it as well.
    for octets in [
        format!("GET /v1/items HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\n\r\n"),
        format!("\r\nGET https://{own}/v1/items HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\n\r\n"),
        format!("GET /v1/items HTTP/1.0\r\nHost: {own}\r\n\r\n"),
    ] {
        let text = plain(federation, 0, octets.as_bytes()).await;
        assert_eq!(
            answers(&text).first().map(|a| a.0),
            Some(200),
            "{octets}: {}",
            text.chars().take(300).collect::<String>()
        );
    }
}

/// Bodies: chunks that are none, requests hidden in bodies, waiting for a word, packed ones.
pub async fn bodies(federation: &Federation) {
    let own = authority(federation, 0);
    let chunked = |chunks: &str| {
        format!(
            "POST /v1/token HTTP/1.1\r\nHost: {own}\r\nTransfer-Encoding: chunked\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n\r\n{chunks}GET /v1/errors HTTP/1.1\r\nHost: {own}\r\n\r\n"
        )
    };
    for (what, octets) in [
        ("a bare LF behind a size", chunked("1\nx\r\n0\r\n\r\n")),
        ("a space behind a size", chunked("1 \r\nx\r\n0\r\n\r\n")),
        ("a size with 0x", chunked("0x1\r\nx\r\n0\r\n\r\n")),
        ("a signed size", chunked("+1\r\nx\r\n0\r\n\r\n")),
        ("a size of 2^64", chunked("10000000000000001\r\nx\r\n0\r\n\r\n")),
        ("a control character in an extension", chunked("1;a=\u{1}\r\nx\r\n0\r\n\r\n")),
        ("a bare LF in an extension", chunked("1;a=\nGET / HTTP/1.1\r\nx\r\n0\r\n\r\n")),
        ("an extension without end", chunked(&format!("1;{}", "a".repeat(70_000)))),
        ("a chunk longer than its size", chunked("1\r\nxyz\r\n0\r\n\r\n")),
        ("a bare LF behind a chunk", chunked("1\r\nx\n0\r\n\r\n")),
        ("a bare LF behind the last size", chunked("1\r\nx\r\n0\n\r\n")),
        ("a trailer that is none", chunked("0\r\nContent-Length : 5\r\n\r\n")),
        ("a folded trailer", chunked("0\r\nX: y\r\n z\r\n\r\n")),
        ("trailers without end", chunked(&format!("0\r\nX: {}\r\n", "y".repeat(70_000)))),
    ] {
        // The connection ends, and what stands behind the broken chunk is no request.
        let text = plain(federation, 0, octets.as_bytes()).await;
        let all = answers(&text);
        assert!(all.iter().all(|(status, _)| (400..500).contains(status)) && all.len() <= 1, "{what}: {text}");
    }
    // Extensions that are some, and trailers that would be an identity: the body counts, they do not.
    let text = plain(
        federation,
        0,
        format!(
            "POST /v1/lookups HTTP/1.1\r\nHost: {own}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                 2;name=\"value\"\r\n{{}}\r\n0\r\nAuthorization: Bearer x\r\n\r\n"
        )
        .as_bytes(),
    )
    .await;
    let mut rows: Vec<Row> = vec![("a token in a trailer".into(), answers(&text)[0].clone(), (401, "TB-IDN-0001"))];
    // Requests one behind the other: each is judged by itself.
    let token = federation.token("citizen");
    let both = format!(
        "GET /v1/cases HTTP/1.1\r\nHost: {own}\r\nAuthorization: Bearer {token}\r\n\r\n\
         GET /v1/cases HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\n\r\n"
    );
    let all = answers(&plain(federation, 0, both.as_bytes()).await);
    assert_eq!(all.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [200, 401]);
    rows.push(("the next one without a token".into(), all[1].clone(), (401, "TB-IDN-0001")));
    // A good request, and one hidden behind it that is none: the first is answered, the second refused.
    let hidden = format!("GET /v1/errors HTTP/1.1\r\nHost: {own}\r\n\r\nGET /v1/cases HTTP/1.1\nHost: {own}\n\n");
    let all = answers(&plain(federation, 0, hidden.as_bytes()).await);
    assert_eq!(all.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [200, 400]);
    rows.push(("a second head that is none".into(), all[1].clone(), (400, "TB-HTTP-0001")));
    // In a body it is a body, whatever it looks like.
    let inner = format!("GET /v1/errors HTTP/1.1\nHost: {own}\n\n");
    let wrapped = format!(
        "POST /v1/lookups HTTP/1.1\r\nHost: {own}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{inner}",
        inner.len()
    );
    let all = answers(&plain(federation, 0, wrapped.as_bytes()).await);
    assert_eq!(all.len(), 1);
    rows.push(("a request within a body".into(), all[0].clone(), (401, "TB-IDN-0001")));
    // Whoever waits for a word before sending gets the refusal instead of it.
    let waits = format!(
        "POST /v1/lookups HTTP/1.1\r\nHost: {own}\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n"
    );
    let text = plain(federation, 0, waits.as_bytes()).await;
    assert!(!text.contains(" 100 "), "{text}");
    rows.push(("an expectation without a token".into(), answers(&text)[0].clone(), (401, "TB-IDN-0001")));
    judged(federation, &rows);
    // Nothing is unpacked: a body in a coding is no body of ours, and JSON has no depth without end.
    let portal = federation.anybody(0);
    let deep = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
    let plan = "/v1/items/002009901000/plan";
    for (what, coding, body, want) in [
        ("gzip", Some("gzip"), vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0], (415, "TB-HTTP-0005")),
        ("two codings", Some("gzip, br"), b"{}".to_vec(), (415, "TB-HTTP-0005")),
        ("an unknown coding", Some("x-none"), b"{}".to_vec(), (415, "TB-HTTP-0005")),
        ("deep JSON", None, deep.into_bytes(), (422, "TB-HTTP-0009")),
        ("2 MiB of JSON", None, vec![b' '; 2 << 20], (413, "TB-HTTP-0004")),
    ] {
        let mut headers: Headers = vec![("authorization", format!("Bearer {token}"))];
        headers.extend(coding.map(|coding| ("content-encoding", coding.to_owned())));
        let answer = portal.send("POST", plan, &headers, Some(("application/json", body))).await;
        assert_eq!((answer.status, answer.json["code"].as_str()), (want.0, Some(want.1)), "{what}: {}", answer.text());
        assert!(answer.json["leaf"].is_u64(), "{what} is not on record");
    }
}

/// One path has one spelling, for rules, routes and systems behind alike; nothing beside the path moves it.
pub async fn paths(federation: &Federation) {
    let own = authority(federation, 0);
    let mut rows = Vec::new();
    for (path, want) in [
        ("/v1/../admin", (400, "TB-HTTP-0001")),
        ("/v1/./items", (400, "TB-HTTP-0001")),
        ("/v1/%2e%2e/admin", (400, "TB-HTTP-0001")),
        ("/v1/.%2E/admin", (400, "TB-HTTP-0001")),
        ("/v1/items/%2f..", (400, "TB-HTTP-0001")),
        ("/v1%2Fcases", (400, "TB-HTTP-0001")),
        ("/v1%5ccases", (400, "TB-HTTP-0001")),
        ("/v1/cases%00", (400, "TB-HTTP-0001")),
        ("/v1/cases%0d%0aX:y", (400, "TB-HTTP-0001")),
        ("/v1/%252e%252e/admin", (400, "TB-HTTP-0001")),
        ("//v1/cases", (400, "TB-HTTP-0001")),
        ("/v1//cases", (400, "TB-HTTP-0001")),
        ("/v1/cases;admin=1", (400, "TB-HTTP-0001")),
        ("/v1/cases%3badmin", (400, "TB-HTTP-0001")),
        ("/v1/%zz", (400, "TB-HTTP-0001")),
        ("/v1/cases%", (400, "TB-HTTP-0001")),
        ("/V1/cases", (404, "TB-HTTP-0002")),
        ("/v1/Cases", (404, "TB-HTTP-0002")),
        ("/v1/cases/", (404, "TB-HTTP-0002")),
        ("/v1/%63ases", (404, "TB-HTTP-0002")),
        ("/v1/cases?access_token=x", (401, "TB-IDN-0001")),
        ("/v1/cases?/../v1/items", (401, "TB-IDN-0001")),
        ("/metrics", (404, "TB-HTTP-0002")),
        ("/reload", (404, "TB-HTTP-0002")),
    ] {
        let octets = format!("GET {path} HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\n\r\n");
        let text = plain(federation, 0, octets.as_bytes()).await;
        rows.push((path.to_owned(), answers(&text).remove(0), want));
    }
    for header in [
        "X-Original-URL: /v1/items",
        "X-Rewrite-URL: /v1/items",
        "X-Forwarded-Uri: /v1/items",
        "X-Forwarded-Path: /v1/items",
        "X-HTTP-Method-Override: OPTIONS",
        "User-Agent: kube-probe/1.0",
        "X-Forwarded-For: 127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "Forwarded: for=127.0.0.1;proto=https;host=localhost",
    ] {
        let octets = format!("GET /v1/cases HTTP/1.1\r\nHost: {own}\r\n{header}\r\nConnection: close\r\n\r\n");
        let text = plain(federation, 0, octets.as_bytes()).await;
        rows.push((header.to_owned(), answers(&text).remove(0), (401, "TB-IDN-0001")));
    }
    judged(federation, &rows);
}

/// Whatever a client says of itself in a header, in any spelling, no system behind sees it; what the gateway says stays.
pub async fn borrowed_identities(federation: &Federation) {
    let token = federation.token("citizen");
    for header in [
        "Tongban-Identity: a.b.c",
        "tongban_identity: a.b.c",
        "TONGBAN-IDENTITY: a.b.c\r\ntongban-identity: d.e.f",
        "X-Remote-User: root",
        "X_Remote_User: root",
        "Remote-User: root",
        "X-Forwarded-User: root",
        "x_forwarded_user: root",
        "X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 1",
        "Forwarded: for=127.0.0.1;host=evil.example",
        "X-Client-Cert: MIIB\r\nClient-Cert: :MIIB:\r\nX-SSL-Client-Verify: SUCCESS",
        "X-Auth-Request-User: root\r\nX-User: root\r\nX-Userinfo: e30=",
        "Connection: close, tongban-identity, authorization",
        "Connection: close, traceparent",
    ] {
        let octets = format!(
            "GET /status HTTP/1.1\r\nHost: social-security.jiyuan.example\r\nAuthorization: Bearer {token}\r\n{header}\r\n\
             Connection: close\r\n\r\n"
        );
        let text = plain(federation, 1, octets.as_bytes()).await;
        let (status, told) = answers(&text).remove(0);
        assert_eq!(status, 200, "{header}: {text}");
        assert_eq!(
            (&told["vouched"], &told["identity"]["kind"]),
            (&json!(true), &json!("citizen")),
            "{header}: {told}"
        );
        assert_eq!(told["identity_headers_of_client"], json!([]), "{header}: {told}");
    }
    // As chunks with trailers, too.
    let octets = format!(
        "GET /status HTTP/1.1\r\nHost: social-security.jiyuan.example\r\nAuthorization: Bearer {token}\r\n\
         Transfer-Encoding: chunked\r\nTrailer: X-Remote-User\r\nConnection: close\r\n\r\n\
         1\r\nx\r\n0\r\nX-Remote-User: root\r\nTongban-Identity: a.b.c\r\n\r\n"
    );
    let (status, told) = answers(&plain(federation, 1, octets.as_bytes()).await).remove(0);
    assert_eq!((status, &told["vouched"]), (200, &json!(true)), "{told}");
    assert_eq!(told["identity_headers_of_client"], json!([]), "{told}");
}

/// No connection becomes anything else than HTTP; what was sent early is a request like any other.
pub async fn upgrades(federation: &Federation) {
    let token = federation.token("citizen");
    let of_ours = authority(federation, 0);
    let mut rows = Vec::new();
    for (gateway, host, path) in [(0, of_ours.as_str(), "/v1/items"), (1, "social-security.jiyuan.example", "/status")]
    {
        for upgrade in [
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
            "Connection: Upgrade\r\nUpgrade: TLS/1.2, HTTP/1.1",
        ] {
            let octets = format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{upgrade}\r\n\r\n\
                 \u{1}\u{2}early octets\r\n\r\n"
            );
            let text = plain(federation, gateway, octets.as_bytes()).await;
            let all = answers(&text);
            let statuses: Vec<_> = all.iter().map(|(status, _)| *status).collect();
            assert_eq!(statuses, [200, 400], "{upgrade}: {text}");
            assert!(!text.to_lowercase().contains("\r\nupgrade:"), "{upgrade}: {text}");
            if gateway == 0 {
                rows.push((format!("octets behind {upgrade}"), all[1].clone(), (400, "TB-HTTP-0001")));
            }
        }
    }
    judged(federation, &rows);
}
