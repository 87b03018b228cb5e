//! What other producers write: every variation that is known of, made here, and judged as it must be. A genuine file passes
//! whatever its habits; what is beyond them is told by its code.
//!
//! ```text
//!  values    seals and seal signatures: strings, lists, algorithms, encodings     times     how a time is written
//!  plain     SignedData in the place of a seal                                    text      XML, locations, digests' names
//!  packages  documents, signatures, coverage, archives                            parties   certificates, and who is trusted for what
//!  suites    what OpenSSL signs, by each algorithm
//!  mixed     several signatures of several kinds on one package                     bounds  what a file may ask of us
//! ```

mod bounds;
mod mixed;
mod packages;
mod parties;
mod plain;
mod suites;
mod text;
mod times;
mod values;

pub(super) mod kit;
pub(super) mod packing;

use kit::{Draft, World};
use packing::{Descriptor, Shape};

use crate::formats::der::{tag, write};

/// A name, what is different, and the code that decides; none for a pass.
type Row = (&'static str, fn(&World, &mut Draft), Option<&'static str>);

/// A name, and what is different.
type Habit = (&'static str, fn(&mut Draft));

/// Habits that say nothing of any other: whoever has one may have each other one as well.
const COMPANIONS: [Habit; 5] = [
    ("r and s in 64 octets", |d| d.raw_signatures = true),
    ("zero bits counted as unused", |d| d.count_zero_bits = true),
    ("packed, with descriptors", |d| {
        let descriptor = Some(Descriptor { signed: false, wide: true });
        d.shape = Shape { deflated: true, descriptor, ..Shape::default() };
    }),
    ("V1, where no part says otherwise", |d| d.v1 |= d.der.is_empty()),
    ("a time without its zone", |d| {
        if !d.v1 {
            d.der.entry("time").or_insert_with(|| generalized("20260213100000"));
        }
    }),
];

fn check(rows: &[Row]) {
    let world = World::new();
    let mut wrong = Vec::new();
    for (name, change, want) in rows {
        let drafted = || {
            let mut draft = Draft::default();
            change(&world, &mut draft);
            draft
        };
        let report = world.report(name, &drafted());
        if report.code != *want || report.passed() != want.is_none() {
            wrong.push(format!("expected {want:?}:\n{}", report.to_text()));
        }
        // One habit more makes nothing good, and nothing bad.
        for (companion, add) in COMPANIONS {
            let mut draft = drafted();
            add(&mut draft);
            let report = world.report(name, &draft);
            if report.passed() != want.is_none() {
                wrong.push(format!("with {companion}, expected {want:?}:\n{}", report.to_text()));
            }
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
