#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::trust::ocsp::Response;

fuzz_target!(|data: &[u8]| {
    let _ = Response::parse(data).is_ok();
});
