#![no_main]
//! The federation's directory, signed here so that what is inside is read, too.

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use tongban::federation::{Directory, signed};
use tongban::terms::UnixMillis;

static OPERATOR: LazyLock<EcdsaKeyPair> = LazyLock::new(|| {
    let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
    EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).expect("that key")
});

fuzz_target!(|data: &[u8]| {
    let (public, now) = (OPERATOR.public_key().as_ref(), UnixMillis(1_790_000_000_000));
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(signed::open(text, public).is_err(), "nobody else has the key");
    }
    let input = signed::signing_input(data);
    let signature = OPERATOR.sign(&SystemRandom::new(), input.as_bytes()).expect("a key signs");
    if let Ok(directory) = Directory::take(&signed::assemble(&input, signature.as_ref()), public, None, now) {
        for member in &directory.members {
            let _ = (member.keys_at(now), directory.log_keys(&member.id));
            for place in &member.places {
                assert!(directory.member_for(*place).is_ok());
            }
        }
        let _ = directory.digest();
    }
});
