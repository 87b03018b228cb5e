//! Signature fields and their values (§12.8.1).

use std::collections::HashSet;

use super::PdfError;
use super::document::{Document, Entry};
use super::lex::{Dictionary, Object};
use crate::formats::zip::Source;

/// Most form fields looked at, and how deep.
const FIELDS: usize = 100_000;
const DEPTH: usize = 32;
/// Largest signature value.
const CONTENTS_MAX: usize = 8 << 20;

/// What a signature field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Signature,
    /// A time-stamp over the document (ETSI EN 319 142-1 §5.4.3).
    TimeStamp,
}

/// A signature of a document. Its octets are `0..first` and `second..end`; between them stand its contents alone.
#[derive(Clone, Debug)]
pub struct Signature {
    /// Full name of the field.
    pub field: String,
    pub kind: Kind,
    /// E.g. `ETSI.CAdES.detached`.
    pub sub_filter: String,
    pub first: u64,
    pub second: u64,
    pub end: u64,
    /// The value, with the zeros that fill its place.
    pub contents: Vec<u8>,
    /// `M`: when the signer says it was, e.g. `D:20260213100000+08'00'`.
    pub date: Option<String>,
    /// What a certifying signature lets be changed: 1 nothing, 2 forms, 3 annotations too.
    pub permission: Option<u64>,
}

type EachValue<'e> = &'e mut dyn FnMut(Option<u32>, &Dictionary, String) -> Result<(), PdfError>;

impl<S: Source> Document<S> {
    /// The signatures of the newest revision, in the order of the octets they cover.
    ///
    /// # Errors
    /// [`PdfError::Signature`] for one that does not cover all octets of its revision but its own value.
    pub fn signatures(&self) -> Result<Vec<Signature>, PdfError> {
        let mut out: Vec<Signature> = Vec::new();
        self.each_value(&mut |_, value, name| {
            out.push(self.signature(value, name)?);
            Ok(())
        })?;
        out.sort_by_key(|s| s.end);
        Ok(out)
    }

    /// Numbers of the objects that [`Document::signatures`] reads as signatures.
    pub(super) fn signature_numbers(&self) -> Result<&HashSet<u32>, PdfError> {
        if let Some(known) = self.judged.get() {
            return Ok(known);
        }
        let mut out = HashSet::new();
        self.each_value(&mut |number, _, _| {
            out.extend(number);
            Ok(())
        })?;
        Ok(self.judged.get_or_init(|| out))
    }

    /// Hears of the value of each signature field of the form, once: the number of its object, where it has one, and the field's name.
    fn each_value(&self, each: EachValue<'_>) -> Result<(), PdfError> {
        let (_, catalog) = self.catalog(u64::MAX)?;
        let form = self.resolve(catalog.get(&b"AcroForm"[..]).unwrap_or(&Object::Null), u64::MAX)?;
        let Some(form) = form.dictionary() else { return Ok(()) };
        let fields = self.resolve(form.get(&b"Fields"[..]).unwrap_or(&Object::Null), u64::MAX)?;
        let mut open: Vec<(Object, String, Option<Vec<u8>>, usize)> = Vec::new();
        for field in fields.array().unwrap_or_default().iter().rev() {
            open.push((field.clone(), String::new(), None, 0));
        }
        let (mut seen, mut values) = (HashSet::new(), HashSet::new());
        while let Some((field, parent, kind, depth)) = open.pop() {
            if let Object::Reference(number, _) = field
                && !seen.insert(number)
            {
                return Err(PdfError::Structure("form fields that go in a circle"));
            }
            if seen.len() > FIELDS || open.len() > FIELDS || depth > DEPTH {
                return Err(PdfError::TooBig("form fields"));
            }
            let unpacked = match &field {
                Object::Reference(number, _) => !matches!(self.entry(*number, u64::MAX), Some(Entry::Packed(..))),
                _ => false,
            };
            let object = self.resolve(&field, u64::MAX)?;
            let Some(field) = object.dictionary() else { continue };
            let kind = field.get(&b"FT"[..]).and_then(Object::name).map(<[u8]>::to_vec).or(kind);
            let name = match field.get(&b"T"[..]) {
                Some(Object::Text { bytes, .. }) if parent.is_empty() => text(bytes),
                Some(Object::Text { bytes, .. }) => format!("{parent}.{}", text(bytes)),
                _ => parent,
            };
            let kids = self.resolve(field.get(&b"Kids"[..]).unwrap_or(&Object::Null), u64::MAX)?;
            for kid in kids.array().unwrap_or_default() {
                open.push((kid.clone(), name.clone(), kind.clone(), depth + 1));
            }
            let Some(value) = field.get(&b"V"[..]).filter(|_| kind.as_deref() == Some(b"Sig")) else { continue };
            let (number, (value, in_file)) = match value {
                Object::Null => continue,
                Object::Reference(number, _) => {
                    if !values.insert(*number) {
                        continue; // one signature shown by two fields
                    }
                    (Some(*number), self.object(*number, u64::MAX)?)
                }
                direct => (None, (direct.clone(), unpacked)),
            };
            match value.dictionary() {
                Some(value) if in_file => each(number, value, name)?,
                Some(_) => return Err(PdfError::Signature("its dictionary is packed")),
                None => {}
            }
        }
        Ok(())
    }

