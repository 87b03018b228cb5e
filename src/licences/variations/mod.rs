//! What other producers write: every variation that is known of, made here, and judged as it must be. A genuine file passes
//! whatever its habits; what is beyond them is told by its code.

pub(super) mod kit;
pub(super) mod packing;

use kit::{Cms, Draft, SM2, World, at};
use packing::{Descriptor, Shape};

use crate::formats::der::{tag, write};
use crate::trust::suite::DigestAlgorithm;

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

fn national(inside: bool, attributes: bool) -> Cms {
    Cms { inside, attributes, ..Cms::default() }
}

fn utf16(text: &str) -> Vec<u8> {
    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

fn bmp(text: &str) -> Vec<u8> {
    write::tlv(tag::BMP_STRING, &text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>())
}

fn generalized(text: &str) -> Vec<u8> {
    write::tlv(tag::GENERALIZED_TIME, text.as_bytes())
}

fn opaque(octets: &[u8]) -> Vec<u8> {
    write::bit_string(octets)
}

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
        ("a hash of something else", |_, d| d.part("hash", opaque(&[7; 32])), Some("DATA_HASH_MISMATCH")),
        (
            "a seal's stamp that is not read",
            |_, d| d.part("seal stamp", write::explicit(0, &write::bit_string(b"\x30\x00"))),
            None,
        ),
    ]);
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

#[test]
fn times_of_signing() {
    check(&[
        ("fraction", |_, d| d.part("time", generalized("20260213020000.123Z")), None),
        ("fraction that ends in zero", |_, d| d.part("time", generalized("20260213020000.50Z")), None),
        ("offset", |_, d| d.part("time", generalized("20260213100000+0800")), None),
        ("no zone", |_, d| d.part("time", generalized("20260213100000")), None),
        ("UTCTime", |_, d| d.part("time", write::tlv(tag::UTC_TIME, b"260213020000Z")), None),
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
        ("V1: zeros after it", |_, d| (d.v1, _) = (true, d.part("time", opaque(b"2026-02-13 10:00:00\0"))), None),
        ("V1: nothing", |_, d| (d.v1, _) = (true, d.part("time", opaque(b""))), Some("SIGN_TIME_UNREADABLE")),
    ]);
}

#[test]
fn plain_signatures() {
    check(&[
        ("digest inside, no attributes", |_, d| d.cms = Some(national(true, false)), None),
        ("detached with attributes", |_, d| d.cms = Some(national(false, true)), None),
        ("digest inside, attributes", |_, d| d.cms = Some(national(true, true)), None),
        ("detached without attributes", |_, d| d.cms = Some(national(false, false)), None),
        ("unsorted attributes", |_, d| d.cms = Some(Cms { unsorted: true, ..national(false, true) }), None),
        ("NULL beside the digest", |_, d| d.cms = Some(Cms { null: true, ..national(true, false) }), None),
        ("SM2 with SM3", |_, d| d.cms = Some(Cms { algorithm: Some(SM2), ..national(false, true) }), None),
        (
            "the key's OID",
            |_, d| d.cms = Some(Cms { algorithm: Some("1.2.156.10197.1.301"), ..national(true, false) }),
            None,
        ),
        (
            "the curve's family",
            |_, d| d.cms = Some(Cms { algorithm: Some("1.2.840.10045.2.1"), ..national(true, false) }),
            None,
        ),
        (
            "without .1",
            |_, d| d.cms = Some(Cms { algorithm: Some("1.2.156.10197.501"), ..national(true, false) }),
            None,
        ),
        ("RFC 5652 names", |_, d| d.cms = Some(Cms { international: true, ..national(false, true) }), None),
        ("two names of plain data", |_, d| d.cms = Some(Cms { mixed_types: true, ..national(false, true) }), None),
        ("r and s in 64 octets", |_, d| (d.raw_signatures, d.cms) = (true, Some(national(true, false))), None),
        (
            "listed as a seal",
            |_, d| {
                d.cms = Some(national(false, true));
                d.replace("Signatures.xml", "Type=\"Sign\"", "Type=\"Seal\"");
            },
            None,
        ),
        (
            "an unknown algorithm",
            |_, d| d.cms = Some(Cms { algorithm: Some("1.2.3"), ..national(true, false) }),
            Some("CMS_ALG"),
        ),
    ]);
}

