#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::trust::pem;

fuzz_target!(|data: &[u8]| {
    let bare = pem::begins_bare(data).then(|| pem::bare(data).ok()).flatten();
    if let Some(der) = &bare {
        assert!(pem::certificates(data).is_ok_and(|all| all == [der.clone()]));
    }
    if let Ok(blocks) = pem::decode(data) {
        for block in blocks {
            let text = pem::encode(&block.label, &block.octets);
            if let Ok(again) = pem::decode(text.as_bytes()) {
                assert!(again.first().is_some_and(|a| a.octets[..] == block.octets[..]));
            }
        }
    }
});
