//! Receipts of peers (`up.receipt`), looked up in the peers' own logs: a leaf that one side dropped shows on the other.
//! Only a peer's checkpoint and hash tiles are read, each tied to its signed root; nothing of its entries.

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use super::judge::{Judge, Place};
use super::report::{Question, Verdict};
use super::{Fetch, Options, Sparse};
use crate::audit::checkpoint;
use crate::audit::entry::Receipt;
use crate::audit::note::VerifierKey;

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

/// The peers' trees, or why one cannot be used.
pub(super) struct Peers<'o>(HashMap<&'o str, Result<(Sparse<'o>, u64), String>>);

impl<'o> Peers<'o> {
    pub fn open(options: &'o Options) -> Self {
        let open = |peer: &'o Peer| {
            let note = peer.log.get("checkpoint").map_err(|e| e.to_string())?.ok_or("no checkpoint")?;
            let signed = checkpoint::open(&note, &peer.key, None).map_err(|e| e.to_string())?;
            let sparse = Sparse::new(&*peer.log, signed.checkpoint()).map_err(|e| e.to_string())?;
            Ok((sparse, signed.size()))
        };
        Self(options.peers.iter().map(|peer| (peer.key.name(), open(peer))).collect())
    }

    /// What a receipt is worth; `None` when its peer's log is not at hand.
    fn judge(&self, receipt: &Receipt) -> Option<Result<(), (Verdict, String)>> {
        let (origin, index) = (&receipt.origin, receipt.index);
        let undecided = |why: String| Err((Verdict::Undecided, why));
        Some(match self.0.get(origin.as_str())? {
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

impl Judge<'_> {
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
