//! Vectors of others (Wycheproof), read from `$TONGBAN_VECTORS/jose`; without it these tests say that they are left out.

use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Value, json};

use crate::identity::IdentityError;
use crate::identity::jose::{self, Embedded, Object, Unverified};
use crate::identity::keys::{IssuerKeys, PublicKey};
use crate::identity::ring_provider;

const ALL: [Algorithm; 9] = [
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::EdDSA,
];

fn load(name: &str) -> Option<Value> {
    let file = crate::terms::testing::vectors("jose")?.join(name);
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{name}: {e}"));
    Some(serde_json::from_str(&text).unwrap())
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// Raw signatures: every test of every file whose algorithm we speak.
#[test]
fn signatures() {
    let files = [
        ("ecdsa_secp256r1_sha256_p1363_test.json", Algorithm::ES256, 131),
        ("ecdsa_secp384r1_sha384_p1363_test.json", Algorithm::ES384, 133),
        ("ed25519_test.json", Algorithm::EdDSA, 75),
        ("rsa_signature_2048_sha256_test.json", Algorithm::RS256, 145),
        ("rsa_signature_2048_sha384_test.json", Algorithm::RS384, 138),
        ("rsa_signature_2048_sha512_test.json", Algorithm::RS512, 134),
        ("rsa_signature_4096_sha256_test.json", Algorithm::RS256, 147),
        ("rsa_pss_2048_sha256_mgf1_32_test.json", Algorithm::PS256, 63),
        ("rsa_pss_2048_sha384_mgf1_48_test.json", Algorithm::PS384, 77),
        ("rsa_pss_4096_sha512_mgf1_64_test.json", Algorithm::PS512, 96),
    ];
    for (name, algorithm, tests) in files {
        let Some(file) = load(name) else { return };
        let mut run = 0;
        for group in file["testGroups"].as_array().unwrap() {
            let key = match algorithm {
                Algorithm::ES256 | Algorithm::ES384 => {
                    DecodingKey::from_ec_der(&hex(&group["publicKey"]["uncompressed"]))
                }
                Algorithm::EdDSA => DecodingKey::from_ed_der(&hex(&group["publicKey"]["pk"])),
                _ => DecodingKey::from_rsa_der(&hex(&group["publicKeyAsn"])),
            };
            for test in group["tests"].as_array().unwrap() {
                let got = ring_provider::verify(algorithm, &key, &hex(&test["msg"]), &hex(&test["sig"]));
                match test["result"].as_str().unwrap() {
                    "valid" => assert!(got, "{name} {} {}", test["tcId"], test["comment"]),
                    "invalid" => assert!(!got, "{name} {} {}", test["tcId"], test["comment"]),
                    _ => {} // "acceptable": either answer
                }
                run += 1;
            }
        }
        assert_eq!(run, tests, "{name}");
    }
}

/// Files for algorithms we do not speak: nothing in them may pass under any name.
#[test]
fn other_curves_and_forms() {
    for (name, algorithm) in [
        ("ecdsa_secp256k1_sha256_p1363_test.json", Algorithm::ES256),
        ("ecdsa_secp521r1_sha512_p1363_test.json", Algorithm::ES384),
        ("ecdsa_secp256r1_sha256_test.json", Algorithm::ES256), // DER form, which JOSE does not know
        ("ecdsa_secp384r1_sha384_test.json", Algorithm::ES384),
    ] {
        let Some(file) = load(name) else { return };
        for group in file["testGroups"].as_array().unwrap() {
            let key = DecodingKey::from_ec_der(&hex(&group["publicKey"]["uncompressed"]));
            for test in group["tests"].as_array().unwrap() {
                let (message, signature) = (hex(&test["msg"]), hex(&test["sig"]));
                assert!(!ring_provider::verify(algorithm, &key, &message, &signature), "{name} {}", test["tcId"]);
            }
        }
    }
}

/// Whole tokens: JWS with a key or key set. Symmetric keys, P-521 and their tokens are refused here on principle,
/// whatever the file says; everything else must agree with it.
#[test]
fn tokens() {
    let mut refused_on_principle = Vec::new();
    let mut agreed = 0;
    for name in ["json_web_signature_test.json", "json_web_key_test.json", "json_web_crypto_test.json"] {
        let Some(file) = load(name) else { return };
        for group in file["testGroups"].as_array().unwrap() {
            let public = group.get("public").unwrap_or(&group["private"]);
            let symmetric = public.to_string().contains("\"oct\"");
            let foreign = symmetric || public["crv"] == "P-521";
            for test in group["tests"].as_array().unwrap() {
                let Some(token) = test["jws"].as_str() else { continue }; // JWE: see below
                let got = accepts(public, token);
                let id = format!("{name} {} {}", test["tcId"], test["comment"]);
                match (test["result"].as_str().unwrap(), foreign) {
                    ("valid", true) => {
                        assert!(!got, "{id}");
                        refused_on_principle.push(id);
                    }
                    ("valid", false) if test["tcId"] == 350 => {
                        // RFC 7520 figure 20 as altered: a key of PS256 with a token of PS384. One key, one algorithm.
                        assert!(!got, "{id}");
                        refused_on_principle.push(id);
                    }
                    ("valid", false) => assert!(got, "{id}"),
                    _ => assert!(!got, "{id}"),
                }
                agreed += 1;
            }
        }
    }
    println!("{agreed} tokens, of which valid ones refused on principle: {refused_on_principle:#?}");
    assert_eq!(refused_on_principle.len(), 5);
}

/// A symmetric key, and whatever was made with it, is refused on principle: as the signature that the file has, and as a
/// token's own, which is good where the file says that its key makes good ones.
#[test]
fn symmetric_signatures() {
    let Some(file) = load("hmac_sha256_test.json") else { return };
    let mut run = 0;
    for group in file["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let (secret, message, tag) = (hex(&test["key"]), hex(&test["msg"]), hex(&test["tag"]));
            let id = format!("{} {}", test["tcId"], test["comment"]);
            let key = DecodingKey::from_secret(&secret);
            let mac = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
            assert!(!ring_provider::verify(Algorithm::HS256, &key, &message, &tag), "{id}");
            let whole = ring::hmac::sign(&mac, &message);
            assert_eq!(
                whole.as_ref().starts_with(&tag),
                test["result"] == "valid",
                "{id}: not the file we think it is"
            );

            let public = json!({"kty": "oct", "alg": "HS256", "k": jose::encode(&secret)});
            assert!(PublicKey::from_jwk(&jwk(&public).unwrap(), &ALL).is_err(), "{id}");
            let input = format!("{}.{}", jose::encode(br#"{"alg":"HS256"}"#), jose::encode(&message));
            let own = ring::hmac::sign(&mac, input.as_bytes());
            for signature in [own.as_ref(), &tag] {
                let token = format!("{input}.{}", jose::encode(signature));
                let refused = Unverified::parse(&token, Embedded::Refused).err();
                assert!(matches!(refused, Some(IdentityError::TokenAlg(_))), "{id}: {refused:?}");
                assert!(!accepts(&public, &token), "{id}");
            }
            run += 1;
        }
    }
    assert_eq!((&file["numberOfTests"], run), (&json!(93), 93));
}

fn accepts(public: &Value, token: &str) -> bool {
    let Ok(unverified) = Unverified::parse(token, Embedded::Refused) else { return false };
    let key = match public.get("keys") {
        Some(_) => {
            let Ok((keys, _)) = IssuerKeys::from_jwks(public.to_string().as_bytes(), &ALL) else { return false };
            keys.find(unverified.header.kid.as_deref(), unverified.header.alg).cloned()
        }
        None => jwk(public).and_then(|jwk| PublicKey::from_jwk(&jwk, &ALL).ok()),
    };
    key.is_some_and(|key| unverified.verify(&key).is_ok())
}

fn jwk(value: &Value) -> Option<Object> {
    value.as_object().cloned()
}

/// Nothing encrypted is ever a token here.
#[test]
fn encrypted_tokens() {
    for name in ["json_web_encryption_test.json", "json_web_crypto_test.json"] {
        let Some(file) = load(name) else { return };
        for group in file["testGroups"].as_array().unwrap() {
            for test in group["tests"].as_array().unwrap() {
                if let Some(token) = test["jwe"].as_str() {
                    assert!(Unverified::parse(token, Embedded::Refused).is_err(), "{name} {}", test["tcId"]);
                }
            }
        }
    }
}