#[test]
fn xml_of_many_hands() {
    const OLD: &str = "http://www.ofdspec.org";
    check(&[
        (
            "no prefix",
            |_, d| {
                for f in ALL {
                    d.edit(f, |t| t.replace("ofd:", "").replace("xmlns:ofd=", "xmlns=").into_bytes());
                }
            },
            None,
        ),
        (
            "another prefix",
            |_, d| {
                for f in ALL {
                    d.edit(f, |t| t.replace("ofd:", "x:").replace("xmlns:ofd=", "xmlns:x=").into_bytes())
                }
            },
            None,
        ),
        (
            "the older namespace, in one file",
            |_, d| d.replace("Signature.xml", "http://www.ofdspec.org/2016", OLD),
            None,
        ),
        ("no namespace", |_, d| d.replace("OFD.xml", " xmlns:ofd=\"http://www.ofdspec.org/2016\"", ""), None),
        (
            "a byte order mark",
            |_, d| {
                for f in ALL {
                    d.edit(f, |t| format!("\u{feff}{t}").into_bytes())
                }
            },
            None,
        ),
        (
            "UTF-16",
            |_, d| {
                for f in ALL {
                    d.edit(f, |t| utf16(&t.replace("UTF-8", "UTF-16")))
                }
            },
            None,
        ),
        ("UTF-16 that says UTF-8", |_, d| d.edit("Signature.xml", |t| utf16(&t)), Some("XML_ENCODING")),
        (
            "GBK",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    let text = t.replace("UTF-8", "GBK").replace("\"p\"", "\"签章厂商\"");
                    encoding_rs::GB18030.encode(&text).0.into_owned()
                })
            },
            None,
        ),
        (
            "CRLF",
            |_, d| {
                for f in ALL {
                    d.edit(f, |t| t.replace("><", ">\r\n  <").into_bytes())
                }
            },
            None,
        ),
        (
            "a newline at the end",
            |_, d| {
                for f in ALL {
                    d.edit(f, |t| format!("{t}\n\n").into_bytes())
                }
            },
            None,
        ),
        (
            "no declaration",
            |_, d| d.edit("Signature.xml", |t| t.split_once("?>\n").unwrap().1.as_bytes().to_vec()),
            None,
        ),
        (
            "comments and instructions",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    t.replace("<ofd:SignedInfo>", "<!-- c --><?p i?><ofd:SignedInfo><!-- d -->").into_bytes()
                })
            },
            None,
        ),
        (
            "CDATA and references",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    t.replace(
                        "/Doc_0/Signs/Sign_0/SignedValue.dat",
                        "<![CDATA[/Doc_0/Signs]]>&#x2F;Sign_0/SignedValue.dat",
                    )
                    .into_bytes()
                })
            },
            None,
        ),
        (
            "unknown elements and attributes",
            |_, d| {
                d.edit("Signature.xml", |t| {
            t.replace("<ofd:SignedInfo>", "<ofd:SignedInfo v:Note=\"1\" xmlns:v=\"urn:v\"><v:More><ofd:Reference FileRef=\"/x\"/></v:More>")
                .replace("<ofd:Reference ", "<ofd:Reference Extra=\"1\" ").into_bytes()
        })
            },
            None,
        ),
        (
            "unknown elements in OFD.xml and the list",
            |_, d| {
                d.edit("OFD.xml", |t| {
                    t.replace("<ofd:DocBody>", "<ofd:Vendor/><ofd:DocBody><ofd:Other a=\"b\"/>").into_bytes()
                });
                d.edit("Signatures.xml", |t| t.replace("<ofd:MaxSignId>", "<ofd:Vendor/><ofd:MaxSignId>").into_bytes());
            },
            None,
        ),
        (
            "attributes as elements",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    t.replace(
                        r#"<ofd:Provider ProviderName="p" Company="c" Version="1"/>"#,
                        "<ofd:Provider><ofd:ProviderName>p</ofd:ProviderName></ofd:Provider>",
                    )
                    .into_bytes()
                })
            },
            None,
        ),
        (
            "BaseLoc as an attribute",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    t.replace("<ofd:Seal><ofd:BaseLoc>", "<ofd:Seal BaseLoc=\"")
                        .replace("</ofd:BaseLoc></ofd:Seal>", "\"/>")
                        .into_bytes()
                })
            },
            None,
        ),
        (
            "check values broken into lines",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    t.replace("<ofd:CheckValue>", "<ofd:CheckValue>\r\n   ")
                        .replace("=</ofd:CheckValue>", "=\r\n</ofd:CheckValue>")
                        .into_bytes()
                })
            },
            None,
        ),
        (
            "a document type",
            |_, d| d.edit("Signature.xml", |t| t.replace("?>\n", "?><!DOCTYPE a>").into_bytes()),
            Some("XML_DTD_FORBIDDEN"),
        ),
        (
            "two SignedInfo",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    t.replace("<ofd:SignedValue>", "<ofd:SignedInfo/><ofd:SignedValue>").into_bytes()
                })
            },
            Some("XML_REPEATED_ELEMENT"),
        ),
    ]);
}

