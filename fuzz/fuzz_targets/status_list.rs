#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::licences::StatusList;

fuzz_target!(|data: &[u8]| {
    if let Ok(list) = StatusList::parse(data) {
        for place in [0, 1, 7, 8, 1 << 20, u64::MAX] {
            let _ = list.status(place).is_ok();
        }
    }
});
