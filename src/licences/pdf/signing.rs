//! Signatures made here, over documents of several makes, judged here.

use super::tests::{CATALOG, PADES, body, by, document, fill, party, profile, signature, token};
use crate::licences::make::{MakeError, PdfApply, sign_pdf};
use crate::licences::variations::kit::{Party, at};
use crate::licences::*;
use crate::trust::cms::{Spelling, TimeStamp};
use crate::trust::issue::Use;
use crate::trust::suite::SignatureAlgorithm;

const NOW: &str = "2026-02-13T02:00:00Z";

fn sign(pdf: &[u8], signer: &Party, tsa: Option<&Party>) -> Result<Vec<u8>, MakeError> {
    let ask = |value: &[u8]| Ok(token(tsa.unwrap(), value));
    let with = PdfApply {
        signer: &signer.key,
        chain: std::slice::from_ref(&signer.cert),
        at: at(NOW),
        time_stamp: tsa.map(|_| &ask as TimeStamp<'_>),
        reason: Some("准予登记 (1)"),
    };
    Ok([pdf, &sign_pdf(pdf.to_vec(), &with)?].concat())
}

/// The same objects under a cross-reference stream.
fn under_a_stream(objects: &[(u32, &str)]) -> Vec<u8> {
    let mut out = b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut rows = vec![(0u32, [&[0u8; 6][..]].concat())];
    for (number, object) in objects {
        rows.push((*number, [&[1], &(out.len() as u32).to_be_bytes()[..], &[0]].concat()));
        out.extend(format!("{number} 0 obj\n{object}\nendobj\n").into_bytes());
    }
    let start = out.len();
    rows.push((50, [&[1], &(start as u32).to_be_bytes()[..], &[0]].concat()));
    let index: String = rows.iter().map(|(n, _)| format!("{n} 1 ")).collect();
    let table: Vec<u8> = rows.into_iter().flat_map(|(_, row)| row).collect();
    let head = format!("/Type/XRef/Size 51/Root 1 0 R/W[1 4 1]/Index[{index}]/Length {}", table.len());
    out.extend(format!("50 0 obj\n<<{head}/ID[<00><01>]>>\nstream\n").into_bytes());
    out.extend(table);
    out.extend(format!("\nendstream\nendobj\nstartxref\n{start}\n%%EOF").into_bytes());
    out
}

const PAGE: &str = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595.3 841.9]>>";

