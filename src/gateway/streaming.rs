//! A vault file on its way out: read and decrypted chunk by chunk on the blocking pool, never whole in memory.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use crate::exchange::vault::Reading;
use crate::upstream::Body;
use crate::upstream::body::BoxError;

/// The file as a body.
pub fn body(reading: Reading) -> Body {
    let chunks = futures_util::stream::unfold((Arc::new(reading), 0), |(reading, n)| async move {
        if n == reading.chunks() {
            return None;
        }
        let read = reading.clone();
        let chunk = tokio::task::spawn_blocking(move || read.chunk(n)).await;
        let frame: Result<Frame<Bytes>, BoxError> = match chunk {
            Ok(Ok(chunk)) => Ok(Frame::data(Bytes::from(chunk))),
            Ok(Err(e)) => Err(e.into()),
            Err(e) => Err(e.into()),
        };
        Some((frame, (reading, n + 1)))
    });
    StreamBody::new(Shared(Mutex::new(Box::pin(chunks)))).boxed()
}

/// A stream that is polled by one task only may be shared between threads: the lock is never waited for.
struct Shared<S>(Mutex<Pin<Box<S>>>);

impl<S: Stream> Stream for Shared<S> {
    type Item = S::Item;
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.as_mut().poll_next(cx)
    }
}
