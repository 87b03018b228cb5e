//! What was changed after a document was signed (§12.8.2): nothing, validation data, further signatures, or something else.
//!
//! ```text
//!  sections after the signed octets ─▶ every object they define
//!        new:     referred to by nothing that was signed
//!        changed: catalog, form, page, list or empty field, and only by what a further signature needs;
//!                 other fields by what was filled in
//! ```
//! Whatever is not known to be harmless is a change.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::PdfError;
use super::document::Document;
use super::form::{Field, references};
use super::kinds::{alike, all_alike, has_only_store_keys, is_signature_widget, is_stamp, is_store, same};
use super::lex::{Dictionary, Object, is_blank};
use super::store::OCTETS;
use super::table::Entry;
use crate::formats::der::{only, tag};
use crate::formats::zip::Source;

/// Most signed objects looked through for references, for all signatures of a document together: half a million of them,
/// as a book of some thousand pages has.
pub(super) const LOOKED_THROUGH: usize = 500_000;

/// What was added after the octets of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    None,
    /// Certificates and status only, for later (a document security store): nothing that a reader shows.
    ValidationData,
    /// Nothing that a reader shows: when it was last written and by which program, objects that nothing refers to; validation data as well.
    Unshown,
    /// Time-stamps over the document, and validation data: no change either (ISO 32000-2 §12.8.2.2).
    Stamps,
    /// Further signatures with the fields they need, and nothing else: each is in the list of signatures.
    Signatures,
    /// Form fields, by their full names, were filled in; there may be further signatures as well.
    Filled(Vec<String>),
    Other(&'static str),
}

/// The form of a signed revision.
struct Form {
    fields: HashMap<u32, Field>,
    /// Pictures that nothing but a field shows, and the field.
    pictures: HashMap<u32, u32>,
}

/// What signed objects refer to, of the numbers asked for.
#[derive(Default)]
struct Referred {
    anywhere: HashSet<u32>,
    /// As the picture of a field to be filled in, and the field's number.
    as_picture: HashMap<u32, u32>,
}

/// Largest picture that a further signature may put on a page, in square points: a quarter of an A4 page. What is larger hides what
/// was signed, whoever answers for it.
const PICTURE_MAX: f64 = 125_000.0;

impl<S: Source> Document<S> {
    /// What was added after a signed revision.
    pub fn update_after(&self, end: u64) -> Result<Update, PdfError> {
        let plain = end == self.size || self.ends_plainly()?;
        if plain && self.is_blank_from(end)? {
            return Ok(Update::None);
        }
        let Some(signed) = self.sections.iter().position(|s| s.at < end) else {
            return Ok(Update::Other("the signed revision is not part of the file's history"));
        };
        // The history must go through the revision that was signed, and not around it.
        if self.startxref(end).ok() != Some(self.sections[signed].at) {
            return Ok(Update::Other("the signed revision is not part of the file's history"));
        }
        if signed == 0 || !plain {
            return Ok(Update::Other("octets after the end"));
        }
        if let Some(why) = self.repaired(signed, end)? {
            return Ok(Update::Other(why));
        }
        let ((number, before), (now_number, now)) = (self.catalog(end)?, self.catalog(u64::MAX)?);
        if number != now_number {
            return Ok(Update::Other("the catalog was changed"));
        }
        let later = self.sections[..signed].iter().flat_map(|s| s.entries.numbers());
        let later = in_order(later.filter(|n| *n != number));
        // A page may refer to an object that is only made later, as a way to change it unseen.
        let store = match before.get(&b"DSS"[..]) {
            Some(Object::Reference(store, _)) => Some(*store),
            _ => None,
        };
        let asked = in_order(later.iter().copied().chain(store));
        let fields = self.fields_to_fill(end)?;
        let Some(Referred { anywhere: referred, as_picture: mut pictures }) =
            self.references_before(number, end, &asked, &fields)?
        else {
            return Ok(Update::Other("more objects than are looked through"));
        };
        if later.iter().any(|n| self.is_new(*n, end) && (referred.contains(n) || pictures.contains_key(n))) {
            return Ok(Update::Other("an object was added where one was missing"));
        }
        // The store is what the catalog alone calls one: a dictionary that a page uses as well could draw with it.
        let store = store.filter(|store| !referred.contains(store));
        // What the store does not name is none of its data; an update may also have nothing in it at all.
        let stored = !same(&before, &now, &[b"Extensions"]) || store.is_some_and(|store| later.contains(&store));
        if stored && same(&before, &now, &[b"DSS", b"Extensions"]) && self.are_validation_data(&later, store, end)? {
            return Ok(Update::ValidationData);
        }
        pictures.retain(|n, _| !referred.contains(n));
        let (form, mut filled) = (Form { fields, pictures }, BTreeSet::new());
        match self.changes(&later, store, &form, &mut filled, end)? {
            Some(why) => Ok(Update::Other(why)),
            None if !self.catalog_may(&before, &now, end)? => Ok(Update::Other("the catalog was changed")),
            None if !filled.is_empty() => Ok(Update::Filled(filled.into_iter().collect())),
            None => self.signed_again(&later),
        }
    }

