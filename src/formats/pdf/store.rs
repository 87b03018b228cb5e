//! The document security store: certificates and status for later (ISO 32000-2 §12.8.4.3, ETSI EN 319 142-1 §5.4.2).
//!
//! ```text
//!  catalog ─▶ DSS ─┬─ Certs, CRLs, OCSPs ─▶ streams of DER
//!                  └─ VRI ─▶ by signature: Cert, CRL, OCSP ─▶ mostly the same streams once more
//! ```
//! No signature covers it, and none of it is trusted: whoever uses it verifies each part. What is broken in it is left out;
//! what is too much is left out and told.

use std::collections::HashSet;

use super::PdfError;
use super::document::Document;
use super::lex::{Dictionary, Object};
use super::table::Entry;
use crate::formats::zip::Source;

/// Most streams read, and octets of all of them together: lists of large authorities have some megabytes.
const STREAMS: usize = 256;
pub(super) const OCTETS: u64 = 8 << 20;

/// What a store holds, as DER.
#[derive(Clone, Debug, Default)]
pub struct Store {
    pub certificates: Vec<Vec<u8>>,
    pub crls: Vec<Vec<u8>>,
    pub ocsp: Vec<Vec<u8>>,
    /// Streams, and entries of signatures, that were not read, since they are too large or too many.
    pub left_out: usize,
}

impl Store {
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.crls.is_empty() && self.ocsp.is_empty()
    }
}

/// What is still read.
struct Room {
    seen: HashSet<u32>,
    octets: u64,
    /// Streams that it did not do for.
    left_out: HashSet<u32>,
}

impl<S: Source> Document<S> {
    /// The store of the newest revision; empty when there is none, or none that can be read.
    pub fn security_store(&self) -> Store {
        let mut store = Store::default();
        // In an encrypted file the streams are no DER.
        if self.sections.iter().any(|s| s.trailer.contains_key(&b"Encrypt"[..])) {
            return store;
        }
        let Ok((_, catalog)) = self.catalog(u64::MAX) else { return store };
        let Some(Ok(dss)) = catalog.get(&b"DSS"[..]).map(|dss| self.resolve(dss, u64::MAX)) else { return store };
        let Some(dss) = dss.dictionary() else { return store };
        let mut room = Room { seen: HashSet::new(), octets: OCTETS, left_out: HashSet::new() };
        self.streams(dss, b"Certs", &mut room, &mut store.certificates);
        self.streams(dss, b"CRLs", &mut room, &mut store.crls);
        self.streams(dss, b"OCSPs", &mut room, &mut store.ocsp);
        self.by_signature(dss, &mut room, &mut store);
        store.left_out += room.left_out.len();
        store
    }

    fn by_signature(&self, dss: &Dictionary, room: &mut Room, store: &mut Store) {
        let Some(Ok(entries)) = dss.get(&b"VRI"[..]).map(|vri| self.resolve(vri, u64::MAX)) else { return };
        let Some(entries) = entries.dictionary() else { return };
        store.left_out += entries.len().saturating_sub(STREAMS);
        for entry in entries.values().take(STREAMS) {
            let Ok(entry) = self.resolve(entry, u64::MAX) else { continue };
            let Some(entry) = entry.dictionary() else { continue };
            self.streams(entry, b"Cert", room, &mut store.certificates);
            self.streams(entry, b"CRL", room, &mut store.crls);
            self.streams(entry, b"OCSP", room, &mut store.ocsp);
        }
    }

    fn streams(&self, parent: &Dictionary, key: &[u8], room: &mut Room, out: &mut Vec<Vec<u8>>) {
        let list = parent.get(key).map(|list| self.resolve(list, u64::MAX));
        let Some(Ok(list)) = list else { return };
        for one in list.array().unwrap_or_default() {
            // Streams are always indirect, and each is read once.
            let Object::Reference(number, _) = one else { continue };
            if room.seen.contains(number) {
                continue;
            }
            let Some(Entry::At(at)) = self.entry(*number, u64::MAX) else { continue };
            if room.seen.len() >= STREAMS {
                room.left_out.insert(*number);
                continue;
            }
            room.seen.insert(*number);
            match self.stream_at(at, room.octets) {
                Ok((found, _, octets)) if found == *number => {
                    room.octets -= octets.len() as u64;
                    out.push(octets);
                }
                Err(PdfError::TooBig(_)) => _ = room.left_out.insert(*number),
                _ => {}
            }
        }
    }
}
