use super::*;
use crate::terms::UnixMillis;
use crate::trust::issue::{self, Issuer, Subject, Use};
use crate::trust::suite::{Signer, SigningKey};
use proptest::prelude::*;

const AT: UnixMillis = UnixMillis(1_790_000_000_000);

fn made(algorithm: SignatureAlgorithm) -> (SigningKey, Certificate) {
    let key = SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap()).unwrap();
    let subject = Subject::named("signer", "test");
    let spki = key.public_key().to_spki();
    let (from, to) = (UnixMillis(0), UnixMillis(4_000_000_000_000));
    let der = issue::certificate(&Issuer::root(&key, &subject), &subject, &spki, Use::Signer, from, to).unwrap();
    let certificate = Certificate::parse(&der).unwrap();
    (key, certificate)
}

const SUITES: [SignatureAlgorithm; 3] =
    [SignatureAlgorithm::EcdsaP256Sha256, SignatureAlgorithm::Sm2Sm3, SignatureAlgorithm::Ed25519];

#[test]
fn what_is_signed_verifies_and_nothing_else() {
    for algorithm in SUITES {
        let (key, certificate) = made(algorithm);
        let digest = algorithm.digest().of(b"content");
        for spelling in [Spelling::International, Spelling::National] {
            let chain = std::slice::from_ref(&certificate);
            let cms = sign_detached_with(&key, chain, &digest, Some(AT), spelling, None).unwrap();
            let data = SignedData::parse(&cms).unwrap();
            assert_eq!(data.national, spelling == Spelling::National);
            let signed = data.verify(Content::Bytes(b"content")).unwrap().remove(0);
            assert_eq!((signed.certificate, signed.signing_time), (&certificate, Some(AT)));
            assert!(signed.binds_certificate && !signed.raw_signature);
            for (content, want) in [
                (Content::Bytes(b"contenT"), CmsError::Digest),
                (Content::Inside, CmsError::NoContent),
                (Content::Digests(&[]), CmsError::NoContent),
            ] {
                assert_eq!(data.verify(content).unwrap_err(), want);
            }
            let digests = [(algorithm.digest(), digest.clone())];
            assert!(data.verify(Content::Digests(&digests)).is_ok(), "by digest");
        }
    }
}

#[test]
fn no_bent_octet_verifies() {
    for algorithm in SUITES {
        let (key, certificate) = made(algorithm);
        let cms = sign_detached(&key, &[certificate], &algorithm.digest().of(b"content"), AT).unwrap();
        for at in 0..cms.len() {
            for bit in [0x01, 0x80] {
                let mut bent = cms.clone();
                bent[at] ^= bit;
                let said = verify_detached(&bent, &mut |a| a.of(b"content"));
                assert!(said.is_err(), "{algorithm:?}: octet {at}, bit {bit:#x}");
            }
        }
    }
}

#[test]
fn a_time_stamp_is_asked_over_the_signature_value() {
    let (key, certificate) = made(SignatureAlgorithm::Sm2Sm3);
    let asked = std::cell::RefCell::new(Vec::new());
    let ask = |value: &[u8]| {
        asked.replace(value.to_vec());
        Ok(write::null())
    };
    let digest = DigestAlgorithm::Sm3.of(b"x");
    let cms = sign_detached_with(&key, &[certificate], &digest, Some(AT), Spelling::International, Some(&ask)).unwrap();
    let signed = verify_detached(&cms, &mut |a| a.of(b"x")).unwrap();
    assert_eq!((signed.time_stamp.unwrap(), signed.signature_value), (write::null(), asked.into_inner()));
}

