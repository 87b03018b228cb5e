//! Cross-reference sections and the objects they lead to (§7.5.4, §7.5.8).

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use super::PdfError;
use super::filter::decode;
use super::lex::{Dictionary, Lexer, Object};
use super::table::{Entry, Table};
use super::update::LOOKED_THROUGH;
use crate::formats::zip::Source;

/// Most sections and objects: a book of some thousand pages has half a million objects.
const SECTIONS: usize = 1_000;
const OBJECTS: usize = 500_000;
/// Most octets of one object in the file: a signature of a long chain takes some 100 kB, one with lists of revocation some megabytes.
const OBJECT_MAX: u64 = 8 << 20;
/// Most octets of a table, of twenty for each object.
const TABLE_MAX: u64 = 10 << 20;
/// Most octets of a table in a stream, packed and unpacked: it has some eight for each object.
const TABLE_STREAM_MAX: u64 = 8 << 20;
/// Most octets of a stream of objects, and most objects in it: writers put some hundred objects in each.
const OBJECT_STREAM_MAX: u64 = 4 << 20;
const OBJECTS_TOGETHER: u64 = 200_000;
/// Most octets of such streams that are unpacked for one document: objects may lie in any order, and each stream be asked for again.
const UNPACKED_MAX: u64 = 512 << 20;
/// Longest pair of identifiers that is kept: each has sixteen octets.
const ID_MAX: usize = 1_024;
/// How far from the end `startxref` may stand.
const TAIL: u64 = 2_048;

/// One section: what one revision changed.
pub(super) struct Section {
    pub at: u64,
    pub entries: Table,
    /// Of its keys, those that are asked for later.
    pub trailer: Dictionary,
    /// Written as a stream (§7.5.8), not as a table.
    pub is_stream: bool,
    /// Where the keys of a table begin, behind their word.
    pub trailer_at: Option<u64>,
    /// A stream beside a table, for readers that know streams.
    pub hybrid: Option<u64>,
    /// Generations of objects that have another than 0, the first of them; newer files have none.
    pub generations: Vec<(u32, u64)>,
}

/// Most generations that are kept of a section.
const GENERATIONS: usize = 1_024;

impl Section {
    /// Where its own streams are.
    pub fn streams(&self) -> impl Iterator<Item = u64> {
        self.is_stream.then_some(self.at).into_iter().chain(self.hybrid)
    }
}

