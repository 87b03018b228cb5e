//! Signature fields and their values (§12.8.1).

use std::collections::HashSet;

use super::PdfError;
use super::document::Document;
use super::form::text;
use super::lex::{Dictionary, Object, octets_of};
use crate::formats::zip::Source;

/// Most octets of the values of all signatures together, with their names and the fields they lock: sixty with a long chain have two
/// megabytes, one with lists of revocation has some.
const ALL_MAX: usize = 6 << 20;

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
    /// Number of the value's object, where it has one.
    pub number: Option<u32>,
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
    /// The form fields that it lets nobody fill in any more.
    pub lock: Lock,
}

impl Signature {
    /// How much memory it takes, in octets.
    fn weight(&self) -> usize {
        let names = match &self.lock {
            Lock::None => &[][..],
            Lock::Fields(names) | Lock::AllBut(names) => names,
        };
        let names: usize = names.iter().map(|name| size_of::<String>() + 32 + name.len()).sum();
        let texts = self.field.len() + self.sub_filter.len() + self.date.as_ref().map_or(0, String::len);
        size_of::<Self>() + self.contents.len() + texts + names
    }
}

/// Which form fields a signature locks (FieldMDP).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lock {
    None,
    Fields(Vec<String>),
    AllBut(Vec<String>),
}

impl Lock {
    /// Whether a field is locked, by its full name: a name stands for all fields below it as well.
    pub fn holds(&self, field: &str) -> bool {
        let named = |names: &[String]| {
            let below =
                |name: &String| field.strip_prefix(name.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('.'));
            names.iter().any(below)
        };
        match self {
            Self::None => false,
            Self::Fields(names) => named(names),
            Self::AllBut(names) => !named(names),
        }
    }
}

type EachValue<'e> = &'e mut dyn FnMut(Option<u32>, &Dictionary, String) -> Result<(), PdfError>;

impl<S: Source> Document<S> {
    /// The signatures of the newest revision, in the order of the octets they cover.
    ///
    /// # Errors
    /// [`PdfError::Signature`] for one that does not cover all octets of its revision but its own value.
    pub fn signatures(&self) -> Result<Vec<Signature>, PdfError> {
        let (mut out, mut room): (Vec<Signature>, _) = (Vec::new(), ALL_MAX);
        self.each_value(&mut |number, value, name| {
            let signature = self.signature(number, value, name)?;
            room = room.checked_sub(signature.weight()).ok_or(PdfError::TooBig("signatures"))?;
            out.push(signature);
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
        let mut values = HashSet::new();
        self.each_field(u64::MAX, &mut |node| {
            let value = node.dictionary.get(&b"V"[..]).filter(|_| node.kind == b"Sig").unwrap_or(&Object::Null);
            let (number, (value, in_file)) = match value {
                Object::Null => return Ok(()),
                Object::Reference(number, _) => {
                    if !values.insert(*number) {
                        return Ok(()); // one signature shown by two fields
                    }
                    (Some(*number), self.object(*number, u64::MAX)?)
                }
                direct => (None, (direct.clone(), node.in_file)),
            };
            match value.dictionary() {
                Some(value) if in_file => each(number, value, node.name.to_owned()),
                Some(_) => Err(PdfError::Signature("its dictionary is packed")),
                None => Ok(()),
            }
        })
    }

    fn signature(&self, number: Option<u32>, value: &Dictionary, field: String) -> Result<Signature, PdfError> {
        let name = |key: &[u8]| value.get(key).and_then(Object::name);
        let sub_filter = String::from_utf8_lossy(name(b"SubFilter").unwrap_or_default()).into_owned();
        let kind = match name(b"Type") {
            Some(b"DocTimeStamp") => Kind::TimeStamp,
            Some(b"Sig") | None if sub_filter != "ETSI.RFC3161" => Kind::Signature,
            Some(b"Sig") | None => Kind::TimeStamp,
            Some(_) => return Err(PdfError::Signature("a type that is none")),
        };
        let contents = value.get(&b"Contents"[..]);
        let Some(Object::Text { span, hex: true, .. } | Object::Long { span, hex: true, .. }) = contents else {
            return Err(PdfError::Signature("no contents in hexadecimal"));
        };
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
        let (permission, lock) = self.transforms(value)?;
        Ok(Signature {
            number,
            field,
            kind,
            sub_filter,
            first: *first,
            second: *second,
            end,
            contents: self.hexadecimal_at(*span)?,
            date,
            permission,
            lock,
        })
    }

    /// The octets of a hexadecimal text, which stands in the file with its delimiters.
    fn hexadecimal_at(&self, (from, to): (u64, u64)) -> Result<Vec<u8>, PdfError> {
        let mut digits = vec![0; to.saturating_sub(from).saturating_sub(2) as usize];
        self.source.read_at(from + 1, &mut digits)?;
        octets_of(&digits)
    }

    /// `P` of a DocMDP transform (§12.8.2.2), and the fields of a FieldMDP transform (§12.8.2.4).
    fn transforms(&self, value: &Dictionary) -> Result<(Option<u64>, Lock), PdfError> {
        let references = self.resolve(value.get(&b"Reference"[..]).unwrap_or(&Object::Null), u64::MAX)?;
        let (mut permission, mut lock) = (None, Lock::None);
        for reference in references.array().unwrap_or_default().iter().take(16) {
            let reference = self.resolve(reference, u64::MAX)?;
            let Some(reference) = reference.dictionary() else { continue };
            let parameters = self.resolve(reference.get(&b"TransformParams"[..]).unwrap_or(&Object::Null), u64::MAX)?;
            let empty = Dictionary::new();
            let parameters = parameters.dictionary().unwrap_or(&empty);
            match reference.get(&b"TransformMethod"[..]).and_then(Object::name) {
                Some(b"DocMDP") => {
                    // Of several the strictest counts.
                    let given = parameters.get(&b"P"[..]).and_then(Object::integer).unwrap_or(2);
                    permission = Some(permission.map_or(given, |known: u64| known.min(given)));
                }
                Some(b"FieldMDP") => lock = self.lock(parameters)?,
                _ => {}
            }
        }
        Ok((permission, lock))
    }

    fn lock(&self, parameters: &Dictionary) -> Result<Lock, PdfError> {
        let fields = self.resolve(parameters.get(&b"Fields"[..]).unwrap_or(&Object::Null), u64::MAX)?;
        let names = fields.array().unwrap_or_default().iter().filter_map(|field| match field {
            Object::Text { bytes, .. } => Some(Ok(text(bytes))),
            Object::Long { .. } => Some(Err(PdfError::TooBig("the name of a form field"))),
            _ => None,
        });
        Ok(match parameters.get(&b"Action"[..]).and_then(Object::name) {
            Some(b"Include") => Lock::Fields(names.collect::<Result<_, _>>()?),
            Some(b"Exclude") => Lock::AllBut(names.collect::<Result<_, _>>()?),
            // What is not understood locks all of them.
            _ => Lock::AllBut(Vec::new()),
        })
    }

    /// Whether the catalog names this signature as the one that certifies the document (§12.8.6).
    pub fn is_certified_by(&self, signature: &Signature) -> Result<bool, PdfError> {
        let (_, catalog) = self.catalog(signature.end)?;
        let permissions = self.resolve(catalog.get(&b"Perms"[..]).unwrap_or(&Object::Null), signature.end)?;
        let named = permissions.dictionary().and_then(|p| p.get(&b"DocMDP"[..]));
        let Some(Object::Reference(named, _)) = named else { return Ok(false) };
        Ok(signature.number == Some(*named))
    }
}
