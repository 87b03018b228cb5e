//! The head of each HTTP/1 request, read before hyper reads it: hyper takes line ends and spellings that we do not, and what
//! it refuses it refuses without a code and without a line in the log (RFC 9112 §2.2, §3, §5, §6, §7.1).
//!
//! ```text
//!  octets ─▶ line ─▶ line ─▶ … ─▶ empty line ─▶ whole and in order: handed on as it came ─▶ hyper
//!              │no                                  │ body: counted, not looked at; chunks: by their lines
//!              └─▶ another head stands in for it, marked: `guard` refuses it, and nothing behind it is read
//! ```
//! Nothing is mended: where this reader and hyper's differ, the stricter wins.

mod lines;

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::through::writes_through;
use lines::{Said, field, size};

/// Longest head in octets, and most lines in it.
const HEAD_MAX: usize = 64 * 1024;
const LINES_MAX: usize = 101;
/// Longest line before a chunk, with its extensions, in octets.
const SIZE_MAX: usize = 4 * 1024;
/// Longest trailer section in octets.
const TRAILERS_MAX: usize = 8 * 1024;
/// What hyper reads in place of a head that is refused.
const INSTEAD: &[u8] = b"GET / HTTP/1.1\r\nhost: -\r\nconnection: close\r\n\r\n";

/// Why a head was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not as RFC 9112 writes a head; why, for the operator.
    Malformed(&'static str),
    /// More octets or lines than are taken.
    TooLarge,
}

/// The one fault of a connection, and the number of the request (from 0) that has it.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<OnceLock<(u64, Fault)>>);

