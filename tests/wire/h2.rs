//! HTTP/2, frame by frame: fields that are forbidden, and floods (RFC 9113 §8, §10.5).

use super::*;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Octets of a flood sent at most: whoever takes them all has no bound.
const FLOOD: usize = 64 << 20;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Fields as literals that are never indexed, without Huffman codes (RFC 7541 §6.2.3).
fn fields(all: &[(&str, &str)]) -> Vec<u8> {
    let text = |out: &mut Vec<u8>, text: &str| {
        match u8::try_from(text.len()) {
            Ok(short) if short < 127 => out.push(short),
            _ => {
                out.push(127);
                let mut rest = text.len() - 127;
                while rest >= 128 {
                    out.push((rest % 128) as u8 | 128);
                    rest /= 128;
                }
                out.push(rest as u8);
            }
        }
        out.extend_from_slice(text.as_bytes());
    };
    let mut out = Vec::new();
    for (name, value) in all {
        out.push(0x10);
        text(&mut out, name);
        text(&mut out, value);
    }
    out
}

fn opening() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])].concat()
}

async fn connection(federation: &Federation) -> TlsStream<TcpStream> {
    let stream = connect(federation, 0, Arc::new(settings(federation, 0, None, &[b"h2"]))).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    stream
}

/// The next frame: kind, stream, payload. Nothing at the end.
async fn next(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<(u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.ok()?;
    Some((head[3], u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]), payload))
}

/// How a request on stream 1 ended: refused by the gateway, refused below it, or served.
#[derive(Debug, PartialEq)]
enum Ended {
    Status(u16),
    Reset,
    Gone,
}

async fn asked(federation: &Federation, head: &[(&str, &str)], body: &[u8]) -> Ended {
    let mut stream = connection(federation).await;
    let mut octets = opening();
    let end = if body.is_empty() { END_STREAM } else { 0 };
    octets.extend(frame(HEADERS, END_HEADERS | end, 1, &fields(head)));
    if !body.is_empty() {
        octets.extend(frame(DATA, END_STREAM, 1, body));
    }
    stream.write_all(&octets).await.expect("sent");
    let outcome = async {
        while let Some((kind, of, payload)) = next(&mut stream).await {
            match (kind, of) {
                // The static table has what is most common (RFC 7541, appendix A); the rest are three digits as they are or
                // Huffman coded.
                (HEADERS, 1) => {
                    return Ended::Status(match payload.first() {
                        Some(0x88) => 200,
                        Some(0x8c) => 400,
                        Some(0x8d) => 404,
                        _ => 499,
                    });
                }
                (RST_STREAM, 1) => return Ended::Reset,
                (GOAWAY, _) => return Ended::Gone,
                _ => {}
            }
        }
        Ended::Gone
    };
    tokio::time::timeout(WAIT, outcome).await.expect("an end")
}

