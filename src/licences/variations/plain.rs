//! Plain signatures: SignedData of GB/T 35275 in an OFD package.

use super::check;
use super::kit::{Cms, Draft, SM2, World};
use crate::licences::verify;

#[test]
fn plain_signatures() {
    check(&[
        ("digest inside, no attributes", |_, d| d.cms = Some(national(true, false)), None),
        ("detached with attributes", |_, d| d.cms = Some(national(false, true)), None),
        ("digest inside, attributes", |_, d| d.cms = Some(national(true, true)), None),
        ("detached without attributes", |_, d| d.cms = Some(national(false, false)), None),
        ("unsorted attributes", |_, d| d.cms = Some(Cms { unsorted: true, ..national(false, true) }), None),
        ("NULL beside the digest", |_, d| d.cms = Some(Cms { null: true, ..national(true, false) }), None),
        ("SM2 with SM3", |_, d| d.cms = Some(Cms { algorithm: Some(SM2), ..national(false, true) }), None),
        (
            "the key's OID",
            |_, d| d.cms = Some(Cms { algorithm: Some("1.2.156.10197.1.301"), ..national(true, false) }),
            None,
        ),
        (
            "the curve's family",
            |_, d| d.cms = Some(Cms { algorithm: Some("1.2.840.10045.2.1"), ..national(true, false) }),
            None,
        ),
        (
            "without .1",
            |_, d| d.cms = Some(Cms { algorithm: Some("1.2.156.10197.501"), ..national(true, false) }),
            None,
        ),
        ("RFC 5652 names", |_, d| d.cms = Some(Cms { international: true, ..national(false, true) }), None),
        ("two names of plain data", |_, d| d.cms = Some(Cms { mixed_types: true, ..national(false, true) }), None),
        ("r and s in 64 octets", |_, d| (d.raw_signatures, d.cms) = (true, Some(national(true, false))), None),
        ("two signers, digest inside", |_, d| d.cms = Some(Cms { second: true, ..national(true, false) }), None),
        ("two signers, detached", |_, d| d.cms = Some(Cms { second: true, ..national(false, true) }), None),
        (
            "two signers, one of them another's digest",
            |_, d| {
                d.cms = Some(Cms { second: true, ..national(false, true) });
                d.value_form = Some(bent);
            },
            Some("CMS_SIGNATURE"),
        ),
        ("lengths that are not told", |_, d| d.cms = Some(Cms { streamed: true, ..national(false, true) }), None),
        (
            "lengths that are not told, digest inside",
            |_, d| d.cms = Some(Cms { streamed: true, ..national(true, false) }),
            None,
        ),
        (
            "lengths that are not told, attributes and digest",
            |_, d| d.cms = Some(Cms { streamed: true, international: true, ..national(true, true) }),
            None,
        ),
        (
            "lengths that are not told, and octets after the end",
            |_, d| {
                d.cms = Some(Cms { streamed: true, ..national(true, false) });
                d.value_form = Some(|value| [value, &[0, 0]].concat());
            },
            Some("CMS_DER"),
        ),
        (
            "lengths that are not told, cut short",
            |_, d| {
                d.cms = Some(Cms { streamed: true, ..national(true, false) });
                d.value_form = Some(|value| value[..value.len() - 2].to_vec());
            },
            Some("CMS_DER"),
        ),
        (
            "listed as a seal",
            |_, d| {
                d.cms = Some(national(false, true));
                d.replace("Signatures.xml", "Type=\"Sign\"", "Type=\"Seal\"");
            },
            None,
        ),
        (
            "an unknown algorithm",
            |_, d| d.cms = Some(Cms { algorithm: Some("1.2.3"), ..national(true, false) }),
            Some("CMS_ALG"),
        ),
    ]);
}

fn national(inside: bool, attributes: bool) -> Cms {
    Cms { inside, attributes, ..Cms::default() }
}

/// The last signature with one bit changed.
fn bent(value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    let last = value.len() - 1;
    value[last] ^= 1;
    value
}

#[test]
fn every_signer_gets_a_verdict() {
    let world = World::new();
    for streamed in [false, true] {
        let form = Cms { second: true, streamed, ..national(false, true) };
        let draft = Draft { cms: Some(form), ..Draft::default() };
        let mut profile = world.profile();
        profile.anchors.signers.push(world.second.cert.clone());
        let package = draft.package(&world);
        let report = verify("f", package.clone(), &profile);
        let names: Vec<_> =
            report.signatures.iter().map(|s| (s.id.as_str(), s.signer().unwrap().subject.clone())).collect();
        assert_eq!(names.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ["s0", "s0/2"]);
        assert!(names[0].1 != names[1].1 && report.passed(), "{}", report.to_text());
        assert_eq!(report.signatures[1].findings.iter().any(|f| f.code == "CMS_BER"), streamed);
        // One of two whom nobody knows is enough.
        profile.anchors.signers.truncate(1);
        let report = verify("f", package, &profile);
        assert_eq!(report.code, Some("SIGNER_NO_CHAIN"), "{}", report.to_text());
        assert_eq!(report.signatures.iter().filter(|s| s.passed()).count(), 1);
    }
}
