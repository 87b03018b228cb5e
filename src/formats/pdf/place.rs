//! A place for a signature, as an update after what is there (§7.5.6, §12.7.4.5, §12.8.1): no octet of the file changes.
//!
//! ```text
//!  file ── new line ── value: /ByteRange[…] /Contents<000…> ── field on the first page ── form ── catalog ── table
//!    └──────────── signed ─────────────┘            └ filled in ┘ └───────────── signed ──────────────────────────┘
//! ```
//! The table takes the form of the one before it: readers do not follow a plain table back to a stream.

use std::io::Write;

use super::PdfError;
use super::document::Document;
use super::lex::{Dictionary, Object};
use crate::formats::zip::Source;

/// Digits of an offset in ByteRange, filled up with blanks.
const DIGITS: usize = 10;
/// Deepest tree of pages walked down.
const DEPTH: usize = 64;

/// What a signature says of itself beside its value.
pub struct Labels<'a> {
    /// `ETSI.CAdES.detached` (EN 319 142-1 §6).
    pub sub_filter: &'a str,
    /// `D:20260213100000+08'00'`.
    pub date: &'a str,
    /// Who signed, as readers show it.
    pub name: &'a str,
    pub reason: Option<&'a str>,
}

/// What has to follow the file's octets, with a gap of zeros for the value.
pub struct Place {
    octets: Vec<u8>,
    /// Offsets in `octets` of `<` and of what follows `>`.
    gap: (usize, usize),
}

impl Place {
    /// The signed octets of the update, before and after the gap; the file's own come first.
    pub fn signed(&self) -> (&[u8], &[u8]) {
        (&self.octets[..self.gap.0], &self.octets[self.gap.1..])
    }

    /// The update with the value in its place.
    ///
    /// # Errors
    /// [`PdfError::TooBig`] when the value is longer than the place that was kept for it.
    pub fn fill(mut self, value: &[u8]) -> Result<Vec<u8>, PdfError> {
        let digits = crate::terms::digest::hex(value);
        let gap = &mut self.octets[self.gap.0 + 1..self.gap.1 - 1];
        gap.get_mut(..digits.len()).ok_or(PdfError::TooBig("a signature"))?.copy_from_slice(digits.as_bytes());
        Ok(self.octets)
    }
}

impl<S: Source> Document<S> {
    /// Makes room for a value of `room` octets.
    ///
    /// # Errors
    /// [`PdfError::Encrypted`]; [`PdfError::Signature`] when an earlier signature allows no change;
    /// [`PdfError::Structure`] for a document without pages, or with parts where nothing can be added.
    pub fn place(&self, labels: &Labels<'_>, room: usize) -> Result<Place, PdfError> {
        if self.sections.iter().any(|s| s.trailer.contains_key(&b"Encrypt"[..])) {
            return Err(PdfError::Encrypted);
        }
        let signatures = self.signatures()?;
        if signatures.iter().any(|s| s.permission == Some(1)) {
            return Err(PdfError::Signature("an earlier one allows no change"));
        }
        let newest = self.sections.first().ok_or(PdfError::Structure("no section"))?;
        let mut update = Update::after(self)?;
        let (value, field) = (update.number()?, update.number()?);
        let reference = |number: u32| Object::Reference(number, 0);

        let (mut page, page_at) = self.first_page()?;
        let mut widget = dictionary(&[
            ("FT", name("Sig")),
            ("Type", name("Annot")),
            ("Subtype", name("Widget")),
            ("Rect", Object::Array(vec![Object::Integer(0); 4])),
            ("F", Object::Integer(132)), // printed and locked
            ("V", reference(value)),
        ]);
        widget.insert(b"P".to_vec(), page_at.clone());
        let taken = |name: &str| signatures.iter().any(|s| s.field == name);
        let title = (1..).map(|n| format!("Signature{n}")).find(|name| !taken(name)).unwrap_or_default();
        widget.insert(b"T".to_vec(), text(&title));

        // Lists and dictionaries that are objects of their own are written anew, others with what holds them.
        match self.longer(page.get(&b"Annots"[..]), reference(field))? {
            (Some(at), list) => update.object(&at, &list)?,
            (None, list) => {
                page.insert(b"Annots".to_vec(), list);
                update.object(&page_at, &Object::Dictionary(page))?;
            }
        }
        let (_, mut catalog) = self.catalog(u64::MAX)?;
        let root = newest.trailer.get(&b"Root"[..]).cloned().ok_or(PdfError::Structure("no catalog"))?;
        let form_at = catalog.get(&b"AcroForm"[..]).cloned();
        let mut form = match self.resolve(form_at.as_ref().unwrap_or(&Object::Null), u64::MAX)?.into_owned() {
            Object::Dictionary(form) => form,
            Object::Null => Dictionary::new(),
            _ => return Err(PdfError::Structure("a form that is none")),
        };
        let mut form_changed = form.insert(b"SigFlags".to_vec(), Object::Integer(3)) != Some(Object::Integer(3));
        match self.longer(form.get(&b"Fields"[..]), reference(field))? {
            (Some(at), list) => update.object(&at, &list)?,
            (None, list) => {
                form.insert(b"Fields".to_vec(), list);
                form_changed = true;
            }
        }
        match form_at {
            Some(at @ Object::Reference(..)) if form_changed => update.object(&at, &Object::Dictionary(form))?,
            Some(Object::Reference(..)) => {}
            _ => {
                catalog.insert(b"AcroForm".to_vec(), Object::Dictionary(form));
                update.object(&root, &Object::Dictionary(catalog))?;
            }
        }
        update.object(&reference(field), &Object::Dictionary(widget))?;
        let (range, gap) = update.value(value, labels, room)?;
        update.table(newest.is_stream, newest.at, &newest.trailer)?;
        Ok(update.finish(range, gap))
    }