/// What HTTP/2 forbids is reset or refused, and never served.
pub async fn forbidden(federation: &Federation) {
    let own = authority(federation, 0);
    let good = [(":method", "GET"), (":scheme", "https"), (":authority", own.as_str()), (":path", "/v1/items")];
    assert_eq!(asked(federation, &good, b"").await, Ended::Status(200), "what is not bent is served");
    let with = |more: &[(&'static str, &'static str)]| [&good[..], more].concat();
    let instead = |name: &str, value: Option<&'static str>| -> Vec<(&str, &str)> {
        good.iter().filter_map(|(n, v)| if *n == name { value.map(|v| (*n, v)) } else { Some((*n, *v)) }).collect()
    };
    let early: Vec<_> = [&[("x-note", "y")], &good[..]].concat();
    for (what, head, body) in [
        ("the path twice", with(&[(":path", "/v1/errors")]), &b""[..]),
        ("the method twice", with(&[(":method", "POST")]), b""),
        ("the authority twice", with(&[(":authority", "evil.example")]), b""),
        ("the scheme twice", with(&[(":scheme", "http")]), b""),
        ("an unknown pseudo field", with(&[(":identity", "root")]), b""),
        ("a pseudo field of answers", with(&[(":status", "200")]), b""),
        ("a pseudo field behind others", early, b""),
        ("no path", instead(":path", None), b""),
        ("an empty path", instead(":path", Some("")), b""),
        ("a path that is none", instead(":path", Some("v1/items")), b""),
        ("a path with a space", instead(":path", Some("/v1/items HTTP/1.1")), b""),
        ("a path of dots", instead(":path", Some("/v1/../v1/items")), b""),
        ("a path with an escaped slash", instead(":path", Some("/v1%2fitems")), b""),
        ("no method", instead(":method", None), b""),
        ("a method that is no word", instead(":method", Some("GET /v1/items")), b""),
        ("a method in small letters", instead(":method", Some("get")), b""),
        ("CONNECT", instead(":method", Some("CONNECT")), b""),
        ("no scheme", instead(":scheme", None), b""),
        ("another scheme", instead(":scheme", Some("http")), b""),
        ("no authority", instead(":authority", None), b""),
        ("another authority", instead(":authority", Some("evil.example")), b""),
        ("a user in the authority", instead(":authority", Some("root@127.0.0.1")), b""),
        ("authority and host differ", with(&[("host", "evil.example")]), b""),
        ("Connection", with(&[("connection", "close")]), b""),
        ("Keep-Alive", with(&[("keep-alive", "1")]), b""),
        ("Proxy-Connection", with(&[("proxy-connection", "close")]), b""),
        ("Transfer-Encoding", with(&[("transfer-encoding", "chunked")]), b""),
        ("Upgrade", with(&[("upgrade", "websocket")]), b""),
        ("TE other than trailers", with(&[("te", "gzip")]), b""),
        ("a name in capitals", with(&[("X-Note", "y")]), b""),
        ("a name with a space", with(&[("x note", "y")]), b""),
        ("a name with a colon", with(&[("x:note", "y")]), b""),
        ("an empty name", with(&[("", "y")]), b""),
        ("a line end in a value", with(&[("x-note", "y\r\nauthorization: z")]), b""),
        ("NUL in a value", with(&[("x-note", "y\0z")]), b""),
        ("fewer octets than its length", with(&[("content-length", "5")]), b"abc"),
        ("more octets than its length", with(&[("content-length", "2")]), b"abc"),
        ("a length for no octets", with(&[("content-length", "5")]), b""),
        ("two lengths", with(&[("content-length", "3"), ("content-length", "4")]), b"abc"),
    ] {
        let ended = asked(federation, &head, body).await;
        assert_ne!(ended, Ended::Status(200), "{what} is served");
    }
}

/// Sends a flood until the gateway ends the connection; gives whether it did within [`FLOOD`] octets.
async fn flooded(federation: &Federation, first: Vec<u8>, mut more: impl FnMut(u32) -> Vec<u8>) -> bool {
    let (mut reader, mut writer) = tokio::io::split(connection(federation).await);
    let listener = tokio::spawn(async move {
        while let Some((kind, ..)) = next(&mut reader).await {
            if kind == GOAWAY {
                return;
            }
        }
    });
    let mut sent = 0;
    let flood = async {
        if writer.write_all(&[opening(), first].concat()).await.is_err() {
            return;
        }
        for n in 0.. {
            let octets = more(n);
            sent += octets.len();
            if sent > FLOOD || listener.is_finished() || writer.write_all(&octets).await.is_err() {
                return;
            }
        }
    };
    // A gateway that neither reads nor answers has ended it, too, as far as the flood goes.
    let _ = tokio::time::timeout(WAIT, flood).await;
    others_are_served(federation).await;
    if sent > FLOOD {
        return false;
    }
    tokio::time::timeout(WAIT, listener).await.is_ok()
}

