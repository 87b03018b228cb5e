//! Serial numbers in certificates, lists and answers: the same integer is found, whatever it looks like, and no other one is.

use super::tests::{Made, NOW, make, status_of};
use super::*;
use crate::formats::der::{Reader, tag, write};
use crate::terms::digest::hex;
use crate::trust::crl::Revoked;
use crate::trust::issue::{self, Issuer, Use};
use crate::trust::ocsp::{self, Answer};
use crate::trust::suite::{SignatureAlgorithm, Signer};

const LONG: [u8; 21] = [0, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 0xff];

/// The certificate under another number, signed anew.
fn numbered(leaf: &Made, by: &Made, serial: &[u8]) -> Result<Certificate, impl std::fmt::Debug> {
    let mut whole = Reader::new(leaf.certificate.der()).sequence().unwrap();
    let mut inside = whole.sequence().unwrap();
    let mut parts = vec![inside.element().unwrap().full.to_vec(), write::tlv(tag::INTEGER, serial)];
    inside.integer().unwrap();
    while !inside.is_empty() {
        parts.push(inside.element().unwrap().full.to_vec());
    }
    let tbs = write::sequence(&parts);
    let signature = write::bit_string(&by.key.sign(&tbs).unwrap());
    Certificate::parse(&write::sequence(&[tbs, by.key.algorithm().identifier(), signature]))
}

#[test]
fn the_same_integer_and_no_other_is_found() {
    let p256 = SignatureAlgorithm::EcdsaP256Sha256;
    let root = make(None, p256, "root", Use::Root, (-30, 365));
    let leaf = make(Some(&root), p256, "leaf", Use::Signer, (-30, 365));
    let (issuer, day) = (Issuer::of(&root.key, &root.certificate), |n: i64| UnixMillis(NOW.0 + n * 86_400_000));
    let list = |serials: &[&[u8]]| {
        let entries: Vec<_> = serials.iter().map(|serial| (serial.to_vec(), day(-9))).collect();
        Crl::parse(&issue::crl(&issuer, &entries, 1, day(-1), day(1)).unwrap())
    };
    let answer = |serial: &[u8]| {
        let by: (&dyn Signer, &Certificate) = (&root.key, &root.certificate);
        let gone = Answer::Revoked(Revoked { serial: serial.to_vec(), at: day(-9), reason: None });
        Response::parse(&ocsp::respond(by, serial, &gone, day(-1), day(1)).unwrap())
    };
    let numbers: [(&str, &[u8]); 14] = [
        ("0", &[0]),
        ("1", &[1]),
        ("127", &[0x7f]),
        ("128", &[0, 0x80]),
        ("255", &[0, 0xff]),
        ("256", &[1, 0]),
        ("-1", &[0xff]),
        ("-128", &[0x80]),
        ("-129", &[0xff, 0x7f]),
        ("-255", &[0xff, 1]),
        ("-256", &[0xff, 0]),
        ("32767", &[0x7f, 0xff]),
        ("-32768", &[0x80, 0]),
        ("of 21 octets", &LONG),
    ];
    let lists: Vec<_> = numbers.iter().map(|(_, listed)| list(&[listed]).unwrap()).collect();
    let answers: Vec<_> = numbers.iter().map(|(_, listed)| answer(listed).unwrap()).collect();
    // Sorted as integers, as octets, and neither.
    let orders: Vec<Vec<_>> = (0..numbers.len())
        .map(|first| numbers.iter().cycle().skip(first).take(numbers.len()).map(|(_, listed)| *listed).collect())
        .collect();
    let orders: Vec<_> = orders.iter().map(|order| list(order).unwrap()).collect();
    for (name, serial) in numbers {
        let certificate = numbered(&leaf, &root, serial).unwrap();
        assert_eq!(certificate.serial(), serial, "{name}");
        let ask = |crls: &[Crl], ocsp: &[Response]| status_of(&certificate, &root, crls, ocsp);
        for ((other, _), (list, answer)) in numbers.iter().zip(lists.iter().zip(&answers)) {
            let (listed, answered) = if name == *other { ("Revoked", "Revoked") } else { ("ok", "NoStatus") };
            assert_eq!(ask(std::slice::from_ref(list), &[]), listed, "{name} in a list of {other}");
            assert_eq!(ask(&[], std::slice::from_ref(answer)), answered, "{name} in an answer about {other}");
        }
        for order in &orders {
            assert_eq!(ask(std::slice::from_ref(order), &[]), "Revoked", "{name}");
        }
        let others: Vec<_> = numbers.iter().map(|(_, listed)| *listed).filter(|listed| *listed != serial).collect();
        assert_eq!(ask(&[list(&others).unwrap()], &[]), "ok", "{name}");
    }
    // No two of them look alike in a report.
    let mut written: Vec<_> = numbers.iter().map(|(_, serial)| hex(serial)).collect();
    written.sort();
    written.dedup();
    assert_eq!(written.len(), numbers.len());
    // Another spelling of a number is no DER: it is refused where it stands, and finds nothing.
    for serial in [&[0, 1][..], &[0, 0x7f], &[0, 0], &[0xff, 0x80], &[0xff, 0xff], &[]] {
        assert!(numbered(&leaf, &root, serial).is_err(), "{serial:x?}");
        assert!(list(&[serial]).is_err(), "{serial:x?}");
        assert!(answer(serial).is_err(), "{serial:x?}");
    }
}

#[test]
fn a_number_that_is_listed_twice_is_revoked_if_any_entry_says_so() {
    let p256 = SignatureAlgorithm::EcdsaP256Sha256;
    let root = make(None, p256, "root", Use::Root, (-30, 365));
    let leaf = make(Some(&root), p256, "leaf", Use::Signer, (-30, 365));
    let (issuer, day) = (Issuer::of(&root.key, &root.certificate), |n: i64| UnixMillis(NOW.0 + n * 86_400_000));
    let (held, lost, removed) = (Some(6), Some(1), Some(8));
    for (entries, want) in [
        (vec![(-9, removed)], None),
        (vec![(-9, removed), (-5, removed)], None),
        (vec![(-9, removed), (-5, lost)], Some((-5, lost))),
        (vec![(-5, lost), (-9, removed)], Some((-5, lost))),
        (vec![(-9, held), (-5, removed)], Some((-9, held))),
        (vec![(-9, None), (-5, lost)], Some((-9, lost))),
        (vec![(-5, None), (-9, held)], Some((-9, held))),
    ] {
        let serial = leaf.certificate.serial();
        let all: Vec<_> = entries.iter().map(|(at, reason)| (serial.to_vec(), day(*at), *reason)).collect();
        let list = Crl::parse(&issue::list(&issuer, &all, (1, None), (day(-1), day(1))).unwrap()).unwrap();
        let want = want.map(|(at, reason)| (day(at), reason));
        assert_eq!(list.entry(serial).map(|entry| (entry.at, entry.reason)), want, "{entries:?}");
        assert_eq!(list.removes(serial), want.is_none(), "{entries:?}");
        let told = if want.is_some() { "Revoked" } else { "ok" };
        assert_eq!(status_of(&leaf.certificate, &root, &[list], &[]), told, "{entries:?}");
    }
}