    /// A list with one part more, and the reference to it where it is an object of its own; `None` is an empty one.
    fn longer(&self, list: Option<&Object>, more: Object) -> Result<(Option<Object>, Object), PdfError> {
        let at = list.filter(|list| matches!(list, Object::Reference(..))).cloned();
        let mut parts = match self.resolve(list.unwrap_or(&Object::Null), u64::MAX)?.into_owned() {
            Object::Array(parts) => parts,
            Object::Null => Vec::new(),
            _ => return Err(PdfError::Structure("a list that is none")),
        };
        parts.push(more);
        Ok((at, Object::Array(parts)))
    }

    /// The first page and the reference to it.
    fn first_page(&self) -> Result<(Dictionary, Object), PdfError> {
        let none = PdfError::Structure("no page");
        let (_, catalog) = self.catalog(u64::MAX)?;
        let mut at = catalog.get(&b"Pages"[..]).cloned().ok_or(PdfError::Structure("no page"))?;
        for _ in 0..DEPTH {
            let Object::Dictionary(node) = self.resolve(&at, u64::MAX)?.into_owned() else { return Err(none) };
            let kids = self.resolve(node.get(&b"Kids"[..]).unwrap_or(&Object::Null), u64::MAX)?;
            let first = kids.array().map(|kids| kids.first().cloned());
            drop(kids);
            match first {
                None if matches!(at, Object::Reference(..)) => return Ok((node, at)),
                None | Some(None) => return Err(none),
                Some(Some(first)) => at = first,
            }
        }
        Err(PdfError::TooBig("pages"))
    }
}

/// An update being written.
struct Update {
    octets: Vec<u8>,
    before: u64,
    next: u32,
    /// Number, generation and place of each object.
    objects: Vec<(u32, u32, u64)>,
}

impl Update {
    fn after<S: Source>(document: &Document<S>) -> Result<Self, PdfError> {
        let mut last = [0];
        document.source.read_at(document.size - 1, &mut last)?;
        let octets = if last == *b"\n" { Vec::new() } else { b"\n".to_vec() };
        let known = document.sections.iter().filter_map(|s| s.entries.highest());
        let sizes = document.sections.iter().filter_map(|s| s.trailer.get(&b"Size"[..])?.integer());
        let sizes = sizes.filter_map(|size| u32::try_from(size.saturating_sub(1)).ok());
        let highest = known.chain(sizes).max().unwrap_or(0);
        let next = highest.checked_add(1).ok_or(PdfError::TooBig("objects"))?;
        Ok(Self { octets, before: document.size, next, objects: Vec::new() })
    }

    fn number(&mut self) -> Result<u32, PdfError> {
        let number = self.next;
        self.next = number.checked_add(1).ok_or(PdfError::TooBig("objects"))?;
        Ok(number)
    }

    fn here(&self) -> u64 {
        self.before + self.octets.len() as u64
    }

    fn begin(&mut self, number: u32, generation: u32) {
        self.objects.push((number, generation, self.here()));
        let _ = writeln!(self.octets, "{number} {generation} obj");
    }

    fn object(&mut self, at: &Object, object: &Object) -> Result<(), PdfError> {
        let Object::Reference(number, generation) = at else { return Err(PdfError::Structure("no reference")) };
        if object.has_long() {
            return Err(PdfError::TooBig("a text of an object that is written anew"));
        }
        self.begin(*number, *generation);
        put(&mut self.octets, object);
        self.octets.extend_from_slice(b"\nendobj\n");
        Ok(())
    }

    /// The value's dictionary; gives where ByteRange's numbers and the contents stand.
    fn value(&mut self, number: u32, labels: &Labels<'_>, room: usize) -> Result<(usize, (usize, usize)), PdfError> {
        self.begin(number, 0);
        let mut head = vec![
            ("Type", name("Sig")),
            ("Filter", name("Adobe.PPKLite")),
            ("SubFilter", name(labels.sub_filter)),
            ("M", text(labels.date)),
            ("Name", text(labels.name)),
        ];
        head.extend(labels.reason.map(|reason| ("Reason", text(reason))));
        self.octets.extend_from_slice(b"<<");
        for (key, object) in head {
            put(&mut self.octets, &name(key));
            put(&mut self.octets, &object);
        }
        self.octets.extend_from_slice(b"/ByteRange[");
        let range = self.octets.len();
        self.octets.extend(std::iter::repeat_n(b' ', 4 * (DIGITS + 1)));
        self.octets.extend_from_slice(b"]/Contents");
        let from = self.octets.len();
        self.octets.push(b'<');
        self.octets.extend(std::iter::repeat_n(b'0', room * 2));
        self.octets.push(b'>');
        let to = self.octets.len();
        self.octets.extend_from_slice(b">>\nendobj\n");
        Ok((range, (from, to)))
    }

