//! DER, BER and credentials that hold as much of everything as is read, and more.

use std::fs::File;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tongban::formats::ber;
use tongban::formats::der::{Reader, tag, write};
use tongban::terms::UnixMillis;
use tongban::trust::certificate::Certificate;
use tongban::trust::cms::{self, SignedData};
use tongban::trust::issue::{self, Issuer, Subject, Use};
use tongban::trust::suite::{SignatureAlgorithm, Signer, SigningKey};

use super::is_bounded;

const AT: UnixMillis = UnixMillis(1_790_000_000_000);

pub fn hex(octets: &[u8]) -> String {
    tongban::terms::digest::hex(octets)
}

/// A revocation list of about so many octets, with the shortest entries.
pub fn crl(size: usize) -> Vec<u8> {
    let time = write::certificate_time(AT);
    let count = size / 23;
    let entries = (0..count).flat_map(|n| {
        let [_, rest @ ..] = (n as u32).to_be_bytes();
        write::sequence(&[write::tlv(tag::INTEGER, &[&[1][..], &rest].concat()), time.clone()])
    });
    let entries = write::tlv(tag::SEQUENCE, &entries.collect::<Vec<u8>>());
    let algorithm = SignatureAlgorithm::EcdsaP256Sha256.identifier();
    let tbs = write::sequence(&[write::small(1), algorithm.clone(), write::sequence::<Vec<u8>>(&[]), time, entries]);
    write::sequence(&[tbs, algorithm, write::bit_string(b"unsigned")])
}

struct Party {
    key: SigningKey,
    certificate: Certificate,
}

fn party() -> Party {
    let key = SigningKey::generate(SignatureAlgorithm::EcdsaP256Sha256).expect("a key");
    let key = SigningKey::from_pkcs8(&key).expect("a key");
    let subject = Subject::named("signer", "test");
    let spki = key.public_key().to_spki();
    let der = issue::certificate(
        &Issuer::root(&key, &subject),
        &subject,
        &spki,
        Use::Signer,
        UnixMillis(0),
        UnixMillis(4_000_000_000_000),
    );
    let certificate = Certificate::parse(&der.expect("a certificate")).expect("a certificate");
    Party { key, certificate }
}

/// A certificate with so many short names, which nobody signed.
pub fn certificate_with_names(count: usize) -> Vec<u8> {
    let own = party().certificate;
    let names = write::tlv(tag::SEQUENCE, &write::tlv(0x82, b"a").repeat(count));
    let extension = write::sequence(&[write::oid("2.5.29.17"), write::octet_string(&names)]);
    let algorithm = SignatureAlgorithm::EcdsaP256Sha256.identifier();
    let name = own.subject().to_vec();
    let tbs = write::sequence(&[
        write::explicit(0, &write::small(2)),
        write::small(7),
        algorithm.clone(),
        name.clone(),
        write::sequence(&[write::certificate_time(UnixMillis(0)), write::certificate_time(AT)]),
        name,
        own.spki().to_vec(),
        write::explicit(3, &write::sequence(&[extension])),
    ]);
    write::sequence(&[tbs, algorithm, write::bit_string(b"unsigned")])
}

/// What is put into a signature besides what it has.
#[derive(Default)]
struct More {
    certificates: Vec<Vec<u8>>,
    status: Vec<Vec<u8>>,
    unsigned: Vec<Vec<u8>>,
    content: Option<Vec<u8>>,
}

/// A signature over `content`, with more in it than its signer put there.
fn grown(content: &[u8], more: &More) -> Vec<u8> {
    let Party { key, certificate } = party();
    let digest = key.algorithm().digest().of(content);
    let der = cms::sign_detached(&key, std::slice::from_ref(&certificate), &digest, AT).expect("a signature");
    let mut info = Reader::new(&der).sequence().expect("DER");
    let kind = info.element().expect("a type").full;
    let mut data = info.element().expect("data").inside().sequence().expect("data");
    let (version, digests) = (data.element().expect("a version").full, data.element().expect("digests").full);
    let mut inside = data.sequence().expect("what is signed");
    let content_type = inside.element().expect("a type").full.to_vec();
    let certificates = [
        &[data.element().expect("certificates").content],
        &more.certificates.iter().map(|c| &c[..]).collect::<Vec<_>>()[..],
    ]
    .concat();
    let signer = data.set().expect("signers").element().expect("a signer");
    let mut signer = signer.content.to_vec();
    if !more.unsigned.is_empty() {
        signer.extend(write::explicit(1, &more.unsigned.concat()));
    }
    let mut encapsulated = vec![content_type];
    encapsulated.extend(more.content.as_deref().map(|octets| write::explicit(0, &write::octet_string(octets))));
    // Status of another kind than lists makes it version 5 (RFC 5652 §5.1).
    let other = more.status.iter().any(|status| status[0] == 0xa1);
    let mut parts = vec![
        if other { write::small(5) } else { version.to_vec() },
        digests.to_vec(),
        write::sequence(&encapsulated),
        write::explicit(0, &certificates.concat()),
    ];
    if !more.status.is_empty() {
        parts.push(write::explicit(1, &more.status.concat()));
    }
    parts.push(write::tlv(tag::SET, &write::tlv(tag::SEQUENCE, &signer)));
    write::sequence(&[kind.to_vec(), write::explicit(0, &write::sequence(&parts))])
}

