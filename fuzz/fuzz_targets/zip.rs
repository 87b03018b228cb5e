#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use tongban::formats::zip::{Archive, Limits};

fuzz_target!(|data: &[u8]| {
    if let Ok(archive) = Archive::open(data, &Limits::default()) {
        for entry in archive.entries() {
            let _ = archive.reader(entry).take(1 << 20).read_to_end(&mut Vec::new());
        }
    }
});
