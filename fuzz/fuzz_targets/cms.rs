#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::trust::cms::{Content, SignedData};

fuzz_target!(|data: &[u8]| {
    if let Ok(signed) = SignedData::parse(data) {
        let _ = (signed.verify(Content::Inside).is_ok(), signed.verify(Content::Bytes(b"content")).is_ok());
    }
});
