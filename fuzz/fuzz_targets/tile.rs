#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::audit::tile::{TilePath, parse_hashes};

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(path) = TilePath::parse(text)
    {
        assert_eq!(path.to_string(), text, "a path has one spelling");
        let _ = (path.end(), path.is_full());
    }
    if let [a, b, rest @ ..] = data {
        let _ = parse_hashes(rest, u16::from_be_bytes([*a, *b]));
    }
});
