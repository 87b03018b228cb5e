//! SHA-256 digests, as evidence names bytes by.

use std::fmt;
use std::str::FromStr;

use super::IdentifierError;

/// A SHA-256 digest; printed and parsed as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        Self(digest.as_ref().try_into().expect("SHA-256 is 32 octets"))
    }
}

/// Lower-case hexadecimal of any bytes.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = vec![0; bytes.len() * 2];
    hex_into(&mut text, bytes);
    String::from_utf8(text).unwrap_or_default()
}

/// As [`hex`], into twice as many octets as there are `bytes`: entries of the log hold many of these.
pub fn hex_into<'t>(text: &'t mut [u8], bytes: &[u8]) -> &'t str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    std::str::from_utf8(text).unwrap_or_default()
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(hex_into(&mut [0; 64], &self.0))
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(hex_into(&mut [0; 64], &self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = IdentifierError;
    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let bytes = text.as_bytes();
        let nibble = |c: u8| match c {
            b'0'..=b'9' => Ok(c - b'0'),
            b'a'..=b'f' => Ok(c - b'a' + 10),
            _ => Err(IdentifierError::Shape),
        };
        if bytes.len() != 64 {
            return Err(IdentifierError::Shape);
        }
        let mut out = [0; 32];
        for (o, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
            *o = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(out))
    }
}

super::json::from_text!(Digest);
