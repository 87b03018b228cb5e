//! Other heads of a log in a bundle: one that was time-stamped, and those that the maps of other replicas name. A consistency proof
//! (RFC 6962 §2.1.2) shows of each, shorter or longer than the bundle's, that it is of the same log: a fork may be as long as it likes,
//! it has another past.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::gather::must;
use super::{EvidenceError, Half};
use crate::audit::anchor::{self, Anchor, MAX_ANCHOR};
use crate::audit::checkpoint::{self, Checkpoint, SignedCheckpoint};
use crate::audit::logset::{Head, LogSet};
use crate::audit::merkle;
use crate::audit::note::{Note, VerifierKey};
use crate::audit::plain;
use crate::audit::tile::Tiled;
use crate::audit::verify::{Fetch, Sparse};
use crate::terms::Digest;

/// Another head of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherHead {
    /// Entries that it covers.
    pub size: u64,
    /// Between it and the bundle's checkpoint, from the shorter to the longer.
    pub proof: Vec<Digest>,
}

impl OtherHead {
    fn of(sparse: &Sparse<'_>, size: u64, signed: u64) -> Result<Self, EvidenceError> {
        let proof = merkle::consistency(&Tiled(sparse), size.min(signed), size.max(signed))?;
        Ok(Self { size, proof })
    }
}

/// Whether that head and this checkpoint are of one log; `proof` is of the bundle.
pub(super) fn is_same_log(other: (u64, &Digest), signed: &SignedCheckpoint, proof: &[Digest]) -> bool {
    let root = signed.root();
    let mut heads = [other, (signed.size(), &root)];
    heads.sort_by_key(|(size, _)| *size);
    merkle::check_consistency(heads[0], heads[1], proof).is_ok()
}

/// A time-stamp over the log that covers entry `last`: the first one, which is the nearest proof of when it was there; of a log
/// that shows but its newest one, that. `sparse` reads the newest that is there of it, of which `signed` may be a past.
pub(super) fn anchored(
    fetch: &dyn Fetch,
    folder: Option<&Path>,
    last: u64,
    signed: &SignedCheckpoint,
    sparse: &Sparse<'_>,
) -> Result<Option<(OtherHead, Vec<u8>)>, EvidenceError> {
    let failed = |source| EvidenceError::Read { file: "anchor".to_owned(), source };
    let octets = match folder {
        Some(dir) => match anchor::all(dir).map_err(failed)?.range(last + 1..=sparse.size()).next() {
            Some((_, file)) => Some(plain::read(file, MAX_ANCHOR as u64).map_err(failed)?),
            None => None,
        },
        None => fetch.get("anchor").map_err(failed)?,
    };
    let stamped = octets.and_then(|octets| {
        let note = Anchor::parse(&octets).ok()?.note;
        let size = Checkpoint::parse(Note::parse(note.as_bytes()).ok()?.text()).ok()?.size;
        Some((size, octets)).filter(|(size, _)| (last + 1..=sparse.size()).contains(size))
    });
    let Some((size, octets)) = stamped else { return Ok(None) };
    Ok(Some((OtherHead::of(sparse, size, signed.size())?, octets)))
}

impl Half {
    /// The other logs that its map of cases names, as they were then.
    pub fn named(&self) -> Vec<Head> {
        let map = self.part.index.as_ref().and_then(|index| self.entries.iter().find(|(at, ..)| *at == index.entry));
        map.map_or(Vec::new(), |(_, bytes, _)| others(bytes, &self.part.origin))
    }

    /// Proves, out of this log itself, that it is the one that is `named` elsewhere.
    ///
    /// # Errors
    /// What cannot be read, or does not lead to the signed root.
    pub fn same_log(&mut self, fetch: &dyn Fetch, key: &VerifierKey, named: &[Head]) -> Result<(), EvidenceError> {
        // What another one names may be longer than what is taken here.
        let newest = checkpoint::open(&must(fetch, "checkpoint")?, key, None)?;
        let named = named.iter().filter(|head| head.origin() == key.name()).map(|head| head.size);
        let is_other = |size: &u64| (1..=newest.size()).contains(size) && *size != self.part.size;
        let sizes: BTreeSet<u64> = named.filter(is_other).collect();
        let sparse = Sparse::new(fetch, newest.checkpoint())?;
        let named = sizes.into_iter().map(|size| OtherHead::of(&sparse, size, self.part.size));
        self.part.named = named.collect::<Result<_, _>>()?;
        Ok(())
    }
}

/// The logs that the map of cases of log `origin` names beside itself: what a log says of itself is no news.
pub(super) fn others(map: &[u8], origin: &str) -> Vec<Head> {
    let set = LogSet::read(map);
    let heads = set.iter().flat_map(LogSet::heads).filter(|head| head.origin() != origin);
    heads.cloned().collect()
}
