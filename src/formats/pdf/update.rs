//! What was changed after a document was signed (§12.8.2): nothing, validation data, further signatures, or something else.
//!
//! ```text
//!  sections after the signed octets ─▶ every object they define
//!        new:     referred to by nothing that was signed
//!        changed: catalog, form, page, list or empty field, and only by what a further signature needs
//! ```
//! Whatever is not known to be harmless is a change.

use std::collections::{BTreeSet, HashSet};

use super::PdfError;
use super::document::{Document, Entry};
use super::lex::{Dictionary, Object, is_blank};
use crate::formats::der::{only, tag};
use crate::formats::zip::Source;

/// Most signed objects looked through for references, for all signatures of a document together: half a million of them,
/// as a book of some thousand pages has.
pub(super) const LOOKED_THROUGH: usize = 500_000;

/// What was added after the octets of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    None,
    /// Certificates and status only, for later (a document security store): nothing that a reader shows.
    ValidationData,
    /// Further signatures with the fields they need, and nothing else: each is in the list of signatures.
    Signatures,
    Other(&'static str),
}

impl<S: Source> Document<S> {
    /// What was added after a signed revision.
    pub fn update_after(&self, end: u64) -> Result<Update, PdfError> {
        if self.is_blank_from(end)? {
            return Ok(Update::None);
        }
        let Some(signed) = self.sections.iter().position(|s| s.at < end) else {
            return Ok(Update::Other("the signed revision is not part of the file's history"));
        };
        // The history must go through the revision that was signed, and not around it.
        if self.startxref(end).ok() != Some(self.sections[signed].at) {
            return Ok(Update::Other("the signed revision is not part of the file's history"));
        }
        if signed == 0 {
            return Ok(Update::Other("octets after the end"));
        }
        let ((number, before), (now_number, now)) = (self.catalog(end)?, self.catalog(u64::MAX)?);
        if number != now_number {
            return Ok(Update::Other("the catalog was changed"));
        }
        let later: BTreeSet<u32> = self.sections[..signed].iter().flat_map(|s| s.entries.keys().copied()).collect();
        let later: Vec<u32> = later.into_iter().filter(|n| *n != number).collect();
        // A page may refer to an object that is only made later, as a way to change it unseen.
        let store = match before.get(&b"DSS"[..]) {
            Some(Object::Reference(store, _)) => Some(*store),
            _ => None,
        };
        let asked: HashSet<u32> = later.iter().copied().chain(store).collect();
        let Some(referred) = self.references_before(number, end, &asked)? else {
            return Ok(Update::Other("more objects than are looked through"));
        };
        if later.iter().any(|n| self.is_new(*n, end) && referred.contains(n)) {
            return Ok(Update::Other("an object was added where one was missing"));
        }
        // The store is what the catalog alone calls one: a dictionary that a page uses as well could draw with it.
        let store = store.filter(|store| !referred.contains(store));
        if same(&before, &now, &[b"DSS", b"Extensions"]) && self.are_validation_data(&later, store, end)? {
            return Ok(Update::ValidationData);
        }
        match self.changes(&later, store, end)? {
            Some(why) => Ok(Update::Other(why)),
            None if self.catalog_may(&before, &now, end)? => Ok(Update::Signatures),
            None => Ok(Update::Other("the catalog was changed")),
        }
    }

    fn is_new(&self, number: u32, end: u64) -> bool {
        matches!(self.entry(number, end), None | Some(Entry::Free))
    }

