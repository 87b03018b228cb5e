//! Seals and seal signatures, part by part.

use base64::Engine as _;

use super::kit::{Draft, Recast, World, at, party, resigned};
use super::{check, generalized, opaque};
use crate::formats::ber;
use crate::formats::der::{Reader, tag, write};
use crate::licences::pdf::tests::token;
use crate::licences::verify_with;
use crate::trust::issue::Use;
use crate::trust::suite::{DigestAlgorithm, Signer as _};

#[test]
fn seals_and_signed_values() {
    check(&[
        ("GB/T 38540", |_, _| {}, None),
        ("GM/T 0031-2014", |_, d| d.v1 = true, None),
        ("V1 with a 4 in its header", |_, d| (d.v1, _) = (true, d.part("header version", write::small(4))), None),
        ("GM/T 0031-2025", |_, d| d.part("header version", write::small(5)), None),
        ("V4 in a header of 1", |_, d| d.part("header version", write::small(1)), None),
        ("header not ES", |_, d| d.part("id", write::ia5("EX")), Some("SEAL_HEADER_ID")),
        ("the key's own OID, signer", |_, d| d.part("signer algorithm", write::oid("1.2.156.10197.1.301")), None),
        ("the key's sub-OID, signer", |_, d| d.part("signer algorithm", write::oid("1.2.156.10197.1.301.1")), None),
        ("ofdrw's OID without .1", |_, d| d.part("signer algorithm", write::oid("1.2.156.10197.501")), None),
        ("the key's sub-OID, maker", |_, d| d.part("maker algorithm", write::oid("1.2.156.10197.1.301.1")), None),
        (
            "the key's own OID, V1",
            |_, d| (d.v1, _) = (true, d.part("signer algorithm", write::oid("1.2.156.10197.1.301"))),
            None,
        ),
        ("an RSA OID", |_, d| d.part("signer algorithm", write::oid("1.2.840.113549.1.1.11")), Some("SES_SIGNATURE")),
        ("an unknown OID", |_, d| d.part("signer algorithm", write::oid("1.2.3.4")), Some("SIGNATURE_ALG")),
        (
            "SHA-1 with RSA",
            |_, d| d.part("signer algorithm", write::oid("1.2.840.113549.1.1.5")),
            Some("SIGNATURE_ALG"),
        ),
        ("r and s in 64 octets", |_, d| d.raw_signatures = true, None),
        ("r and s in 64 octets, V1", |_, d| (d.raw_signatures, d.v1) = (true, true), None),
        ("zero bits counted as unused", |_, d| d.count_zero_bits = true, None),
        ("zero bits counted as unused, V1", |_, d| (d.count_zero_bits, d.v1) = (true, true), None),
        ("the maker's zero octet cut", zero_cut, None),
        (
            "the maker's zero octet cut, r and s in 64 octets",
            |w, d| {
                d.raw_signatures = true;
                zero_cut(w, d);
            },
            None,
        ),
        ("names in UTF-8", |_, d| (d.part("vid", write::utf8("厂商")), d.part("esID", write::utf8("章-1"))).0, None),
        ("names in BMPString", |_, d| (d.part("name", bmp("测试专用章")), d.part("vid", bmp("厂商"))).0, None),
        (
            "names in PrintableString",
            |_, d| (d.part("name", write::printable("Seal")), d.part("id", write::printable("ES"))).0,
            None,
        ),
        ("names in T61String", |_, d| d.part("name", write::tlv(tag::T61_STRING, b"\xd5\xc2")), None),
        ("names in VisibleString", |_, d| d.part("vid", write::tlv(tag::VISIBLE_STRING, b"vendor")), None),
        ("a name in an OCTET STRING", |_, d| d.part("vid", write::octet_string(b"v")), Some("SES_STRUCTURE")),
        ("picture type in capitals", |_, d| d.part("picture type", write::ia5("OFD")), None),
        ("a kind beyond the list", |_, d| d.part("kind", write::small(99)), None),
        (
            "dates in PrintableString",
            |_, d| {
                (
                    d.part("from", write::printable("20250601000000Z")),
                    d.part("to", write::printable("2028-06-01 00:00:00")),
                )
                    .0
            },
            None,
        ),
        (
            "dates with fractions",
            |_, d| {
                (
                    d.part("from", generalized("20250601000000.000Z")),
                    d.part("created", generalized("20250601000000.5Z")),
                )
                    .0
            },
            None,
        ),
        ("dates with an offset", |_, d| d.part("to", generalized("20280601080000+0800")), None),
        ("UTCTime in V4", |_, d| d.part("from", write::certificate_time(at("2025-06-01T00:00:00Z"))), None),
        ("GeneralizedTime in V1", |_, d| (d.v1, _) = (true, d.part("from", generalized("20250601000000Z"))), None),
        ("a date that is none", |_, d| d.part("to", generalized("soon")), Some("SES_STRUCTURE")),
        ("a seal run out", |_, d| d.part("to", generalized("20260101000000Z")), Some("SEAL_NOT_VALID_AT_SIGNING")),
        ("run out by the hours of a zone", |_, d| d.part("to", generalized("20260212200000Z")), None),
        ("seal extensions, bare", |_, d| d.part("seal extensions", extensions(false)), None),
        (
            "seal extensions, tagged",
            |_, d| d.part("seal extensions", write::tlv(tag::context(0), &extensions(false))),
            None,
        ),
        ("extensions with FALSE written out", |_, d| d.part("seal extensions", extensions(true)), None),
        ("toSign extensions, tagged", |_, d| d.part("extensions", write::explicit(0, &extensions(true))), None),
        ("toSign extensions, bare", |_, d| d.part("extensions", extensions(false)), None),
        (
            "an extension whose name is no OID",
            |_, d| {
                let odd = write::sequence(&[
                    write::tlv(tag::OID, b"\x80name"),
                    write::boolean(false),
                    write::octet_string(b""),
                ]);
                d.part("seal extensions", write::sequence(&[odd]));
            },
            None,
        ),
        ("signers by digest", |w, d| by_digest(w, d, "SM3"), None),
        ("signers by digest, free text", |w, d| by_digest(w, d, "摘要"), None),
        ("signers by digest, OID", |w, d| by_digest(w, d, "1.2.156.10197.1.401"), None),
        ("signers by weak digest", |w, d| by_digest(w, d, "SHA-1"), Some("SIGNER_NOT_IN_SEAL")),
        (
            "several signers",
            |w, d| {
                let certs = [w.maker.cert.der(), w.signer.cert.der()].map(write::octet_string);
                d.part("list", write::sequence(&certs));
            },
            None,
        ),
        ("no signers", |_, d| d.part("list", write::sequence::<Vec<u8>>(&[])), Some("SIGNER_NOT_IN_SEAL")),
        (
            "another signer",
            |w, d| d.part("list", write::sequence(&[write::octet_string(w.maker.cert.der())])),
            Some("SIGNER_NOT_IN_SEAL"),
        ),
        ("a list of no known kind", |_, d| d.part("list type", write::small(3)), Some("SES_STRUCTURE")),
        ("propertyInfo of a space", |_, d| d.part("property", write::ia5(" ")), None),
        ("propertyInfo in JSON", |_, d| d.part("property", write::utf8("{\"a\":1}")), None),
        ("OCTET STRINGs for BIT STRINGs", |_, d| d.octet_strings = true, Some("SES_STRUCTURE")),
        ("OCTET STRINGs for BIT STRINGs, V1", |_, d| (d.octet_strings, d.v1) = (true, true), Some("SES_STRUCTURE")),
        ("r and s with zeros before", |_, d| d.signature_form = Some(padded), Some("SES_SIGNATURE")),
        ("r and s without their sign", |_, d| d.signature_form = Some(negative), Some("SES_SIGNATURE")),
        ("r and s, and something after", |_, d| d.signature_form = Some(longer), Some("SES_SIGNATURE")),
        ("the value in Base64", |_, d| d.value_form = Some(base64), Some("SIGNED_VALUE_DER")),
        (
            "the value in Base64, V1",
            |_, d| (d.v1, d.value_form) = (true, Some(base64 as Recast)),
            Some("SIGNED_VALUE_DER"),
        ),
        ("the value in PEM", |_, d| d.value_form = Some(pem), Some("SIGNED_VALUE_DER")),
        ("the value in hexadecimal", |_, d| d.value_form = Some(hex), Some("SIGNED_VALUE_DER")),
        ("a newline after the value", |_, d| d.value_form = Some(newline), Some("SIGNED_VALUE_DER")),
        ("lengths that are not told", |_, d| d.value_form = Some(streamed), Some("SIGNED_VALUE_DER")),
        ("the seal's file in Base64", |_, d| d.seal_form = Some(base64), Some("SEAL_FILE_MISMATCH")),
        ("the seal's file in PEM", |_, d| d.seal_form = Some(pem), Some("SEAL_FILE_MISMATCH")),
        ("a newline after the seal", |_, d| d.seal_form = Some(newline), Some("SEAL_FILE_MISMATCH")),
        (
            "a seal in GIF",
            |_, d| {
                d.part("picture type", write::ia5("GIF"));
                d.part("picture", write::octet_string(b"GIF89a"));
            },
            None,
        ),
        ("a seal in BMP", |_, d| d.part("picture type", write::utf8(".bmp")), None),
        ("a seal in a format nobody knows", |_, d| d.part("picture type", write::ia5("x-vendor/7")), None),
        ("a seal without a picture", |_, d| d.part("picture", write::octet_string(b"")), None),
        ("a picture in a BIT STRING", |_, d| d.part("picture", opaque(b"\x89PNG")), Some("SES_STRUCTURE")),
        ("a picture of no width", |_, d| d.part("width", write::small(0)), None),
        ("a picture of less than no width", |_, d| d.part("width", write::tlv(tag::INTEGER, &[0xff])), None),
        ("a width of two octets", |_, d| d.part("width", write::tlv(tag::INTEGER, &[0, 0x80])), None),
        ("a width of four octets", |_, d| d.part("width", write::tlv(tag::INTEGER, &[0x7f, 0, 0, 0])), None),
        ("a width of nine octets", |_, d| d.part("width", write::tlv(tag::INTEGER, &[1; 9])), Some("SES_STRUCTURE")),
        ("a width of no octet", |_, d| d.part("width", write::tlv(tag::INTEGER, &[])), Some("SES_STRUCTURE")),
        ("a kind below zero", |_, d| d.part("kind", write::tlv(tag::INTEGER, &[0xff, 0x7f])), None),
        ("a version of the signature that is not the seal's", |_, d| d.part("version", write::small(1)), None),
        ("a version of two octets", |_, d| d.part("version", write::tlv(tag::INTEGER, &[0, 0x80])), None),
        ("a version in a string", |_, d| d.part("version", write::ia5("4")), Some("SES_STRUCTURE")),
        ("a hash of something else", |_, d| d.part("hash", opaque(&[7; 32])), Some("DATA_HASH_MISMATCH")),
        (
            "a seal's stamp that is not read",
            |_, d| d.part("seal stamp", write::explicit(0, &write::bit_string(b"\x30\x00"))),
            None,
        ),
    ]);
}

