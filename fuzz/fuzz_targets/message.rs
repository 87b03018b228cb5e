#![no_main]
//! What a gateway says to another of a case.

use libfuzzer_sys::fuzz_target;
use tongban::exchange::message::Message;

fuzz_target!(|data: &[u8]| {
    if let Ok(message) = Message::parse(data) {
        let _ = (message.container_path(), message.files().count());
        let octets = serde_json::to_vec(&message).expect("what was read can be written");
        assert!(Message::parse(&octets).is_ok());
    }
});
