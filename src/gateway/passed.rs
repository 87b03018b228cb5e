//! What comes back from a live request, and the line that closes it. That line is durable before the answer's end goes out,
//! and says how the answer ended.
//!
//! ```text
//!  octets ─▶ pass through ─▶ the last ones wait ─▶ line: whole, or broken ─▶ the last ones · end
//!                            └ nobody takes them any more ─▶ line: abandoned
//! ```

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, SizeHint};
use ring::digest;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::ledger;
use super::rooms::Rooms;
use crate::audit::entry::{Evidence, Outcome, PeerReceipt, Upstream};
use crate::audit::{AuditError, Committed, Entry};
use crate::terms::{Digest, UnixMillis};
use crate::upstream::Body;
use crate::upstream::body::BoxError;

/// The line that closes a live request, as far as it is known before the answer has ended.
pub struct Closing {
    pub rooms: Arc<Rooms>,
    pub line: Entry,
    /// Leaf of the intent.
    pub intent: Digest,
    pub name: String,
    pub status: u16,
    pub receipt: Option<PeerReceipt>,
}

impl Closing {
    /// Writes the line. `ended` says how an answer ended that was not passed on whole. `octets` is the plain SHA-256 of what was passed on: the log has a keyed digest over it and the
    /// intent, since a yes or a no could be tried out, and since equal answers to two people must not look alike.
    ///
    /// # Errors
    /// Those of the log.
    pub async fn write(self, ended: Option<&str>, octets: Option<Digest>) -> Result<Committed, AuditError> {
        let class = format!("{}xx", self.status / 100);
        let result = ledger::word(ended.unwrap_or(&class));
        let up = Upstream { name: ledger::word(&self.name), receipt: self.receipt, result };
        let mut line = self
            .line
            .at(UnixMillis::now())
            .of(self.intent)
            .up(up)
            .out(Outcome { status: Some(self.status), ..Outcome::default() });
        if let Some(octets) = octets {
            let keyed = self.rooms.pseudonyms.digest("passed", &[self.intent.0, octets.0].concat());
            let answer = ledger::word("answer");
            line = line.evidence(Evidence { r#type: answer, digest: Some(keyed), ..Evidence::default() });
        }
        self.rooms.log.append(&line).await
    }

    /// The body, as it arrives; its end waits for the line.
    ///
    /// # Errors
    /// Those of the log, where there is no body to wait for.
    pub async fn over(self, body: Body) -> Result<Body, AuditError> {
        // Of an answer without a body nobody would ask for the end.
        if body.is_end_stream() {
            self.write(None, None).await?;
            return Ok(body);
        }
        let seen = digest::Context::new(&digest::SHA256);
        Ok(Passed { inner: body, closing: Some(self), seen, writing: None, last: None }.boxed())
    }
}

struct Passed {
    inner: Body,
    /// Until its writing has begun.
    closing: Option<Closing>,
    seen: digest::Context,
    writing: Option<JoinHandle<Result<Committed, AuditError>>>,
    /// What goes out once the line is written: the last octets, or word that they will not come.
    last: Option<Result<Bytes, BoxError>>,
}

impl Passed {
    fn close(&mut self, ended: Option<&'static str>) {
        let (Some(closing), Ok(runtime)) = (self.closing.take(), Handle::try_current()) else { return };
        let mut octets = Digest([0; 32]);
        octets.0.copy_from_slice(self.seen.clone().finish().as_ref());
        // A task of its own: it goes on when the caller goes away now.
        self.writing = Some(runtime.spawn(async move { closing.write(ended, Some(octets)).await }));
    }
}

impl hyper::body::Body for Passed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        while this.closing.is_some() {
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    this.seen.update(&data);
                    if !this.inner.is_end_stream() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    this.last = Some(Ok(data));
                    this.close(None);
                }
                Some(Err(error)) => {
                    this.last = Some(Err(error));
                    this.close(Some("broken"));
                }
                None => this.close(None),
            }
        }
        if let Some(writing) = &mut this.writing {
            let written: Result<_, BoxError> = match ready!(Pin::new(writing).poll(cx)) {
                Ok(written) => written.map_err(Into::into),
                Err(cut) => Err(cut.into()),
            };
            this.writing = None;
            if let Err(error) = written {
                this.last = None;
                return Poll::Ready(Some(Err(error)));
            }
        }
        Poll::Ready(this.last.take().map(|last| last.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.closing.is_none() && self.writing.is_none() && self.last.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.last {
            Some(Ok(data)) => SizeHint::with_exact(data.len() as u64),
            _ => self.inner.size_hint(),
        }
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        self.close(Some("abandoned"));
    }
}