fn attribute(oid: &str, value: Vec<u8>) -> Vec<u8> {
    write::sequence(&[write::oid(oid), write::tlv(tag::SET, &value)])
}

/// A signature with revocation lists of so many octets in its attributes.
pub fn signed_with_lists(size: usize) -> Vec<u8> {
    let values = write::sequence(&[write::explicit(0, &write::sequence(&[crl(size)]))]);
    grown(b"other", &More { unsigned: vec![attribute("1.2.840.113549.1.9.16.2.24", values)], ..More::default() })
}

/// An answer about certificates with this in it.
fn answer(certificates: &[Vec<u8>]) -> Vec<u8> {
    let algorithm = SignatureAlgorithm::EcdsaP256Sha256.identifier();
    let time = write::generalized_time(AT);
    let tbs =
        write::sequence(&[write::explicit(2, &write::octet_string(&[0; 20])), time, write::sequence::<Vec<u8>>(&[])]);
    let list = write::explicit(0, &write::sequence(certificates));
    let basic = write::sequence(&[tbs, algorithm, write::bit_string(b"unsigned"), list]);
    let bytes = write::sequence(&[write::oid("1.3.6.1.5.5.7.48.1.1"), write::octet_string(&basic)]);
    write::sequence(&[write::tlv(0x0a, &[0]), write::explicit(0, &bytes)])
}

fn seal(picture: usize, certificates: &[Vec<u8>], v1: bool) -> Vec<u8> {
    let own = party().certificate;
    let header = write::sequence(&[write::ia5("ES"), write::small(if v1 { 1 } else { 4 }), write::ia5("v")]);
    let list: Vec<_> = certificates.iter().map(|der| write::octet_string(der)).collect();
    let dates = vec![write::generalized_time(UnixMillis(0)); 3];
    let mut property = vec![write::small(1), write::utf8("章")];
    property.extend((!v1).then(|| write::small(1)));
    property.push(write::sequence(&list));
    property.extend(dates);
    let picture = write::sequence(&[
        write::ia5("png"),
        write::octet_string(&vec![7; picture]),
        write::small(40),
        write::small(40),
    ]);
    let info = write::sequence(&[header, write::ia5("1"), write::sequence(&property), picture]);
    let sign = [write::octet_string(own.der()), write::oid("1.2.156.10197.1.501"), write::bit_string(&[1; 64])];
    if v1 { write::sequence(&[info, write::sequence(&sign)]) } else { write::sequence(&[&[info][..], &sign].concat()) }
}

fn applied(seal: Vec<u8>) -> Vec<u8> {
    let own = party().certificate;
    let signed = write::sequence(&[
        write::small(4),
        seal,
        write::generalized_time(AT),
        write::bit_string(&[1; 32]),
        write::ia5("/a"),
    ]);
    let algorithm = write::oid("1.2.156.10197.1.501");
    write::sequence(&[signed, write::octet_string(own.der()), algorithm, write::bit_string(&[1; 64])])
}