/// Floods end, and others are served meanwhile and afterwards.
pub async fn floods(federation: &Federation) {
    let own = authority(federation, 0);
    let good = [(":method", "GET"), (":scheme", "https"), (":authority", own.as_str()), (":path", "/v1/items")];
    let head = fields(&good);
    let stream = |n: u32| 2 * n + 1;
    // Rapid reset: begun and taken back at once, for ever.
    let reset = |n: u32| {
        let begun = frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &head);
        [begun, frame(RST_STREAM, 0, stream(n), &8u32.to_be_bytes())].concat()
    };
    assert!(flooded(federation, vec![], reset).await, "rapid reset");
    // The same by making the gateway reset: a window that overflows.
    let made = |n: u32| {
        let begun = frame(HEADERS, END_HEADERS, stream(n), &head);
        [begun, frame(WINDOW_UPDATE, 0, stream(n), &0x7fff_ffff_u32.to_be_bytes())].concat()
    };
    assert!(flooded(federation, vec![], made).await, "made to reset");
    // Fields without end.
    let piece = fields(&[("x-piece", &"y".repeat(1_000))]);
    let begun = frame(HEADERS, END_STREAM, 1, &head);
    let continued = |_| frame(CONTINUATION, 0, 1, &piece);
    assert!(flooded(federation, begun.clone(), continued).await, "continuation");
    assert!(flooded(federation, begun, |_| frame(CONTINUATION, 0, 1, &[])).await, "empty continuation");
    // Control frames that ask for an answer, read by nobody in particular; the answers of those are bounded by what we read.
    let strange = |_| frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff]);
    assert!(flooded(federation, vec![], strange).await, "a window that is none");
    assert!(flooded(federation, vec![], |_| frame(PING, 0, 1, &[0; 8])).await, "a ping on a stream");
    assert!(flooded(federation, vec![], |_| frame(DATA, 0, 1, b"x")).await, "data of no stream");
    // One long field in the table, named thousands of times: a few octets that would be megabytes.
    let bomb = |n: u32| {
        let mut block = head.clone();
        block.extend([0x40, 6]);
        block.extend(b"x-bomb");
        block.extend([127, 0xa1, 0x1e]); // 4,000 octets
        block.extend(vec![b'y'; 4_000]);
        block.extend(vec![0xbe; 12_000]); // the newest of the table
        frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &block)
    };
    let before = memory(federation);
    let mut connection = connection(federation).await;
    connection.write_all(&opening()).await.expect("sent");
    for n in 0..200 {
        if connection.write_all(&bomb(n)).await.is_err() {
            break;
        }
    }
    let mut served = false;
    let listened = async {
        while let Some((kind, _, payload)) = next(&mut connection).await {
            served |= kind == HEADERS && payload.first() == Some(&0x88);
            if kind == GOAWAY {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), listened).await;
    assert!(!served, "a head of 48 MB is served");
    others_are_served(federation).await;
    // 200 heads of 48 MB are 9.6 GB; what a gateway keeps of them is not a hundredth.
    let grown = memory(federation).saturating_sub(before);
    assert!(grown < 96 << 20, "{grown} octets more");
    // Many frames that say nothing: others are served, and nothing grows.
    for (what, octets) in [("pings", frame(PING, 0, 0, &[7; 8])), ("settings", frame(SETTINGS, 0, 0, &[]))] {
        let mut connection = self::connection(federation).await;
        let flood = [opening(), octets.repeat(50_000)].concat();
        // Nobody reads the answers: a gateway that kept them all would grow.
        let _ = tokio::time::timeout(Duration::from_secs(5), connection.write_all(&flood)).await;
        others_are_served(federation).await;
        let grown = memory(federation).saturating_sub(before);
        assert!(grown < 96 << 20, "{what}: {grown} octets more");
    }
}

/// Resident memory of gateway A in octets.
fn memory(federation: &Federation) -> u64 {
    let pid = federation.told["gateways"][0]["pid"].as_u64().expect("a process");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib << 10
}