    fn are_validation_data(&self, later: &[u32], store: Option<u32>, end: u64) -> Result<bool, PdfError> {
        for n in later {
            let harmless = if self.is_new(*n, end) {
                self.is_validation_data(*n)?
            } else {
                store == Some(*n) && is_store(&self.object(*n, end)?.0) && is_store(&self.object(*n, u64::MAX)?.0)
            };
            if !harmless {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Why the objects are more than a further signature needs; none if they are not.
    fn changes(&self, later: &[u32], store: Option<u32>, end: u64) -> Result<Option<&'static str>, PdfError> {
        let info = self.sections.iter().find(|s| s.at < end).and_then(|s| s.trailer.get(&b"Info"[..]));
        for n in later {
            if self.is_new(*n, end) {
                continue;
            }
            if info.is_some_and(|info| matches!(info, Object::Reference(i, _) if i == n)) {
                continue; // title, program and dates of the file
            }
            let (old, new) = (self.object(*n, end)?.0, self.object(*n, u64::MAX)?.0);
            let may = match (&old, &new) {
                // The next one to sign or to stamp adds to the store that is there.
                (old, new) if store == Some(*n) && is_store(old) && is_store(new) => true,
                (Object::Dictionary(old), Object::Dictionary(new)) => self.dictionary_may(old, new, end)?,
                (Object::Array(old), Object::Array(new)) => self.list_may(old, new, end)?,
                (old, new) => plain(old) == plain(new),
            };
            if !may {
                return Ok(Some("objects were changed"));
            }
        }
        Ok(None)
    }

    fn dictionary_may(&self, old: &Dictionary, new: &Dictionary, end: u64) -> Result<bool, PdfError> {
        let kind = old.get(&b"Type"[..]).and_then(Object::name);
        if old.contains_key(&b"Length"[..]) || new.contains_key(&b"Length"[..]) {
            // The octets of a stream are not compared; only descriptions of the file may be written anew.
            return Ok(kind == Some(b"Metadata") && new.get(&b"Type"[..]) == old.get(&b"Type"[..]));
        }
        let is_field = old.get(&b"FT"[..]).and_then(Object::name) == Some(b"Sig");
        if is_field && !old.contains_key(&b"V"[..]) && same(old, new, &[b"V", b"AP", b"M"]) {
            return self.shows_only_a_signature(new, end);
        }
        if kind == Some(b"Page") && same(old, new, &[b"Annots"]) {
            return self.lists_may(old, new, b"Annots", end);
        }
        if old.contains_key(&b"Fields"[..]) {
            return self.form_may(old, new, end);
        }
        Ok(same(old, new, &[]))
    }

    fn catalog_may(&self, old: &Dictionary, new: &Dictionary, end: u64) -> Result<bool, PdfError> {
        // Signers note what they used of newer versions, and when they wrote: none of it is shown.
        if !same(old, new, &[b"DSS", b"Extensions", b"AcroForm", b"Version", b"Metadata"]) {
            return Ok(false);
        }
        let form = |catalog: &Dictionary, before| {
            let form = self.resolve(catalog.get(&b"AcroForm"[..]).unwrap_or(&Object::Null), before)?;
            Ok::<_, PdfError>(form.dictionary().cloned().unwrap_or_default())
        };
        self.form_may(&form(old, end)?, &form(new, u64::MAX)?, end)
    }

    fn form_may(&self, old: &Dictionary, new: &Dictionary, end: u64) -> Result<bool, PdfError> {
        Ok(same(old, new, &[b"Fields", b"SigFlags"]) && self.lists_may(old, new, b"Fields", end)?)
    }

    fn lists_may(&self, old: &Dictionary, new: &Dictionary, key: &[u8], end: u64) -> Result<bool, PdfError> {
        let old = self.resolve(old.get(key).unwrap_or(&Object::Null), end)?;
        let new = self.resolve(new.get(key).unwrap_or(&Object::Null), u64::MAX)?;
        self.list_may(old.array().unwrap_or_default(), new.array().unwrap_or_default(), end)
    }

    /// Whether a list was only made longer, by fields of further signatures.
    fn list_may(&self, old: &[Object], new: &[Object], end: u64) -> Result<bool, PdfError> {
        let Some((kept, added)) = new.split_at_checked(old.len()) else { return Ok(false) };
        if !kept.iter().map(plain).eq(old.iter().map(plain)) {
            return Ok(false);
        }
        for field in added {
            let Object::Reference(number, _) = field else { return Ok(false) };
            let field = self.object(*number, u64::MAX)?.0;
            let Some(field) = field.dictionary().filter(|_| self.is_new(*number, end)) else { return Ok(false) };
            if !is_signature_widget(field) || !self.shows_only_a_signature(field, end)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a field shows nothing, or stands for a signature that somebody answers for: a picture on the page with a
    /// time-stamp behind it, which anybody can have, or with nothing, is a change of the page.
    fn shows_only_a_signature(&self, field: &Dictionary, end: u64) -> Result<bool, PdfError> {
        let rect = self.resolve(field.get(&b"Rect"[..]).unwrap_or(&Object::Null), u64::MAX)?;
        let flat = match rect.array() {
            None => !field.contains_key(&b"AP"[..]),
            Some([Object::Integer(a), Object::Integer(b), Object::Integer(c), Object::Integer(d)]) => a == c || b == d,
            Some(_) => false,
        };
        // Only what is new and in the list of signatures has somebody who answers for the picture: what stands in a widget that the form
        // does not know is read by nobody, and the signature of somebody else stands for what that one signed.
        let value = field.get(&b"V"[..]).unwrap_or(&Object::Null);
        let answered = match value {
            Object::Reference(number, _) => self.is_new(*number, end) && self.signature_numbers()?.contains(number),
            _ => false,
        };
        let value = self.resolve(value, u64::MAX)?;
        let name = |key: &[u8]| value.dictionary().and_then(|v| v.get(key)).and_then(Object::name);
        let signed = value.dictionary().is_some_and(|v| v.contains_key(&b"ByteRange"[..]));
        let stamp = name(b"Type") == Some(b"DocTimeStamp") || name(b"SubFilter") == Some(b"ETSI.RFC3161");
        Ok(flat || signed && answered && !stamp)
    }

    /// Which of the numbers asked for signed objects refer to, but for the store that the catalog names; none when there are too
    /// many to look through.
    fn references_before(
        &self,
        catalog: u32,
        end: u64,
        asked: &HashSet<u32>,
    ) -> Result<Option<HashSet<u32>>, PdfError> {
        let signed = self.sections.iter().filter(|s| s.at < end);
        let numbers: BTreeSet<u32> = signed.flat_map(|s| s.entries.keys().copied()).collect();
        let Some(left) = self.to_look_through.get().checked_sub(numbers.len()) else { return Ok(None) };
        self.to_look_through.set(left);
        // In the order of places: each object stream is unpacked once.
        let place = |n: &u32| match self.entry(*n, end) {
            Some(Entry::Packed(stream, index)) => (u64::from(stream), index),
            Some(Entry::At(at)) => (at, 0),
            Some(Entry::Free) | None => (0, 0),
        };
        let mut numbers: Vec<u32> = numbers.into_iter().collect();
        numbers.sort_by_cached_key(place);
        let mut out = HashSet::new();
        let mut met = |number| {
            if asked.contains(&number) {
                out.insert(number);
            }
        };
        for n in numbers {
            let object = self.object(n, end)?.0;
            match object.dictionary().filter(|_| n == catalog) {
                Some(all) => {
                    all.iter().filter(|(key, _)| *key != b"DSS").for_each(|(_, value)| references(value, &mut met));
                }
                None => references(&object, &mut met),
            }
        }
        Ok(Some(out))
    }

    /// Whether an object is part of a document security store (ETSI EN 319 142-1 §5.4.2), or a table of the file itself.
    fn is_validation_data(&self, number: u32) -> Result<bool, PdfError> {
        let object = match self.object(number, u64::MAX)?.0 {
            Object::Null => return Ok(true),
            Object::Array(all) => return Ok(all.iter().all(|o| matches!(o, Object::Reference(..)))),
            Object::Dictionary(object) => object,
            _ => return Ok(false),
        };
        if matches!(object.get(&b"Type"[..]).and_then(Object::name), Some(b"XRef" | b"ObjStm")) {
            return Ok(true);
        }
        let Some(Entry::At(at)) = self.entry(number, u64::MAX).filter(|_| object.contains_key(&b"Length"[..])) else {
            return Ok(has_only_store_keys(&object));
        };
        // Certificates, lists and answers are DER, and nothing a page could draw.
        Ok(self.stream_at(at).is_ok_and(|(_, _, octets)| only(&octets).is_ok_and(|e| e.tag == tag::SEQUENCE)))
    }

    fn is_blank_from(&self, from: u64) -> Result<bool, PdfError> {
        let (mut at, mut piece) = (from, vec![0; 4 << 10]);
        while at < self.size {
            let n = (self.size - at).min(piece.len() as u64) as usize;
            self.source.read_at(at, &mut piece[..n])?;
            if !piece[..n].iter().all(|b| is_blank(*b)) {
                return Ok(false);
            }
            at += n as u64;
        }
        Ok(true)
    }
}

/// Whether it has no keys but those of a store, its list of signatures, and what is kept for one of them.
fn has_only_store_keys(object: &Dictionary) -> bool {
    const KEYS: [&[u8]; 11] =
        [b"Type", b"VRI", b"Certs", b"OCSPs", b"CRLs", b"Cert", b"OCSP", b"CRL", b"TU", b"TS", b"Length"];
    // Entries of a VRI are named by the digest of what they are about.
    let digest = |key: &[u8]| key.len() == 40 && key.iter().all(u8::is_ascii_hexdigit);
    object.keys().all(|key| KEYS.contains(&key.as_slice()) || digest(key))
}

/// Whether it is the widget of a signature field, with nothing that another annotation shows, opens or runs (§12.5.6.19, §12.7.5.5).
fn is_signature_widget(field: &Dictionary) -> bool {
    const KEYS: [&[u8]; 20] = [
        b"Type",
        b"Subtype",
        b"FT",
        b"T",
        b"TU",
        b"TM",
        b"V",
        b"F",
        b"Ff",
        b"P",
        b"Rect",
        b"AP",
        b"M",
        b"DA",
        b"DR",
        b"Q",
        b"Lock",
        b"SV",
        b"MK",
        b"StructParent",
    ];
    let name = |key: &[u8]| field.get(key).map(Object::name);
    name(b"FT") == Some(Some(b"Sig"))
        && name(b"Subtype").is_none_or(|subtype| subtype == Some(b"Widget"))
        && name(b"Type").is_none_or(|kind| kind == Some(b"Annot"))
        && field.keys().all(|key| KEYS.contains(&key.as_slice()))
}

/// Whether what the catalog calls a store (`/Type` is optional) holds nothing else.
fn is_store(object: &Object) -> bool {
    object.dictionary().is_some_and(|object| {
        let kind = object.get(&b"Type"[..]).and_then(Object::name);
        kind.is_none_or(|kind| kind == b"DSS") && !object.contains_key(&b"Length"[..]) && has_only_store_keys(object)
    })
}

fn references(object: &Object, met: &mut dyn FnMut(u32)) {
    match object {
        Object::Reference(number, _) => met(*number),
        Object::Array(all) => all.iter().for_each(|o| references(o, met)),
        Object::Dictionary(all) => all.values().for_each(|o| references(o, met)),
        _ => {}
    }
}

/// Whether two dictionaries are the same but for some keys.
fn same(old: &Dictionary, new: &Dictionary, but: &[&[u8]]) -> bool {
    let kept = |all: &Dictionary| {
        let kept = all.iter().filter(|(key, _)| !but.contains(&key.as_slice()));
        kept.map(|(key, value)| (key.clone(), plain(value))).collect::<Vec<_>>()
    };
    kept(old) == kept(new)
}

/// Without the places where texts stand: those differ between revisions.
fn plain(object: &Object) -> Object {
    match object {
        Object::Text { bytes, .. } => Object::Text { bytes: bytes.clone(), span: (0, 0), hex: false },
        Object::Array(all) => Object::Array(all.iter().map(plain).collect()),
        Object::Dictionary(all) => Object::Dictionary(all.iter().map(|(k, v)| (k.clone(), plain(v))).collect()),
        other => other.clone(),
    }
}