fn bmp(text: &str) -> Vec<u8> {
    write::tlv(tag::BMP_STRING, &text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>())
}

fn extensions(explicit_false: bool) -> Vec<u8> {
    let mut one = vec![write::oid("1.2.3.4")];
    if explicit_false {
        one.push(write::boolean(false));
    }
    one.push(write::octet_string(b"value"));
    write::sequence(&[write::sequence(&one)])
}

fn by_digest(world: &World, draft: &mut Draft, name: &str) {
    let digest = DigestAlgorithm::Sm3.of(world.signer.cert.der());
    let pair = write::sequence(&[write::utf8(name), write::octet_string(&digest)]);
    draft.part("list type", write::small(2));
    draft.part("list", write::sequence(&[pair]));
}

fn halves(der: &[u8], change: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut inside = Reader::new(der).sequence().unwrap();
    let mut half = || write::tlv(tag::INTEGER, &change(inside.integer().unwrap()));
    write::sequence(&[half(), half()])
}

/// A seal whose signature ends in a zero octet, as one in 256 does; an encoder that counts zero bits cuts it.
fn zero_cut(world: &World, draft: &mut Draft) {
    let mut number = 0;
    while draft.seal(world).last() != Some(&0) {
        number += 1;
        draft.part("esID", write::ia5(&number.to_string()));
    }
    draft.count_zero_bits = true;
}

