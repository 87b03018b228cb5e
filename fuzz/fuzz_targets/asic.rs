#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::formats::zip::Limits;
use tongban::licences::{Profile, verify};
use tongban::terms::UnixMillis;
use tongban::trust::asic;

fuzz_target!(|data: &[u8]| {
    let _ = asic::open(data, &Limits::default()).is_ok();
    assert!(!verify("fuzz", data, &Profile::new(UnixMillis(1_790_000_000_000))).passed());
});
