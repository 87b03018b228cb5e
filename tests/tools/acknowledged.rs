//! The word of a gateway: lines that its answers named, checkpoints that it showed. Held against its log when all is over.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tongban::audit::merkle::leaf_hash;
use tongban::terms::Digest;

#[derive(Default)]
pub struct Acknowledged {
    /// The leaf hash that an answer named, by index.
    leaves: BTreeMap<u64, Digest>,
    /// The trace of a refusal that named its line, by index.
    traces: BTreeMap<u64, String>,
    /// Checkpoints as they were shown, by what was signed.
    shown: BTreeMap<String, Vec<u8>>,
}

impl Acknowledged {
    /// What an answer says of its line: `{"index", "leaf"}` of what was done, the index alone of a refusal.
    pub fn answer(&mut self, answer: &Value) {
        let leaf = &answer["leaf"];
        if let Some(index) = leaf.as_u64() {
            let trace = answer["trace"].as_str().expect("a trace").to_owned();
            assert_eq!(self.traces.insert(index, trace), None, "two lines at {index}");
        } else if let Some(index) = leaf["index"].as_u64() {
            let leaf: Digest = leaf["leaf"].as_str().and_then(|leaf| leaf.parse().ok()).expect("a leaf");
            assert!(self.leaves.insert(index, leaf).is_none_or(|before| before == leaf), "two lines at {index}");
        }
    }

    pub fn checkpoint(&mut self, note: &[u8]) {
        let text = String::from_utf8_lossy(note);
        let signed = text.split("\n\n").next().unwrap_or_default().to_owned();
        self.shown.entry(signed).or_insert_with(|| note.to_owned());
    }

    /// Lines that were named, and checkpoints that were shown.
    pub fn counts(&self) -> (usize, usize) {
        (self.leaves.len() + self.traces.len(), self.shown.len())
    }

    /// Every line is there as it was named, and no checkpoint is contradicted. `place` is a folder to write to.
    pub fn hold(&self, log: &Path, key: &str, place: &Path) {
        let shown = super::tongban(&["audit", "show", &log.display().to_string()]);
        assert!(shown.status.success(), "{}", super::text(&shown));
        let lines: Vec<&[u8]> = shown.stdout.split(|octet| *octet == b'\n').collect();
        let line =
            |index: u64| *lines.get(index as usize).unwrap_or_else(|| panic!("acknowledged line {index} is lost"));
        for (index, leaf) in &self.leaves {
            assert_eq!(leaf_hash(line(*index)), *leaf, "line {index}");
        }
        for (index, trace) in &self.traces {
            let kept: Value = serde_json::from_slice(line(*index)).expect("JSON");
            assert_eq!(kept["trace"], **trace, "line {index}");
        }
        let folder = place.join("shown");
        fs::create_dir_all(&folder).expect("a folder");
        let mut words =
            vec!["audit".to_owned(), "verify".into(), log.display().to_string(), "--key".into(), key.into()];
        for (nth, note) in self.shown.values().enumerate() {
            let file = folder.join(format!("checkpoint.{nth}"));
            fs::write(&file, note).expect("written");
            words.extend(["--old".into(), file.display().to_string()]);
        }
        let judged = super::tongban(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(judged.status.code(), Some(0), "{}", super::text(&judged));
    }
}
