//! The lines of a head, of chunks and of trailers, as RFC 9112 writes them.

use super::At;

/// What a head has said so far.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub lines: usize,
    old: bool,
    length: Option<u64>,
    chunked: bool,
}

impl Said {
    /// Takes note of one line.
    pub fn hear(&mut self, line: &[u8]) -> Result<(), &'static str> {
        self.lines += 1;
        if self.lines == 1 {
            self.old = request_line(line)?;
            return Ok(());
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err("a folded header line");
        }
        let (name, value) = field(line).ok_or("a header line that is none")?;
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = value.trim_ascii();
            let is_number = (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(digits).ok().filter(|_| is_number).and_then(|n| n.parse().ok());
            let number = number.ok_or("a Content-Length that is no number")?;
            if self.length.replace(number).is_some() {
                return Err("more than one Content-Length");
            }
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err("a Transfer-Encoding other than chunked");
            }
            self.chunked = true;
        }
        Ok(())
    }

    /// How the body is framed: in one way.
    pub fn framing(&self) -> Result<At, &'static str> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err("both Transfer-Encoding and Content-Length"),
            (None, true) if self.old => Err("Transfer-Encoding in HTTP/1.0"),
            (None, true) => Ok(At::Size),
            (None | Some(0), false) => Ok(At::Head),
            (Some(left), false) => Ok(At::Body { left, chunked: false }),
        }
    }
}

/// Method, target, version, with one space between them; whether it is HTTP/1.0.
fn request_line(line: &[u8]) -> Result<bool, &'static str> {
    let mut words = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("a request line that is none");
    };
    if method.is_empty() || !method.iter().all(|b| is_token(*b)) {
        return Err("a method that is no word");
    }
    if target.is_empty() || target.iter().any(|b| matches!(b, 0..=0x20 | 0x7f | b'#')) {
        return Err("a request target that is none");
    }
    match version {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        _ => Err("not HTTP/1.1"),
    }
}

/// Name and value of a field line.
pub(super) fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|b| *b == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let fine = !name.is_empty() && name.iter().all(|b| is_token(*b)) && value.iter().all(|b| is_text(*b));
    fine.then_some((name, value))
}

/// The size of a chunk; extensions are passed over (RFC 9112 §7.1.1).
pub(super) fn size(line: &[u8]) -> Option<u64> {
    let (digits, extensions) = line.split_at(line.iter().position(|b| *b == b';').unwrap_or(line.len()));
    let is_hex = (1..=15).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let size = u64::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| is_hex)?, 16).ok()?;
    extensions.iter().all(|b| is_text(*b)).then_some(size)
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

fn is_text(b: u8) -> bool {
    matches!(b, b'\t' | 0x20..=0x7e | 0x80..)
}
