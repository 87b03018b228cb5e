#![no_main]
//! A verifier's own policy file, and what it remembers of its last run.

use libfuzzer_sys::fuzz_target;
use tongban::audit::verify::{Pinned, State};
use tongban::terms::Digest;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Pinned::parse(text).is_ok();
    }
    // With the digest that it ends in: no fuzzer finds that.
    let whole = [data, &Digest::of(data).0].concat();
    if let Some(state) = State::decode(&whole) {
        assert_eq!(State::decode(&state.encode()), Some(state));
    }
});
