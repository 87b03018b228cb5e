#![no_main]
//! What comes through does not depend on how it arrives, and comes through once more as it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, ReadBuf};
use tongban::http::heads::{Fault, Faults, Heads};

/// Octets that arrive so many at a time.
struct Arriving<'a>(&'a [u8], usize);

impl AsyncRead for Arriving<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (part, rest) = self.0.split_at(self.0.len().min(self.1).min(buf.remaining()));
        buf.put_slice(part);
        self.0 = rest;
        Poll::Ready(Ok(()))
    }
}

/// What comes out, the first fault, and whether a body broke off.
fn through(octets: &[u8], at_a_time: usize) -> (Vec<u8>, Option<(u64, Fault)>, bool) {
    let faults = Faults::default();
    let mut heads = Heads::new(Arriving(octets, at_a_time), faults.clone());
    let (mut out, mut broken, mut part) = (Vec::new(), false, [0; 512]);
    loop {
        let mut buf = ReadBuf::new(&mut part);
        match Pin::new(&mut heads).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf) {
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => out.extend_from_slice(buf.filled()),
            Poll::Ready(Err(_)) => {
                broken = true;
                break;
            }
            _ => break,
        }
    }
    let most = octets.len() as u64;
    (out, (0..=most).find_map(|nth| faults.of(nth).map(|fault| (nth, fault))), broken)
}

fuzz_target!(|data: &[u8]| {
    let all = through(data, data.len().max(1));
    for at_a_time in [1, 7] {
        assert_eq!(through(data, at_a_time), all, "{at_a_time} at a time");
    }
    if let (out, None, false) = all {
        assert_eq!(through(&out, out.len().max(1)), (out.clone(), None, false));
    }
});
