#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::licences::{Profile, detached, verify};
use tongban::terms::UnixMillis;

fuzz_target!(|data: &[u8]| {
    // Nobody is trusted: whatever it is, it must not pass.
    let profile = Profile::new(UnixMillis(1_790_000_000_000));
    let report = verify("fuzz", data, &profile);
    assert!(!report.passed());
    let _ = (report.to_text(), report.to_json());
    let (xml, value) = data.split_at(data.len() / 2);
    let _ = detached(xml, value, &profile);
});
