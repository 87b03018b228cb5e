#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::policy::PolicySet;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = PolicySet::from_sources([("fuzz.cedar".to_owned(), text.to_owned())]).is_ok();
});