/// One signature in 256 ends in a zero octet, and its stamp is over the value as it was made or over what an encoder left of it.
#[test]
fn stamps_over_a_value_that_ends_in_a_zero() {
    let (world, tsa) = (World::new(), party("时间戳", Use::TimeStamping));
    let mut profile = world.profile();
    profile.anchors.tsas = vec![tsa.cert.clone()];
    for raw_signatures in [false, true] {
        let draft = Draft { raw_signatures, ..Draft::default() };
        let xml = b"<Signature/>".to_vec();
        let seal = draft.seal(&world);
        let mut made = (0..20_000).map(|n| draft.value(&world, &seal, &xml, &format!("/{n}.xml")));
        let der = made.find(|der| der.ends_with(&[0])).unwrap();
        let mut parts = Reader::new(&der).sequence().unwrap();
        let signed = [(); 3].map(|()| parts.element().unwrap().full);
        let whole = parts.bit_string().unwrap().0;
        let cut = &whole[..whole.len() - 1];
        let less = &cut[..cut.iter().rposition(|octet| *octet != 0).unwrap()];
        for (name, kept, stamped, want) in [
            ("whole, stamped whole", whole, whole, None),
            ("whole, stamped as cut", whole, cut, None),
            ("cut, stamped whole", cut, whole, None),
            ("cut, stamped as cut", cut, cut, None),
            ("stamped without more than zeros", whole, less, Some("TIMESTAMP_IMPRINT")),
            ("stamped with one zero more", whole, &[whole, &[0]].concat(), Some("TIMESTAMP_IMPRINT")),
            ("something else stamped", cut, b"else", Some("TIMESTAMP_IMPRINT")),
        ] {
            let stamp = write::explicit(0, &write::bit_string(&token(&tsa, stamped)));
            let value = write::sequence(&[&signed[..], &[&write::bit_string(kept), &stamp]].concat());
            let report = verify_with("f", &value, Some(&xml), &profile);
            let verdict = &report.signatures[0];
            let told = verdict.findings.iter().map(|f| f.code).find(|code| code.starts_with("TIMESTAMP_"));
            assert_eq!((told, verdict.proven_at.is_some()), (want, want.is_none()), "{name}: {}", report.to_text());
        }
    }
}

