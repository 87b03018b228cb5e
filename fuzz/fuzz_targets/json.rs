#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::identity::strict;
use tongban::terms::json;

fuzz_target!(|data: &[u8]| {
    if let Ok(object) = strict::object(data)
        && let Ok(canonical) = json::canonical(&object)
    {
        // What is canonical is read again, and is canonical still.
        let again = strict::object(&canonical).expect("canonical JSON is strict");
        assert_eq!(json::canonical(&again).expect("as before"), canonical);
    }
});
