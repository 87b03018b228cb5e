//! Fields of a form (§12.7): found in one revision, with their full names; and what filling them in may change.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::PdfError;
use super::document::{Document, Entry};
use super::kinds::same;
use super::lex::{Dictionary, Object};
use crate::formats::zip::Source;

/// Most form fields looked at, and how deep.
const FIELDS: usize = 100_000;
const DEPTH: usize = 32;

/// One node of the tree of fields, with what it has from those above it.
pub(super) struct Node<'a> {
    /// Of its object, where it has one.
    pub number: Option<u32>,
    pub dictionary: &'a Dictionary,
    /// Full name, in parts joined by dots.
    pub name: &'a str,
    /// `FT`: `Tx`, `Btn`, `Ch` or `Sig`.
    pub kind: &'a [u8],
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
        let (_, catalog) = self.catalog(before)?;
        let form = self.resolve(catalog.get(&b"AcroForm"[..]).unwrap_or(&Object::Null), before)?;
        let Some(form) = form.dictionary() else { return Ok(()) };
        let fields = self.resolve(form.get(&b"Fields"[..]).unwrap_or(&Object::Null), before)?;
        let mut open: Vec<(Object, String, Vec<u8>, usize)> = Vec::new();
        for field in fields.array().unwrap_or_default().iter().rev() {
            open.push((field.clone(), String::new(), Vec::new(), 0));
        }
        let mut seen = HashSet::new();
        while let Some((field, parent, kind, depth)) = open.pop() {
            let number = match field {
                Object::Reference(number, _) => Some(number),
                _ => None,
            };
            if number.is_some_and(|number| !seen.insert(number)) {
                return Err(PdfError::Structure("form fields that go in a circle"));
            }
            if seen.len() > FIELDS || open.len() > FIELDS || depth > DEPTH {
                return Err(PdfError::TooBig("form fields"));
            }
            let in_file = number.is_some_and(|n| !matches!(self.entry(n, before), Some(Entry::Packed(..))));
            let object = self.resolve(&field, before)?;
            let Some(dictionary) = object.dictionary() else { continue };
            let kind = dictionary.get(&b"FT"[..]).and_then(Object::name).map(<[u8]>::to_vec).unwrap_or(kind);
            let name = match dictionary.get(&b"T"[..]) {
                Some(Object::Text { bytes, .. }) if parent.is_empty() => text(bytes),
                Some(Object::Text { bytes, .. }) => format!("{parent}.{}", text(bytes)),
                _ => parent,
            };
            let kids = self.resolve(dictionary.get(&b"Kids"[..]).unwrap_or(&Object::Null), before)?;
            for kid in kids.array().unwrap_or_default() {
                open.push((kid.clone(), name.clone(), kind.clone(), depth + 1));
            }
            each(&Node { number, dictionary, name: &name, kind: &kind, in_file })?;
        }
        Ok(())
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
