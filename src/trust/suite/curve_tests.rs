//! Our curve arithmetic against a second implementation, the crate `sm2`.

use proptest::prelude::*;
use sm2::dsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use sm2::dsa::{Signature, SigningKey, VerifyingKey};
use sm2::elliptic_curve::PrimeField;
use sm2::elliptic_curve::group::Group;
use sm2::elliptic_curve::ops::Reduce;
use sm2::elliptic_curve::point::DecompressPoint;
use sm2::elliptic_curve::sec1::ToSec1Point;
use sm2::elliptic_curve::subtle::Choice;
use sm2::{AffinePoint, FieldBytes, ProjectivePoint, Scalar, U256};
use tongban_curve::point::Affine;
use tongban_curve::verify::{Key, Table, holds};

use super::sm2_suite::{IDENTITY, Sm2Key};

const N: &str = "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123";

fn reduce(octets: &[u8; 32]) -> Scalar {
    <Scalar as Reduce<U256>>::reduce(&U256::from_be_slice(octets))
}

fn octets(point: &ProjectivePoint) -> Vec<u8> {
    point.to_affine().to_sec1_point(false).as_bytes().to_vec()
}

/// What ours says, each way; they must agree.
fn ours(point: &[u8], e: &[u8; 32], r: &[u8; 32], s: &[u8; 32]) -> bool {
    let Some(point) = Affine::from_octets(point) else { return false };
    let bare = holds(&Key::Bare(&point), e, r, s);
    for width in [2, 5, 8] {
        assert_eq!(holds(&Key::Known(&Table::new(&point, width)), e, r, s), bare, "width {width}");
    }
    bare
}

fn theirs(point: &[u8], e: &[u8; 32], r: &[u8; 32], s: &[u8; 32]) -> bool {
    let Ok(key) = VerifyingKey::from_sec1_bytes(IDENTITY, point) else { return false };
    let signature = Signature::from_bytes(&[&r[..], &s[..]].concat().try_into().unwrap());
    signature.is_ok_and(|signature| key.verify_prehash(e, &signature).is_ok())
}

/// Numbers with long runs of equal bits and near the bounds, where carries are: plain random ones hardly meet them.
fn number() -> impl Strategy<Value = [u8; 32]> {
    let limb = prop_oneof![Just(0u64), Just(u64::MAX), Just(1), Just(u64::MAX - 1), any::<u64>()];
    let limbs = prop::array::uniform4(limb).prop_map(|limbs| {
        let mut out = [0; 32];
        out.chunks_exact_mut(8).zip(limbs).for_each(|(o, l)| o.copy_from_slice(&l.to_be_bytes()));
        out
    });
    let near_order = (-3i64..=3).prop_map(|more| {
        let order = U256::from_be_hex(N);
        let near = if more < 0 {
            order.wrapping_sub(&U256::from(more.unsigned_abs()))
        } else {
            order.wrapping_add(&U256::from(more.unsigned_abs()))
        };
        near.to_be_bytes().into()
    });
    prop_oneof![any::<[u8; 32]>(), limbs, near_order]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn signatures_are_the_same_octets_and_verify(secret in number(), e in number()) {
        let (Ok(mine), Ok(other)) = (Sm2Key::from_scalar(&secret), SigningKey::from_slice(IDENTITY, &secret)) else {
            return Ok(());
        };
        let signature: Signature = other.sign_prehash(&e).unwrap();
        let raw = mine.sign_prehash(&e).unwrap();
        prop_assert_eq!(&raw[..], &signature.to_bytes()[..]);
        let (r, s): ([u8; 32], [u8; 32]) = (raw[..32].try_into().unwrap(), raw[32..].try_into().unwrap());
        prop_assert!(ours(&mine.point(), &e, &r, &s));
        for bit in [0, 100, 255] {
            let mut bent = e;
            bent[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!ours(&mine.point(), &bent, &r, &s));
        }
    }

    #[test]
    fn whatever_the_numbers_both_say_the_same(secret in number(), e in number(), r in number(), s in number()) {
        let point = octets(&(ProjectivePoint::GENERATOR * reduce(&secret)));
        prop_assert_eq!(ours(&point, &e, &r, &s), theirs(&point, &e, &r, &s));
    }

    /// s and t chosen freely, e made to fit: every such signature holds, and any other e does not.
    #[test]
    fn signatures_made_from_their_end(secret in number(), r in number(), s in number()) {
        let (secret, r, s) = (reduce(&secret), reduce(&r), reduce(&s));
        let key = ProjectivePoint::GENERATOR * secret;
        let sum = ProjectivePoint::GENERATOR * s + key * (r + s);
        prop_assume!(!bool::from(key.is_identity() | sum.is_identity()) && r != Scalar::ZERO && s != Scalar::ZERO && r + s != Scalar::ZERO);
        let x: [u8; 32] = sum.to_affine().to_sec1_point(false).as_bytes()[1..33].try_into().unwrap();
        let e: [u8; 32] = (r - reduce(&x)).to_repr().into();
        let (r, s): ([u8; 32], [u8; 32]) = (r.to_repr().into(), s.to_repr().into());
        prop_assert!(ours(&octets(&key), &e, &r, &s));
        prop_assert!(theirs(&octets(&key), &e, &r, &s));
    }

    #[test]
    fn points_are_on_the_curve_for_both(x in number(), y in number(), first in any::<u8>()) {
        let point = [&[first][..], &x, &y].concat();
        prop_assert_eq!(Affine::from_octets(&point).is_some(), first == 4 && VerifyingKey::from_sec1_bytes(IDENTITY, &point).is_ok());
    }
}

