#![no_main]
//! Numbers and names of the trade: each has one spelling, which is read as it is shown.

use std::fmt::Display;
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use tongban::audit::note::VerifierKey;
use tongban::gateway::pass::Target;
use tongban::http::api::input::decoded;
use tongban::licences::times;
use tongban::terms::{CaseNo, CreditCode, Digest, DivisionCode, ItemCode, LicenceId, RegionCode};

fn shown<T: FromStr + Display + PartialEq>(text: &str) {
    if let Ok(word) = text.parse::<T>() {
        assert!(word.to_string().parse::<T>().is_ok_and(|again| again == word), "{text:?} is shown as {word}");
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    shown::<DivisionCode>(text);
    shown::<RegionCode>(text);
    shown::<ItemCode>(text);
    shown::<CaseNo>(text);
    shown::<LicenceId>(text);
    shown::<Digest>(text);
    shown::<VerifierKey>(text);
    let _ = text.parse::<CreditCode>();
    let _ = (times::read(text), Target::read(text), decoded(text));
});
