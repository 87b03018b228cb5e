//! What CAdES archives with a signature of a container (ETSI EN 319 122-1 §A.1, §5.4): certificates and status in its unsigned
//! attributes count there as they do in a PDF.

use super::super::containers::manifest;
use super::super::pdf::archived::{Place, Status, World, attribute, midnight, with_attribute};
use super::super::pdf::tests::token;
use super::super::variations::kit::at;
use super::super::variations::packing::{Shape, pack};
use crate::formats::der::write;
use crate::licences::*;
use crate::trust::crl::Revoked;
use crate::trust::ocsp::Answer;
use crate::trust::suite::DigestAlgorithm;

const P7S: &str = "META-INF/signature001.p7s";
const CERTIFICATE_VALUES: &str = "1.2.840.113549.1.9.16.2.23";

/// A container, with attributes added to its signature.
fn container(world: &World, stamped: bool, attributes: &[(&'static str, Vec<u8>)]) -> Vec<u8> {
    let one = manifest(P7S, DigestAlgorithm::Sha256, &[("a.txt", b"a")]);
    let add = |cms: Vec<u8>, one: &(&'static str, Vec<u8>)| with_attribute(&cms, one.clone());
    let p7s = attributes.iter().fold(world.cms(&one, stamped), add);
    let files = [("a.txt", &b"a"[..]), ("META-INF/ASiCManifest.xml", &one), (P7S, &p7s)];
    let files: Vec<_> = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
    pack(&files, &Shape::default())
}

#[test]
fn status_archived_with_a_signature_of_a_container() {
    let world = World::new();
    let (before, then, since) = (("02-01", "02-05"), ("02-12", "02-20"), ("02-14", "02-20"));
    let passed = (Indication::TotalPassed, None);
    let unknown = (Indication::Indeterminate, Some("SIGNER_NO_REVOCATION_DATA"));
    let failed = (Indication::TotalFailed, Some("SIGNER_REVOKED"));
    let list = |by, revoked, days| Status::List(world.list(by, revoked, days));
    let answer = |of, answer: &Answer, days| Status::Answer(world.answer(of, answer, days));
    let gone = |day: &str| {
        Answer::Revoked(Revoked { serial: world.signer.cert.serial().to_vec(), at: midnight(day), reason: Some(1) })
    };
    for (name, status, want) in [
        ("nothing", Status::None, unknown),
        ("a list of the day", list(&world.ca, None, then), passed),
        ("a list of the next day", list(&world.ca, None, since), passed),
        ("a list that had ended", list(&world.ca, None, before), unknown),
        ("a list of a namesake", list(&world.namesake, None, since), unknown),
        ("revoked before", list(&world.ca, Some("02-10"), since), failed),
        ("revoked since", list(&world.ca, Some("02-14"), since), passed),
        ("good on the day", answer(&world.signer, &Answer::Good, then), passed),
        ("about another certificate", answer(&world.other, &Answer::Good, since), unknown),
        ("said to be revoked before", answer(&world.signer, &gone("02-10"), since), failed),
        ("said to be revoked since", answer(&world.signer, &gone("02-14"), since), passed),
    ] {
        for place in [Place::CadesAttribute, Place::OlderAttribute] {
            let attributes: Vec<_> = attribute(place, &status).into_iter().collect();
            let report = verify("f", container(&world, true, &attributes), &world.profile());
            assert_eq!((report.indication, report.code), want, "{name} {place:?}: {}", report.to_text());
        }
    }
    // Without a stamp nothing tells when it was there, and what is archived is old.
    let attributes: Vec<_> = attribute(Place::CadesAttribute, &list(&world.ca, None, since)).into_iter().collect();
    let report = verify("f", container(&world, false, &attributes), &world.profile());
    assert_eq!((report.indication, report.code), unknown, "{}", report.to_text());
}

/// Certificates in an attribute help to build a chain, and make nobody trusted.
#[test]
fn certificates_archived_with_a_signature_of_a_container() {
    let world = World::new();
    let chain = || (CERTIFICATE_VALUES, write::sequence(&[world.ca.cert.der()]));
    let list = Status::List(world.list(&world.ca, None, ("02-14", "02-20")));
    let status = || attribute(Place::CadesAttribute, &list).unwrap();
    let pass = |attributes: &[_], profile: &Profile| verify("f", container(&world, true, attributes), profile);
    assert!(pass(&[chain(), status()], &world.profile()).passed());
    let mut stranger = world.profile();
    stranger.anchors.signers = vec![world.other.cert.clone()];
    let report = pass(&[chain(), status()], &stranger);
    assert_eq!(report.code, Some("SIGNER_NO_CHAIN"), "{}", report.to_text());
    // The same ends: unreadable values say nothing, and break nothing.
    for odd in [vec![5, 0], vec![0x30, 3, 1, 1, 9], write::sequence(&[world.ca.cert.der(), &[0x30, 0x81]])] {
        let report = pass(&[(CERTIFICATE_VALUES, odd), status()], &world.profile());
        assert!(report.passed(), "{}", report.to_text());
    }
    assert_eq!(world.profile().at, at("2026-09-01T00:00:00Z"));
}

/// A stamp over all that is archived is told and proves nothing: the stamp over the signature still does, and nothing else.
#[test]
fn stamps_over_the_archive_are_told_and_prove_nothing() {
    let world = World::new();
    let list = Status::List(world.list(&world.ca, None, ("02-14", "02-20")));
    let status = || attribute(Place::CadesAttribute, &list).unwrap();
    for oid in ["0.4.0.1733.2.4", "1.2.840.113549.1.9.16.2.48"] {
        // Over the signature value alone: as good as any other that is not the right one.
        let stamp = || (oid, token(&world.tsa, b"anything"));
        for (stamped, want) in [(true, None), (false, Some("SIGNER_NO_REVOCATION_DATA"))] {
            let report = verify("f", container(&world, stamped, &[status(), stamp()]), &world.profile());
            assert_eq!(report.code, want, "{oid}: {}", report.to_text());
            let told = report.signatures[0].findings.iter().any(|f| f.code == "CMS_ARCHIVE_TIMESTAMP_NOT_USED");
            assert!(told && report.signatures[0].proven_at.is_some() == stamped, "{oid}: {}", report.to_text());
        }
    }
}