    /// Whether there are signatures, or fields for them, among what was added, and whether all of these are time-stamps of the document.
    fn signed_again(&self, later: &[u32]) -> Result<Update, PdfError> {
        let mut found = Update::Unshown;
        for n in later {
            let object = self.object(*n, u64::MAX)?.0;
            let Some(object) = object.dictionary() else { continue };
            let stamp = if object.get(&b"FT"[..]).and_then(Object::name) == Some(b"Sig") {
                let value = self.resolve(object.get(&b"V"[..]).unwrap_or(&Object::Null), u64::MAX)?;
                value.dictionary().is_some_and(is_stamp)
            } else if object.contains_key(&b"ByteRange"[..]) {
                is_stamp(object)
            } else {
                continue;
            };
            if !stamp {
                return Ok(Update::Signatures);
            }
            found = Update::Stamps;
        }
        Ok(found)
    }

    pub(super) fn is_new(&self, number: u32, end: u64) -> bool {
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

    /// Why the objects are more than a further signature needs, or than is filled into fields; none if they are not.
    fn changes(
        &self,
        later: &[u32],
        store: Option<u32>,
        form: &Form,
        filled: &mut BTreeSet<String>,
        end: u64,
    ) -> Result<Option<&'static str>, PdfError> {
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
                (Object::Dictionary(old), Object::Dictionary(new)) => match form.filled(self, *n, old, new, end) {
                    Some(name) => {
                        filled.insert(name.to_owned());
                        true
                    }
                    None => self.dictionary_may(old, new, end)?,
                },
                (Object::Array(old), Object::Array(new)) => self.list_may(old, new, end)?,
                (old, new) => alike(old, new),
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
        let form = |catalog| Dictionary::get(catalog, &b"AcroForm"[..]).unwrap_or(&Object::Null);
        let (old, new) = (self.resolve(form(old), end)?, self.resolve(form(new), u64::MAX)?);
        let none = Dictionary::new();
        self.form_may(old.dictionary().unwrap_or(&none), new.dictionary().unwrap_or(&none), end)
    }

    fn form_may(&self, old: &Dictionary, new: &Dictionary, end: u64) -> Result<bool, PdfError> {
        const MAY_DIFFER: [&[u8]; 3] = [b"Fields", b"SigFlags", b"NeedAppearances"];
        // Left out it means no (§12.7.2).
        let no = |form: &Dictionary| form.get(&b"NeedAppearances"[..]).is_none_or(|says| *says == Object::Bool(false));
        let but = if no(old) && no(new) { &MAY_DIFFER[..] } else { &MAY_DIFFER[..2] };
        Ok(same(old, new, but) && self.lists_may(old, new, b"Fields", end)?)
    }

    fn lists_may(&self, old: &Dictionary, new: &Dictionary, key: &[u8], end: u64) -> Result<bool, PdfError> {
        let old = self.resolve(old.get(key).unwrap_or(&Object::Null), end)?;
        let new = self.resolve(new.get(key).unwrap_or(&Object::Null), u64::MAX)?;
        self.list_may(old.array().unwrap_or_default(), new.array().unwrap_or_default(), end)
    }

