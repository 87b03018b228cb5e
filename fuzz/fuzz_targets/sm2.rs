#![no_main]
//! Our curve and the crate `sm2` say the same of any key, digest and signature, and sign alike.

use libfuzzer_sys::fuzz_target;
use sm2::dsa::signature::hazmat::PrehashVerifier;
use sm2::dsa::{Signature, VerifyingKey};
use sm2::elliptic_curve::sec1::ToSec1Point;
use tongban::trust::suite::sm2_suite::{IDENTITY, Sm2Key, verify};
use tongban_curve::point::Affine;
use tongban_curve::verify::{Key, Table, holds};

fuzz_target!(|data: &[u8]| {
    let Some((secret, rest)) = data.split_first_chunk::<32>() else { return };
    let Some((e, rest)) = rest.split_first_chunk::<32>() else { return };
    let Some((r, rest)) = rest.split_first_chunk::<32>() else { return };
    let Some((s, _)) = rest.split_first_chunk::<32>() else { return };
    let Ok(key) = Sm2Key::from_scalar(secret) else { return };
    let point = key.point();
    let affine = Affine::from_octets(&point).expect("a key is a point");
    let theirs = VerifyingKey::from_sec1_bytes(IDENTITY, &point).expect("for both");
    assert_eq!(theirs.as_affine().to_sec1_point(false).as_bytes(), point);
    let signature = Signature::from_bytes(&[&r[..], &s[..]].concat().try_into().expect("64 octets"));
    let good = signature.is_ok_and(|signature| theirs.verify_prehash(e, &signature).is_ok());
    assert_eq!(holds(&Key::Bare(&affine), e, r, s), good);
    assert_eq!(holds(&Key::Known(&Table::new(&affine, 5)), e, r, s), good);
    let made = key.sign(e).expect("a key signs");
    assert!(verify(&point, e, &made).is_ok());
});
