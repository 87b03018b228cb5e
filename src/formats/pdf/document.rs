//! Cross-reference sections and the objects they lead to (§7.5.4, §7.5.8).

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use super::PdfError;
use super::filter::decode;
use super::lex::{Dictionary, Lexer, Object};
use super::update::LOOKED_THROUGH;
use crate::formats::zip::Source;

/// Most sections, objects, and octets of one object in the file: a signature of a long chain takes some 100 kB.
const SECTIONS: usize = 1_000;
const OBJECTS: usize = 1_000_000;
const WINDOW_MAX: u64 = 16 << 20;
/// How far from the end `startxref` may stand.
const TAIL: u64 = 2_048;

/// Where an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Free,
    At(u64),
    /// In an object stream, by its place there.
    Packed(u32, u32),
}

/// One section: what one revision changed.
pub(super) struct Section {
    pub at: u64,
    pub entries: BTreeMap<u32, Entry>,
    pub trailer: Dictionary,
    /// Written as a stream (§7.5.8), not as a table.
    pub is_stream: bool,
}

/// An object stream: its octets, and the number and place of each object in them.
#[derive(Clone)]
struct Unpacked {
    at: u64,
    octets: Rc<Vec<u8>>,
    objects: Rc<Vec<(u32, u32)>>,
}

/// A PDF whose tables could be read.
pub struct Document<S> {
    pub(super) source: S,
    pub(super) size: u64,
    /// Newest first.
    pub(super) sections: Vec<Section>,
    /// The object stream read last, by its place.
    unpacked: RefCell<Option<Unpacked>>,
    /// Numbers of the objects that are read as signatures, once they were asked for.
    pub(super) judged: std::cell::OnceCell<std::collections::HashSet<u32>>,
    /// Signed objects that may still be looked through for references, for all signatures together.
    pub(super) to_look_through: std::cell::Cell<usize>,
}

impl<S: Source> Document<S> {
    /// Reads the chain of cross-reference sections.
    ///
    /// # Errors
    /// [`PdfError`] when one of them is not where it must be or cannot be read.
    pub fn open(source: S) -> Result<Self, PdfError> {
        let size = source.size()?;
        let mut head = [0; 5];
        if size < 16 || source.read_at(0, &mut head).is_err() || &head != b"%PDF-" {
            return Err(PdfError::Syntax("%PDF- at the beginning"));
        }
        let mut document = Self {
            source,
            size,
            sections: Vec::new(),
            unpacked: RefCell::new(None),
            judged: std::cell::OnceCell::new(),
            to_look_through: std::cell::Cell::new(LOOKED_THROUGH),
        };
        let mut next = Some(document.startxref(size)?);
        let (mut seen, mut objects) = (HashSet::new(), 0);
        while let Some(at) = next {
            if !seen.insert(at) || seen.len() > SECTIONS {
                return Err(PdfError::Structure("sections that go in a circle"));
            }
            let mut section = document.section(at)?;
            let link = |section: &Section, key: &[u8]| match section.trailer.get(key) {
                None => Ok(None),
                Some(value) => value.integer().map(Some).ok_or(PdfError::Structure("a place that is no number")),
            };
            if let Some(hybrid) = link(&section, b"XRefStm")? {
                // For readers that know streams: asked after the table beside it.
                let more = document.section(hybrid)?;
                for (number, entry) in more.entries {
                    let known = section.entries.get(&number).is_some_and(|e| *e != Entry::Free);
                    if !known {
                        section.entries.insert(number, entry);
                    }
                }
            }
            objects += section.entries.len();
            if objects > OBJECTS {
                return Err(PdfError::TooBig("objects"));
            }
            next = link(&section, b"Prev")?;
            document.sections.push(section);
        }
        Ok(document)
    }

