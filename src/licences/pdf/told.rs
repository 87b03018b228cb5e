//! What is told of an update that changes nothing: by the word for what it is.

use super::archived::World;
use super::tests::{CATALOG, PADES, body, by, document, fill, party, profile, signature, startxref, token, update};
use crate::licences::*;
use crate::trust::cms::Spelling;
use crate::trust::issue::Use;
use crate::trust::suite::SignatureAlgorithm;

#[test]
fn updates_are_told_by_what_they_are() {
    let (signer, world) = (party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer), World::new());
    let profile = profile(&signer, Some(&world.tsa));
    let pdf = fill(document(signature(PADES)), &by(&signer, Spelling::International, None));
    let store = [
        (1, CATALOG.replace("/AcroForm", "/DSS 20 0 R/AcroForm")),
        (20, "<</Type/DSS/Certs[21 0 R]/VRI<<>>>>".to_owned()),
        (21, "<</Length 5>>stream\n0\x03\x02\x01\x05\nendstream".to_owned()),
    ];
    let info = (40, "<</Producer(p)/ModDate(D:20260214)>>".to_owned());
    let again = |value: &str| {
        let page = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595.3 841.9]/Annots[5 0 R 30 0 R]/Contents 9 0 R>>";
        let objects = [
            (3, page.to_owned()),
            (4, "<</Fields[5 0 R 30 0 R]/SigFlags 3>>".to_owned()),
            (30, "<</FT/Sig/Type/Annot/Subtype/Widget/T(2)/Rect[0 0 0 0]/V 31 0 R/P 3 0 R>>".to_owned()),
            (31, signature(value)),
        ];
        update(&pdf, &objects)
    };
    let stamp = "/SubFilter/ETSI.RFC3161";
    for (name, file, told) in [
        ("nothing", pdf.clone(), None),
        ("a store", update(&pdf, &store), Some("PDF_VALIDATION_DATA_ADDED")),
        ("an empty update", update(&pdf, &[]), Some("PDF_UPDATE_UNSHOWN")),
        ("a catalog that says the same", update(&pdf, &[(1, CATALOG.to_owned())]), Some("PDF_UPDATE_UNSHOWN")),
        (
            "a certificate that no store names",
            update(&pdf, &[(21, "<</Length 5>>stream\n0\x03\x02\x01\x05\nendstream".to_owned())]),
            Some("PDF_UPDATE_UNSHOWN"),
        ),
        ("an empty update after a store", update(&update(&pdf, &store), &[]), Some("PDF_VALIDATION_DATA_ADDED")),
        ("what nothing refers to", update(&pdf, &[(41, "<</A 1>>".to_owned())]), Some("PDF_UPDATE_UNSHOWN")),
        (
            "when it was written",
            body(&pdf, Some(startxref(&pdf)), std::slice::from_ref(&info), "/Info 40 0 R"),
            Some("PDF_UPDATE_UNSHOWN"),
        ),
        (
            "a store, and when it was written",
            body(&pdf, Some(startxref(&pdf)), &[&store[..], std::slice::from_ref(&info)].concat(), "/Info 40 0 R"),
            Some("PDF_UPDATE_UNSHOWN"),
        ),
        ("a stamp", fill(again(stamp), &|octets| token(&world.tsa, octets)), Some("PDF_STAMPED_AGAIN")),
        ("a signature", fill(again(PADES), &by(&signer, Spelling::International, None)), Some("PDF_SIGNED_AGAIN")),
    ] {
        let report = verify("f.pdf", file, &profile);
        assert!(report.passed(), "{name}: {}", report.to_text());
        let first = report.signatures.iter().find(|s| s.kind == "Sign").unwrap();
        let found: Vec<_> = first.findings.iter().filter(|f| f.step == 21).map(|f| f.code).collect();
        assert_eq!(found, told.into_iter().collect::<Vec<_>>(), "{name}");
    }
}
