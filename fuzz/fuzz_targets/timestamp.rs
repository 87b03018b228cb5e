#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::trust::suite::DigestAlgorithm;
use tongban::trust::timestamp::{Request, Token, token_of};

fuzz_target!(|data: &[u8]| {
    if let Ok(token) = Token::parse(data) {
        let _ = token.verify(b"message", &[]).is_ok();
    }
    let request = Request::parse(data).unwrap_or_else(|_| Request::over(DigestAlgorithm::Sha256, b"message", [1; 8]));
    let _ = token_of(data, &request).is_ok();
});
