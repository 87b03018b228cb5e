#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::identity::jose::{Embedded, Unverified};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for embedded in [Embedded::Refused, Embedded::Jwk] {
        if let Ok(token) = Unverified::parse(text, embedded) {
            let _ = token.claims_unverified();
        }
    }
});