/// All files of the signature structure that are written as XML.
const ALL: [&str; 3] = ["OFD.xml", "Signatures.xml", "Signature.xml"];

#[test]
fn members_that_may_be_missing() {
    check(&[
        ("MaxSignId", |_, d| d.replace("Signatures.xml", "<ofd:MaxSignId>1</ofd:MaxSignId>", ""), None),
        ("Type", |_, d| d.replace("Signatures.xml", " Type=\"Seal\"", ""), None),
        ("Type in capitals", |_, d| d.replace("Signatures.xml", "\"Seal\"", "\"SEAL\""), None),
        ("Type of another kind", |_, d| d.replace("Signatures.xml", "\"Seal\"", "\"Stamp\""), Some("SIG_TYPE")),
        ("ID", |_, d| d.replace("Signatures.xml", "ID=\"s0\"", ""), None),
        (
            "Provider",
            |_, d| d.replace("Signature.xml", r#"<ofd:Provider ProviderName="p" Company="c" Version="1"/>"#, ""),
            None,
        ),
        (
            "SignatureMethod",
            |_, d| d.replace("Signature.xml", "<ofd:SignatureMethod>1.2.156.10197.1.501</ofd:SignatureMethod>", ""),
            None,
        ),
        (
            "SignatureDateTime",
            |_, d| d.replace("Signature.xml", "<ofd:SignatureDateTime>20260213020000Z</ofd:SignatureDateTime>", ""),
            None,
        ),
        ("SignatureDateTime in words", |_, d| d.replace("Signature.xml", "20260213020000Z", "昨天上午"), None),
        (
            "StampAnnot",
            |_, d| d.replace("Signature.xml", "<ofd:StampAnnot ID=\"9\" PageRef=\"1\" Boundary=\"0 0 4 4\"/>", ""),
            None,
        ),
        (
            "Parameters there",
            |_, d| {
                d.replace(
                    "Signature.xml",
                    "<ofd:References",
                    "<ofd:Parameters><ofd:Parameter Name=\"a\">b</ofd:Parameter></ofd:Parameters><ofd:References",
                )
            },
            None,
        ),
        (
            "Seal",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    let (head, rest) = t.split_once("<ofd:Seal>").unwrap();
                    format!("{head}{}", rest.split_once("</ofd:Seal>").unwrap().1).into_bytes()
                })
            },
            None,
        ),
        ("CheckMethod", |_, d| d.replace("Signature.xml", " CheckMethod=\"SM3\"", ""), Some("REF_DIGEST_ALG_WEAK")),
        (
            "References",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    let (head, rest) = t.split_once("<ofd:Reference ").unwrap();
                    format!("{head}{}", rest.rsplit_once("</ofd:Reference>").unwrap().1).into_bytes()
                })
            },
            Some("REF_NONE"),
        ),
        (
            "SignedValue",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    format!("{}</ofd:Signature>", t.split_once("<ofd:SignedValue>").unwrap().0).into_bytes()
                })
            },
            Some("XML_MISSING_ELEMENT"),
        ),
    ]);
}

