#![no_main]
//! Entries as a verifier reads them, and what entries of some kinds say beside.

use libfuzzer_sys::fuzz_target;
use tongban::audit::entry::EntryHead;
use tongban::audit::gm::GmRoot;
use tongban::audit::logset::LogSet;
use tongban::audit::retention::Pruning;
use tongban::audit::{bundle, evidence};
use tongban::formats::json::object;
use tongban::terms::json;

fuzz_target!(|data: &[u8]| {
    if EntryHead::parse(data).is_ok() {
        let object = object(data).expect("an entry is a JSON object for every reader");
        assert_eq!(json::canonical(&object).ok().as_deref(), Some(data), "and canonical");
    }
    let _ = (Pruning::read(data), LogSet::read(data), GmRoot::read(data), evidence::index::read(data));
    if let [a, b, rest @ ..] = data
        && let Some(entries) = bundle::parse(rest, u16::from_be_bytes([*a, *b]))
    {
        let mut again = Vec::new();
        assert!(entries.iter().all(|entry| bundle::push(&mut again, entry)));
        assert_eq!(again, rest);
    }
});