fn table(objects: &[(u32, &str)]) -> Vec<u8> {
    let objects: Vec<_> = objects.iter().map(|(n, object)| (*n, (*object).to_owned())).collect();
    body(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", None, &objects, "/Info 8 0 R/ID[<00><01>]")
}

#[test]
fn documents_of_any_make_are_signed_and_stay_as_they_were() {
    let plain = [(1, "<</Type/Catalog/Pages 2 0 R>>"), (2, "<</Type/Pages/Kids[3 0 R]/Count 1>>"), (3, PAGE)];
    let deep = [
        (1, "<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields 7 0 R/DA(/Helv 0 Tf)>>/Na#20me/a#2fb>>"),
        (2, "<</Type/Pages/Kids 6 0 R/Count 1>>"),
        (4, "<</Type/Pages/Parent 2 0 R/Kids[3 0 R]/Count 1>>"),
        (3, "<</Type/Page/Parent 4 0 R/MediaBox[0 0 595.3 841.9]/Annots 5 0 R>>"),
        (5, "[9 0 R]"),
        (6, "[4 0 R]"),
        (7, "[]"),
        (9, "<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/Contents(a\\)b)>>"),
    ];
    let form = [(1, CATALOG), (2, plain[1].1), (3, PAGE), (4, "<</Fields[]/SigFlags 1>>")];
    for (name, pdf) in [
        ("plain", table(&plain)),
        ("without a line end", {
            let mut pdf = table(&plain);
            pdf.truncate(pdf.len() - 1);
            pdf
        }),
        ("lists of their own", table(&deep)),
        ("a form", table(&form)),
        ("a stream", under_a_stream(&plain)),
        ("lists under a stream", under_a_stream(&deep)),
    ] {
        for algorithm in [SignatureAlgorithm::EcdsaP256Sha256, SignatureAlgorithm::Sm2Sm3, SignatureAlgorithm::Ed25519]
        {
            let (signer, tsa) =
                (party(algorithm, Use::Signer), party(SignatureAlgorithm::EcdsaP256Sha256, Use::TimeStamping));
            let once = sign(&pdf, &signer, None).unwrap();
            assert!(once.starts_with(&pdf), "{name}: octets of the document changed");
            let report = verify("f.pdf", once.clone(), &profile(&signer, Some(&tsa)));
            assert!(report.passed(), "{name} {algorithm:?}: {}", report.to_text());
            let verdict = &report.signatures[0];
            assert_eq!(
                (verdict.claimed_at, verdict.proven_at, verdict.file.as_str()),
                (Some(at(NOW)), None, "Signature1")
            );
            // A second one, stamped, after it: both hold.
            let twice = sign(&once, &signer, Some(&tsa)).unwrap();
            let report = verify("f.pdf", twice.clone(), &profile(&signer, Some(&tsa)));
            assert!(report.passed() && report.signatures.len() == 2, "{name} {algorithm:?}: {}", report.to_text());
            assert_eq!(report.signatures[1].basis, TimeBasis::TimeStamp);
            assert_eq!(report.signatures[1].file, "Signature2");
            // Any octet of the document or the updates, but for the last value.
            let from = twice.windows(10).rposition(|w| w == b"/Contents<").unwrap();
            let to = from + twice[from..].iter().position(|b| *b == b'>').unwrap();
            for n in (0..from).chain(to..twice.len()).step_by(397) {
                let mut bent = twice.clone();
                bent[n] ^= 4;
                // A bent reference may lose the last one, as cutting it off would; what is left is the first.
                let report = verify("f.pdf", bent, &profile(&signer, Some(&tsa)));
                assert!(!report.passed() || report.signatures.len() == 1, "{name} {algorithm:?}: octet {n}");
            }
        }
    }
}

#[test]
fn what_cannot_be_signed_is_refused() {
    let signer = party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer);
    let certified = "/SubFilter/ETSI.CAdES.detached/Reference[<</TransformMethod/DocMDP/TransformParams<</P 1>>>>]";
    let certified = fill(document(signature(certified)), &by(&signer, Spelling::International, None));
    let plain = [(1, "<</Type/Catalog/Pages 2 0 R>>".to_owned()), (2, "<</Type/Pages/Kids[]/Count 0>>".to_owned())];
    let encrypted = body(b"%PDF-1.7\n", None, &plain, "/Encrypt 9 0 R");
    for (pdf, code) in [
        (certified, "PDF_SIGNATURE"),
        (encrypted, "PDF_ENCRYPTED"),
        (body(b"%PDF-1.7\n", None, &plain, ""), "PDF_STRUCTURE"),
        (b"%PDF-1.7 and nothing else".to_vec(), "PDF_STRUCTURE"),
        (b"PK\x03\x04 no PDF at all".to_vec(), "PDF_SYNTAX"),
    ] {
        match sign(&pdf, &signer, None) {
            Err(MakeError::Package(why)) => assert!(why.starts_with(code), "{why}"),
            other => panic!("{code}: {:?}", other.map(|pdf| pdf.len())),
        }
    }
    // An earlier signature that allows further ones.
    let first = fill(document(signature(PADES)), &by(&signer, Spelling::International, None));
    let report = verify("f.pdf", sign(&first, &signer, None).unwrap(), &profile(&signer, None));
    assert!(report.passed() && report.signatures.len() == 2, "{}", report.to_text());
}

proptest::proptest! {
    #[test]
    fn no_document_panics(at in proptest::prelude::any::<proptest::sample::Index>(), to in 0u8.., cut in proptest::prelude::any::<proptest::sample::Index>()) {
        thread_local! {
            static SIGNER: Party = party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer);
        }
        let mut pdf = document(signature(PADES).replace(&"0".repeat(16_000), "3000"));
        let n = at.index(pdf.len());
        pdf[n] = to;
        pdf.truncate(cut.index(pdf.len() * 4).max(n + 1));
        let _ = SIGNER.with(|signer| sign(&pdf, signer, None));
    }
}