#[test]
fn names_of_digests() {
    let world = World::new();
    for (name, algorithm, want) in [
        ("SM3", DigestAlgorithm::Sm3, None),
        ("sm3", DigestAlgorithm::Sm3, None),
        ("1.2.156.10197.1.401", DigestAlgorithm::Sm3, None),
        ("1.2.156.10197.1.401.1", DigestAlgorithm::Sm3, None),
        ("1.2.156.10197.1.401.2", DigestAlgorithm::Sm3, None),
        (" 1.2.156.10197.1.401 ", DigestAlgorithm::Sm3, None),
        ("SHA256", DigestAlgorithm::Sha256, None),
        ("SHA-256", DigestAlgorithm::Sha256, None),
        ("2.16.840.1.101.3.4.2.1", DigestAlgorithm::Sha256, None),
        ("SHA-384", DigestAlgorithm::Sha384, None),
        ("2.16.840.1.101.3.4.2.3", DigestAlgorithm::Sha512, None),
        ("SM3", DigestAlgorithm::Sha256, Some("REF_DIGEST_MISMATCH")),
        ("MD5", DigestAlgorithm::Sm3, Some("REF_DIGEST_ALG_WEAK")),
        ("1.2.840.113549.2.5", DigestAlgorithm::Sm3, Some("REF_DIGEST_ALG_WEAK")),
        ("SHA1", DigestAlgorithm::Sm3, Some("REF_DIGEST_ALG_WEAK")),
        ("SHA-1", DigestAlgorithm::Sm3, Some("REF_DIGEST_ALG_WEAK")),
        ("1.3.14.3.2.26", DigestAlgorithm::Sm3, Some("REF_DIGEST_ALG_WEAK")),
        ("CRC32", DigestAlgorithm::Sm3, Some("REF_DIGEST_ALG")),
    ] {
        let mut draft = Draft { check_digest: algorithm, ..Draft::default() };
        draft.edit("Signature.xml", move |text| text.replace("=\"SM3\"", &format!("=\"{name}\"")).into_bytes());
        let report = world.report(name, &draft);
        assert_eq!(report.code, want, "{}", report.to_text());
    }
}

#[test]
fn locations() {
    const LIST: &str = "Signatures.xml";
    const SIG: &str = "Signature.xml";
    const VALUE: &str = "/Doc_0/Signs/Sign_0/SignedValue.dat";
    check(&[
        ("list from the root", |_, d| d.replace("OFD.xml", ">Doc_0/Signs", ">/Doc_0/Signs"), None),
        ("signature beside its list", |_, d| d.replace(LIST, "/Doc_0/Signs/Sign_0", "Sign_0"), None),
        ("signature with a dot", |_, d| d.replace(LIST, "/Doc_0/Signs/Sign_0", "./Sign_0"), None),
        ("signature by way of its parent", |_, d| d.replace(LIST, "/Doc_0/Signs/Sign_0", "../Signs/Sign_0"), None),
        (
            "signature from the root, no slash",
            |_, d| d.replace(LIST, "/Doc_0/Signs/Sign_0", "Doc_0/Signs/Sign_0"),
            None,
        ),
        ("signature outside", |_, d| d.replace(LIST, "/Doc_0/Signs", "../../../Doc_0/Signs"), Some("LOC_TRAVERSAL")),
        ("signature with a backslash", |_, d| d.replace(LIST, "Sign_0/", "Sign_0\\"), Some("LOC_SHAPE")),
        ("value beside its signature", |_, d| d.replace(SIG, VALUE, "SignedValue.dat"), None),
        ("value with blanks around", |_, d| d.replace(SIG, VALUE, "\n  SignedValue.dat\n"), None),
        ("value from the root, no slash", |_, d| d.replace(SIG, VALUE, "Doc_0/Signs/Sign_0/SignedValue.dat"), None),
        ("value elsewhere", |_, d| d.replace(SIG, VALUE, "SignValue.dat"), Some("SIGNED_VALUE_MISSING")),
        ("seal beside its signature", |_, d| d.replace(SIG, ">/Doc_0/Signs/Sign_0/Seal.esl", ">Seal.esl"), None),
        ("references without a slash", |_, d| d.replace(SIG, "FileRef=\"/", "FileRef=\""), Some("REF_LOC_RELATIVE")),
        (
            "references that climb",
            |_, d| d.replace(SIG, "FileRef=\"/OFD", "FileRef=\"/Doc_0/../OFD"),
            Some("REF_LOC_TRAVERSAL"),
        ),
        (
            "references with backslashes",
            |_, d| d.replace(SIG, "/Doc_0/Document", "\\Doc_0\\Document"),
            Some("REF_LOC_RELATIVE"),
        ),
    ]);
}

