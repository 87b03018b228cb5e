//! One body type for every direction: whole, empty, or streamed; what comes in has to keep coming.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use tokio::time::{Instant, Sleep};

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A message body, never held whole unless it was made whole.
pub type Body = BoxBody<Bytes, BoxError>;

pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// Passes a body on as it arrives, without trailers: no guard has looked at those.
pub fn streamed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + Sync + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    paced(body, Pace::NONE)
}

/// Passes a body on as it arrives, as long as it keeps the pace; without trailers.
pub fn paced<B>(body: B, pace: Pace) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + Sync + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    Paced { inner: body, pace, octets: 0, began: None, alarm: None }.boxed()
}

/// Why a body could not be had whole.
#[derive(Debug, thiserror::Error)]
pub enum NotWhole {
    #[error("the body is larger than {0} octets")]
    TooLarge(usize),
    #[error("the body broke off: {0}")]
    Broken(BoxError),
}

/// Reads a body of at most `max` octets.
pub async fn whole(mut body: Body, max: usize) -> Result<Bytes, NotWhole> {
    let mut octets = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(NotWhole::Broken)?.into_data() {
            if octets.len() + data.len() > max {
                return Err(NotWhole::TooLarge(max));
            }
            octets.extend_from_slice(&data);
        }
    }
    Ok(octets.freeze())
}

/// How slow a body may be.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Longest silence.
    pub silence: Duration,
    /// Octets a second on average, once `grace` has passed: a sender that dribbles holds a place for ever otherwise.
    pub rate: u64,
    pub grace: Duration,
}

impl Pace {
    /// Whatever it takes: the other side of the exchange has its own limits.
    const NONE: Self = Self { silence: Duration::MAX, rate: 0, grace: Duration::MAX };
}

/// The body came too slowly, or stopped coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body came too slowly")]
pub struct TooSlow;

struct Paced<B> {
    inner: B,
    pace: Pace,
    octets: u64,
    began: Option<Instant>,
    /// Made when the body first has to be waited for: most are there at once.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<B> Paced<B> {
    /// Until when the next octets must be here.
    fn limit(&mut self, now: Instant) -> Option<Instant> {
        let began = *self.began.get_or_insert(now);
        let earned = self.octets.checked_div(self.pace.rate).map_or(Duration::MAX, Duration::from_secs);
        let whole = self.pace.grace.checked_add(earned).and_then(|whole| began.checked_add(whole));
        let quiet = now.checked_add(self.pace.silence);
        match (whole, quiet) {
            (Some(whole), Some(quiet)) => Some(whole.min(quiet)),
            (one, other) => one.or(other),
        }
    }
}

impl<B> http_body::Body for Paced<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
                this.alarm = None;
                match frame {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => {
                            this.octets += data.len() as u64;
                            return Poll::Ready(Some(Ok(Frame::data(data))));
                        }
                        Err(_trailers) => continue,
                    },
                    Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                    None => return Poll::Ready(None),
                }
            }
            if this.alarm.is_none() {
                let Some(limit) = this.limit(Instant::now()) else { return Poll::Pending };
                this.alarm = Some(Box::pin(tokio::time::sleep_until(limit)));
            }
            if let Some(alarm) = &mut this.alarm {
                ready!(alarm.as_mut().poll(cx));
                return Poll::Ready(Some(Err(TooSlow.into())));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::StreamBody;

    const PACE: Pace = Pace { silence: Duration::from_secs(30), rate: 1_000, grace: Duration::from_secs(60) };

    fn paced<B>(inner: B, pace: Pace) -> Paced<B> {
        Paced { inner, pace, octets: 0, began: None, alarm: None }
    }

    #[tokio::test]
    async fn the_limit_is_silence_or_the_average() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        for (octets, waits_from, limit) in [
            (0, 0, 30),         // silence
            (10, 25, 55),       // again
            (10, 50, 60),       // never silent, but ten octets in 50 seconds: the grace ends
            (50_000, 50, 80),   // had been fast enough
            (50_000, 100, 110), // sixty of grace and fifty earned
        ] {
            let mut body = paced(Empty::<Bytes>::new(), PACE);
            (body.octets, body.began) = (octets, Some(began));
            assert_eq!(
                body.limit(after(waits_from)),
                Some(after(limit)),
                "{octets} octets, waiting from {waits_from} s"
            );
        }
        assert_eq!(paced(Empty::<Bytes>::new(), Pace::NONE).limit(began), None);
    }

    #[tokio::test]
    async fn a_body_that_stops_coming_ends() {
        for (silence, slow) in [(Duration::ZERO, true), (Duration::from_secs(3_600), false)] {
            let frames = stream::once(async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok::<_, BoxError>(Frame::data(Bytes::from("late")))
            });
            let body = paced(StreamBody::new(Box::pin(frames)), Pace { silence, ..PACE });
            let outcome = body.collect().await;
            assert_eq!(outcome.err().is_some_and(|e| e.is::<TooSlow>()), slow, "{silence:?}");
        }
    }

    #[tokio::test]
    async fn trailers_go_no_further() {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-user", "root".parse().unwrap());
        let frames: Vec<Result<_, BoxError>> = vec![Ok(Frame::data(Bytes::from("a"))), Ok(Frame::trailers(trailers))];
        let body = paced(StreamBody::new(stream::iter(frames)), Pace::NONE);
        let whole = body.collect().await.unwrap();
        assert!(whole.trailers().is_none());
        assert_eq!(whole.to_bytes(), "a");
    }
}
