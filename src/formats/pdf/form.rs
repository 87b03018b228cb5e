//! Fields of a form (§12.7): found in one revision, with their full names; and what filling them in may change.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use super::PdfError;
use super::document::Document;
use super::kinds::same;
use super::lex::{Dictionary, Object, ROOM};
use super::table::Entry;
use crate::formats::zip::Source;

/// Most form fields looked at, and how deep: the longest forms have some thousand.
const FIELDS: usize = 50_000;
const DEPTH: usize = 32;
/// Most octets of the full names of all fields together: of a name for each of as many fields, with its part of what is above it.
const NAMES: usize = 4 << 20;

/// One node of the tree of fields, with what it has from those above it.
pub(super) struct Node<'a> {
    /// Of its object, where it has one.
    pub number: Option<u32>,
    pub dictionary: &'a Dictionary,
    /// Full name, in parts joined by dots.
    pub name: &'a str,
    /// `FT`: `Tx`, `Btn`, `Ch` or `Sig`.
    pub kind: &'static [u8],
    /// Its octets stand in the file as they are.
    pub in_file: bool,
}

/// A field that a person may fill in.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub name: String,
    /// Its picture says what was typed; that of a button is only chosen among those that are there.
    pub is_text: bool,
}

impl<S: Source> Document<S> {
    /// Hears of each field, as the sections before a place have them.
    pub(super) fn each_field(
        &self,
        before: u64,
        each: &mut dyn FnMut(&Node<'_>) -> Result<(), PdfError>,
    ) -> Result<(), PdfError> {
        let mut open: Vec<(Object, Rc<str>, &'static [u8], usize)> = Vec::new();
        // Fields that are no objects of their own are kept whole until their turn comes.
        let mut room = ROOM;
        let mut later = |open: &mut Vec<_>, list: &[Object], name: &Rc<str>, kind: &'static [u8], depth: usize| {
            if open.len() + list.len() > FIELDS {
                return Err(PdfError::TooBig("form fields"));
            }
            for field in list.iter().rev() {
                let weight = if matches!(field, Object::Reference(..)) { 0 } else { field.weight() };
                room = room.checked_sub(weight).ok_or(PdfError::TooBig("form fields"))?;
                open.push((field.clone(), name.clone(), kind, depth));
            }
            Ok(())
        };
        later(&mut open, self.root_fields(before)?.array().unwrap_or_default(), &Rc::from(""), b"", 0)?;
        let (mut seen, mut names) = (HashSet::new(), 0);
        while let Some((field, parent, kind, depth)) = open.pop() {
            let number = match field {
                Object::Reference(number, _) => Some(number),
                _ => None,
            };
            if number.is_some_and(|number| !seen.insert(number)) {
                return Err(PdfError::Structure("form fields that go in a circle"));
            }
            if seen.len() > FIELDS || depth > DEPTH {
                return Err(PdfError::TooBig("form fields"));
            }
            let in_file = number.is_some_and(|n| !matches!(self.entry(n, before), Some(Entry::Packed(..))));
            let object = self.resolve(&field, before)?;
            let Some(dictionary) = object.dictionary() else { continue };
            let kind = dictionary.get(&b"FT"[..]).and_then(Object::name).map_or(kind, known_kind);
            let name: Rc<str> = match dictionary.get(&b"T"[..]) {
                Some(Object::Text { bytes, .. }) if parent.is_empty() => text(bytes).into(),
                Some(Object::Text { bytes, .. }) => format!("{parent}.{}", text(bytes)).into(),
                Some(Object::Long { .. }) => return Err(PdfError::TooBig("the name of a form field")),
                _ => parent,
            };
            names += name.len();
            if names > NAMES {
                return Err(PdfError::TooBig("names of form fields"));
            }
            let kids = self.resolve(dictionary.get(&b"Kids"[..]).unwrap_or(&Object::Null), before)?;
            later(&mut open, kids.array().unwrap_or_default(), &name, kind, depth + 1)?;
            each(&Node { number, dictionary, name: &name, kind, in_file })?;
        }
        Ok(())
    }

    /// The list of fields that are below no other.
    fn root_fields(&self, before: u64) -> Result<Object, PdfError> {
        let (_, catalog) = self.catalog(before)?;
        let form = self.resolve(catalog.get(&b"AcroForm"[..]).unwrap_or(&Object::Null), before)?;
        let fields = form.dictionary().and_then(|form| form.get(&b"Fields"[..])).unwrap_or(&Object::Null);
        Ok(self.resolve(fields, before)?.into_owned())
    }

    /// The fields that a person may fill in, by their objects.
    pub(super) fn fields_to_fill(&self, before: u64) -> Result<HashMap<u32, Field>, PdfError> {
        let mut out = HashMap::new();
        self.each_field(before, &mut |node| {
            let is_text = matches!(node.kind, b"Tx" | b"Ch");
            if let Some(number) = node.number.filter(|_| is_text || node.kind == b"Btn") {
                out.insert(number, Field { name: node.name.to_owned(), is_text });
            }
            Ok(())
        })?;
        Ok(out)
    }

    /// Whether a field differs by what was filled in, and by how that is shown: a new picture, or one of those it had.
    pub(super) fn was_filled(&self, field: &Field, old: &Dictionary, new: &Dictionary, end: u64) -> bool {
        const BUTTON: [&[u8]; 3] = [b"V", b"AS", b"M"];
        const TEXT: [&[u8]; 6] = [b"V", b"AS", b"M", b"I", b"DA", b"AP"];
        let keys: &[&[u8]] = if field.is_text { &TEXT } else { &BUTTON };
        let pictures = |field: &Dictionary| {
            let mut all = BTreeSet::new();
            let mut met = |number| {
                all.insert(number);
            };
            field.get(&b"AP"[..]).into_iter().for_each(|ap| references(ap, &mut met));
            all
        };
        let had = pictures(old);
        same(old, new, keys) && pictures(new).iter().all(|n| had.contains(n) || self.is_new(*n, end))
    }
}

/// A kind of field as it is compared; what is not known is none.
fn known_kind(name: &[u8]) -> &'static [u8] {
    const KNOWN: [&[u8]; 4] = [b"Tx", b"Btn", b"Ch", b"Sig"];
    KNOWN.into_iter().find(|known| *known == name).unwrap_or_default()
}

/// Hears of every object that an object refers to.
pub(super) fn references(object: &Object, met: &mut dyn FnMut(u32)) {
    match object {
        Object::Reference(number, _) => met(*number),
        Object::Array(all) => all.iter().for_each(|o| references(o, met)),
        Object::Dictionary(all) => all.values().for_each(|o| references(o, met)),
        _ => {}
    }
}

/// A text string: UTF-16 with its mark, otherwise read as Latin-1.
pub(super) fn text(bytes: &[u8]) -> String {
    match bytes {
        [0xfe, 0xff, rest @ ..] => {
            let units = rest.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect()
        }
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => bytes.iter().map(|b| char::from(*b)).collect(),
    }
}
