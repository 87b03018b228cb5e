#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::trust::request;

fuzz_target!(|data: &[u8]| {
    let _ = request::read(data).is_ok();
});
