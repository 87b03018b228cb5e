#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::trust::certificate::Certificate;

fuzz_target!(|data: &[u8]| {
    if let Ok(certificate) = Certificate::parse(data) {
        let _ = (certificate.subject_text(), certificate.public_key(), certificate.signed_by(&certificate));
    }
});
