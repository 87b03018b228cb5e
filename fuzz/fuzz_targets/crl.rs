#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::trust::crl::Crl;

fuzz_target!(|data: &[u8]| {
    if let Ok(crl) = Crl::parse(data) {
        let _ = (crl.entry(&[1]), crl.partial());
    }
});
