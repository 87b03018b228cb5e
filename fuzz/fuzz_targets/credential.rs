#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::licences::{IssuerKey, Profile, StatusList, verify};
use tongban::terms::UnixMillis;

fuzz_target!(|data: &[u8]| {
    let report = verify("vc", data.to_vec(), &Profile::new(UnixMillis(1_790_000_000_000)));
    assert!(!report.passed(), "nobody is trusted");
    if let Ok(list) = StatusList::parse(data) {
        let _ = (list.status(0), list.status(u64::MAX));
    }
    let _ = IssuerKey::read(data);
});
