//! What is too much of what comes with a document is left out, and told: it may be the one list that says no.

use super::archived::{World, midnight, updated, with_attribute};
use super::tests::{CATALOG, PADES, document, fill, signature};
use crate::formats::der::write;
use crate::licences::variations::kit::party;
use crate::licences::*;
use crate::trust::issue::{self, Issuer, Use};

/// What is too large or too much of a store is not read, and that is told: it may be the one list that says no.
#[test]
fn what_is_left_out_of_a_store_is_told() {
    let world = World::new();
    let pdf = fill(document(signature(PADES)), &|octets| world.cms(octets, true));
    let list = world.list(&world.ca, None, ("02-14", "02-20"));
    let stream =
        |octets: &[u8]| [format!("<</Length {}>>stream\n", octets.len()).as_bytes(), octets, b"\nendstream"].concat();
    let long = |n: usize| stream(&vec![b'0'; n]);
    let many = |n: usize| -> String { (100..100 + n).map(|n| format!("{n} 0 R ")).collect() };
    let dss = |certificates: String, lists: &str| format!("<</Certs[{certificates}]/CRLs[{lists}]>>").into_bytes();
    let by_signature = |n: usize| {
        let entries: String = (0..n).map(|n| format!("/{n:040X}<</CRL[21 0 R]>>")).collect();
        format!("<</VRI<<{entries}>>>>").into_bytes()
    };
    for (name, store, streams, told) in [
        ("one list", dss(String::new(), "21 0 R"), vec![(21, stream(&list))], None),
        ("too large", dss(String::new(), "21 0 R"), vec![(21, long((8 << 20) + 1))], Some(1)),
        (
            "larger than it says",
            dss(String::new(), "21 0 R"),
            vec![(21, b"<</Length 9999999>>stream\n".to_vec())],
            Some(1),
        ),
        (
            "two, and too large together",
            dss("22 0 R".into(), "21 0 R 22 0 R 23 0 R"),
            vec![(21, long(5 << 20)), (22, long(2 << 20)), (23, long(4 << 20))],
            Some(1),
        ),
        (
            "256",
            dss(many(255), "21 0 R"),
            (100..355).map(|n| (n, stream(b"0"))).chain([(21, stream(&list))]).collect(),
            None,
        ),
        (
            "258, some twice",
            dss(many(257), "21 0 R 100 0 R 21 0 R"),
            (100..357).map(|n| (n, stream(b"0"))).chain([(21, stream(&list))]).collect(),
            Some(2),
        ),
        (
            "copies of the authority",
            dss(many(200), "21 0 R"),
            (100..300).map(|n| (n, stream(world.ca.cert.der()))).chain([(21, stream(&list))]).collect(),
            None,
        ),
        ("none there", dss(many(300), ""), Vec::new(), None),
        ("256 signatures", by_signature(256), vec![(21, stream(&list))], None),
        ("258 signatures", by_signature(258), vec![(21, stream(&list))], Some(2)),
    ] {
        let catalog = CATALOG.replace("/AcroForm", "/DSS 20 0 R/AcroForm").into_bytes();
        let objects: Vec<_> = [(1, catalog), (20, store)].into_iter().chain(streams).collect();
        let report = verify("f.pdf", updated(&pdf, &objects), &world.profile());
        let found = report.findings.iter().find(|f| f.code == "PDF_STORE_LEFT_OUT").map(|f| f.detail.clone());
        assert_eq!(found, told.map(|n| format!("{n} streams, too large or too many")), "{name}");
        let read = ["one list", "256", "copies of the authority", "256 signatures", "258 signatures"].contains(&name);
        assert_eq!(report.passed(), read, "{name}: {}", report.to_text());
    }
}

#[test]
fn what_is_left_out_of_attributes_is_told() {
    let world = World::new();
    let list = world.list(&world.ca, None, ("02-14", "02-20"));
    let (lists, certificates) = ("1.2.840.113549.1.9.16.2.24", "1.2.840.113549.1.9.16.2.23");
    // Each is about another certificate.
    let about = |serial: u8| {
        let (by, entry) = (Issuer::of(&world.ca.key, &world.ca.cert), (vec![serial], midnight("02-01")));
        issue::crl(&by, &[entry], 1, midnight("02-14"), midnight("02-20")).unwrap()
    };
    let all: Vec<_> = (1..=65).map(about).collect();
    let others: Vec<_> = (0..70).map(|_| party("别人", Use::Signer).cert.der().to_vec()).collect();
    let listed = |of: &[Vec<u8>]| (lists, write::sequence(&[write::explicit(0, &write::sequence(of))]));
    let certs = |n: usize| (certificates, write::sequence(&others[..n]));
    let copies = |n: usize| (certificates, write::sequence(&vec![world.ca.cert.der(); n]));
    for (name, attributes, told, passes) in [
        ("one list", vec![listed(&all[..1])], None, true),
        ("64", vec![listed(&all[..64])], None, true),
        ("65 in one", vec![listed(&all)], Some(1), true),
        ("65 in two", vec![listed(&all[..40]), listed(&all[40..])], Some(1), true),
        ("64 that cannot be read, and one that can", vec![(lists, broken(64, &list))], None, true),
        // The signer's own is one of the 64.
        ("certificates", vec![certs(63), listed(&all[..1])], None, true),
        ("more certificates", vec![listed(&all[..1]), certs(70)], Some(7), true),
        ("none of use", vec![certs(64)], Some(1), false),
        // A copy takes no room, and no work.
        ("copies of one list", vec![listed(&vec![list.clone(); 300])], None, true),
        ("copies of some, and one more", vec![listed(&all[..32]), listed(&all[..32]), listed(&all[..33])], None, true),
        ("copies of what is left out", vec![listed(&all), listed(&all)], Some(1), true),
        ("64 copies of the authority, and 64 lists", vec![copies(64), listed(&all[..64])], None, true),
        ("300 copies of the authority", vec![copies(150), listed(&all[..1]), copies(150)], None, true),
        ("copies of the authority alone", vec![copies(64)], None, false),
    ] {
        let own = world.cms(b"content", true);
        let cms = attributes.into_iter().fold(own, |cms, attribute| with_attribute(&cms, attribute));
        let report = verify_with("f.p7s", cms, Some(&b"content".to_vec()), &world.profile());
        let found = report.signatures[0].findings.iter().find(|f| f.code == "CMS_ALONG_LEFT_OUT");
        let told = told.map(|n| format!("{n} certificates, lists and answers, too many"));
        assert_eq!(found.map(|f| f.detail.clone()), told, "{name}");
        assert_eq!(report.passed(), passes, "{name}: {}", report.to_text());
    }
}

/// Lists of which only the last can be read.
fn broken(n: usize, list: &[u8]) -> Vec<u8> {
    let lists = [vec![write::sequence(&[write::small(1)]); n], vec![list.to_vec()]].concat();
    write::sequence(&[write::explicit(0, &write::sequence(&lists))])
}
