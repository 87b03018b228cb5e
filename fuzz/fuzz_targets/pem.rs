#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::trust::pem;

fuzz_target!(|data: &[u8]| {
    if let Ok(blocks) = pem::decode(data) {
        for block in blocks {
            let text = pem::encode(&block.label, &block.octets);
            let again = pem::decode(text.as_bytes()).expect("what was written is read");
            assert_eq!(again[0].octets, block.octets);
        }
    }
});