    fn table(&mut self, as_stream: bool, previous: u64, before: &Dictionary) -> Result<(), PdfError> {
        let previous = i64::try_from(previous).map_err(|_| PdfError::TooBig("the file"))?;
        let mut trailer: Dictionary = before.clone();
        trailer.retain(|key, _| [&b"Root"[..], b"Info", b"ID"].contains(&key.as_slice()));
        trailer.insert(b"Prev".to_vec(), Object::Integer(previous));
        let start = self.here();
        if as_stream {
            let number = self.number()?;
            self.objects.push((number, 0, start));
            self.objects.sort_unstable();
            let index = self.objects.iter().flat_map(|(n, ..)| [Object::Integer(i64::from(*n)), Object::Integer(1)]);
            let index = Object::Array(index.collect());
            let widths = Object::Array([1, 8, 2].map(Object::Integer).to_vec());
            let length = Object::Integer(self.objects.len() as i64 * 11);
            for (key, object) in [("Type", name("XRef")), ("Index", index), ("W", widths), ("Length", length)] {
                trailer.insert(key.into(), object);
            }
            trailer.insert(b"Size".to_vec(), Object::Integer(i64::from(self.next)));
            let _ = writeln!(self.octets, "{number} 0 obj");
            put(&mut self.octets, &Object::Dictionary(trailer));
            self.octets.extend_from_slice(b"\nstream\n");
            for (_, generation, place) in &self.objects {
                self.octets.push(1);
                self.octets.extend_from_slice(&place.to_be_bytes());
                self.octets.extend_from_slice(&(*generation as u16).to_be_bytes());
            }
            self.octets.extend_from_slice(b"\nendstream\nendobj\n");
        } else {
            self.objects.sort_unstable();
            self.octets.extend_from_slice(b"xref\n");
            for (number, generation, place) in &self.objects {
                let _ = write!(self.octets, "{number} 1\n{place:010} {generation:05} n\r\n");
            }
            trailer.insert(b"Size".to_vec(), Object::Integer(i64::from(self.next)));
            self.octets.extend_from_slice(b"trailer\n");
            put(&mut self.octets, &Object::Dictionary(trailer));
            self.octets.push(b'\n');
        }
        let _ = write!(self.octets, "startxref\n{start}\n%%EOF\n");
        if self.here() >= 10u64.pow(DIGITS as u32) {
            return Err(PdfError::TooBig("the file"));
        }
        Ok(())
    }

    fn finish(mut self, range: usize, gap: (usize, usize)) -> Place {
        let at = |offset: usize| self.before + offset as u64;
        let numbers = format!("0 {} {} {}", at(gap.0), at(gap.1), self.octets.len() - gap.1);
        self.octets[range..range + numbers.len()].copy_from_slice(numbers.as_bytes());
        Place { octets: self.octets, gap }
    }
}

fn dictionary(parts: &[(&str, Object)]) -> Dictionary {
    parts.iter().map(|(key, object)| (key.as_bytes().to_vec(), object.clone())).collect()
}

fn name(text: &str) -> Object {
    Object::Name(text.as_bytes().to_vec())
}

/// ASCII as it is, anything else in UTF-16 (§7.9.2.2).
fn text(text: &str) -> Object {
    let bytes = match text.is_ascii() {
        true => text.as_bytes().to_vec(),
        false => [0xfe, 0xff].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect(),
    };
    Object::Text { bytes, span: (0, 0), hex: true }
}

/// Writes an object so that any reader reads it as it was.
fn put(out: &mut Vec<u8>, object: &Object) {
    let _ = match object {
        Object::Null => out.write_all(b" null"),
        Object::Bool(is) => write!(out, " {is}"),
        Object::Integer(n) => write!(out, " {n}"),
        Object::Real(digits) => write!(out, " {digits}"),
        Object::Reference(number, generation) => write!(out, " {number} {generation} R"),
        Object::Name(bytes) => {
            out.push(b'/');
            for b in bytes {
                let _ = match b {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'+' | b':' => out.write_all(&[*b]),
                    other => write!(out, "#{other:02X}"),
                };
            }
            Ok(())
        }
        Object::Long { .. } => Ok(()), // refused before
        Object::Text { bytes, .. } => write!(out, "<{}>", crate::terms::digest::hex(bytes)),
        Object::Array(parts) => {
            out.push(b'[');
            parts.iter().for_each(|part| put(out, part));
            out.write_all(b"]")
        }
        Object::Dictionary(parts) => {
            out.extend_from_slice(b"<<");
            for (key, part) in parts {
                put(out, &Object::Name(key.clone()));
                put(out, part);
            }
            out.write_all(b">>")
        }
    };
}
