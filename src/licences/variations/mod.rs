//! What other producers write: every variation that is known of, made here, and judged as it must be. A genuine file passes
//! whatever its habits; what is beyond them is told by its code.
//!
//! ```text
//!  values    seals and seal signatures: strings, lists, algorithms, encodings     times     how a time is written
//!  plain     SignedData in the place of a seal                                    text      XML, locations, digests' names
//!  packages  documents, signatures, coverage, archives                            parties   certificates, and who is trusted for what
//! ```

mod packages;
mod parties;
mod plain;
mod text;
mod times;
mod values;

pub(super) mod kit;
pub(super) mod packing;

use kit::{Draft, World};

use crate::formats::der::{tag, write};

/// A name, what is different, and the code that decides; none for a pass.
type Row = (&'static str, fn(&World, &mut Draft), Option<&'static str>);

fn check(rows: &[Row]) {
    let world = World::new();
    let mut wrong = Vec::new();
    for (name, change, want) in rows {
        let mut draft = Draft::default();
        change(&world, &mut draft);
        let report = world.report(name, &draft);
        if report.code != *want || report.passed() != want.is_none() {
            wrong.push(format!("expected {want:?}:\n{}", report.to_text()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn generalized(text: &str) -> Vec<u8> {
    write::tlv(tag::GENERALIZED_TIME, text.as_bytes())
}

fn opaque(octets: &[u8]) -> Vec<u8> {
    write::bit_string(octets)
}
