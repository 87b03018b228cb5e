//! `multipart/form-data` (RFC 7578), read part by part in bounded memory: no more is taken from the socket than the part
//! at hand has asked for, so that a fast sender waits for a slow disk.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;

use crate::upstream::body::{BoxError, TooSlow};

/// Longest header block of one part, in octets.
const HEAD_MAX: usize = 8 * 1024;
/// Longest boundary (RFC 2046 §5.1.1).
const BOUNDARY_MAX: usize = 70;

/// Why a body is not the form it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MultipartError {
    #[error("the content type is not multipart/form-data with a boundary")]
    ContentType,
    #[error("the upload broke off")]
    BrokenOff,
    #[error("the upload came too slowly")]
    TooSlow,
    #[error("the parts are not divided as multipart/form-data must be")]
    Form,
    #[error("the head of a part is too long")]
    HeadTooLong,
}

/// The head of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    /// `application/octet-stream` when it does not say.
    pub media: String,
}

/// The boundary of a content type.
pub fn boundary(content_type: Option<&str>) -> Result<String, MultipartError> {
    let wrong = MultipartError::ContentType;
    let (kind, parameters) = content_type.and_then(|c| c.split_once(';')).ok_or(wrong)?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Err(wrong);
    }
    let boundary = parameters.split(';').find_map(|p| {
        let (name, value) = p.trim().split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    });
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b);
    match boundary {
        Some(b) if (1..=BOUNDARY_MAX).contains(&b.len()) && b.bytes().all(plain) => Ok(b.to_owned()),
        _ => Err(wrong),
    }
}

/// A form on its way in.
pub struct Multipart<B> {
    body: B,
    /// What has come and is not given out yet.
    buffer: BytesMut,
    /// CRLF, two hyphens, the boundary.
    divider: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first divider.
    Preamble,
    /// Right after a divider.
    Divided,
    /// Inside a part.
    Inside,
    /// After the closing divider.
    Closed,
}

impl MultipartError {
    /// Why a body ended before its end.
    pub fn of(error: &BoxError) -> Self {
        if error.is::<TooSlow>() { Self::TooSlow } else { Self::BrokenOff }
    }
}

