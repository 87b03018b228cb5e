//! What a bundle's entries record that can be done again: decisions, and examinations of licences.

use serde::Deserialize;

use crate::audit::verify::Verdict;
use crate::terms::Digest;

/// Does again what entries say was decided and examined, by what is in the bundle. Lives above this room.
pub trait Again {
    /// By the rules and questions of then; `None` for an entry that records no decision. `names` are the bundle's files of
    /// rules and questions.
    ///
    /// # Errors
    /// Disproven, or undecided where rules or question are missing, and why.
    fn decision(&self, entry: &[u8], names: &[String], read: ReadFile<'_>) -> Option<Result<(), (Verdict, String)>>;

    /// A licence's seals, by what was trusted and known then.
    ///
    /// # Errors
    /// Disproven, or undecided where something is missing, and why.
    fn licence(&self, examined: &Examined, document: Vec<u8>, read: ReadFile<'_>) -> Result<(), (Verdict, String)>;

    /// The parts that a list of trust material names; `None` for a list of another version.
    fn material(&self, list: &[u8]) -> Option<Vec<Digest>>;
}

/// Reads a file of the bundle.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

/// What an entry says of the examination of a licence.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Examined {
    /// Unix milliseconds of the examination.
    #[serde(skip)]
    pub at: i64,
    /// Of the document.
    pub digest: Digest,
    pub verdict: String,
    /// Of what it was judged by.
    pub trust: Digest,
}

/// The examinations that an entry records, as far as they can be made again.
pub fn examined(entry: &[u8]) -> Vec<Examined> {
    #[derive(Deserialize)]
    struct Raw {
        ts: i64,
        #[serde(default)]
        ev: Vec<serde_json::Value>,
    }
    let Ok(raw) = serde_json::from_slice::<Raw>(entry) else { return Vec::new() };
    let one = |ev| serde_json::from_value::<Examined>(ev).ok();
    raw.ev.into_iter().filter_map(one).map(|examined| Examined { at: raw.ts, ..examined }).collect()
}