#[test]
fn bodies_signatures_and_coverage() {
    check(&[
        ("OFD.xml left out", |_, d| d.uncovered = vec!["OFD.xml"], None),
        ("a page left out", |_, d| d.uncovered = vec!["Doc_0/Pages/Page_0/Content.xml"], Some("UNSIGNED_FILES")),
        ("two documents", |_, d| d.second_body = true, None),
        (
            "two documents, OFD.xml left out",
            |_, d| (d.second_body, d.uncovered) = (true, vec!["OFD.xml"]),
            Some("UNSIGNED_FILES"),
        ),
        (
            "two documents, one unsigned",
            |_, d| (d.second_body, d.uncovered) = (true, vec!["Doc_1/Document.xml"]),
            Some("UNSIGNED_FILES"),
        ),
        ("two signatures", |_, d| d.second_signature = true, None),
        (
            "two signatures of one ID",
            |_, d| {
                d.second_signature = true;
                d.replace("Signatures.xml", "\"s1\"", "\"s0\"");
            },
            Some("SIG_ID_DUPLICATE"),
        ),
        (
            "one signature listed twice",
            |_, d| {
                d.second_signature = true;
                d.replace("Signatures.xml", "Sign_1", "Sign_0");
            },
            Some("SIG_LISTED_TWICE"),
        ),
        (
            "built on a signature",
            |_, d| {
                d.second_signature = true;
                d.replace("Signatures.xml", "ID=\"s1\"", "ID=\"s1\" Relative=\"s0\"");
            },
            None,
        ),
        (
            "built on none",
            |_, d| d.replace("Signatures.xml", "ID=\"s0\"", "ID=\"s0\" Relative=\"s9\""),
            Some("SIG_RELATIVE_MISSING"),
        ),
        (
            "two signatures, one of them taken off the list",
            |_, d| {
                d.second_signature = true;
                d.edit("Signatures.xml", |t| {
                    let (head, rest) = t.split_once("<ofd:Signature ID=\"s1\"").unwrap();
                    format!("{head}{}", rest.split_once("/>").unwrap().1).into_bytes()
                });
            },
            Some("UNSIGNED_FILES"),
        ),
        (
            "an empty list",
            |_, d| {
                d.edit("Signatures.xml", |t| {
                    let (head, rest) = t.split_once("<ofd:Signature ").unwrap();
                    format!("{head}{}", rest.split_once("/>").unwrap().1).into_bytes()
                })
            },
            Some("NOT_SIGNED"),
        ),
        ("a Chinese file name", |_, d| d.files.push(("Doc_0/Attachs/营业执照 副本.xml", b"<a/>".to_vec())), None),
    ]);
}

#[test]
fn archives_of_many_packers() {
    const NAME: &str = "Doc_0/Attachs/证照数据.xml";
    fn named(d: &mut Draft, shape: Shape) {
        d.files.push((NAME, b"<a/>".to_vec()));
        d.shape = shape;
    }
    let descriptor = |signed, wide| Some(Descriptor { signed, wide });
    let world = World::new();
    for (name, shape, finding) in [
        ("stored", Shape::default(), None),
        ("deflated", Shape { deflated: true, ..Shape::default() }, None),
        ("folders", Shape { folders: true, deflated: true, ..Shape::default() }, Some("ZIP_ATTRIBUTES")),
        ("ZIP64 in small files", Shape { zip64: true, deflated: true, ..Shape::default() }, Some("ZIP_ATTRIBUTES")),
        ("descriptors", Shape { descriptor: descriptor(true, false), deflated: true, ..Shape::default() }, None),
        ("descriptors without a sign", Shape { descriptor: descriptor(false, false), ..Shape::default() }, None),
        (
            "descriptors of 64 bits",
            Shape { descriptor: descriptor(true, true), deflated: true, ..Shape::default() },
            None,
        ),
        (
            "both",
            Shape { descriptor: descriptor(false, true), zip64: true, ..Shape::default() },
            Some("ZIP_ATTRIBUTES"),
        ),
        ("octets before", Shape { before: b"vendor".to_vec(), ..Shape::default() }, Some("ZIP_PREFIX")),
        ("octets after", Shape { after: b"\0\0vendor".to_vec(), ..Shape::default() }, Some("ZIP_TRAILER")),
        ("a comment", Shape { comment: b"made by".to_vec(), ..Shape::default() }, Some("ZIP_COMMENT")),
        ("names in GBK", Shape { gb_names: true, ..Shape::default() }, Some("ZIP_NAME_ENCODING")),
        (
            "names in GBK and again in UTF-8",
            Shape { gb_names: true, unicode_path: true, ..Shape::default() },
            Some("ZIP_NAME_ENCODING"),
        ),
        ("names in UTF-8, unmarked", Shape { unmarked: true, ..Shape::default() }, Some("ZIP_NAME_ENCODING")),
        ("names in UTF-8 twice", Shape { unicode_path: true, ..Shape::default() }, Some("ZIP_ATTRIBUTES")),
    ] {
        let mut draft = Draft::default();
        named(&mut draft, shape);
        let report = world.report(name, &draft);
        assert!(report.passed(), "{}", report.to_text());
        assert_eq!(report.findings.first().map(|f| f.code), finding, "{name}");
        assert!(report.coverage.covered.iter().any(|n| n == NAME), "{name}");
    }
}
