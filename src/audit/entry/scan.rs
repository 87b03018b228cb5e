//! Reads an entry as stored, octet by octet: canonical JSON, members that this version knows, values of their kinds, nothing personal
//! in clear. One pass and no copies: a log of ten million entries is read for this.

use std::sync::LazyLock;

use super::fields::PARTS;
use super::{Unjudged, Word};

/// What a member may hold.
enum Shape {
    Word,
    /// Lower-case hexadecimal, so many digits.
    Hex(usize),
    Number,
    Base64,
    Object(Vec<(&'static str, Shape)>),
    List(Box<Shape>),
    /// Words by words.
    Words,
}

/// Members of an entry, by name: the same tables that the manual is written from.
static ENTRY: LazyLock<Shape> = LazyLock::new(|| {
    let mut members = vec![
        ("case", object(vec![("id", Shape::Hex(32)), ("prev", Shape::Hex(64)), ("seq", Shape::Number)])),
        ("enc", object(vec![("alg", Shape::Word), ("box", Shape::Base64), ("kid", Shape::Word)])),
        ("facts", Shape::Words),
        ("kind", Shape::Word),
        ("nonce", Shape::Hex(64)),
        ("of", Shape::Hex(64)),
        ("trace", Shape::Word),
        ("ts", Shape::Number),
        ("v", Shape::Number),
    ];
    for (_, about, fields) in PARTS {
        // "`actor`: who acted.", "`ev[]`: …"; a part inside of another is reached from there.
        let name = about.trim().trim_start_matches('`').split('`').next().unwrap_or_default();
        match name.strip_suffix("[]") {
            _ if name.contains('.') => {}
            Some(name) => members.push((name, Shape::List(Box::new(part(fields))))),
            None => members.push((name, part(fields))),
        }
    }
    object(members)
});

/// In the order of canonical JSON, so that an object and its table are read side by side.
fn object(mut members: Vec<(&'static str, Shape)>) -> Shape {
    members.sort_unstable_by_key(|(name, _)| *name);
    Shape::Object(members)
}

fn part(fields: &'static [(&'static str, &'static str, &'static str)]) -> Shape {
    let member = |(name, kind, _): &(&'static str, &'static str, &'static str)| {
        (name.trim_start_matches("r#"), shape(&kind.replace(' ', "")))
    };
    object(fields.iter().map(member).collect())
}

fn shape(kind: &str) -> Shape {
    let inside = |outer: &str| kind.strip_prefix(outer).and_then(|rest| rest.strip_suffix('>'));
    if let Some(kind) = inside("Option<") {
        return shape(kind);
    }
    if let Some(kind) = inside("Vec<") {
        return Shape::List(Box::new(shape(kind)));
    }
    match kind {
        "Digest" => Shape::Hex(64),
        "Pseudonym" => Shape::Hex(32),
        "u8" | "u16" | "u32" | "u64" | "UnixMillis" => Shape::Number,
        _ => match PARTS.iter().find(|(name, ..)| *name == kind) {
            Some((_, _, fields)) => part(fields),
            None => Shape::Word,
        },
    }
}

/// Hears of each member of an object: its name, and its value as it stands, a string without its quotes.
pub(super) type Each<'e, 'a> = &'e mut dyn FnMut(&'static str, &'a [u8]);

/// Reads an entry; `each` hears of its own members.
pub(super) fn entry<'a>(bytes: &'a [u8], each: Each<'_, 'a>) -> Result<(), Unjudged> {
    whole(bytes, &ENTRY, each)
}

/// Reads a member that [`entry`] gave, once more: `each` hears of what is in it.
pub(super) fn inside<'a>(name: &str, bytes: &'a [u8], each: Each<'_, 'a>) -> Result<(), Unjudged> {
    let mut at = &*ENTRY;
    for step in name.split('.') {
        let Shape::Object(members) = at else { return Err(Unjudged::Unknown) };
        at = &members.iter().find(|(name, _)| *name == step).ok_or(Unjudged::Unknown)?.1;
    }
    whole(bytes, at, each)
}

