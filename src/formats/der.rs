//! DER (X.690), strictly: definite and minimal lengths, one-octet tags, nothing after the end.
//!
//! Every element gives its content and its full octets: what is signed is sliced, never encoded again.

use std::fmt;

use crate::terms::UnixMillis;

/// Tags as they stand in the octets.
pub mod tag {
    pub const BOOLEAN: u8 = 0x01;
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const NULL: u8 = 0x05;
    pub const OID: u8 = 0x06;
    pub const UTF8_STRING: u8 = 0x0c;
    pub const PRINTABLE_STRING: u8 = 0x13;
    pub const T61_STRING: u8 = 0x14;
    pub const IA5_STRING: u8 = 0x16;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    pub const VISIBLE_STRING: u8 = 0x1a;
    pub const BMP_STRING: u8 = 0x1e;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;

    /// Constructed context tag, e.g. `[0] EXPLICIT`.
    pub const fn context(n: u8) -> u8 {
        0xa0 | n
    }

    /// Primitive context tag, e.g. `[2] IMPLICIT IA5String`.
    pub const fn primitive(n: u8) -> u8 {
        0x80 | n
    }
}

/// Why octets are not the DER they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DerError {
    #[error("DER: cut short")]
    Short,
    #[error("DER: a length that is not minimal, indefinite or too large")]
    Length,
    #[error("DER: a tag of more than one octet")]
    Tag,
    #[error("DER: tag {found:#04x} where {wanted:#04x} must be")]
    Unexpected { wanted: u8, found: u8 },
    #[error("DER: octets after the end")]
    Trailing,
    #[error("DER: a value that its type does not allow")]
    Value,
}

/// One element: tag, content, and all its octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    pub full: &'a [u8],
}

impl<'a> Element<'a> {
    /// Reads into a constructed element.
    pub fn inside(&self) -> Reader<'a> {
        Reader(self.content)
    }
}