    fn signature(&self, value: &Dictionary, field: String) -> Result<Signature, PdfError> {
        let name = |key: &[u8]| value.get(key).and_then(Object::name);
        let sub_filter = String::from_utf8_lossy(name(b"SubFilter").unwrap_or_default()).into_owned();
        let kind = match name(b"Type") {
            Some(b"DocTimeStamp") => Kind::TimeStamp,
            Some(b"Sig") | None if sub_filter != "ETSI.RFC3161" => Kind::Signature,
            Some(b"Sig") | None => Kind::TimeStamp,
            Some(_) => return Err(PdfError::Signature("a type that is none")),
        };
        let Some(Object::Text { bytes, span, hex: true }) = value.get(&b"Contents"[..]) else {
            return Err(PdfError::Signature("no contents in hexadecimal"));
        };
        if bytes.len() > CONTENTS_MAX {
            return Err(PdfError::TooBig("a signature"));
        }
        let range = value.get(&b"ByteRange"[..]).and_then(Object::array).unwrap_or_default();
        let range: Option<Vec<u64>> = range.iter().map(Object::integer).collect();
        let Some([0, first, second, len]) = range.as_deref() else {
            return Err(PdfError::Signature("ByteRange must be four numbers from 0 on"));
        };
        // Exactly the contents are left out: anything else in the gap could be exchanged.
        if (*first, *second) != *span {
            return Err(PdfError::Signature("ByteRange leaves out something other than the contents"));
        }
        let end = second.checked_add(*len).filter(|end| *end <= self.size);
        let end = end.ok_or(PdfError::Signature("ByteRange goes beyond the file"))?;
        let date = match value.get(&b"M"[..]) {
            Some(Object::Text { bytes, .. }) => Some(text(bytes)),
            _ => None,
        };
        let permission = self.permission(value)?;
        Ok(Signature {
            field,
            kind,
            sub_filter,
            first: *first,
            second: *second,
            end,
            contents: bytes.clone(),
            date,
            permission,
        })
    }

    /// `P` of a DocMDP transform (§12.8.2.2).
    fn permission(&self, value: &Dictionary) -> Result<Option<u64>, PdfError> {
        let references = self.resolve(value.get(&b"Reference"[..]).unwrap_or(&Object::Null), u64::MAX)?;
        for reference in references.array().unwrap_or_default().iter().take(16) {
            let reference = self.resolve(reference, u64::MAX)?;
            let Some(reference) = reference.dictionary() else { continue };
            if reference.get(&b"TransformMethod"[..]).and_then(Object::name) != Some(b"DocMDP") {
                continue;
            }
            let parameters = self.resolve(reference.get(&b"TransformParams"[..]).unwrap_or(&Object::Null), u64::MAX)?;
            let given = parameters.dictionary().and_then(|p| p.get(&b"P"[..])).and_then(Object::integer);
            return Ok(Some(given.unwrap_or(2)));
        }
        Ok(None)
    }
}

/// A text string: UTF-16 with its mark, otherwise read as Latin-1.
fn text(bytes: &[u8]) -> String {
    match bytes {
        [0xfe, 0xff, rest @ ..] => {
            let units = rest.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect()
        }
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => bytes.iter().map(|b| char::from(*b)).collect(),
    }
}