    /// Whether a list was only made longer, by fields of further signatures.
    fn list_may(&self, old: &[Object], new: &[Object], end: u64) -> Result<bool, PdfError> {
        let Some((kept, added)) = new.split_at_checked(old.len()) else { return Ok(false) };
        if !all_alike(kept, old) {
            return Ok(false);
        }
        for field in added {
            let Object::Reference(number, _) = field else { return Ok(false) };
            let field = self.object(*number, u64::MAX)?.0;
            let Some(field) = field.dictionary().filter(|_| self.is_new(*number, end)) else { return Ok(false) };
            let small = self.size_of(field)?.is_some_and(|size| size <= PICTURE_MAX);
            if !is_signature_widget(field) || !small || !self.shows_only_a_signature(field, end)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How much of the page a field takes, in square points; none for a place that cannot be read.
    fn size_of(&self, field: &Dictionary) -> Result<Option<f64>, PdfError> {
        let number = |object: &Object| match object {
            Object::Integer(n) => Some(*n as f64),
            Object::Real(digits) => digits.parse::<f64>().ok().filter(|n| n.is_finite()),
            _ => None,
        };
        let rect = self.resolve(field.get(&b"Rect"[..]).unwrap_or(&Object::Null), u64::MAX)?;
        let sides = match rect.array() {
            None if !field.contains_key(&b"AP"[..]) => return Ok(Some(0.0)),
            Some(sides) => sides.iter().map(number).collect::<Option<Vec<f64>>>(),
            None => None,
        };
        Ok(match sides.as_deref() {
            Some([a, b, c, d]) => Some(((c - a) * (d - b)).abs()),
            _ => None,
        })
    }

    /// Whether a field shows nothing, or stands for a signature that somebody answers for: a picture on the page with a
    /// time-stamp behind it, which anybody can have, or with nothing, is a change of the page.
    fn shows_only_a_signature(&self, field: &Dictionary, end: u64) -> Result<bool, PdfError> {
        // Only what is new and in the list of signatures has somebody who answers for the picture: what stands in a widget that the form
        // does not know is read by nobody, and the signature of somebody else stands for what that one signed.
        let value = field.get(&b"V"[..]).unwrap_or(&Object::Null);
        let answered = match value {
            Object::Reference(number, _) => self.is_new(*number, end) && self.signature_numbers()?.contains(number),
            _ => false,
        };
        let value = self.resolve(value, u64::MAX)?;
        let signed = value.dictionary().is_some_and(|v| v.contains_key(&b"ByteRange"[..]) && !is_stamp(v));
        Ok(self.size_of(field)? == Some(0.0) || signed && answered)
    }

    /// Which of the numbers asked for signed objects refer to, but for the store that the catalog names; none when there are too
    /// many to look through.
    fn references_before(
        &self,
        catalog: u32,
        end: u64,
        asked: &[u32],
        fields: &HashMap<u32, Field>,
    ) -> Result<Option<Referred>, PdfError> {
        let signed = self.sections.iter().filter(|s| s.at < end);
        let numbers = in_order(signed.flat_map(|s| s.entries.numbers()));
        let Some(left) = self.to_look_through.get().checked_sub(numbers.len()) else { return Ok(None) };
        self.to_look_through.set(left);
        // In the order of places: each object stream is unpacked once.
        let place = |n| match self.entry(n, end) {
            Some(Entry::Packed(stream, index)) => (u64::from(stream), index, n),
            Some(Entry::At(at)) => (at, 0, n),
            Some(Entry::Free) | None => (0, 0, n),
        };
        let mut places: Vec<_> = numbers.into_iter().map(place).collect();
        places.sort_unstable();
        let mut out = Referred::default();
        for (_, _, n) in places {
            let object = self.object(n, end)?.0;
            let mut met = |number: u32| {
                if asked.binary_search(&number).is_ok() {
                    out.anywhere.insert(number);
                }
            };
            let Some(all) = object.dictionary().filter(|_| n == catalog || fields.get(&n).is_some_and(|f| f.is_text))
            else {
                references(&object, &mut met);
                continue;
            };
            let apart: &[u8] = if n == catalog { b"DSS" } else { b"AP" };
            all.iter().filter(|(key, _)| *key != apart).for_each(|(_, value)| references(value, &mut met));
            if let Some(picture) = all.get(apart).filter(|_| n != catalog) {
                references(picture, &mut |number| {
                    if asked.binary_search(&number).is_ok()
                        && out.as_picture.insert(number, n).is_some_and(|other| other != n)
                    {
                        out.anywhere.insert(number); // of two fields
                    }
                });
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
        Ok(self.stream_at(at, OCTETS).is_ok_and(|(_, _, octets)| only(&octets).is_ok_and(|e| e.tag == tag::SEQUENCE)))
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

/// Each number once, in order.
fn in_order(numbers: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut all: Vec<u32> = numbers.collect();
    all.sort_unstable();
    all.dedup();
    all
}

impl Form {
    /// The field that an object fills in, if that is all it does: the field itself, or the picture of its text.
    fn filled<S: Source>(
        &self,
        document: &Document<S>,
        number: u32,
        old: &Dictionary,
        new: &Dictionary,
        end: u64,
    ) -> Option<&str> {
        let is_form = |object: &Dictionary| object.get(&b"Subtype"[..]).and_then(Object::name) == Some(b"Form");
        if let Some(field) = self.pictures.get(&number).and_then(|field| self.fields.get(field)) {
            return Some(field.name.as_str()).filter(|_| is_form(old) && is_form(new));
        }
        let field = self.fields.get(&number)?;
        let differs = !same(old, new, &[]) && document.was_filled(field, old, new, end);
        differs.then_some(field.name.as_str())
    }
}