fn whole<'a>(bytes: &'a [u8], shape: &Shape, each: Each<'_, 'a>) -> Result<(), Unjudged> {
    let Shape::Object(members) = shape else { return Err(Unjudged::Unknown) };
    // Canonical words have nothing to escape.
    if memchr::memchr(b'\\', bytes).is_some() {
        return Err(Unjudged::Malformed("an escape in a string"));
    }
    let mut scan = Scan { bytes, at: 0 };
    scan.object(members, each)?;
    if scan.at == bytes.len() { Ok(()) } else { Err(Unjudged::Malformed("octets after the object")) }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn is_next(&mut self, octet: u8) -> bool {
        let is_next = self.bytes.get(self.at) == Some(&octet);
        self.at += usize::from(is_next);
        is_next
    }

    fn must(&mut self, octet: u8) -> Result<(), Unjudged> {
        if self.is_next(octet) { Ok(()) } else { Err(Unjudged::Malformed("not canonical JSON")) }
    }

    /// What stands between quotes.
    fn text(&mut self) -> Result<&'a [u8], Unjudged> {
        self.must(b'"')?;
        let rest = &self.bytes[self.at..];
        let end = memchr::memchr(b'"', rest).ok_or(Unjudged::Malformed("a string without end"))?;
        let text = &rest[..end];
        self.at += text.len() + 1;
        Ok(text)
    }

    fn number(&mut self) -> Result<(), Unjudged> {
        let digits = self.bytes[self.at..].iter().take_while(|b| b.is_ascii_digit()).count();
        let text = &self.bytes[self.at..self.at + digits];
        self.at += digits;
        let value = text.iter().try_fold(0u64, |n, b| n.checked_mul(10)?.checked_add(u64::from(b - b'0')));
        let is_canonical = digits == 1 || (digits > 1 && text[0] != b'0');
        match value.is_some_and(|n| n < 1 << 53) && is_canonical {
            true => Ok(()),
            false => Err(Unjudged::Malformed("a number below 2^53 is wanted")),
        }
    }

    fn object(&mut self, mut members: &[(&'static str, Shape)], each: Each<'_, 'a>) -> Result<(), Unjudged> {
        self.must(b'{')?;
        let mut before: &[u8] = b"";
        if self.is_next(b'}') {
            return Ok(());
        }
        loop {
            let name = self.next_name(&mut before)?;
            let place = members.iter().position(|(known, _)| known.as_bytes() >= name);
            let (member, after) = place.and_then(|at| members[at..].split_first()).ok_or(Unjudged::Unknown)?;
            if member.0.as_bytes() != name {
                return Err(Unjudged::Unknown);
            }
            members = after;
            let begin = self.at;
            self.value(&member.1)?;
            let value = &self.bytes[begin..self.at];
            let quoted = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
            each(member.0, quoted.unwrap_or(value));
            if !self.is_next(b',') {
                return self.must(b'}');
            }
        }
    }

    /// A name that comes after the one before, in the order of canonical JSON.
    fn next_name(&mut self, before: &mut &'a [u8]) -> Result<&'a [u8], Unjudged> {
        let name = self.text()?;
        if name <= *before {
            return Err(Unjudged::Malformed("members in another order, or one twice"));
        }
        *before = name;
        self.must(b':')?;
        Ok(name)
    }

    fn value(&mut self, shape: &Shape) -> Result<(), Unjudged> {
        let check = |holds: bool, what: &'static str| if holds { Ok(()) } else { Err(Unjudged::Malformed(what)) };
        match shape {
            Shape::Word => check(is_word(self.text()?), "not a plain word, or a personal number in clear"),
            Shape::Hex(digits) => {
                let text = self.text()?;
                let is_hex = all(text, |b| b.is_ascii_digit() | (b'a'..=b'f').contains(&b));
                check(text.len() == *digits && is_hex, "not a digest, pseudonym or nonce")
            }
            Shape::Number => self.number(),
            Shape::Base64 => {
                let is_plain = |b: u8| b.is_ascii_alphanumeric() | matches!(b, b'+' | b'/' | b'=');
                check(all(self.text()?, is_plain), "not base64")
            }
            Shape::Object(members) => self.object(members, &mut |_, _| {}),
            Shape::List(of) => {
                self.must(b'[')?;
                // What is empty is left out.
                loop {
                    self.value(of)?;
                    if !self.is_next(b',') {
                        return self.must(b']');
                    }
                }
            }
            Shape::Words => {
                self.must(b'{')?;
                let mut before: &[u8] = b"";
                loop {
                    check(is_word(self.next_name(&mut before)?), "not a plain word as a name")?;
                    self.value(&Shape::Word)?;
                    if !self.is_next(b',') {
                        return self.must(b'}');
                    }
                }
            }
        }
    }
}

/// Whether all octets are like that. Looks at each, which is quicker than to stop early: they mostly are.
fn all(text: &[u8], like: impl Fn(u8) -> bool) -> bool {
    text.iter().fold(true, |so_far, b| so_far & like(*b))
}

/// Digits that a personal number has at least, one behind the other.
const DIGITS: u32 = 11;

/// As [`Word::new`] would take it; what cannot hold a personal number is not looked at twice.
fn is_word(text: &[u8]) -> bool {
    let is_plain = (1..=128).contains(&text.len()) && all(text, |b| b.is_ascii_graphic());
    let digits: u32 = text.iter().map(|b| u32::from(b.is_ascii_digit())).sum();
    if is_plain && (digits < DIGITS || longest_run(text) < DIGITS) {
        return true;
    }
    std::str::from_utf8(text).is_ok_and(|text| Word::new(text).is_ok())
}

fn longest_run(text: &[u8]) -> u32 {
    let (mut run, mut longest) = (0, 0);
    for b in text {
        run = if b.is_ascii_digit() { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}
