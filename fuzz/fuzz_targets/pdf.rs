#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::formats::pdf::Document;
use tongban::licences::{Profile, verify};
use tongban::terms::UnixMillis;

fuzz_target!(|data: &[u8]| {
    if let Ok(document) = Document::open(data)
        && let Ok(signatures) = document.signatures()
    {
        for signature in signatures {
            let _ = document.update_after(signature.end);
        }
    }
    assert!(!verify("fuzz", data, &Profile::new(UnixMillis(1_790_000_000_000))).passed());
});
