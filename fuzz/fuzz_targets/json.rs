#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::formats::json::object;
use tongban::terms::json;

fuzz_target!(|data: &[u8]| {
    if let Ok(read) = object(data)
        && let Ok(canonical) = json::canonical(&read)
    {
        // What is canonical and is read again is canonical still.
        if let Ok(again) = object(&canonical) {
            assert_eq!(json::canonical(&again).ok(), Some(canonical));
        }
    }
});