    pub fn source(&self) -> &S {
        &self.source
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// The place that the last `startxref` before `end` names.
    pub(super) fn startxref(&self, end: u64) -> Result<u64, PdfError> {
        let from = end.saturating_sub(TAIL);
        let mut tail = vec![0; (end - from) as usize];
        self.source.read_at(from, &mut tail)?;
        let word = b"startxref";
        let at = (0..tail.len().saturating_sub(word.len())).rev().find(|&at| tail[at..].starts_with(word));
        let at = at.ok_or(PdfError::Structure("no startxref at the end"))?;
        Lexer::new(&tail[at + word.len()..], 0).number()
    }

    /// Runs a reader over a window that grows until everything it needs is inside.
    fn window<T>(&self, at: u64, read: impl Fn(&mut Lexer<'_>) -> Result<T, PdfError>) -> Result<T, PdfError> {
        let left = self.size.checked_sub(at).filter(|left| *left > 0).ok_or(PdfError::Structure("a place beyond"))?;
        let mut len = 4 << 10;
        loop {
            let now = left.min(len);
            let mut octets = vec![0; now as usize];
            self.source.read_at(at, &mut octets)?;
            match read(&mut Lexer::new(&octets, at)) {
                Err(PdfError::Short) if now == left => return Err(PdfError::Short),
                Err(PdfError::Short) if now >= WINDOW_MAX => return Err(PdfError::TooBig("an object")),
                other if !matches!(other, Err(PdfError::Short)) => return other,
                _ => len = (len * 8).min(WINDOW_MAX),
            }
        }
    }

    fn section(&self, at: u64) -> Result<Section, PdfError> {
        let table = self.window(at, |lexer| {
            if !lexer.word(b"xref") {
                return Ok(None);
            }
            let mut entries = BTreeMap::new();
            while !lexer.word(b"trailer") {
                let (first, count) = (lexer.number()?, lexer.number()?);
                if count > OBJECTS as u64 {
                    return Err(PdfError::TooBig("objects"));
                }
                for number in first..first.saturating_add(count) {
                    let (place, _generation) = (lexer.number()?, lexer.number()?);
                    let entry = if lexer.word(b"n") {
                        Entry::At(place)
                    } else {
                        lexer.must("f")?;
                        Entry::Free
                    };
                    let number = u32::try_from(number).map_err(|_| PdfError::TooBig("objects"))?;
                    if entries.insert(number, entry).is_some() {
                        return Err(PdfError::Structure("an object twice in one section"));
                    }
                }
            }
            match lexer.object()? {
                Object::Dictionary(trailer) => Ok(Some(Section { at, entries, trailer, is_stream: false })),
                _ => Err(PdfError::Syntax("a trailer")),
            }
        })?;
        match table {
            Some(section) => Ok(section),
            None => self.stream_section(at),
        }
    }

    fn stream_section(&self, at: u64) -> Result<Section, PdfError> {
        let (_, trailer, octets) = self.stream_at(at)?;
        let wrong = PdfError::Structure("a cross-reference stream");
        let numbers =
            |key: &[u8]| -> Option<Vec<u64>> { trailer.get(key)?.array()?.iter().map(Object::integer).collect() };
        let is_table = trailer.get(&b"Type"[..]).and_then(Object::name) == Some(b"XRef");
        let (true, Some(widths)) = (is_table, numbers(b"W")) else { return Err(wrong) };
        let [kind_len, first_len, second_len] = widths[..] else { return Err(wrong) };
        if widths.iter().any(|w| *w > 8) || first_len == 0 {
            return Err(wrong);
        }
        let size = trailer.get(&b"Size"[..]).and_then(Object::integer).unwrap_or(0);
        let index = match trailer.get(&b"Index"[..]) {
            None => vec![0, size],
            Some(_) => numbers(b"Index").filter(|i| i.len() % 2 == 0).ok_or(PdfError::Structure("Index"))?,
        };
        let mut rows = octets.chunks_exact((kind_len + first_len + second_len) as usize);
        let mut entries = BTreeMap::new();
        for pair in index.chunks_exact(2) {
            for number in pair[0]..pair[0].saturating_add(pair[1]) {
                let Some(row) = rows.next() else { return Err(PdfError::Structure("a short table")) };
                let (kind, rest) = row.split_at(kind_len as usize);
                let (first, second) = rest.split_at(first_len as usize);
                let value = |octets: &[u8]| octets.iter().fold(0u64, |all, b| all << 8 | u64::from(*b));
                let kind = if kind.is_empty() { 1 } else { value(kind) };
                let entry = match kind {
                    0 => Entry::Free,
                    1 => Entry::At(value(first)),
                    2 => Entry::Packed(value(first) as u32, value(second) as u32),
                    _ => Entry::Free, // a reference to it means null (§7.5.8.3)
                };
                let number = u32::try_from(number).map_err(|_| PdfError::TooBig("objects"))?;
                if entries.len() > OBJECTS || entries.insert(number, entry).is_some() {
                    return Err(PdfError::Structure("an object twice in one section"));
                }
            }
        }
        Ok(Section { at, entries, trailer, is_stream: true })
    }

    /// Number, dictionary and unpacked octets of the stream at a place.
    pub(super) fn stream_at(&self, at: u64) -> Result<(u32, Dictionary, Vec<u8>), PdfError> {
        let (number, dictionary, start) = self.window(at, |lexer| {
            let number = head(lexer)?;
            let Object::Dictionary(dictionary) = lexer.object()? else { return Err(PdfError::Syntax("a stream")) };
            lexer.must("stream")?;
            Ok((number, dictionary, lexer.place()))
        })?;
        let length = match dictionary.get(&b"Length"[..]) {
            // The table is not known yet when its own stream is read; lengths elsewhere may refer.
            Some(Object::Reference(n, _)) if !self.sections.is_empty() => self.object(*n, u64::MAX)?.0.integer(),
            Some(other) => other.integer(),
            None => None,
        };
        let length = length.ok_or(PdfError::Structure("a stream without length"))?;
        if length > WINDOW_MAX {
            return Err(PdfError::TooBig("a stream"));
        }
        let mut end_of_line = [0; 2];
        self.source.read_at(start, &mut end_of_line)?;
        let skip = match end_of_line {
            [b'\r', b'\n'] => 2,
            [b'\n', _] => 1,
            _ => return Err(PdfError::Syntax("a line end after stream")),
        };
        if length > self.size {
            return Err(PdfError::Short);
        }
        let mut packed = vec![0; length as usize];
        self.source.read_at(start + skip, &mut packed)?;
        Ok((number, dictionary.clone(), decode(&dictionary, &packed)?))
    }

    /// Where an object is, by the sections that begin before `before`.
    pub(super) fn entry(&self, number: u32, before: u64) -> Option<Entry> {
        let known = self.sections.iter().filter(|s| s.at < before);
        known.filter_map(|s| s.entries.get(&number)).next().copied()
    }

    /// An object, and whether its octets stand in the file as they are. Missing ones are null (§7.3.10).
    pub(super) fn object(&self, number: u32, before: u64) -> Result<(Object, bool), PdfError> {
        match self.entry(number, before) {
            None | Some(Entry::Free) => Ok((Object::Null, true)),
            Some(Entry::At(at)) => {
                let (found, object) = self.window(at, |lexer| Ok((head(lexer)?, lexer.object()?)))?;
                if found == number { Ok((object, true)) } else { Err(PdfError::Structure("another object there")) }
            }
            Some(Entry::Packed(stream, index)) => Ok((self.packed(number, stream, index, before)?, false)),
        }
    }

    /// Follows references.
    pub(super) fn resolve(&self, object: &Object, before: u64) -> Result<Object, PdfError> {
        let mut object = object.clone();
        for _ in 0..16 {
            match object {
                Object::Reference(number, _) => object = self.object(number, before)?.0,
                other => return Ok(other),
            }
        }
        Err(PdfError::Structure("references that go in a circle"))
    }

    fn packed(&self, number: u32, stream: u32, index: u32, before: u64) -> Result<Object, PdfError> {
        if self.sections.iter().any(|s| s.trailer.contains_key(&b"Encrypt"[..])) {
            return Err(PdfError::Encrypted);
        }
        let Some(Entry::At(at)) = self.entry(stream, before) else {
            return Err(PdfError::Structure("an object stream that is not there"));
        };
        let kept = self.unpacked.borrow().clone().filter(|kept| kept.at == at);
        let kept = match kept {
            Some(kept) => kept,
            None => {
                let read = self.object_stream(stream, at)?;
                self.unpacked.borrow_mut().insert(read).clone()
            }
        };
        let (found, place) =
            *kept.objects.get(index as usize).ok_or(PdfError::Structure("a place beyond its object stream"))?;
        let inside = kept.octets.get(place as usize..).filter(|_| found == number);
        let inside = inside.ok_or(PdfError::Structure("another object there"))?;
        Lexer::new(inside, 0).object()
    }

    fn object_stream(&self, stream: u32, at: u64) -> Result<Unpacked, PdfError> {
        let (found, dictionary, mut octets) = self.stream_at(at)?;
        let none = PdfError::Structure("an object stream that is none");
        if found != stream || dictionary.get(&b"Type"[..]).and_then(Object::name) != Some(b"ObjStm") {
            return Err(none);
        }
        let field = |key: &[u8]| dictionary.get(key).and_then(Object::integer);
        let (Some(count), Some(first)) = (field(b"N"), field(b"First")) else { return Err(none) };
        if first > octets.len() as u64 || count > OBJECTS as u64 {
            return Err(PdfError::Structure("a place beyond its object stream"));
        }
        // The last object may end with its stream: a blank stands for what follows elsewhere.
        octets.reserve_exact(3);
        octets.extend(b" \n ");
        let mut lexer = Lexer::new(&octets, 0);
        let mut objects = Vec::new();
        for _ in 0..count {
            let (number, place) = (lexer.number()?, first.saturating_add(lexer.number()?));
            let fits = u32::try_from(number).ok().zip(u32::try_from(place).ok());
            objects.push(fits.ok_or(PdfError::Structure("a place beyond its object stream"))?);
        }
        Ok(Unpacked { at, octets: Rc::new(octets), objects: Rc::new(objects) })
    }

    /// The catalog by the sections before a place, and its number.
    pub(super) fn catalog(&self, before: u64) -> Result<(u32, Dictionary), PdfError> {
        let newest = self.sections.iter().find(|s| s.at < before).ok_or(PdfError::Structure("no section"))?;
        let root = newest.trailer.get(&b"Root"[..]);
        let Some(Object::Reference(number, _)) = root else { return Err(PdfError::Structure("no catalog")) };
        match self.object(*number, before)?.0 {
            Object::Dictionary(catalog) => Ok((*number, catalog)),
            _ => Err(PdfError::Structure("no catalog")),
        }
    }
}

/// `12 0 obj`.
fn head(lexer: &mut Lexer<'_>) -> Result<u32, PdfError> {
    let number = lexer.number()?;
    lexer.number()?;
    lexer.must("obj")?;
    u32::try_from(number).map_err(|_| PdfError::TooBig("objects"))
}
