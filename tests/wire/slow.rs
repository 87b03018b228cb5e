//! Connections that dribble or fall silent: cut off in their time while others are served.

use tokio::task::JoinSet;

use super::*;

/// Long past every limit of a listener (10 s for TLS, 30 s for a head, 30 s of silence and some 40 s for HTTP/2).
const END: Duration = Duration::from_secs(150);

/// One that hangs on: what it does, and how it ended.
type Hanging = JoinSet<(&'static str, Option<String>)>;

/// Reads to the end; nothing where there is none.
async fn end(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<String> {
    let mut all = Vec::new();
    match tokio::time::timeout(END, stream.read_to_end(&mut all)).await {
        Ok(_) => Some(String::from_utf8_lossy(&all).into_owned()),
        Err(_) => None,
    }
}

/// Opens them all. They wait while the rest is tested.
pub async fn begin(federation: &Federation) -> Hanging {
    let own = authority(federation, 0);
    let mut hanging = Hanging::new();
    for (what, first) in [("silent before TLS", &b""[..]), ("half a greeting of TLS", &[0x16, 3, 1, 2, 0, 1])] {
        let mut socket = TcpStream::connect(&own).await.expect("a connection");
        socket.write_all(first).await.expect("sent");
        hanging.spawn(async move { (what, end(&mut socket).await) });
    }
    let token = federation.token("citizen");
    let head = format!("POST /v1/items/002009901000/plan HTTP/1.1\r\nHost: {own}\r\nAuthorization: Bearer {token}\r\n");
    let h2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for (what, alpn, first, drip) in [
        ("silent after TLS", &b"http/1.1"[..], vec![], None),
        ("half a head", b"http/1.1", b"GET /v1/items HT".to_vec(), None),
        (
            "a head without end",
            b"http/1.1",
            format!("GET /v1/items HTTP/1.1\r\nHost: {own}\r\n").into_bytes(),
            Some("X: y\r\n"),
        ),
        (
            "idle between requests",
            b"http/1.1",
            format!("GET /v1/errors HTTP/1.1\r\nHost: {own}\r\n\r\n").into_bytes(),
            None,
        ),
        (
            "half a body",
            b"http/1.1",
            format!("{head}Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{{").into_bytes(),
            None,
        ),
        ("half a chunk", b"http/1.1", format!("{head}Transfer-Encoding: chunked\r\n\r\n50\r\n{{").into_bytes(), None),
        ("no preface", b"h2", vec![], None),
        ("half a preface", b"h2", h2[..20].to_vec(), None),
        ("HTTP/2 and then nothing", b"h2", h2.clone(), None),
        ("half a frame", b"h2", [h2, vec![0, 0, 50, 1, 4, 0, 0, 0, 1, 0x82]].concat(), None),
    ] {
        let config = Arc::new(settings(federation, 0, None, &[alpn]));
        let mut stream = connect(federation, 0, config).await;
        stream.write_all(&first).await.expect("sent");
        hanging.spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(stream);
            let dripping = async {
                while let Some(drop) = drip {
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    if writer.write_all(drop.as_bytes()).await.is_err() {
                        break;
                    }
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                ended = end(&mut reader) => (what, ended),
                () = dripping => (what, None),
            }
        });
    }
    hanging
}

/// All of them have ended: nobody was served for a head or body that never came, and the gateway counted them.
pub async fn ended(federation: &Federation, mut hanging: Hanging) {
    let mut open = Vec::new();
    while let Some(one) = hanging.join_next().await {
        let (what, ended) = one.expect("it ran");
        let Some(text) = ended else {
            open.push(what);
            continue;
        };
        let statuses: Vec<_> =
            answers(&text).into_iter().map(|(status, problem)| (status, problem["code"].clone())).collect();
        match what {
            "idle between requests" => assert_eq!(statuses.len(), 1, "{what}: {text}"),
            "half a body" | "half a chunk" => {
                assert_eq!(statuses, [(408, Value::from("TB-GW-0004"))], "{what}: {text}");
            }
            _ => assert!(statuses.iter().all(|(status, _)| *status == 408), "{what}: {text}"),
        }
    }
    assert!(open.is_empty(), "still open: {open:?}");
    assert!(count(federation, "tongban_handshakes_refused") >= 2, "TLS that did not come");
    let slow = count(federation, "tongban_connections_too_slow");
    assert!(slow >= 4, "heads and prefaces that did not come: {slow}");
}