/// Reads elements one after the other.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The tag that comes next.
    pub fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element, whatever it is.
    pub fn element(&mut self) -> Result<Element<'a>, DerError> {
        let octets = self.0;
        let (&tag, &first) = (octets.first().ok_or(DerError::Short)?, octets.get(1).ok_or(DerError::Short)?);
        if tag & 0x1f == 0x1f {
            return Err(DerError::Tag);
        }
        let (head, length) = match first {
            0..=0x7f => (2, usize::from(first)),
            0x81..=0x84 => {
                let n = usize::from(first & 0x7f);
                let bytes = octets.get(2..2 + n).ok_or(DerError::Short)?;
                let length = bytes.iter().fold(0usize, |all, b| all << 8 | usize::from(*b));
                if bytes[0] == 0 || length < 0x80 {
                    return Err(DerError::Length);
                }
                (2 + n, length)
            }
            _ => return Err(DerError::Length),
        };
        let end = head.checked_add(length).ok_or(DerError::Length)?;
        let full = octets.get(..end).ok_or(DerError::Short)?;
        self.0 = &octets[end..];
        Ok(Element { tag, content: &full[head..], full })
    }

    /// The next element, which must have this tag.
    pub fn expect(&mut self, wanted: u8) -> Result<Element<'a>, DerError> {
        match self.peek() {
            Some(found) if found != wanted => Err(DerError::Unexpected { wanted, found }),
            _ => self.element(),
        }
    }

    /// The next element if it has this tag.
    pub fn optional(&mut self, wanted: u8) -> Result<Option<Element<'a>>, DerError> {
        if self.peek() == Some(wanted) { self.element().map(Some) } else { Ok(None) }
    }

    pub fn sequence(&mut self) -> Result<Reader<'a>, DerError> {
        Ok(self.expect(tag::SEQUENCE)?.inside())
    }

    pub fn set(&mut self) -> Result<Reader<'a>, DerError> {
        Ok(self.expect(tag::SET)?.inside())
    }

    /// An INTEGER, minimal, as its octets (two's complement).
    pub fn integer(&mut self) -> Result<&'a [u8], DerError> {
        match self.expect(tag::INTEGER)?.content {
            [] | [0x00, 0x00..=0x7f, ..] | [0xff, 0x80..=0xff, ..] => Err(DerError::Value),
            content => Ok(content),
        }
    }

    /// A non-negative INTEGER without its leading zero.
    pub fn unsigned(&mut self) -> Result<&'a [u8], DerError> {
        match self.integer()? {
            [0x80..=0xff, ..] => Err(DerError::Value),
            [0, rest @ ..] if !rest.is_empty() => Ok(rest),
            content => Ok(content),
        }
    }

    /// A small non-negative INTEGER.
    pub fn small(&mut self) -> Result<u64, DerError> {
        let octets = self.unsigned()?;
        if octets.len() > 8 {
            return Err(DerError::Value);
        }
        Ok(octets.iter().fold(0, |all, b| all << 8 | u64::from(*b)))
    }

    pub fn oid(&mut self) -> Result<Oid, DerError> {
        Oid::from_content(self.expect(tag::OID)?.content)
    }

    pub fn boolean(&mut self) -> Result<bool, DerError> {
        match self.expect(tag::BOOLEAN)?.content {
            [0x00] => Ok(false),
            [0xff] => Ok(true),
            _ => Err(DerError::Value),
        }
    }

    pub fn octet_string(&mut self) -> Result<&'a [u8], DerError> {
        Ok(self.expect(tag::OCTET_STRING)?.content)
    }

    /// A BIT STRING as (octets, unused bits). Callers decide what they make of unused bits: some producers count trailing
    /// zero bits of a signature as unused.
    pub fn bit_string(&mut self) -> Result<(&'a [u8], u8), DerError> {
        match self.expect(tag::BIT_STRING)?.content {
            [unused @ 0..=7, octets @ ..] if *unused == 0 || !octets.is_empty() => Ok((octets, *unused)),
            _ => Err(DerError::Value),
        }
    }

    /// UTCTime or GeneralizedTime in the forms of RFC 5280: seconds, and `Z`.
    pub fn time(&mut self) -> Result<UnixMillis, DerError> {
        let element = self.element()?;
        let text = std::str::from_utf8(element.content).map_err(|_| DerError::Value)?;
        let full = match (element.tag, text.len()) {
            (tag::UTC_TIME, 13) if text.is_ascii() => {
                let century = if text.as_bytes()[0] >= b'5' { "19" } else { "20" };
                format!("{century}{text}")
            }
            (tag::GENERALIZED_TIME, 15) => text.to_owned(),
            (tag::UTC_TIME | tag::GENERALIZED_TIME, _) => return Err(DerError::Value),
            (found, _) => return Err(DerError::Unexpected { wanted: tag::GENERALIZED_TIME, found }),
        };
        parse_time(&full).ok_or(DerError::Value)
    }

    /// Nothing may be left.
    pub fn done(&self) -> Result<(), DerError> {
        if self.0.is_empty() { Ok(()) } else { Err(DerError::Trailing) }
    }
}

/// The one element that `octets` are, with nothing after it.
pub fn only(octets: &[u8]) -> Result<Element<'_>, DerError> {
    let mut reader = Reader::new(octets);
    let element = reader.element()?;
    reader.done()?;
    Ok(element)
}

/// `YYYYMMDDhhmmssZ`.
fn parse_time(text: &str) -> Option<UnixMillis> {
    let digits = text.strip_suffix('Z')?;
    if digits.len() != 14 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (d, t) = digits.split_at(8);
    let iso = format!("{}-{}-{}T{}:{}:{}Z", &d[..4], &d[4..6], &d[6..], &t[..2], &t[2..4], &t[4..]);
    UnixMillis::parse_rfc3339(&iso)
}

/// An object identifier; prints dotted.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid(Vec<u8>);

impl Oid {
    /// From the content octets: each arc minimal, the last one complete.
    pub fn from_content(content: &[u8]) -> Result<Self, DerError> {
        let mut start = true;
        for b in content {
            if start && *b == 0x80 {
                return Err(DerError::Value);
            }
            start = b & 0x80 == 0;
        }
        // No arc beyond what `Display` can tell: two identifiers never print alike.
        let longest = content.split(|b| b & 0x80 == 0).map(<[u8]>::len).max().unwrap_or(0);
        if content.is_empty() || content.len() > 64 || longest > 16 || !start {
            Err(DerError::Value)
        } else {
            Ok(Self(content.to_vec()))
        }
    }

    /// From dotted text; only for constants of ours.
    pub fn dotted(text: &str) -> Self {
        Self(octets(text).collect())
    }