impl Faults {
    /// The fault of this request of the connection.
    pub fn of(&self, nth: u64) -> Option<Fault> {
        self.0.get().filter(|(at, _)| *at == nth).map(|(_, fault)| *fault)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In a head.
    Head,
    /// So many octets are handed on without a look; then a chunk's line, or the next head.
    Body {
        left: u64,
        chunked: bool,
    },
    /// In the line before a chunk.
    Size,
    Trailers,
    /// A head was refused: what comes is thrown away.
    Refused,
    /// A body cannot be read on.
    Broken(&'static str),
}

/// A stream that hands on whole heads only.
pub struct Heads<S> {
    inner: S,
    faults: Faults,
    at: At,
    said: Said,
    /// Heads handed on.
    heads: u64,
    /// Octets of what is not whole yet, and where its last line begins.
    held: Vec<u8>,
    line: usize,
    /// Octets to hand on, and how many of them were.
    whole: Vec<u8>,
    given: usize,
}

impl<S> Heads<S> {
    pub fn new(inner: S, faults: Faults) -> Self {
        let (at, said) = (At::Head, Said::default());
        Self { inner, faults, at, said, heads: 0, held: vec![], line: 0, whole: vec![], given: 0 }
    }

    /// Takes what came, and puts aside what can be handed on.
    fn take(&mut self, mut rest: &[u8]) {
        while !rest.is_empty() {
            match self.at {
                At::Refused | At::Broken(_) => return,
                At::Body { left, chunked } => {
                    let n = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let (body, more) = rest.split_at(n);
                    self.whole.extend_from_slice(body);
                    rest = more;
                    self.passed(left - n as u64, chunked);
                }
                At::Head | At::Size | At::Trailers => {
                    let end = rest.iter().position(|b| *b == b'\n').map(|at| at + 1);
                    let (part, more) = rest.split_at(end.unwrap_or(rest.len()));
                    self.held.extend_from_slice(part);
                    rest = more;
                    self.bounded();
                    if end.is_some() {
                        self.line();
                    }
                }
            }
        }
    }

    fn passed(&mut self, left: u64, chunked: bool) {
        self.at = match (left, chunked) {
            (0, true) => At::Size,
            (0, false) => At::Head,
            _ => At::Body { left, chunked },
        };
    }

    fn bounded(&mut self) {
        match self.at {
            At::Head if self.held.len() > HEAD_MAX || self.said.lines > LINES_MAX => self.refuse(Fault::TooLarge),
            At::Size if self.held.len() > SIZE_MAX => self.at = At::Broken("a long line before a chunk"),
            At::Trailers if self.held.len() > TRAILERS_MAX => self.at = At::Broken("long trailers"),
            _ => {}
        }
    }

    /// Judges the line that has just ended.
    fn line(&mut self) {
        let line = self.held.get(self.line..).unwrap_or_default();
        let text = line.strip_suffix(b"\r\n");
        match (self.at, text) {
            (At::Head, None) => self.refuse(Fault::Malformed("a line that does not end in CR LF")),
            (At::Head, Some(b"")) if self.said.lines > 0 => match self.said.framing() {
                Ok(at) => {
                    (self.at, self.said) = (at, Said::default());
                    self.heads += 1;
                    self.hand_on();
                }
                Err(why) => self.refuse(Fault::Malformed(why)),
            },
            // One empty line before a request is forgiven (RFC 9112 §2.2), and goes no further.
            (At::Head, Some(b"")) if self.held.len() == 2 && self.line == 0 => self.line = 2,
            (At::Head, Some(text)) => match self.said.hear(text) {
                Ok(()) => self.line = self.held.len(),
                Err(why) => self.refuse(Fault::Malformed(why)),
            },
            (At::Size, Some(text)) => match size(text) {
                Some(0) => {
                    self.at = At::Trailers;
                    self.hand_on();
                }
                // The chunk and its CR LF, which hyper looks at.
                Some(size) => {
                    self.at = At::Body { left: size + 2, chunked: true };
                    self.hand_on();
                }
                None => self.at = At::Broken("a line before a chunk that is none"),
            },
            (At::Trailers, Some(b"")) => {
                self.at = At::Head;
                self.hand_on();
            }
            (At::Trailers, Some(text)) if field(text).is_some() => self.line = self.held.len(),
            (At::Size | At::Trailers, _) => self.at = At::Broken("a line that is none among the chunks"),
            _ => {}
        }
    }

    fn hand_on(&mut self) {
        let from = if self.held.starts_with(b"\r\n") && self.held.len() > 2 { 2 } else { 0 };
        self.whole.extend_from_slice(&self.held[from..]);
        self.held.clear();
        self.line = 0;
    }

    fn refuse(&mut self, fault: Fault) {
        let _ = self.faults.0.set((self.heads, fault));
        self.at = At::Refused;
        self.held = Vec::new();
        self.whole.extend_from_slice(INSTEAD);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heads<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.given < this.whole.len() {
                let n = (this.whole.len() - this.given).min(buf.remaining());
                buf.put_slice(&this.whole[this.given..this.given + n]);
                this.given += n;
                return Poll::Ready(Ok(()));
            }
            this.whole.clear();
            this.given = 0;
            match this.at {
                At::Broken(why) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why))),
                At::Refused => {
                    // Read on, or the answer is lost with the octets that nobody took (RFC 9112 §9.6); the end is not told:
                    // hyper would go without answering.
                    let mut gone = [0; 4_096];
                    let mut gone = ReadBuf::new(&mut gone);
                    ready!(Pin::new(&mut this.inner).poll_read(cx, &mut gone))?;
                    if gone.filled().is_empty() {
                        return Poll::Pending;
                    }
                    continue;
                }
                _ => {}
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
            let came = buf.filled().get(before..).unwrap_or_default();
            match this.at {
                _ if came.is_empty() => return Poll::Ready(Ok(())),
                // The common case of an upload: octets of a body and nothing else stay where they are.
                At::Body { left, chunked } if came.len() as u64 <= left => {
                    this.passed(left - came.len() as u64, chunked);
                    return Poll::Ready(Ok(()));
                }
                _ => {
                    let came = came.to_vec();
                    buf.set_filled(before);
                    this.take(&came);
                }
            }
        }
    }
}