impl<B> Multipart<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    pub fn new(body: B, boundary: &str) -> Self {
        // The first divider may stand without the line break that belongs to it.
        let buffer = BytesMut::from(&b"\r\n"[..]);
        Self { body, buffer, divider: [b"\r\n--", boundary.as_bytes()].concat(), state: State::Preamble }
    }

    /// Takes one more frame; `false` when there is no more.
    async fn more(&mut self) -> Result<bool, MultipartError> {
        loop {
            match self.body.frame().await {
                None => return Ok(false),
                Some(Err(error)) => return Err(MultipartError::of(&error.into())),
                Some(Ok(frame)) => {
                    // Trailers say nothing here.
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Where the next divider begins, or how many octets are certainly before it.
    fn divider_at(&self) -> Result<usize, usize> {
        let window = self.divider.len();
        let at = memchr::memmem::find(&self.buffer, &self.divider);
        at.ok_or_else(|| self.buffer.len().saturating_sub(window - 1))
    }

    /// The next part, or `None` after the last. What was not read of the part before is passed over.
    pub async fn next(&mut self) -> Result<Option<Part>, MultipartError> {
        while matches!(self.state, State::Preamble | State::Inside) {
            match self.divider_at() {
                Ok(at) => {
                    let _ = self.buffer.split_to(at + self.divider.len());
                    self.state = State::Divided;
                }
                Err(before) => {
                    let _ = self.buffer.split_to(before);
                    if !self.more().await? {
                        return Err(MultipartError::BrokenOff);
                    }
                }
            }
        }
        if self.state == State::Closed {
            return Ok(None);
        }
        while self.buffer.len() < 2 {
            if !self.more().await? {
                return Err(MultipartError::BrokenOff);
            }
        }
        if self.buffer.starts_with(b"--") {
            self.state = State::Closed;
            return Ok(None);
        }
        if !self.buffer.starts_with(b"\r\n") {
            return Err(MultipartError::Form);
        }
        let head = loop {
            // The first line break belongs to the divider; an empty head is a head.
            match self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                Some(at) => break self.buffer.split_to(at + 4),
                None if self.buffer.len() > HEAD_MAX => return Err(MultipartError::HeadTooLong),
                None if !self.more().await? => return Err(MultipartError::BrokenOff),
                None => {}
            }
        };
        self.state = State::Inside;
        read_head(&head).map(Some)
    }

    /// The next octets of the part, or `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, MultipartError> {
        loop {
            if self.state != State::Inside {
                return Ok(None);
            }
            match self.divider_at() {
                Ok(0) => {
                    let _ = self.buffer.split_to(self.divider.len());
                    self.state = State::Divided;
                    return Ok(None);
                }
                Ok(at) => return Ok(Some(self.buffer.split_to(at).freeze())),
                Err(before) if before > 0 => return Ok(Some(self.buffer.split_to(before).freeze())),
                Err(_) if !self.more().await? => return Err(MultipartError::BrokenOff),
                Err(_) => {}
            }
        }
    }
}

fn read_head(head: &[u8]) -> Result<Part, MultipartError> {
    let text = std::str::from_utf8(head).map_err(|_| MultipartError::Form)?;
    let (mut name, mut media) = (None, "application/octet-stream".to_owned());
    for line in text.split("\r\n").filter(|l| !l.is_empty()) {
        let (field, value) = line.split_once(':').ok_or(MultipartError::Form)?;
        match field.trim().to_ascii_lowercase().as_str() {
            "content-disposition" => name = disposition_name(value),
            "content-type" => media = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase(),
            _ => {}
        }
    }
    let name = name.ok_or(MultipartError::Form)?;
    Ok(Part { name, media })
}

/// The `name` of `form-data; name="…"`. File names are the sender's own affair and not read.
fn disposition_name(value: &str) -> Option<String> {
    let mut parts = value.split(';');
    if !parts.next()?.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    parts.find_map(|p| {
        let (key, name) = p.trim().split_once('=')?;
        key.eq_ignore_ascii_case("name").then(|| name.trim().trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use proptest::prelude::*;

    type Form = Result<Vec<(String, Vec<u8>)>, MultipartError>;

    fn read(body: &[u8], step: usize) -> Form {
        let frames: Vec<Result<Frame<Bytes>, std::convert::Infallible>> =
            body.chunks(step.max(1)).map(|c| Ok(Frame::data(Bytes::copy_from_slice(c)))).collect();
        let mut form = Multipart::new(StreamBody::new(stream::iter(frames)), "b");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut parts = Vec::new();
            while let Some(part) = form.next().await? {
                let mut content = Vec::new();
                while let Some(chunk) = form.chunk().await? {
                    content.extend_from_slice(&chunk);
                }
                parts.push((part.name, content));
            }
            Ok(parts)
        })
    }

    const FORM: &[u8] = b"--b\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{}\r\n--b\r\nContent-Disposition: form-data; name=\"id.ofd\"; filename=\"x\"\r\nContent-Type: application/ofd\r\n\r\n\r\n--\r\n-b\r\n--b--\r\n";

    #[test]
    fn however_it_is_cut_it_is_the_same_form() {
        let want = vec![("request".to_owned(), b"{}".to_vec()), ("id.ofd".to_owned(), b"\r\n--\r\n-b".to_vec())];
        for step in 1..=FORM.len() {
            assert_eq!(read(FORM, step), Ok(want.clone()), "in steps of {step}");
        }
    }

    #[test]
    fn a_form_cut_short_is_never_a_form() {
        let closed = FORM.len() - 2; // the last line break says nothing
        for end in 0..closed {
            assert!(read(&FORM[..end], 7).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn boundaries_come_from_the_content_type() {
        for (text, want) in [
            (Some("multipart/form-data; boundary=abc"), Ok("abc")),
            (Some("Multipart/Form-Data; charset=utf-8; boundary=\"a b\""), Ok("a b")),
            (Some("multipart/mixed; boundary=abc"), Err(())),
            (Some("multipart/form-data; boundary="), Err(())),
            (Some("multipart/form-data"), Err(())),
            (None, Err(())),
        ] {
            assert_eq!(boundary(text).as_deref().map_err(|_| ()), want, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_octets_panic(body in prop::collection::vec(prop::sample::select(&b"\r\n-b:;ax\"="[..]), 0..200), step in 1..20usize) {
            let _ = read(&body, step);
        }
    }
}