/// Keeps a generation that says something.
fn keep(generations: &mut Vec<(u32, u64)>, number: u64, generation: u64) {
    if generation != 0 && generations.len() < GENERATIONS {
        generations.extend(u32::try_from(number).ok().map(|number| (number, generation)));
    }
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
    /// Octets that may still be unpacked.
    pub(super) to_unpack: std::cell::Cell<u64>,
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
            to_unpack: std::cell::Cell::new(UNPACKED_MAX),
            judged: std::cell::OnceCell::new(),
            to_look_through: std::cell::Cell::new(LOOKED_THROUGH),
        };
        let mut next = Some(document.startxref(size)?);
        let (mut seen, mut objects) = (HashSet::new(), 0);
        while let Some(at) = next {
            if !seen.insert(at) || seen.len() > SECTIONS {
                return Err(PdfError::Structure("sections that go in a circle"));
            }
            let left = OBJECTS - objects;
            let mut section = document.section(at, left)?;
            let link = |section: &Section, key: &[u8]| match section.trailer.get(key) {
                None => Ok(None),
                Some(value) => value.integer().map(Some).ok_or(PdfError::Structure("a place that is no number")),
            };
            if let Some(hybrid) = link(&section, b"XRefStm")? {
                // For readers that know streams: asked after the table beside it.
                section.hybrid = Some(hybrid);
                section.entries.fill_from(&document.section(hybrid, left)?.entries);
            }
            objects += section.entries.len();
            if objects > OBJECTS {
                return Err(PdfError::TooBig("objects"));
            }
            next = link(&section, b"Prev")?;
            section.trailer.retain(|key, value| is_asked_for(key, value));
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
    fn window<T>(
        &self,
        at: u64,
        most: u64,
        read: impl Fn(&mut Lexer<'_>) -> Result<T, PdfError>,
    ) -> Result<T, PdfError> {
        let left = self.size.checked_sub(at).filter(|left| *left > 0).ok_or(PdfError::Structure("a place beyond"))?;
        let mut len = 4 << 10;
        loop {
            let now = left.min(len);
            let mut octets = vec![0; now as usize];
            self.source.read_at(at, &mut octets)?;
            match read(&mut Lexer::new(&octets, at)) {
                Err(PdfError::Short) if now == left => return Err(PdfError::Short),
                Err(PdfError::Short) if now >= most => return Err(PdfError::TooBig("an object")),
                other if !matches!(other, Err(PdfError::Short)) => return other,
                _ => len = (len * if len < 1 << 20 { 8 } else { 2 }).min(most),
            }
        }
    }

    /// Reads a section of at most `most` objects.
    fn section(&self, at: u64, most: usize) -> Result<Section, PdfError> {
        let table = self.window(at, TABLE_MAX, |lexer| {
            if !lexer.word(b"xref") {
                return Ok(None);
            }
            let mut runs = Runs { lexer: &mut *lexer, next: 0, end: 0, generations: Vec::new() };
            let entries = Table::read(std::iter::from_fn(|| runs.next().transpose()), most)?;
            let generations = runs.generations;
            let trailer_at = Some(lexer.place());
            match lexer.object()? {
                Object::Dictionary(trailer) => {
                    let (is_stream, hybrid) = (false, None);
                    Ok(Some(Section { at, entries, trailer, is_stream, trailer_at, hybrid, generations }))
                }
                _ => Err(PdfError::Syntax("a trailer")),
            }
        })?;
        match table {
            Some(section) => Ok(section),
            None => self.stream_section(at, most),
        }
    }

    fn stream_section(&self, at: u64, most: usize) -> Result<Section, PdfError> {
        let (_, trailer, octets) = self.stream_at(at, TABLE_STREAM_MAX)?;
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
        let numbers = index.chunks_exact(2).flat_map(|pair| pair[0]..pair[0].saturating_add(pair[1]));
        let mut generations = Vec::new();
        let read = numbers.map(|number| {
            let row = rows.next().ok_or(PdfError::Structure("a short table"))?;
            let (kind, rest) = row.split_at(kind_len as usize);
            let (first, second) = rest.split_at(first_len as usize);
            let value = |octets: &[u8]| octets.iter().fold(0u64, |all, b| all << 8 | u64::from(*b));
            let small =
                |octets: &[u8]| u32::try_from(value(octets)).map_err(|_| PdfError::Structure("a place that is none"));
            let kind = if kind.is_empty() { 1 } else { value(kind) };
            let entry = match kind {
                1 => {
                    keep(&mut generations, number, value(second));
                    Entry::At(value(first))
                }
                2 => Entry::Packed(small(first)?, small(second)?),
                _ => Entry::Free, // a reference to a kind that is not known means null (§7.5.8.3)
            };
            Ok((number, entry))
        });
        let entries = Table::read(read, most)?;
        Ok(Section { at, entries, trailer, is_stream: true, trailer_at: None, hybrid: None, generations })
    }

    /// Number, dictionary and unpacked octets of the stream at a place, if it has at most `most` octets, packed or not.
    pub(super) fn stream_at(&self, at: u64, most: u64) -> Result<(u32, Dictionary, Vec<u8>), PdfError> {
        let (number, dictionary, start) = self.window(at, OBJECT_MAX, |lexer| {
            let (number, _) = head(lexer)?;
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
        if length > most {
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
        let octets = decode(&dictionary, packed, most)?;
        Ok((number, dictionary, octets))
    }

    /// Where an object is, by the sections that begin before `before`.
    pub(super) fn entry(&self, number: u32, before: u64) -> Option<Entry> {
        let known = self.sections.iter().filter(|s| s.at < before);
        known.filter_map(|s| s.entries.get(number)).next()
    }

    /// An object, and whether its octets stand in the file as they are. Missing ones are null (§7.3.10).
    pub(super) fn object(&self, number: u32, before: u64) -> Result<(Object, bool), PdfError> {
        match self.entry(number, before) {
            None | Some(Entry::Free) => Ok((Object::Null, true)),
            Some(Entry::At(at)) => Ok((self.object_at(number, at)?.0, true)),
            Some(Entry::Packed(stream, index)) => Ok((self.packed(number, stream, index, before)?, false)),
        }
    }

    /// The object at a place, if it has that number, and its generation.
    pub(super) fn object_at(&self, number: u32, at: u64) -> Result<(Object, u64), PdfError> {
        let ((found, generation), object) = self.window(at, OBJECT_MAX, |lexer| Ok((head(lexer)?, lexer.object()?)))?;
        if found == number { Ok((object, generation)) } else { Err(PdfError::Structure("another object there")) }
    }

    /// The numbers of the objects in an object stream, in order.
    pub(super) fn numbers_in(&self, stream: u32, at: u64) -> Result<Vec<u32>, PdfError> {
        Ok(self.object_stream(stream, at)?.objects.iter().map(|(number, _)| *number).collect())
    }

    /// Follows references. What is none is lent, and not copied.
    pub(super) fn resolve<'o>(&self, object: &'o Object, before: u64) -> Result<Cow<'o, Object>, PdfError> {
        let mut object = Cow::Borrowed(object);
        for _ in 0..16 {
            let Object::Reference(number, _) = *object else { return Ok(object) };
            object = Cow::Owned(self.object(number, before)?.0);
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
        let (found, dictionary, mut octets) = self.stream_at(at, OBJECT_STREAM_MAX)?;
        let left = self.to_unpack.get().checked_sub(octets.len() as u64);
        self.to_unpack.set(left.ok_or(PdfError::TooBig("object streams, one after the other"))?);
        let none = PdfError::Structure("an object stream that is none");
        if found != stream || dictionary.get(&b"Type"[..]).and_then(Object::name) != Some(b"ObjStm") {
            return Err(none);
        }
        let field = |key: &[u8]| dictionary.get(key).and_then(Object::integer);
        let (Some(count), Some(first)) = (field(b"N"), field(b"First")) else { return Err(none) };
        if first > octets.len() as u64 {
            return Err(PdfError::Structure("a place beyond its object stream"));
        }
        if count > OBJECTS_TOGETHER {
            return Err(PdfError::TooBig("an object stream"));
        }
        // The last object may end with its stream: what follows elsewhere tells a number that it is no reference.
        octets.extend_from_slice(b" endobj ");
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

/// The entries of a table, run by run (§7.5.4): `first count`, and for each object `place generation n` or `f`.
struct Runs<'l, 'o> {
    lexer: &'l mut Lexer<'o>,
    next: u64,
    end: u64,
    generations: Vec<(u32, u64)>,
}

impl Runs<'_, '_> {
    /// The next entry; none at the trailer.
    fn next(&mut self) -> Result<Option<(u64, Entry)>, PdfError> {
        while self.next >= self.end {
            if self.lexer.word(b"trailer") {
                return Ok(None);
            }
            self.next = self.lexer.number()?;
            self.end = self.next.saturating_add(self.lexer.number()?);
        }
        let (place, generation) = (self.lexer.number()?, self.lexer.number()?);
        let entry = if self.lexer.word(b"n") {
            keep(&mut self.generations, self.next, generation);
            Entry::At(place)
        } else {
            self.lexer.must("f")?;
            Entry::Free
        };
        self.next += 1;
        Ok(Some((self.next - 1, entry)))
    }
}

/// Whether a key of a trailer is asked for after its section was read: there may be a thousand trailers, and each may be long.
fn is_asked_for(key: &[u8], value: &mut Object) -> bool {
    match key {
        b"Root" | b"Info" => matches!(value, Object::Reference(..)),
        b"Size" => matches!(value, Object::Integer(_)),
        b"ID" => value.weight() <= ID_MAX,
        b"Encrypt" => {
            *value = Object::Null; // that it is there says it all
            true
        }
        _ => false,
    }
}

/// `12 0 obj`.
fn head(lexer: &mut Lexer<'_>) -> Result<(u32, u64), PdfError> {
    let (number, generation) = (lexer.number()?, lexer.number()?);
    lexer.must("obj")?;
    u32::try_from(number).map(|number| (number, generation)).map_err(|_| PdfError::TooBig("objects"))
}
