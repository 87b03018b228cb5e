//! The first octets of an HTTP/2 connection have to come in time: hyper waits for its preface without a timer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Sleep;

use super::through::writes_through;

/// Length of the client connection preface (RFC 9113 §3.4) in octets.
const PREFACE: usize = 24;

/// A stream that fails when its peer has not sent the preface within the limit.
pub struct Opening<S> {
    inner: S,
    /// Gone once the preface is here.
    alarm: Option<Pin<Box<Sleep>>>,
    came: usize,
}

impl<S> Opening<S> {
    pub fn new(inner: S, limit: Duration) -> Self {
        Self { inner, alarm: Some(Box::pin(tokio::time::sleep(limit))), came: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Opening<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(alarm) = &mut this.alarm
            && alarm.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no HTTP/2 preface")));
        }
        let before = buf.filled().len();
        let outcome = Pin::new(&mut this.inner).poll_read(cx, buf);
        this.came = this.came.saturating_add(buf.filled().len() - before);
        if this.came >= PREFACE {
            this.alarm = None;
        }
        outcome
    }
}

writes_through!(Opening);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn the_preface_comes_in_time_or_not_at_all() {
        let long = Duration::from_secs(3_600);
        for (sent, limit, good) in
            [(PREFACE, long, true), (0, Duration::ZERO, false), (PREFACE - 1, Duration::ZERO, false)]
        {
            let (mut far, near) = tokio::io::duplex(64);
            far.write_all(&vec![b'x'; sent]).await.unwrap();
            let mut opening = Opening::new(near, limit);
            let mut octets = vec![0; PREFACE];
            assert_eq!(opening.read_exact(&mut octets).await.is_ok(), good, "{sent} octets within {limit:?}");
            // Once it is here the connection may be as quiet as it likes.
            assert_eq!(opening.alarm.is_none(), good);
        }
    }
}
