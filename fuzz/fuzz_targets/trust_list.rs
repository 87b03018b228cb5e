#![no_main]
//! `trust.toml`, and behind a NUL the octets of every file that it names.

use libfuzzer_sys::fuzz_target;
use tongban::trust::keyring::TrustList;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |octet| *octet == 0);
    let (text, file) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Ok(list) = TrustList::read(text, &mut |_| Ok(file.to_vec())) {
        let _ = list.digest();
    }
});
