//! How the time of signing is written.

use super::kit::Draft;
use super::{check, generalized, opaque};
use crate::formats::der::{tag, write};

/// V1, with that `timeInfo`.
fn v1(d: &mut Draft, time: Vec<u8>) {
    d.v1 = true;
    d.part("time", time);
}

#[test]
fn times_of_signing() {
    check(&[
        ("fraction", |_, d| d.part("time", generalized("20260213020000.123Z")), None),
        ("fraction that ends in zero", |_, d| d.part("time", generalized("20260213020000.50Z")), None),
        ("fraction with a comma", |_, d| d.part("time", generalized("20260213020000,5Z")), None),
        ("a fraction of nine digits", |_, d| d.part("time", generalized("20260213020000.123456789Z")), None),
        ("west of Greenwich", |_, d| d.part("time", generalized("20260212210000-0500")), None),
        ("half an hour off", |_, d| d.part("time", generalized("20260213073000+0530")), None),
        ("a small z", |_, d| d.part("time", generalized("20260213020000z")), None),
        ("no seconds", |_, d| d.part("time", generalized("202602130200Z")), None),
        ("no seconds, an offset", |_, d| d.part("time", generalized("202602131000+0800")), None),
        ("no seconds, no zone", |_, d| d.part("time", generalized("202602131000")), None),
        ("hours only", |_, d| d.part("time", generalized("2026021302Z")), Some("SIGN_TIME_UNREADABLE")),
        ("a day that is none", |_, d| d.part("time", generalized("20260230020000Z")), Some("SIGN_TIME_UNREADABLE")),
        ("a leap second", |_, d| d.part("time", generalized("20260213015960Z")), Some("SIGN_TIME_UNREADABLE")),
        ("offset", |_, d| d.part("time", generalized("20260213100000+0800")), None),
        ("no zone", |_, d| d.part("time", generalized("20260213100000")), None),
        ("UTCTime", |_, d| d.part("time", write::tlv(tag::UTC_TIME, b"260213020000Z")), None),
        ("UTCTime without seconds", |_, d| d.part("time", write::tlv(tag::UTC_TIME, b"2602130200Z")), None),
        (
            "UTCTime of hours",
            |_, d| d.part("time", write::tlv(tag::UTC_TIME, b"26021302Z")),
            Some("SIGN_TIME_UNREADABLE"),
        ),
        ("PrintableString", |_, d| d.part("time", write::printable("20260213020000Z")), None),
        ("text in UTF8String", |_, d| d.part("time", write::utf8("2026-02-13 10:00:00")), None),
        ("in a BIT STRING, as V1", |_, d| d.part("time", opaque(b"2026-02-13 10:00:00")), None),
        ("not readable", |_, d| d.part("time", generalized("2026")), Some("SIGN_TIME_UNREADABLE")),
        ("no time at all", |_, d| d.part("time", write::null()), Some("SES_STRUCTURE")),
        ("tomorrow", |_, d| d.part("time", generalized("20260302000001Z")), Some("SIGN_TIME_IN_FUTURE")),
        ("Beijing time that says UTC", |_, d| d.part("time", generalized("20260301070000Z")), None),
        ("V1: ISO with Z", |_, d| (d.v1, _) = (true, d.part("time", opaque(b"2026-02-13T02:00:00Z"))), None),
        ("V1: ISO with fraction", |_, d| (d.v1, _) = (true, d.part("time", opaque(b"2026-02-13T02:00:00.377Z"))), None),
        ("V1: slashes", |_, d| (d.v1, _) = (true, d.part("time", opaque(b"2026/02/13 10:00:00"))), None),
        ("V1: digits", |_, d| (d.v1, _) = (true, d.part("time", opaque(b"20260213100000"))), None),
        ("V1: UTCTime", |_, d| (d.v1, _) = (true, d.part("time", opaque(b"\x17\x0d260213020000Z"))), None),
        ("V1: GeneralizedTime", |_, d| (d.v1, _) = (true, d.part("time", opaque(b"\x18\x0f20260213020000Z"))), None),
        ("V1: UTCTime as V4 has it", |_, d| v1(d, write::tlv(tag::UTC_TIME, b"260213020000Z")), None),
        ("V1: GeneralizedTime as V4 has it", |_, d| v1(d, generalized("20260213020000Z")), None),
        ("V1: an INTEGER", |_, d| v1(d, write::small(1_770_948_000)), Some("SES_STRUCTURE")),
        ("V1: as .NET prints it", |_, d| v1(d, opaque(b"2026/2/13 10:00:00")), None),
        ("V1: to the minute", |_, d| v1(d, opaque(b"2026-02-13 10:00")), None),
        ("V1: zeros after it", |_, d| (d.v1, _) = (true, d.part("time", opaque(b"2026-02-13 10:00:00\0"))), None),
        ("V1: nothing", |_, d| (d.v1, _) = (true, d.part("time", opaque(b""))), Some("SIGN_TIME_UNREADABLE")),
    ]);
}