fn credential(claims: &str, disclosures: &[String], tail: &str) -> Vec<u8> {
    headed(r#"{"alg":"ES256","typ":"dc+sd-jwt"}"#, claims, disclosures, tail)
}

fn headed(header: &str, claims: &str, disclosures: &[String], tail: &str) -> Vec<u8> {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = encode(header);
    let mut text = format!("{header}.{}.{}~", encode(claims), encode(&"s".repeat(64)));
    for disclosure in disclosures {
        text += &encode(disclosure);
        text.push('~');
    }
    (text + tail).into_bytes()
}

#[test]
fn what_is_read_of_der_is_bounded() {
    const MISMATCH: &str = "CMS_DIGEST_MISMATCH";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("f.p7s");
    let content = folder.path().join("content");
    std::fs::write(&content, b"content").expect("written");
    let named = certificate_with_names(1_000);
    let plain = certificate_with_names(1);
    let big = |size: usize| {
        // A long name, which is kept in several forms.
        let own = party().certificate;
        let pair = write::sequence(&[write::oid("2.5.4.3"), write::utf8(&"n".repeat(size))]);
        let name = write::sequence(&[write::tlv(tag::SET, &pair)]);
        let algorithm = SignatureAlgorithm::EcdsaP256Sha256.identifier();
        let validity = write::sequence(&[write::certificate_time(UnixMillis(0)), write::certificate_time(AT)]);
        let tbs =
            write::sequence(&[write::small(7), algorithm.clone(), name.clone(), validity, name, own.spki().to_vec()]);
        write::sequence(&[tbs, algorithm, write::bit_string(b"unsigned")])
    };
    // Copies are read once: each has another signature, which nobody asks about here.
    let others = |from: usize, n: usize, der: &[u8]| -> Vec<Vec<u8>> {
        let head = &der[..der.len() - 2];
        (from..from + n).map(|n| [head, &(n as u16).to_be_bytes()].concat()).collect()
    };
    let values = |times: usize, n: usize, der: &Vec<u8>| -> Vec<_> {
        let value = |time: usize| write::sequence(&others(time * n, n, der));
        (0..times).map(|time| attribute("1.2.840.113549.1.9.16.2.23", value(time))).collect()
    };
    let archived = |size: usize| {
        let values = write::sequence(&[write::explicit(0, &write::sequence(&[crl(size)]))]);
        More { unsigned: vec![attribute("1.2.840.113549.1.9.16.2.24", values)], ..More::default() }
    };
    let certificate_values = More { unsigned: values(13, 60, &named), ..More::default() };
    let small_values = More { unsigned: values(60, 64, &plain), ..More::default() };
    let answers = |certificate: &Vec<u8>, n| {
        let other =
            write::tlv(0xa1, &[write::oid("1.3.6.1.5.5.7.16.2"), answer(&vec![certificate.clone(); n])].concat());
        More { status: vec![other], ..More::default() }
    };
    let stamped = |size: usize| {
        let token = grown(b"", &More { content: Some(vec![7; size]), ..More::default() });
        More { unsigned: vec![attribute("1.2.840.113549.1.9.16.2.14", token)], ..More::default() }
    };
    let inside = |size: usize| grown(b"other", &More { content: Some(vec![7; size]), ..More::default() });
    // Certificates, lists and answers that are read of each, and what is said of it.
    for (name, octets, read, code) in [
        (
            "certificates with many names",
            grown(b"other", &More { certificates: others(0, 60, &named), ..More::default() }),
            (61, 0, 0),
            MISMATCH,
        ),
        (
            "certificates with long names",
            grown(b"other", &More { certificates: others(0, 55, &big(50_000)), ..More::default() }),
            (56, 0, 0),
            MISMATCH,
        ),
        (
            "a list of revocation",
            grown(b"other", &More { status: vec![crl(6_000_000)], ..More::default() }),
            (1, 1, 0),
            MISMATCH,
        ),
        ("lists in an attribute", grown(b"other", &archived(6_000_000)), (1, 1, 0), MISMATCH),
        ("certificates in attributes", grown(b"other", &certificate_values), (64, 0, 0), "CMS_ALONG_LEFT_OUT"),
        ("small certificates in attributes", grown(b"other", &small_values), (64, 0, 0), "CMS_ALONG_LEFT_OUT"),
        ("an answer with certificates", grown(b"other", &answers(&big(28_000), 100)), (1, 0, 1), MISMATCH),
        // Only beside a signature that holds a stamp is looked at.
        ("a stamp", grown(b"content", &stamped(6_000_000)), (1, 0, 0), "TIMESTAMP_STRUCTURE"),
        ("content inside", inside(6_000_000), (1, 0, 0), MISMATCH),
    ] {
        println!("{} octets", octets.len());
        let data = SignedData::parse(&octets).expect(name);
        let along = data.along(&data.signers[0]);
        assert_eq!((along.certificates.len(), along.crls.len(), along.ocsp.len()), read, "{name}");
        std::fs::write(&file, octets).expect("written");
        is_bounded(name, &file, Some(&content), code);
    }
}

#[test]
fn what_is_read_of_ber_seals_and_credentials_is_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("f");
    let content = folder.path().join("content");
    std::fs::write(&content, b"content").expect("written");
    // SignedData of indefinite length around what is read in the longest way.
    let streamed = |parts: &[u8]| {
        let head = [&[0x30, 0x80][..], &write::oid("1.2.840.113549.1.7.2"), &[0xa0, 0x80, 0x30, 0x80]].concat();
        [&head[..], parts, &[0; 6]].concat()
    };
    let small = write::octet_string(&[7; 60]);
    let pieces = [&[0x24, 0x80][..], &small.repeat(98_000), &[0, 0]].concat();
    let nested = [&[0x30, 0x80].repeat(30)[..], &write::octet_string(&vec![7; 6_000_000]), &[0; 60]].concat();
    let many = |octets: &[u8], n: usize| streamed(&octets.repeat(n));
    let named = certificate_with_names(1_000);
    let plain = certificate_with_names(1);
    let picture = 6_000_000;
    let text = |n: usize| format!("{{\"a\":\"{}\"}}", "p".repeat(n));
    let numbers = |n: usize| format!("{{\"a\":[{}0]}}", "0,".repeat(n));
    let objects = |n: usize| format!("{{\"a\":[{}0]}}", "{\"b\":0},".repeat(n));
    let disclosures =
        |n: usize, inside: &str| -> Vec<String> { (0..n).map(|n| format!("[\"{n}\",\"c{n}\",[{inside}0]]")).collect() };
    assert!(ber::definite(&many(&small, 98_000)).is_ok(), "the list is read to its end");
    assert!(ber::definite(&streamed(&pieces)).is_ok() && ber::definite(&streamed(&nested)).is_ok(), "so are these");
    for (name, octets, code) in [
        ("a list in BER", many(&small, 98_000), "CMS_DER"),
        ("a longer list in BER", many(&[5, 0], 300_000), "CMS_DER"),
        ("a text in pieces", streamed(&pieces), "CMS_DER"),
        ("lists in lists in BER", streamed(&nested), "CMS_DER"),
        ("a picture", seal(picture, &[], false), "SEAL_SIGNATURE"),
        ("a picture, older", seal(picture, &[], true), "SEAL_SIGNATURE"),
        ("a picture, applied", applied(seal(picture, &[], false)), "DATA_HASH_MISMATCH"),
        ("certificates of a seal", seal(100, &vec![named.clone(); 950], false), "SEAL_SIGNATURE"),
        ("certificates of a seal, applied", applied(seal(100, &vec![named; 950], false)), "DATA_HASH_MISMATCH"),
        ("more certificates than a seal may have", seal(100, &vec![plain; 1_001], false), "SES_STRUCTURE"),
        ("a picture in a credential", credential(&text(2_900_000), &[], ""), "VC_TYPE"),
        ("numbers in a credential", credential(&numbers(80_000), &[], ""), "VC_TYPE"),
        ("more numbers than may be", credential(&numbers(1_400_000), &[], ""), "VC_FORM"),
        ("more objects than may be", credential(&objects(350_000), &[], ""), "VC_FORM"),
        ("more objects than a header may have", headed(&objects(350_000), "{}", &[], ""), "VC_FORM"),
        ("disclosures", credential("{}", &disclosures(990, &"0,".repeat(100)), ""), "VC_TYPE"),
        ("longer disclosures", credential("{}", &disclosures(990, &"0,".repeat(1_300)), ""), "VC_DISCLOSURE"),
        ("more disclosures than may be", credential("{}", &[], &"~".repeat(4_000_000)), "VC_DISCLOSURE"),
    ] {
        println!("{} octets", octets.len());
        std::fs::write(&file, octets).expect("written");
        let detached = name.ends_with("applied").then_some(content.as_path());
        is_bounded(name, &file, detached, code);
    }
}

/// What a detached signature is over is digested as it is read, however much it is.
#[test]
fn content_of_any_size_is_read_in_pieces() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, content) = (folder.path().join("f"), folder.path().join("content"));
    File::create(&content).and_then(|content| content.set_len(512 << 20)).expect("a file");
    for (name, octets, code) in [
        ("512 MiB of content, signed", grown(b"other", &More::default()), "CMS_DIGEST_MISMATCH"),
        ("512 MiB of content, sealed", applied(seal(100, &[], false)), "DATA_HASH_MISMATCH"),
    ] {
        std::fs::write(&file, octets).expect("written");
        is_bounded(name, &file, Some(&content), code);
    }
}