/// Parts of a SignedData as they may be and as they may not (RFC 5652 §5.1).
#[test]
fn the_head_says_what_the_rest_is() {
    let (key, certificate) = made(SignatureAlgorithm::EcdsaP256Sha256);
    let digest = |dotted: &str| write::sequence(&[write::oid(dotted)]);
    let null = |dotted: &str| write::sequence(&[write::oid(dotted), write::null()]);
    let (sha256, sha384, sha1) = ("2.16.840.1.101.3.4.2.1", "2.16.840.1.101.3.4.2.2", "1.3.14.3.2.26");
    let of = |version: u64, digests: &[Vec<u8>], content: &str, attribute_certificate: bool, by_key: bool| {
        let attributes = write::set_of(&[
            write::sequence(&[write::oid(CONTENT_TYPE), write::set_of(&[write::oid(content)])]),
            write::sequence(&[
                write::oid(MESSAGE_DIGEST),
                write::set_of(&[write::octet_string(&DigestAlgorithm::Sha256.of(b"x"))]),
            ]),
        ]);
        let signature = key.sign(&attributes).unwrap();
        let tagged = [&[tag::context(0)], &attributes[1..]].concat();
        let own = certificate.extensions.subject_key_id.clone().unwrap();
        let id = match by_key {
            true => write::tlv(tag::primitive(0), &own),
            false => write::sequence(&[certificate.issuer().to_vec(), write::tlv(tag::INTEGER, certificate.serial())]),
        };
        let info = write::sequence(&[
            write::small(if by_key { 3 } else { 1 }),
            id,
            digest(sha256),
            tagged,
            key.algorithm().identifier(),
            write::octet_string(&signature),
        ]);
        let others = if attribute_certificate { write::explicit(2, &[]) } else { Vec::new() };
        let data = write::sequence(&[
            write::small(version),
            write::tlv(tag::SET, &digests.concat()),
            write::sequence(&[write::oid(content)]),
            write::explicit(0, &[certificate.der(), &others].concat()),
            write::set_of(&[info]),
        ]);
        let cms = write::sequence(&[write::oid(SIGNED_DATA[0]), write::explicit(0, &data)]);
        let said = SignedData::parse(&cms).and_then(|data| data.verify(Content::Bytes(b"x")).map(|_| ()));
        said.err().map(|error| error.code())
    };
    const OTHER: &str = "1.2.3.4";
    let one = [digest(sha256)];
    let form = Some("CMS_STRUCTURE");
    for (version, content, attribute_certificate, by_key, want) in [
        (1, DATA[0], false, false, None),
        (1, DATA[1], false, false, None),
        (3, DATA[0], false, false, form),
        (0, DATA[0], false, false, form),
        (3, OTHER, false, false, None),
        (1, OTHER, false, false, None), // PKCS#7
        (2, OTHER, false, false, form),
        (3, DATA[0], false, true, None),
        (1, DATA[0], false, true, form),
        (1, OTHER, false, true, form),
        (4, DATA[0], true, false, None),
        (1, DATA[0], true, false, form),
        (5, DATA[0], true, false, form),
    ] {
        let said = of(version, &one, content, attribute_certificate, by_key);
        assert_eq!(said, want, "version {version}, {content}, {attribute_certificate} {by_key}");
    }
    for (name, digests, want) in [
        ("as OpenSSL has them", vec![null(sha256)], None),
        ("of an archived stamp", vec![digest(sha384), digest(sha256)], None),
        ("of SHA-3", vec![digest(sha256), digest("2.16.840.1.101.3.4.2.8")], None),
        ("a weak one that nobody uses", vec![null(sha1), digest(sha256)], None),
        ("twice", vec![digest(sha256), digest(sha256)], None),
        ("none", vec![], form),
        ("another", vec![digest(sha384)], form),
        ("no digest at all", vec![digest(sha256), digest(DATA[0])], Some("CMS_ALG")),
        ("with parameters", vec![write::sequence(&[write::oid(sha256), write::small(1)])], form),
        ("no list", vec![digest(sha256), write::null()], Some("CMS_DER")),
    ] {
        assert_eq!(of(1, &digests, DATA[0], false, false), want, "{name}");
    }
}

/// Form (a) of national producers: the content inside, no attributes, the signature over the content itself.
fn form_a(key: &SigningKey, certificate: &Certificate, content: &[u8], signature: &[u8]) -> Vec<u8> {
    let info = write::sequence(&[
        write::small(1),
        write::sequence(&[certificate.issuer().to_vec(), write::tlv(tag::INTEGER, certificate.serial())]),
        key.algorithm().digest().identifier(),
        write::sequence(&[write::oid("1.2.156.10197.1.301.1"), write::null()]),
        write::octet_string(signature),
    ]);
    let inside = write::explicit(0, &write::octet_string(content));
    let data = write::sequence(&[
        write::small(1),
        write::set_of(&[key.algorithm().digest().identifier()]),
        write::sequence(&[write::oid(DATA[1]), inside]),
        write::explicit(0, certificate.der()),
        write::set_of(&[info]),
    ]);
    write::sequence(&[write::oid(SIGNED_DATA[1]), write::explicit(0, &data)])
}

