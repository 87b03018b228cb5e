//! SM2, SM3, HMAC, ECDSA and RSASSA-PSS vectors of third parties, where they are at hand (`TONGBAN_VECTORS`).

use std::path::PathBuf;

use serde_json::Value;

use super::{DigestAlgorithm, PublicKey, SignatureAlgorithm, SuiteError, ecdsa, hmac_sm3, sm2_suite};
use crate::formats::der::{Reader, tag};
use crate::terms::digest::hex;
use crate::trust::certificate::{Certificate, KeyUsage};

fn folder() -> Option<PathBuf> {
    crate::terms::testing::vectors("gm")
}

fn json(file: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn octets(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_default();
    let text = if text.len() % 2 == 1 { format!("0{text}") } else { text.to_owned() };
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// `r‖s`, or nothing when a number does not fit.
fn raw(vector: &Value) -> Option<[u8; 64]> {
    let mut raw = [0; 64];
    for (half, name) in raw.chunks_exact_mut(32).zip(["r", "s"]) {
        let number = octets(&vector[name]);
        half[32usize.checked_sub(number.len())?..].copy_from_slice(&number);
    }
    Some(raw)
}

#[test]
fn sm3_and_hmac() {
    let Some(folder) = folder() else { return };
    let sm3 = json(folder.join("sm3.json"));
    for vector in sm3["vectors"].as_array().unwrap() {
        assert_eq!(hex(&DigestAlgorithm::Sm3.of(&octets(&vector["msg"]))), vector["digest"].as_str().unwrap());
    }
    let hmac = json(folder.join("hmac_sm3_wycheproof.json"));
    let mut asked = 0;
    for group in hmac["testGroups"].as_array().unwrap() {
        let length = group["tagSize"].as_u64().unwrap() as usize / 8;
        for test in group["tests"].as_array().unwrap() {
            let made = hmac_sm3(&octets(&test["key"]), &octets(&test["msg"]));
            let same = made[..length] == octets(&test["tag"])[..];
            assert_eq!(same, test["result"] == "valid", "{}", test["tcId"]);
            asked += 1;
        }
    }
    assert_eq!(hmac["numberOfTests"], asked);
}

#[test]
fn sm2_signatures() {
    let Some(folder) = folder() else { return };
    for vector in json(folder.join("sm2_verify.json"))["vectors"].as_array().unwrap() {
        let (point, message) = (octets(&vector["pub"]), octets(&vector["msg"]));
        let identity = String::from_utf8(octets(&vector["id"])).unwrap();
        let want = vector["result"] == "valid";
        let name = &vector["name"];
        if vector.get("sig_der").is_some() && identity == sm2_suite::IDENTITY {
            let got = sm2_suite::verify(&point, &message, &octets(&vector["sig_der"]));
            assert_eq!(got.is_ok(), want, "{name}, in DER: {got:?}");
        }
        if let (true, Some(raw)) = (vector.get("r").is_some(), raw(vector)) {
            let got = sm2_suite::verify_raw_as(&identity, &point, &message, &raw);
            assert_eq!(got.is_ok(), want, "{name}, raw: {got:?}");
        }
    }
    for vector in json(folder.join("sm2_verify_e.json"))["vectors"].as_array().unwrap() {
        // The digest given, which no signature of a document is: only the curve is asked here.
        let e = octets(&vector["e"]);
        let got = sm2_suite::verify_prehash(&octets(&vector["pub"]), &e, &raw(vector).unwrap());
        assert_eq!(got.is_ok(), vector["result"] == "valid", "{}", vector["name"]);
    }
}

/// Who signed whom: with the default identity as the manifest says; without Z_A or with another identity by nobody.
#[test]
fn certificates_and_requests() {
    let Some(folder) = folder() else { return };
    let manifest = json(folder.join("manifest.json"));
    let files = || manifest["files"].as_array().unwrap().iter();
    let read = |f: &Value| std::fs::read(folder.join(f["file"].as_str().unwrap())).unwrap();
    let certificates: Vec<(&Value, Certificate)> = files()
        .filter(|f| f["kind"] == "cert")
        .map(|f| (f, Certificate::parse(&read(f)).unwrap_or_else(|e| panic!("{}: {e}", f["file"]))))
        .collect();
    for (file, certificate) in &certificates {
        let signers: Vec<Value> = certificates
            .iter()
            .filter(|(_, issuer)| certificate.issuer() == issuer.subject() && certificate.signed_by(issuer) == Ok(()))
            .map(|(f, _)| f["sha256"].clone())
            .collect();
        assert_eq!(Value::from(signers), file["verified_by"], "{}", file["file"]);
        assert_eq!(certificate.is_ca(), file["ca"] == true, "{}", file["file"]);
        let bits = file["keyUsage"].as_u64();
        let usage = certificate.extensions.key_usage;
        assert_eq!(usage.is_some(), bits.is_some(), "{}", file["file"]);
        for (bit, ours) in
            [(0x80, KeyUsage::DIGITAL_SIGNATURE), (0x40, KeyUsage::NON_REPUDIATION), (0x04, KeyUsage::KEY_CERT_SIGN)]
        {
            let theirs = bits.is_some_and(|b| b & bit != 0);
            assert_eq!(usage.is_some_and(|u| u.has(ours)), theirs, "{} {bit:#x}", file["file"]);
        }
    }
    for file in files().filter(|f| f["kind"] == "csr") {
        let der = read(file);
        let mut whole = Reader::new(&der).sequence().unwrap();
        let info = whole.expect(tag::SEQUENCE).unwrap();
        whole.sequence().unwrap();
        let (signature, _) = whole.bit_string().unwrap();
        let mut inside = info.inside();
        inside.small().unwrap();
        inside.sequence().unwrap();
        let key = PublicKey::from_spki(inside.expect(tag::SEQUENCE).unwrap().full).unwrap();
        let got: Result<(), SuiteError> = key.verify(SignatureAlgorithm::Sm2Sm3, info.full, signature);
        assert_eq!(got.is_ok(), file["self_signature"] == true, "{}", file["file"]);
    }
}

/// Wycheproof's signatures, those of P-256 and P-384 by both libraries.
#[test]
fn signatures_by_curves_and_pss() {
    let Some(folder) = crate::terms::testing::vectors("jose") else { return };
    use SignatureAlgorithm::{EcdsaP256Sha256, EcdsaP384Sha384, EcdsaSha512};
    let pss = |digest: DigestAlgorithm| SignatureAlgorithm::RsaPss { digest, mask: digest, salt: digest.size() as u16 };
    for (name, algorithm, in_der) in [
        ("ecdsa_secp256r1_sha256_test.json", EcdsaP256Sha256, true),
        ("ecdsa_secp384r1_sha384_test.json", EcdsaP384Sha384, true),
        ("ecdsa_secp256r1_sha256_p1363_test.json", EcdsaP256Sha256, false),
        ("ecdsa_secp384r1_sha384_p1363_test.json", EcdsaP384Sha384, false),
        ("ecdsa_secp521r1_sha512_p1363_test.json", EcdsaSha512, false),
        ("rsa_pss_2048_sha256_mgf1_32_test.json", pss(DigestAlgorithm::Sha256), true),
        ("rsa_pss_2048_sha384_mgf1_48_test.json", pss(DigestAlgorithm::Sha384), true),
        ("rsa_pss_4096_sha512_mgf1_64_test.json", pss(DigestAlgorithm::Sha512), true),
    ] {
        let file = json(folder.join(name));
        let mut asked = 0;
        for group in file["testGroups"].as_array().unwrap() {
            let key = PublicKey::from_spki(&octets(&group["publicKeyDer"])).unwrap();
            for test in group["tests"].as_array().unwrap() {
                asked += 1;
                let (message, signature) = (octets(&test["msg"]), octets(&test["sig"]));
                let got = match in_der {
                    true => key.verify(algorithm, &message, &signature),
                    false => key.verify_fixed(algorithm, &message, &signature),
                };
                let told = test["result"].as_str().unwrap();
                if told == "acceptable" {
                    continue;
                }
                assert_eq!(got.is_ok(), told == "valid", "{name} {} {}: {got:?}", test["tcId"], test["comment"]);
                let other = match &key {
                    PublicKey::P256(k) if in_der => ecdsa::verify::<p256::NistP256>(k, algorithm, &message, &signature),
                    PublicKey::P384(k) if in_der => ecdsa::verify::<p384::NistP384>(k, algorithm, &message, &signature),
                    _ => continue,
                };
                assert_eq!(other.is_ok(), got.is_ok(), "{name} {} {}: {other:?}", test["tcId"], test["comment"]);
            }
        }
        assert_eq!(file["numberOfTests"], asked, "{name}");
    }
}