writes_through!(Heads);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// What comes out behind the reader, with the octets arriving so many at a time.
    async fn through(octets: &[u8], at_a_time: usize) -> (Vec<u8>, Option<(u64, Fault)>, bool) {
        let (mut far, near) = tokio::io::duplex(at_a_time);
        let faults = Faults::default();
        let mut heads = Heads::new(near, faults.clone());
        let octets = octets.to_vec();
        let sender = tokio::spawn(async move {
            let _ = far.write_all(&octets).await;
        });
        let (mut out, mut broken) = (Vec::new(), false);
        let mut part = [0; 7];
        loop {
            if matches!(heads.at, At::Refused) && heads.given == heads.whole.len() {
                break; // it says no more
            }
            match heads.read(&mut part).await {
                Ok(0) => break,
                Ok(n) => out.extend_from_slice(&part[..n]),
                Err(_) => {
                    broken = true;
                    break;
                }
            }
        }
        drop(heads);
        let _ = sender.await;
        (out, faults.0.get().copied(), broken)
    }

    #[tokio::test]
    async fn what_is_in_order_comes_through_as_it_came() {
        for octets in [
            "GET /v1/items HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /v1/items?q=户籍 HTTP/1.0\r\nHost: a\r\nX-Note: 户籍\t\"x\"\r\nEmpty:\r\n\r\n",
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n\nbody\0\rGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST /a HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n5;a=\"b\"\r\n\n\n\n\n\n\r\nA\r\n0123456789\r\n0\r\n\
             Digest: x\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
            "POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\nDELETE /b HTTP/1.1\r\n\r\n",
            "GET /half HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf",
        ] {
            for at_a_time in [1, 2, 3, 64, 4_096] {
                let (out, fault, broken) = through(octets.as_bytes(), at_a_time).await;
                assert_eq!(String::from_utf8_lossy(&out), octets, "{at_a_time} at a time");
                assert_eq!((fault, broken), (None, false), "{octets:?}");
            }
        }
        // One empty line before a request is left out.
        assert_eq!(through(b"\r\nGET / HTTP/1.1\r\n\r\n", 9).await.0, b"GET / HTTP/1.1\r\n\r\n");
    }

    #[tokio::test]
    async fn another_head_stands_in_for_one_that_is_none() {
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(HEAD_MAX));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(LINES_MAX + 1));
        for (octets, nth, too_large) in [
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", 0, false),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", 0, false),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", 0, false),
            ("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 0, false),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n", 0, false),
            ("GET / HTTP/1.1\r\nHost: a\r\n X: b\r\n\r\n", 0, false),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 0, false),
            ("GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", 0, false),
            ("GET / HTTP/1.1\r\nHo st: a\r\n\r\n", 0, false),
            ("GET / HTTP/1.1\r\n: a\r\n\r\n", 0, false),
            ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 0, false),
            ("GET  / HTTP/1.1\r\n\r\n", 0, false),
            ("GET / x HTTP/1.1\r\n\r\n", 0, false),
            ("GET\t/ HTTP/1.1\r\n\r\n", 0, false),
            ("GET /#a HTTP/1.1\r\n\r\n", 0, false),
            ("GET / HTTP/2.0\r\n\r\n", 0, false),
            ("GET / http/1.1\r\n\r\n", 0, false),
            ("GET /\r\n\r\n", 0, false),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, false),
            ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", 0, false),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 0, false),
            ("POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\nx", 0, false),
            ("POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx", 0, false),
            ("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\nx", 0, false),
            ("POST / HTTP/1.1\r\nContent-Length:\r\n\r\nx", 0, false),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, false),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, false),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0, false),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 0, false),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, false),
            ("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\n\n", 1, false),
            ("POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nxyz /b HTTP/1.1\n\n", 1, false),
            (&long, 0, true),
            (&many, 0, true),
        ] {
            for at_a_time in [1, 5, 4_096] {
                if octets.len() > 1_000 && at_a_time < 5 {
                    continue;
                }
                let (out, fault, broken) = through(octets.as_bytes(), at_a_time).await;
                let (at, fault) = fault.unwrap_or_else(|| panic!("taken: {octets:?}"));
                assert_eq!((at, fault == Fault::TooLarge, broken), (nth, too_large, false), "{octets:?}");
                assert!(out.ends_with(INSTEAD), "{octets:?}");
                assert_eq!(out.len() > INSTEAD.len(), nth > 0, "{octets:?}");
            }
        }
    }

    #[tokio::test]
    async fn chunks_that_are_none_end_the_connection() {
        let long = format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(SIZE_MAX));
        for chunks in [
            "1\nx\r\n0\r\n\r\n",
            "1 \r\nx\r\n0\r\n\r\n",
            "0x1\r\nx\r\n0\r\n\r\n",
            "+1\r\nx\r\n0\r\n\r\n",
            "\r\nx\r\n0\r\n\r\n",
            "FFFFFFFFFFFFFFFF\r\nx\r\n0\r\n\r\n",
            "1;a\0\r\nx\r\n0\r\n\r\n",
            "1\r\nx\r\n0\n\r\n",
            "0\r\nX : y\r\n\r\n",
            "0\r\n X: y\r\n\r\n",
            "0\r\nX: y\n\r\n",
            &long,
        ] {
            let octets = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
            let (_, fault, broken) = through(octets.as_bytes(), 4_096).await;
            assert_eq!((fault, broken), (None, true), "{chunks:?}");
        }
    }
}
