#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::licences::{IssuerKey, Profile, verify};
use tongban::terms::UnixMillis;

fuzz_target!(|data: &[u8]| {
    let report = verify("vc", data.to_vec(), &Profile::new(UnixMillis(1_790_000_000_000)));
    assert!(!report.passed(), "nobody is trusted");
    let _ = IssuerKey::read(data);
});
