#![no_main]
//! A form, in whatever pieces it arrives: the same parts.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use libfuzzer_sys::fuzz_target;
use tongban::gateway::multipart::{Multipart, MultipartError, Part, boundary};

struct Arriving(Bytes, usize);

impl Body for Arriving {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let n = self.0.len().min(self.1);
        Poll::Ready((n > 0).then(|| Ok(Frame::data(self.0.split_to(n)))))
    }
}

type Read = (Vec<(Part, Vec<u8>)>, Option<MultipartError>);

async fn parts(data: &[u8], at_a_time: usize) -> Read {
    let mut form = Multipart::new(Arriving(Bytes::copy_from_slice(data), at_a_time), "b");
    let mut parts = Vec::new();
    loop {
        let part = match form.next().await {
            Ok(Some(part)) => part,
            Ok(None) => return (parts, None),
            Err(error) => return (parts, Some(error)),
        };
        let mut content = Vec::new();
        loop {
            match form.chunk().await {
                Ok(Some(piece)) => content.extend_from_slice(&piece),
                Ok(None) => break,
                Err(error) => return (parts, Some(error)),
            }
        }
        parts.push((part, content));
    }
}

/// Nothing here has to wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    match Box::pin(future).as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("all octets are there"),
    }
}

fuzz_target!(|data: &[u8]| {
    let _ = boundary(std::str::from_utf8(data).ok()).is_ok();
    // Where the head of a part may end is bounded, and the bound is looked at as pieces come.
    if data.len() < 8_000 {
        let all = now(parts(data, data.len().max(1)));
        for at_a_time in [1, 5] {
            assert_eq!(now(parts(data, at_a_time)), all, "{at_a_time} at a time");
        }
    }
});