fn padded(der: &[u8]) -> Vec<u8> {
    halves(der, |number| [&[0, 0][..], number].concat())
}

/// The highest bit set and no zero before it: a number below zero.
fn negative(der: &[u8]) -> Vec<u8> {
    halves(der, |number| [&[0x80], &number[number.len().saturating_sub(31)..]].concat())
}

fn longer(der: &[u8]) -> Vec<u8> {
    let inside = Reader::new(der).sequence().unwrap();
    write::tlv(tag::SEQUENCE, &[inside.rest(), &write::small(1)].concat())
}

fn base64(octets: &[u8]) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.encode(octets).into_bytes()
}

fn pem(octets: &[u8]) -> Vec<u8> {
    crate::trust::pem::encode("CMS", octets).into_bytes()
}

fn hex(octets: &[u8]) -> Vec<u8> {
    crate::terms::digest::hex(octets).into_bytes()
}

fn newline(octets: &[u8]) -> Vec<u8> {
    [octets, b"\n"].concat()
}

fn streamed(octets: &[u8]) -> Vec<u8> {
    ber::streamed(octets, 1)
}

#[test]
fn certificates_of_signers() {
    const COMPRESSED: fn(&World) -> Vec<u8> = |w| {
        resigned(&w.signer.key, &w.signer.cert, |parts| {
            let spki = w.signer.key.public_key().to_spki();
            let mut inside = Reader::new(&spki).sequence().unwrap();
            let (identifier, (point, _)) = (inside.element().unwrap().full.to_vec(), inside.bit_string().unwrap());
            let short = [&[2 | point[64] & 1], &point[1..33]].concat();
            parts[6] = write::sequence(&[identifier, write::bit_string(&short)]);
        })
    };
    fn dated(w: &World, from: &[u8], to: &[u8]) -> Vec<u8> {
        let time = |text: &[u8]| write::tlv(if text.len() == 13 { tag::UTC_TIME } else { tag::GENERALIZED_TIME }, text);
        resigned(&w.signer.key, &w.signer.cert, |parts| parts[4] = write::sequence(&[time(from), time(to)]))
    }
    check(&[
        (
            "signed again, the same",
            |_, d| d.certificate = Some(|w| resigned(&w.signer.key, &w.signer.cert, |_| {})),
            None,
        ),
        ("a compressed key", |_, d| d.certificate = Some(COMPRESSED), None),
        ("a compressed key, V1", |_, d| (d.certificate, d.v1) = (Some(COMPRESSED), true), None),
        ("UTCTime", |_, d| d.certificate = Some(|w| dated(w, b"250101000000Z", b"350101000000Z")), None),
        (
            "GeneralizedTime before 2050",
            |_, d| d.certificate = Some(|w| dated(w, b"20250101000000Z", b"20350101000000Z")),
            None,
        ),
        ("without end", |_, d| d.certificate = Some(|w| dated(w, b"250101000000Z", b"99991231235959Z")), None),
        (
            "times with fractions",
            |_, d| d.certificate = Some(|w| dated(w, b"20250101000000.0Z", b"20350101000000.0Z")),
            Some("SIGNER_CERT_UNREADABLE"),
        ),
        (
            "times with an offset",
            |_, d| d.certificate = Some(|w| dated(w, b"20250101000000+0800", b"20350101000000+0800")),
            Some("SIGNER_CERT_UNREADABLE"),
        ),
    ]);
}