/// Sums that a formula for different points gets wrong: s·G = ± t·P.
#[test]
fn equal_and_opposite_points_are_added_rightly() {
    let t = Scalar::from(123_456_789u64);
    for d in [2u64, 3, 5, u64::MAX] {
        let d = Scalar::from(d);
        let point = octets(&(ProjectivePoint::GENERATOR * d));
        for (s, both) in [(t * d, true), (-(t * d), false)] {
            let r = t - s;
            let sum = (ProjectivePoint::GENERATOR * (s + t * d)).to_affine().to_sec1_point(false);
            let x = sum.as_bytes().get(1..33).map_or([0; 32], |x| x.try_into().unwrap());
            let e: [u8; 32] = (r - reduce(&x)).to_repr().into();
            let (r, s): ([u8; 32], [u8; 32]) = (r.to_repr().into(), s.to_repr().into());
            assert_eq!(ours(&point, &e, &r, &s), both, "the sum of opposite points is no signature");
            assert_eq!(theirs(&point, &e, &r, &s), both);
        }
    }
}

/// Keys so near to G that the sums on the way to s·G + t·P meet equal points, opposite ones and infinity.
#[test]
fn keys_near_the_base_point_meet_every_exception() {
    let numbers = || {
        let small = (1..=5u64).chain([15, 16, 31, 33, 511, 513]).map(Scalar::from);
        small.clone().chain(small.map(|n| -n))
    };
    for d in [1u64, 2, 3, 7, 1 << 40].map(Scalar::from).into_iter().flat_map(|d| [d, -d]) {
        let key = ProjectivePoint::GENERATOR * d;
        let point = Affine::from_octets(&octets(&key)).unwrap();
        let table = Table::new(&point, 4);
        for (s, t) in numbers().flat_map(|s| numbers().map(move |t| (s, t))) {
            let (r, sum) = (t - s, ProjectivePoint::GENERATOR * (s + t * d));
            let x =
                sum.to_affine().to_sec1_point(false).as_bytes().get(1..33).map_or([0; 32], |x| x.try_into().unwrap());
            let [e, r_octets, s_octets] = [r - reduce(&x), r, s].map(|n| n.to_repr().into());
            let good = r != Scalar::ZERO && !bool::from(sum.is_identity());
            for way in [Key::Bare(&point), Key::Known(&table)] {
                assert_eq!(holds(&way, &e, &r_octets, &s_octets), good, "{d:?} {s:?} {t:?}");
            }
        }
    }
}

/// Whatever the key: r and s are from 1 to n − 1, and their sum is not n.
#[test]
fn numbers_out_of_range_sign_nothing() {
    let order = |more: u64| <[u8; 32]>::from(U256::from_be_hex(N).wrapping_add(&U256::from(more)).to_be_bytes());
    let (zero, one, most) = ([0; 32], Scalar::ONE.to_repr().into(), [255; 32]);
    let less: [u8; 32] = (-Scalar::ONE).to_repr().into();
    let point = octets(&ProjectivePoint::GENERATOR);
    for (r, s) in
        [(zero, one), (one, zero), (order(0), one), (one, order(0)), (order(1), one), (one, most), (one, less)]
    {
        for e in [zero, one, less, order(0), most] {
            assert!(!ours(&point, &e, &r, &s) && !theirs(&point, &e, &r, &s), "{r:x?} {s:x?}");
        }
    }
}

/// x between n and p, which happens once in 2^128 signatures: r is e + x less n then.
#[test]
fn an_x_beyond_the_order_counts_modulo_the_order() {
    let order = U256::from_be_hex(N);
    let mut met = 0;
    for more in 0..40u64 {
        let x: [u8; 32] = order.wrapping_add(&U256::from(more)).to_be_bytes().into();
        let Some(sum) = AffinePoint::decompress(&FieldBytes::from(x), Choice::from(0)).into_option() else { continue };
        let (s, t) = (Scalar::from(77u64), Scalar::from(99_991u64));
        let key = (ProjectivePoint::from(sum) - ProjectivePoint::GENERATOR * s) * t.invert().unwrap();
        let r = t - s;
        let e: [u8; 32] = (r - reduce(&x)).to_repr().into();
        let mut bent = e;
        bent[31] ^= 1;
        let (r, s): ([u8; 32], [u8; 32]) = (r.to_repr().into(), s.to_repr().into());
        assert!(ours(&octets(&key), &e, &r, &s) && theirs(&octets(&key), &e, &r, &s), "{more}");
        assert!(!ours(&octets(&key), &bent, &r, &s));
        met += 1;
    }
    assert!(met > 5, "about half of all numbers are an x");
}

#[test]
fn private_numbers_out_of_range_are_no_keys() {
    let order = U256::from_be_hex(N);
    for (less, good) in [(0u64, false), (1, false), (2, true)] {
        let secret = order.wrapping_sub(&U256::from(less)).to_be_bytes();
        assert_eq!(Sm2Key::from_scalar(&secret).is_ok(), good, "n - {less}");
    }
    assert!(Sm2Key::from_scalar(&[0; 32]).is_err() && Sm2Key::from_scalar(&[1; 31]).is_err());
}
