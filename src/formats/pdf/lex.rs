//! The objects of a PDF (ISO 32000-1 §7.3), read from a window of the file.

use super::PdfError;
use crate::terms::Digest;

/// Deepest nesting of arrays and dictionaries; real files stay below ten.
const DEPTH: usize = 32;
/// Memory that one object may take, in octets: a list of 70,000 references, where a file with as many pages has some thousand in one list.
pub(super) const ROOM: usize = 4 << 20;
/// A text that is longer is compared only: names, dates and reasons have some hundred octets, the value of a signature is read in place.
const LONG: usize = 64 << 10;
/// Memory of a part in a list, of anything that is kept apart beside its own octets, and of a few entries of a dictionary.
const PART: usize = size_of::<Object>();
const APART: usize = 32;
const ENTRIES: usize = 11 * (size_of::<Vec<u8>>() + PART) + 24;
/// So many entries at least share that memory.
const TOGETHER: usize = 5;

/// One object.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    Null,
    Bool(bool),
    Integer(i64),
    /// As written: it is compared only.
    Real(String),
    Name(Vec<u8>),
    Text {
        bytes: Vec<u8>,
        /// Offsets in the file of the first octet and of the one after the last, delimiters included.
        span: (u64, u64),
        hex: bool,
    },
    /// A long text.
    Long {
        digest: Digest,
        span: (u64, u64),
        hex: bool,
    },
    Array(Vec<Object>),
    Dictionary(Dictionary),
    Reference(u32, u32),
}

/// Keys once only: of two equal keys, two readers could take different ones.
pub type Dictionary = std::collections::BTreeMap<Vec<u8>, Object>;

