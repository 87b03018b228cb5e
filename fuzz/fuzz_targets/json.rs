#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::identity::strict;
use tongban::terms::json;

fuzz_target!(|data: &[u8]| {
    if let Ok(object) = strict::object(data)
        && let Ok(canonical) = json::canonical(&object)
    {
        // What is canonical and is read again is canonical still.
        if let Ok(again) = strict::object(&canonical) {
            assert_eq!(json::canonical(&again).ok(), Some(canonical));
        }
    }
});
