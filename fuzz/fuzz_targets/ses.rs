#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::licences::ses;

fuzz_target!(|data: &[u8]| {
    let _ = (ses::seal(data).is_ok(), ses::signature(data).is_ok());
});
