#![no_main]

use libfuzzer_sys::fuzz_target;
use tongban::formats::der::{Reader, tag};

fuzz_target!(|data: &[u8]| {
    let mut open = vec![Reader::new(data)];
    while let Some(mut reader) = open.pop() {
        while let Ok(element) = reader.element() {
            if element.tag & 0x20 != 0 && open.len() < 64 {
                open.push(element.inside());
            }
            let mut one = Reader::new(element.full);
            let _ = match element.tag {
                tag::INTEGER => one.integer().map(|_| ()),
                tag::OID => one.oid().map(|oid| drop(oid.to_string())),
                tag::BIT_STRING => one.bit_string().map(|_| ()),
                tag::UTC_TIME | tag::GENERALIZED_TIME => one.time().map(|_| ()),
                _ => one.boolean().map(|_| ()),
            };
        }
    }
});