    /// Compares octet by octet: most of what is asked differs early.
    pub fn is(&self, dotted: &str) -> bool {
        octets(dotted).eq(self.0.iter().copied())
    }

    pub fn content(&self) -> &[u8] {
        &self.0
    }
}

/// The content octets of dotted text.
fn octets(text: &str) -> impl Iterator<Item = u8> {
    let mut arcs = text.split('.').filter_map(|arc| arc.parse::<u64>().ok());
    let head = arcs.next().unwrap_or_default() * 40 + arcs.next().unwrap_or_default();
    std::iter::once(head).chain(arcs).flat_map(|arc| {
        let groups = (64 - arc.leading_zeros()).div_ceil(7).max(1);
        (0..groups).rev().map(move |n| (arc >> (7 * n) & 0x7f) as u8 | if n > 0 { 0x80 } else { 0 })
    })
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value: u128 = 0;
        let mut first = true;
        for b in &self.0 {
            value = value << 7 | u128::from(b & 0x7f);
            if b & 0x80 != 0 {
                continue;
            }
            if first {
                let top = (value / 40).min(2);
                write!(f, "{top}.{}", value - top * 40)?;
                first = false;
            } else {
                write!(f, ".{value}")?;
            }
            value = 0;
        }
        Ok(())
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Oid({self})")
    }
}

/// Writing: each function gives the full octets of one element.
pub mod write {
    use super::tag;
    use crate::terms::UnixMillis;

    pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut out = head(tag, content.len());
        out.extend(content);
        out
    }

    /// Tag and length of an element, with room for its content.
    pub fn head(tag: u8, length: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(length + 6);
        out.push(tag);
        match length {
            n @ 0..=0x7f => out.push(n as u8),
            n => {
                let bytes = n.to_be_bytes();
                let skip = bytes.iter().take_while(|b| **b == 0).count();
                out.push(0x80 | (bytes.len() - skip) as u8);
                out.extend(&bytes[skip..]);
            }
        }
        out
    }

    pub fn sequence<T: AsRef<[u8]>>(parts: &[T]) -> Vec<u8> {
        tlv(tag::SEQUENCE, &concat(parts))
    }

    /// SET OF: the elements in the order of their octets.
    pub fn set_of<T: AsRef<[u8]>>(parts: &[T]) -> Vec<u8> {
        let mut sorted: Vec<&[u8]> = parts.iter().map(AsRef::as_ref).collect();
        sorted.sort_unstable();
        tlv(tag::SET, &concat(&sorted))
    }

    fn concat<T: AsRef<[u8]>>(parts: &[T]) -> Vec<u8> {
        parts.iter().flat_map(|p| p.as_ref().iter().copied()).collect()
    }

    /// A non-negative INTEGER from big-endian octets.
    pub fn unsigned(octets: &[u8]) -> Vec<u8> {
        let skip = octets.iter().take_while(|b| **b == 0).count();
        let octets = &octets[skip..];
        match octets.first() {
            None => tlv(tag::INTEGER, &[0]),
            Some(b) if *b >= 0x80 => tlv(tag::INTEGER, &[&[0], octets].concat()),
            Some(_) => tlv(tag::INTEGER, octets),
        }
    }

    pub fn small(n: u64) -> Vec<u8> {
        unsigned(&n.to_be_bytes())
    }

    pub fn boolean(value: bool) -> Vec<u8> {
        tlv(tag::BOOLEAN, &[if value { 0xff } else { 0 }])
    }

    pub fn null() -> Vec<u8> {
        tlv(tag::NULL, &[])
    }

    pub fn oid(dotted: &str) -> Vec<u8> {
        tlv(tag::OID, super::Oid::dotted(dotted).content())
    }

    pub fn octet_string(octets: &[u8]) -> Vec<u8> {
        tlv(tag::OCTET_STRING, octets)
    }

    /// A BIT STRING of whole octets.
    pub fn bit_string(octets: &[u8]) -> Vec<u8> {
        tlv(tag::BIT_STRING, &[&[0], octets].concat())
    }

    pub fn utf8(text: &str) -> Vec<u8> {
        tlv(tag::UTF8_STRING, text.as_bytes())
    }

    pub fn ia5(text: &str) -> Vec<u8> {
        tlv(tag::IA5_STRING, text.as_bytes())
    }

    pub fn printable(text: &str) -> Vec<u8> {
        tlv(tag::PRINTABLE_STRING, text.as_bytes())
    }

    /// `[n] EXPLICIT`.
    pub fn explicit(n: u8, inner: &[u8]) -> Vec<u8> {
        tlv(tag::context(n), inner)
    }

    /// `YYYYMMDDhhmmssZ`, whole seconds.
    pub fn generalized_time(at: UnixMillis) -> Vec<u8> {
        tlv(tag::GENERALIZED_TIME, digits(at).as_bytes())
    }

    /// As certificates write times (RFC 5280 §4.1.2.5): UTCTime until 2049, then GeneralizedTime.
    pub fn certificate_time(at: UnixMillis) -> Vec<u8> {
        let text = digits(at);
        if ("1950".."2050").contains(&&text[..4]) {
            tlv(tag::UTC_TIME, &text.as_bytes()[2..])
        } else {
            generalized_time(at)
        }
    }

    fn digits(at: UnixMillis) -> String {
        let text = at.to_string();
        let digits: String = text.chars().take(19).filter(char::is_ascii_digit).collect();
        format!("{digits}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn octets_have_one_reading() {
        for (octets, want) in [
            (&[0x02, 0x01, 0x05][..], Ok(())),
            (&[0x02, 0x81, 0x01, 0x05], Err(DerError::Length)), // a long form that a short one would do
            (&[0x02, 0x80, 0x05, 0x00, 0x00], Err(DerError::Length)), // indefinite
            (&[0x02, 0x84, 0xff, 0xff, 0xff, 0xff], Err(DerError::Short)),
            (&[0x1f, 0x81, 0x01, 0x00], Err(DerError::Tag)),
            (&[0x02, 0x01], Err(DerError::Short)),
            (&[0x02, 0x01, 0x05, 0x00], Err(DerError::Trailing)),
        ] {
            assert_eq!(only(octets).map(drop), want, "{octets:02x?}");
        }
        for (octets, good) in [
            (&[0x02, 0x02, 0x00, 0x80][..], true),
            (&[0x02, 0x02, 0x00, 0x7f], false), // a needless zero
            (&[0x02, 0x02, 0xff, 0x80], false),
            (&[0x02, 0x00], false),
        ] {
            assert_eq!(Reader::new(octets).integer().is_ok(), good, "{octets:02x?}");
        }
    }

    #[test]
    fn object_identifiers_print_dotted() {
        for dotted in ["1.2.156.10197.1.501", "2.5.29.15", "1.2.840.113549.1.9.16.2.47", "0.9.2342.19200300.100.1.25"] {
            let octets = write::oid(dotted);
            assert_eq!(Reader::new(&octets).oid().unwrap().to_string(), dotted);
        }
        assert_eq!(Oid::dotted("1.2.156.10197.1.501").content(), [0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75]);
    }

    #[test]
    fn times_read_as_written() {
        for text in ["1990-01-02T03:04:05.000Z", "2049-12-31T23:59:59.000Z", "2050-01-01T00:00:00.000Z"] {
            let at = UnixMillis::parse_rfc3339(text).unwrap();
            assert_eq!(Reader::new(&write::certificate_time(at)).time().unwrap(), at, "{text}");
            assert_eq!(Reader::new(&write::generalized_time(at)).time().unwrap(), at, "{text}");
        }
        assert!(Reader::new(&write::tlv(tag::UTC_TIME, b"20010203040506")).time().is_err());
    }

    proptest! {
        #[test]
        fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&octets);
            while let Ok(element) = reader.element() {
                prop_assert!(element.full.ends_with(element.content));
            }
            let _ = (Reader::new(&octets).time(), Reader::new(&octets).oid().map(|o| o.to_string()));
            let _ = (Reader::new(&octets).bit_string(), Reader::new(&octets).small());
        }

        #[test]
        fn what_is_written_is_read(octets in prop::collection::vec(any::<u8>(), 0..300), n in any::<u64>()) {
            let whole = write::sequence(&[write::octet_string(&octets), write::small(n), write::bit_string(&octets)]);
            let mut inside = only(&whole).unwrap().inside();
            prop_assert_eq!(inside.octet_string().unwrap(), &octets[..]);
            prop_assert_eq!(inside.small().unwrap(), n);
            prop_assert_eq!(inside.bit_string().unwrap(), (&octets[..], 0));
            inside.done().unwrap();
        }
    }
}
