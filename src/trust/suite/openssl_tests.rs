//! Signatures and keys that OpenSSL made, by each curve, digest, mask and salt.

use std::path::Path;

use super::{DigestAlgorithm, PublicKey, SignatureAlgorithm, SuiteError};
use crate::terms::testing;

const DIGESTS: [(&str, DigestAlgorithm); 3] =
    [("sha256", DigestAlgorithm::Sha256), ("sha384", DigestAlgorithm::Sha384), ("sha512", DigestAlgorithm::Sha512)];

/// Runs it there; gives what it wrote to its output.
fn openssl(folder: &Path, line: &str) -> Vec<u8> {
    let done = testing::other("sh", ["-c", &format!("cd {} && openssl {line}", folder.display())]);
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

fn public(folder: &Path, key: &str, how: &str) -> PublicKey {
    PublicKey::from_spki(&openssl(folder, &format!("pkey -in {key} -pubout {how} -outform DER"))).unwrap()
}

#[test]
fn every_curve_goes_with_every_digest() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("message"), "message").unwrap();
    let by =
        [SignatureAlgorithm::EcdsaP256Sha256, SignatureAlgorithm::EcdsaP384Sha384, SignatureAlgorithm::EcdsaSha512];
    for curve in ["P-256", "P-384", "P-521"] {
        let [key, other] = ["own", "other"].map(|name| {
            openssl(folder, &format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{curve} -out {name}"));
            public(folder, name, "")
        });
        assert_eq!(public(folder, "own", "-ec_conv_form compressed"), key, "{curve}");
        assert_eq!(PublicKey::from_spki(&key.to_spki()), Ok(key.clone()), "{curve}");
        for (nth, (digest, _)) in DIGESTS.iter().enumerate() {
            let signature = openssl(folder, &format!("dgst -{digest} -sign own message"));
            for (told, algorithm) in by.into_iter().enumerate() {
                let want = if told == nth { Ok(()) } else { Err(SuiteError::Signature) };
                assert_eq!(key.verify(algorithm, b"message", &signature), want, "{curve} {digest} as {algorithm:?}");
            }
            let told = by[nth];
            assert_eq!(key.verify(told, b"messagf", &signature), Err(SuiteError::Signature), "{curve} {digest}");
            assert_eq!(other.verify(told, b"message", &signature), Err(SuiteError::Signature), "{curve} {digest}");
            assert!(key.verify(told, b"message", &[&signature[..], &[0]].concat()).is_err(), "{curve} {digest}");
            assert!(key.verify(told, b"message", &signature[..signature.len() - 1]).is_err(), "{curve} {digest}");
        }
    }
}

#[test]
fn a_mask_has_any_digest_and_a_salt_any_length_but_only_as_stated() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("message"), "message").unwrap();
    // Of a modulus of 8n + 1 bits the encoded message is an octet shorter than the signature.
    for bits in [2048u16, 2049] {
        openssl(folder, &format!("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:{bits} -out own"));
        let PublicKey::Rsa(plain) = public(folder, "own", "") else { panic!("an RSA key") };
        for (name, digest) in DIGESTS {
            for (mask_name, mask) in DIGESTS {
                let longest = bits.div_ceil(8) - digest.size() as u16 - if bits == 2049 { 3 } else { 2 };
                for salt in [0, 20, digest.size() as u16, longest] {
                    let line = format!(
                        "dgst -{name} -sign own -sigopt rsa_padding_mode:pss -sigopt rsa_mgf1_md:{mask_name} \
                         -sigopt rsa_pss_saltlen:{salt} message"
                    );
                    let signature = openssl(folder, &line);
                    let check = |key: &PublicKey, digest, mask, salt, message: &[u8]| {
                        key.verify(SignatureAlgorithm::RsaPss { digest, mask, salt }, message, &signature)
                    };
                    let key = PublicKey::Rsa(plain.clone());
                    assert_eq!(check(&key, digest, mask, salt, b"message"), Ok(()), "{bits}: {line}");
                    for wrong in [
                        check(&key, digest, mask, salt, b"messagf"),
                        check(&key, digest, mask, salt + 1, b"message"),
                        check(&key, digest, mask, salt.wrapping_sub(1), b"message"),
                    ] {
                        assert_eq!(wrong, Err(SuiteError::Signature), "{bits}: {line}");
                    }
                    for (_, other) in DIGESTS.into_iter().filter(|(_, other)| *other != mask) {
                        assert_eq!(check(&key, digest, other, salt, b"message"), Err(SuiteError::Signature), "{line}");
                    }
                    for (_, other) in DIGESTS.into_iter().filter(|(_, other)| *other != digest) {
                        assert_eq!(check(&key, other, mask, salt, b"message"), Err(SuiteError::Signature), "{line}");
                    }
                    // A key for this kind alone, for all digests or the two that it names.
                    for (only, want) in [
                        (None, Ok(())),
                        (Some((digest, mask)), Ok(())),
                        (Some((mask, digest)), if mask == digest { Ok(()) } else { Err(SuiteError::Key) }),
                    ] {
                        let key = PublicKey::RsaPss(plain.clone(), only);
                        assert_eq!(check(&key, digest, mask, salt, b"message"), want, "{only:?}: {line}");
                        assert_eq!(PublicKey::from_spki(&key.to_spki()), Ok(key));
                    }
                }
            }
        }
        let signature = openssl(folder, "dgst -sha256 -sign own message");
        let key = PublicKey::RsaPss(plain, None);
        let as_pkcs1 = key.verify(SignatureAlgorithm::RsaPkcs1Sha256, b"message", &signature);
        assert_eq!(as_pkcs1, Err(SuiteError::Key), "PKCS #1 by a key for PSS");
    }
}
