//! Receipts of peers (`up.receipt`), both ways: what our entries name must stand in the peer's log, and what the peer's entries name
//! of ours must stand here. A leaf that one side dropped shows on the other. Whatever is used of a peer's log is tied to its
//! signed root; one that shows its entries to nobody is asked for its hashes only.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::rc::Rc;

use super::judge::{Judge, Place};
use super::report::{Question, Verdict};
use super::{Fetch, Options, Sparse, claimed_minimum, read_bundle};
use crate::audit::entry::{EntryHead, Receipt};
use crate::audit::merkle::leaf_hash;
use crate::audit::note::VerifierKey;
use crate::audit::tile::WIDTH;
use crate::audit::{bundle, checkpoint};
use crate::terms::Digest;

/// A peer's log at hand, and the key the auditor knows it by.
#[derive(Clone)]
pub struct Peer {
    pub key: VerifierKey,
    pub log: Rc<dyn Fetch>,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({})", self.key.name())
    }
}

/// Most leaves of ours that are kept in mind, of all peers together.
const MAX_NAMED: usize = 4_000_000;

pub(super) struct Peers<'o> {
    /// The peers' trees, or why one cannot be used.
    trees: HashMap<&'o str, Result<(Sparse<'o>, u64), String>>,
    /// Leaves of ours that peers' entries name: by our index, the leaf, the peer and its entry.
    named: BTreeMap<u64, Vec<(Digest, &'o str, u64)>>,
    /// Why a peer's entries were not read.
    unread: Vec<String>,
}

impl<'o> Peers<'o> {
    pub fn open(options: &'o Options) -> Self {
        let open = |peer: &'o Peer| {
            let note = peer.log.get("checkpoint").map_err(|e| e.to_string())?.ok_or("no checkpoint")?;
            let signed = checkpoint::open(&note, &peer.key, None).map_err(|e| e.to_string())?;
            let sparse = Sparse::new(&*peer.log, signed.checkpoint()).map_err(|e| e.to_string())?;
            Ok((sparse, signed.size()))
        };
        let trees: HashMap<_, _> = options.peers.iter().map(|peer| (peer.key.name(), open(peer))).collect();
        let (mut named, mut unread) = (BTreeMap::<u64, Vec<_>>::new(), Vec::new());
        let ours = if options.entries_are_ours { &options.peers[..] } else { &[] };
        for peer in ours {
            let Some(Ok((sparse, size))) = trees.get(peer.key.name()) else { continue };
            let mut count = 0;
            let mut each = |theirs, receipt: Receipt| {
                count += 1;
                named.entry(receipt.index).or_default().push((receipt.leaf, peer.key.name(), theirs));
            };
            if let Err(why) = naming(peer, sparse, *size, options.origin(), &mut each) {
                unread.push(format!("{}: {why}", peer.key.name()));
            }
        }
        Self { trees, named, unread }
    }

    /// What a receipt is worth; `None` when its peer's log is not at hand.
    fn judge(&self, receipt: &Receipt) -> Option<Result<(), (Verdict, String)>> {
        let (origin, index) = (&receipt.origin, receipt.index);
        let undecided = |why: String| Err((Verdict::Undecided, why));
        Some(match self.trees.get(origin.as_str())? {
            Err(why) => undecided(format!("the log of {origin} cannot be used: {why}")),
            Ok((_, size)) if index >= *size => undecided(format!(
                "{origin} shows {size} entries, the receipt names entry {index}: cut off, or not signed yet"
            )),
            Ok((sparse, _)) => match sparse.leaf(index) {
                Err(why) => undecided(format!("{origin}, entry {index}: {why}")),
                Ok(leaf) if leaf == receipt.leaf => Ok(()),
                Ok(_) => Err((
                    Verdict::Disproven,
                    format!("entry {index} of {origin} is another one: the receipt or that log was changed"),
                )),
            },
        })
    }
}

/// Hears of the receipts in a peer's entries that name entries of `origin`: by the peer's index.
fn naming(
    peer: &Peer,
    sparse: &Sparse<'_>,
    size: u64,
    origin: &str,
    each: &mut dyn FnMut(u64, Receipt),
) -> Result<(), String> {
    let finder = memchr::memmem::Finder::new(origin);
    let from = match read_bundle(&*peer.log, 0, size) {
        Ok(None) => claimed_minimum(&*peer.log, peer.key.name(), size).map_err(|e| e.to_string())? / WIDTH,
        _ => 0,
    };
    let mut count = 0;
    for number in from..size.div_ceil(WIDTH) {
        let found = read_bundle(&*peer.log, number, size).map_err(|e| e.to_string())?;
        let (tile, bytes) = found.ok_or_else(|| format!("bundle {number} of its entries is not there"))?;
        let all = bundle::parse(&bytes, tile.width).ok_or_else(|| format!("bundle {number} is none"))?;
        for (at, entry) in (number * WIDTH..size).zip(all) {
            if finder.find(entry).is_none() {
                continue;
            }
            let receipt = EntryHead::parse(entry).ok().and_then(|head| head.receipt);
            let Some(receipt) = receipt.filter(|receipt| receipt.origin == origin) else { continue };
            if sparse.leaf(at).map_err(|e| e.to_string())? != leaf_hash(entry) {
                return Err(format!("entry {at} is not the one that was signed"));
            }
            count += 1;
            if count > MAX_NAMED {
                return Err(format!("more than {MAX_NAMED} of its entries name ours: later ones were not followed"));
            }
            each(at, receipt);
        }
    }
    Ok(())
}

impl Judge<'_> {
    /// The next leaf of ours: is it the one that peers' entries name?
    pub(super) fn named(&mut self, leaf: Digest, file: &str) {
        let index = self.frontier.size();
        let Some(all) = self.peers.named.remove(&index) else { return };
        for (want, peer, theirs) in all {
            if want == leaf {
                self.report.answer(Question::Receipts, Verdict::Proven);
            } else {
                let what =
                    format!("entry {theirs} of {peer} names another leaf here: this log was changed, or that one lies");
                self.fault(Question::Receipts, Verdict::Disproven, file, Some(index), &what);
            }
        }
    }

    /// After the last entry: what peers name and is not here, and what was not asked of them.
    pub(super) fn unnamed(&mut self) {
        let size = self.report.size;
        let beyond = self.peers.named.split_off(&size);
        if let Some((index, all)) = beyond.first_key_value() {
            let (peer, theirs) = (all[0].1, all[0].2);
            let what = format!(
                "entry {theirs} of {peer} names entry {index} here, and {size} are shown: cut off, or this copy is older than that one"
            );
            self.fault(Question::Receipts, Verdict::Undecided, "checkpoint", Some(*index), &what);
        }
        for why in std::mem::take(&mut self.peers.unread) {
            let note = format!(
                "对端条目未读，其所指本日志条目未核对 what the peer names of this log was not looked up: {why}"
            );
            self.report.notes.push(note);
        }
    }

    /// The receipt that an entry carries.
    pub(super) fn receipt(&mut self, receipt: &Receipt, index: u64, place: Place<'_>) {
        match self.peers.judge(receipt) {
            None => self.report.receipts_unjudged += 1,
            Some(Ok(())) => self.report.answer(Question::Receipts, Verdict::Proven),
            Some(Err((verdict, what))) => self.fault_at(Question::Receipts, verdict, place, Some(index), &what),
        }
        *self.report.peers.entry(receipt.origin.clone()).or_default() += 1;
    }
}