impl Object {
    pub fn integer(&self) -> Option<u64> {
        match self {
            Self::Integer(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    pub fn name(&self) -> Option<&[u8]> {
        match self {
            Self::Name(name) => Some(name),
            _ => None,
        }
    }

    pub fn array(&self) -> Option<&[Object]> {
        match self {
            Self::Array(all) => Some(all),
            _ => None,
        }
    }

    pub fn dictionary(&self) -> Option<&Dictionary> {
        match self {
            Self::Dictionary(all) => Some(all),
            _ => None,
        }
    }

    /// Whether a text in it was too long to be kept.
    pub fn has_long(&self) -> bool {
        match self {
            Self::Long { .. } => true,
            Self::Array(all) => all.iter().any(Self::has_long),
            Self::Dictionary(all) => all.values().any(Self::has_long),
            _ => false,
        }
    }

    /// How much memory it takes, in octets.
    pub fn weight(&self) -> usize {
        PART + match self {
            Self::Real(digits) => APART + digits.len(),
            Self::Name(bytes) | Self::Text { bytes, .. } => APART + bytes.len(),
            Self::Array(all) => all.iter().map(Self::weight).sum(),
            Self::Dictionary(all) => {
                let entries = all.iter().map(|(key, value)| APART + key.len() + value.weight());
                all.len().div_ceil(TOGETHER) * ENTRIES + entries.sum::<usize>()
            }
            _ => 0,
        }
    }
}

/// The octets of hexadecimal digits, with blanks between them wherever they like; an odd last digit is followed by zero (§7.3.4.3).
pub fn octets_of(digits: &[u8]) -> Result<Vec<u8>, PdfError> {
    let mut bytes = Vec::with_capacity(digits.len().div_ceil(2));
    let mut high = None;
    for octet in digits.iter().filter(|octet| !is_blank(**octet)) {
        let digit = hex_digit(*octet).ok_or(PdfError::Syntax("a hexadecimal text"))?;
        match high.take() {
            None => high = Some(digit << 4),
            Some(high) => bytes.push(high | digit),
        }
    }
    bytes.extend(high);
    Ok(bytes)
}

/// Reads objects from octets that stand at `base` in the file.
pub struct Lexer<'a> {
    octets: &'a [u8],
    at: usize,
    base: u64,
    /// Memory that what is read may still take.
    room: usize,
}

impl<'a> Lexer<'a> {
    pub fn new(octets: &'a [u8], base: u64) -> Self {
        Self { octets, at: 0, base, room: ROOM }
    }

    /// Where the next octet stands in the file.
    pub fn place(&self) -> u64 {
        self.base + self.at as u64
    }

    fn peek(&self) -> Option<u8> {
        self.octets.get(self.at).copied()
    }

    /// The next octet, which must be there: at the end of the window more may follow in the file.
    fn next(&mut self) -> Result<u8, PdfError> {
        let octet = self.peek().ok_or(PdfError::Short)?;
        self.at += 1;
        Ok(octet)
    }

    pub fn skip_blanks(&mut self) {
        while let Some(octet) = self.peek() {
            if octet == b'%' {
                while self.peek().is_some_and(|b| b != b'\r' && b != b'\n') {
                    self.at += 1;
                }
            } else if is_blank(octet) {
                self.at += 1;
            } else {
                break;
            }
        }
    }

    /// Takes a word if it stands here.
    pub fn word(&mut self, word: &[u8]) -> bool {
        self.skip_blanks();
        let there = self.octets[self.at..].starts_with(word);
        let ends = self.octets.get(self.at + word.len()).is_none_or(|b| !is_regular(*b));
        if there && ends {
            self.at += word.len();
        }
        there && ends
    }

    pub fn must(&mut self, word: &'static str) -> Result<(), PdfError> {
        if self.word(word.as_bytes()) {
            return Ok(());
        }
        if self.octets.len() - self.at < word.len() { Err(PdfError::Short) } else { Err(PdfError::Syntax(word)) }
    }

    /// An unsigned number of at most ten digits.
    pub fn number(&mut self) -> Result<u64, PdfError> {
        self.skip_blanks();
        let from = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.peek().is_none() {
            return Err(PdfError::Short);
        }
        let digits = std::str::from_utf8(&self.octets[from..self.at]).unwrap_or_default();
        digits.parse().ok().filter(|_| digits.len() <= 10).ok_or(PdfError::Syntax("a number"))
    }

    pub fn object(&mut self) -> Result<Object, PdfError> {
        self.nested(0)
    }

    fn take_room(&mut self, octets: usize) -> Result<(), PdfError> {
        self.room = self.room.checked_sub(octets).ok_or(PdfError::TooBig("an object"))?;
        Ok(())
    }

    fn nested(&mut self, depth: usize) -> Result<Object, PdfError> {
        self.take_room(PART)?;
        if depth > DEPTH {
            return Err(PdfError::TooBig("an object"));
        }
        self.skip_blanks();
        match self.peek().ok_or(PdfError::Short)? {
            b'/' => Ok(Object::Name(self.name()?)),
            b'(' => self.literal(),
            b'<' if self.octets.get(self.at + 1) == Some(&b'<') => self.dictionary(depth).map(Object::Dictionary),
            b'<' if self.at + 1 < self.octets.len() => self.hexadecimal(),
            b'<' => Err(PdfError::Short),
            b'[' => {
                self.at += 1;
                let mut all = Vec::new();
                loop {
                    self.skip_blanks();
                    if self.peek().ok_or(PdfError::Short)? == b']' {
                        self.at += 1;
                        all.shrink_to_fit();
                        return Ok(Object::Array(all));
                    }
                    all.push(self.nested(depth + 1)?);
                }
            }
            b'0'..=b'9' | b'+' | b'-' | b'.' => self.numeric(),
            _ if self.word(b"null") => Ok(Object::Null),
            _ if self.word(b"true") => Ok(Object::Bool(true)),
            _ if self.word(b"false") => Ok(Object::Bool(false)),
            _ if self.octets.len() - self.at < 6 => Err(PdfError::Short),
            _ => Err(PdfError::Syntax("an object")),
        }
    }

    fn dictionary(&mut self, depth: usize) -> Result<Dictionary, PdfError> {
        self.at += 2;
        let mut all = Dictionary::new();
        loop {
            self.skip_blanks();
            match self.peek().ok_or(PdfError::Short)? {
                b'>' => {
                    self.at += 1;
                    return if self.next()? == b'>' { Ok(all) } else { Err(PdfError::Syntax(">>")) };
                }
                b'/' => {
                    if all.len().is_multiple_of(TOGETHER) {
                        self.take_room(ENTRIES)?;
                    }
                    let key = self.name()?;
                    let value = self.nested(depth + 1)?;
                    if all.insert(key, value).is_some() {
                        return Err(PdfError::Syntax("a key once only"));
                    }
                }
                _ => return Err(PdfError::Syntax("a key")),
            }
        }
    }

    fn name(&mut self) -> Result<Vec<u8>, PdfError> {
        self.at += 1;
        let mut name = Vec::new();
        while self.peek().is_some_and(is_regular) {
            let octet = self.next()?;
            if octet == b'#' {
                let (high, low) = (hex_digit(self.next()?), hex_digit(self.next()?));
                let (Some(high), Some(low)) = (high, low) else { return Err(PdfError::Syntax("a name")) };
                name.push(high << 4 | low);
            } else {
                name.push(octet);
            }
        }
        // A name may go on after the window.
        if self.peek().is_none() {
            return Err(PdfError::Short);
        }
        name.shrink_to_fit();
        self.take_room(APART + name.len())?;
        Ok(name)
    }

    fn numeric(&mut self) -> Result<Object, PdfError> {
        let from = self.at;
        while self.peek().is_some_and(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.')) {
            self.at += 1;
        }
        if self.peek().is_none() {
            return Err(PdfError::Short);
        }
        let text = std::str::from_utf8(&self.octets[from..self.at]).unwrap_or_default();
        if text.contains('.') {
            self.take_room(APART + text.len())?;
            return Ok(Object::Real(text.to_owned()));
        }
        let number: i64 = text.parse().map_err(|_| PdfError::Syntax("a number"))?;
        // `12 0 R`: a number, a number, and the letter.
        let back = self.at;
        if let Ok(number) = u32::try_from(number)
            && text.bytes().all(|b| b.is_ascii_digit())
        {
            self.skip_blanks();
            match self.number() {
                Ok(generation) if self.word(b"R") => {
                    return Ok(Object::Reference(number, u32::try_from(generation).unwrap_or(u32::MAX)));
                }
                Err(PdfError::Short) => return Err(PdfError::Short),
                _ if self.octets.len() - self.at < 2 => return Err(PdfError::Short),
                _ => {}
            }
        }
        self.at = back;
        Ok(Object::Integer(number))
    }

    fn hexadecimal(&mut self) -> Result<Object, PdfError> {
        let start = self.place();
        self.at += 1;
        let rest = &self.octets[self.at..];
        // A digit that is none is told of before the end is looked for.
        let length = rest.iter().position(|b| *b == b'>' || !is_blank(*b) && hex_digit(*b).is_none());
        let digits = &rest[..length.ok_or(PdfError::Short)?];
        if rest[digits.len()] != b'>' {
            return Err(PdfError::Syntax("a hexadecimal text"));
        }
        self.at += digits.len() + 1;
        self.text(octets_of(digits)?, start, true)
    }

    /// A text as it is kept.
    fn text(&mut self, mut bytes: Vec<u8>, start: u64, hex: bool) -> Result<Object, PdfError> {
        let span = (start, self.place());
        if bytes.len() > LONG {
            return Ok(Object::Long { digest: Digest::of(&bytes), span, hex });
        }
        bytes.shrink_to_fit();
        self.take_room(APART + bytes.len())?;
        Ok(Object::Text { bytes, span, hex })
    }

    fn literal(&mut self) -> Result<Object, PdfError> {
        let start = self.place();
        self.at += 1;
        let (mut bytes, mut open) = (Vec::new(), 1);
        loop {
            match self.next()? {
                b'(' => {
                    open += 1;
                    bytes.push(b'(');
                }
                b')' => {
                    open -= 1;
                    if open == 0 {
                        return self.text(bytes, start, false);
                    }
                    bytes.push(b')');
                }
                b'\\' => self.escaped(&mut bytes)?,
                octet => bytes.push(octet),
            }
        }
    }

    fn escaped(&mut self, bytes: &mut Vec<u8>) -> Result<(), PdfError> {
        match self.next()? {
            b'n' => bytes.push(b'\n'),
            b'r' => bytes.push(b'\r'),
            b't' => bytes.push(b'\t'),
            b'b' => bytes.push(8),
            b'f' => bytes.push(12),
            b'\n' => {}
            b'\r' => {
                if self.peek() == Some(b'\n') {
                    self.at += 1;
                }
            }
            digit @ b'0'..=b'7' => {
                let mut value = u32::from(digit - b'0');
                for _ in 0..2 {
                    match self.peek() {
                        Some(digit @ b'0'..=b'7') => {
                            value = value * 8 + u32::from(digit - b'0');
                            self.at += 1;
                        }
                        _ => break,
                    }
                }
                bytes.push((value & 0xff) as u8);
            }
            octet => bytes.push(octet),
        }
        Ok(())
    }
}

pub fn is_blank(octet: u8) -> bool {
    matches!(octet, 0 | b'\t' | b'\n' | 12 | b'\r' | b' ')
}

fn is_regular(octet: u8) -> bool {
    !is_blank(octet) && !matches!(octet, b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%')
}

fn hex_digit(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).map(|d| d as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Object, PdfError> {
        Lexer::new(text.as_bytes(), 0).object()
    }

    #[test]
    fn objects() {
        use Object::*;
        let text = |bytes: &[u8], span, hex| Text { bytes: bytes.to_vec(), span, hex };
        for (source, want) in [
            ("null ", Null),
            ("12 ", Integer(12)),
            ("-3 ", Integer(-3)),
            ("1.5 ", Real("1.5".to_owned())),
            ("7 0 R ", Reference(7, 0)),
            ("/A#42c ", Name(b"ABc".to_vec())),
            ("(a\\(b\\051(c)\\\n) ", text(b"a(b)(c)", (0, 15), false)),
            (" <48 6 5> ", text(b"He", (1, 9), true)),
            ("[1 2 0 R 3] ", Array(vec![Integer(1), Reference(2, 0), Integer(3)])),
        ] {
            assert_eq!(read(&format!("{source}endobj")), Ok(want), "{source}");
        }
        let Ok(Dictionary(all)) = read("<</A 1/B<</C[/D]>>%c\n>> endobj") else { panic!() };
        assert_eq!(all[&b"A"[..]], Integer(1));
        for (source, want) in [
            ("<</A 1/A 2>> ", PdfError::Syntax("a key once only")),
            ("<<1 2>> ", PdfError::Syntax("a key")),
            ("[1 2", PdfError::Short),
            ("<48", PdfError::Short),
            ("(abc", PdfError::Short),
            ("<4x> ", PdfError::Syntax("a hexadecimal text")),
            ("endobj ", PdfError::Syntax("an object")),
        ] {
            assert_eq!(read(source), Err(want), "{source}");
        }
        assert_eq!(read(&"[".repeat(100)), Err(PdfError::TooBig("an object")));
    }

    proptest! {
        #[test]
        fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Lexer::new(&octets, 0).object();
        }

        #[test]
        fn no_marks_panic(text in "[<>\\[\\]()/#0-9Ra%\\\\ .+-]{0,60}") {
            let _ = read(&text);
        }
    }
}
