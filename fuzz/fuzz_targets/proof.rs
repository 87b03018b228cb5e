#![no_main]
//! What a stranger brings beside an entry: the proof that it is in the log, a time-stamp of a checkpoint, what is kept.

use libfuzzer_sys::fuzz_target;
use tongban::audit::anchor::Anchor;
use tongban::audit::note::{KeyKind, Signer};
use tongban::audit::proof::TlogProof;
use tongban::audit::retention::Retention;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let key = Signer::from_seed("example.com/log", &[7; 32]).expect("a seed makes a key").verifier(KeyKind::Ed25519);
    if let Ok(proof) = TlogProof::parse(text) {
        assert_eq!(proof.to_string(), text, "a proof has one spelling");
        let _ = proof.verify(b"entry", &key).is_ok();
    }
    if let Ok(anchor) = Anchor::parse(data) {
        let _ = anchor.verify(&key, None, &[]).is_ok();
    }
    if let Some(retention) = Retention::parse(data, "example.com/log") {
        assert_eq!(retention.to_string(), text, "and so has what is kept");
    }
});
