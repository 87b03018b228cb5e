#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::formats::ber::definite;

fuzz_target!(|data: &[u8]| {
    if let Ok((octets, used)) = definite(data) {
        assert!(used <= data.len());
        assert_eq!(
            definite(&octets).ok(),
            Some((octets.clone(), octets.len())),
            "with its lengths told it stays as it is"
        );
    }
});
