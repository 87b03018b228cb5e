#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::formats::xml::{Limits, parse};

fuzz_target!(|data: &[u8]| {
    let _ = parse(data, &Limits::default());
});