#[test]
fn content_inside_without_attributes() {
    let (key, certificate) = made(SignatureAlgorithm::Sm2Sm3);
    let content = DigestAlgorithm::Sm3.of(b"Signature.xml");
    let signature = key.sign(&content).unwrap();
    let data = SignedData::parse(&form_a(&key, &certificate, &content, &signature)).unwrap();
    assert!(!data.verify(Content::Inside).unwrap()[0].raw_signature);
    assert!(data.verify(Content::Bytes(&content)).is_ok());
    assert_eq!(data.verify(Content::Bytes(b"other")).unwrap_err(), CmsError::Digest);

    // One vendor's habit: r‖s instead of DER.
    let mut pair = Reader::new(&signature).sequence().unwrap();
    let mut raw = Vec::new();
    for _ in 0..2 {
        let number = pair.unsigned().unwrap();
        raw.extend(vec![0; 32 - number.len()]);
        raw.extend(number);
    }
    let data = SignedData::parse(&form_a(&key, &certificate, &content, &raw)).unwrap();
    assert!(data.verify(Content::Inside).unwrap()[0].raw_signature);
    raw[40] ^= 1;
    let data = SignedData::parse(&form_a(&key, &certificate, &content, &raw)).unwrap();
    assert_eq!(data.verify(Content::Inside).unwrap_err(), CmsError::Signature);
}

#[test]
fn another_certificate_of_the_same_name_and_serial_is_found_out() {
    let (key, certificate) = made(SignatureAlgorithm::EcdsaP256Sha256);
    let (_, other) = made(SignatureAlgorithm::EcdsaP256Sha256);
    let digest = DigestAlgorithm::Sha256.of(b"x");
    assert_eq!(sign_detached(&key, &[other], &digest, AT).unwrap_err(), CmsError::OtherCertificate);
    assert_eq!(sign_detached(&key, &[], &digest, AT).unwrap_err(), CmsError::NoCertificate);
    let cms = sign_detached(&key, std::slice::from_ref(&certificate), &digest, AT).unwrap();
    let mut data = SignedData::parse(&cms).unwrap();
    data.certificates.clear();
    assert_eq!(data.verify(Content::Bytes(b"x")).unwrap_err(), CmsError::NoCertificate);
    assert!(data.verify_one(&data.signers[0], Some(&certificate), Content::Bytes(b"x")).is_ok());
    data.signers.clear();
    assert_eq!(data.verify(Content::Bytes(b"x")).unwrap_err(), CmsError::NoSigner);
}

/// `$TONGBAN_VECTORS/gm`: one object with a signature whose content is elsewhere, one that only carries certificates.
#[test]
fn third_party_objects_read_as_their_manifest_says() {
    let Some(folder) = crate::terms::testing::vectors("gm") else { return };
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let mut said = Vec::new();
    for file in manifest["files"].as_array().unwrap().iter().filter(|f| f["kind"] == "cms-signed") {
        let octets = std::fs::read(folder.join(file["file"].as_str().unwrap())).unwrap();
        let data = SignedData::parse(&octets).unwrap();
        assert_eq!(data.certificates.len() as u64, file["certificates"].as_u64().unwrap());
        assert_eq!(data.signers.len() as u64, file["signer_infos"].as_u64().unwrap());
        assert_eq!(data.content_type, file["econtent_type"].as_str().unwrap());
        assert_eq!(data.national, file["content_type"].as_str().unwrap().starts_with("1.2.156."));
        for signer in &data.signers {
            assert_eq!(signer.signature_algorithm(), Ok(SignatureAlgorithm::Sm2Sm3));
            assert!(data.certificate_of(signer).is_some());
        }
        said.push(data.verify(Content::Inside).unwrap_err().code());
    }
    said.sort_unstable();
    assert_eq!(said, ["CMS_NO_CONTENT", "CMS_NO_SIGNER"]);
}

#[test]
fn what_is_encrypted_is_told_to_be() {
    for (kind, want) in [
        ("1.2.840.113549.1.7.3", "CMS_ENCRYPTED"),
        ("1.2.156.10197.6.1.4.2.3", "CMS_ENCRYPTED"),
        ("1.2.840.113549.1.7.6", "CMS_ENCRYPTED"),
        ("1.2.840.113549.1.7.1", "CMS_STRUCTURE"),
    ] {
        let sealed = write::sequence(&[write::oid(kind), write::explicit(0, &write::sequence(&[write::small(0)]))]);
        assert_eq!(SignedData::parse(&sealed).unwrap_err().code(), want, "{kind}");
    }
}

proptest! {
    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = SignedData::parse(&octets);
        let _ = SignedData::parse(&write::sequence(&[write::oid(SIGNED_DATA[0]), write::explicit(0, &octets)]));
    }
}
