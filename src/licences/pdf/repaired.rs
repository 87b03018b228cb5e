//! Updates that nobody sees while the tables hold, and that a program shows which repairs the file: qpdf, poppler, MuPDF and others
//! do so for one reason or another, and look for objects themselves.

use std::fmt::Write as _;

use super::tests::{CATALOG, PADES, by, code, document, fill, party, profile, signature, startxref, update};
use crate::licences::*;
use crate::trust::cms::Spelling;
use crate::trust::issue::Use;
use crate::trust::suite::SignatureAlgorithm;

/// Another page in the place of the one that was signed.
const FORGED: &str = "3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>\nendobj\n";

/// An update that says when the file was written, and how it is written itself.
struct Draft {
    /// Before its own object.
    stray: String,
    info: String,
    entry: fn(usize) -> String,
    keys: String,
    start: fn(usize) -> String,
    after: String,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            stray: String::new(),
            info: "40 0 obj\n<</Producer(p)>>\nendobj\n".to_owned(),
            entry: |at| format!("40 1\n{at:010} 00000 n\r\n"),
            keys: "/Size 100/Root 1 0 R/Info 40 0 R".to_owned(),
            start: |at| at.to_string(),
            after: "\n".to_owned(),
        }
    }
}

impl Draft {
    fn of(change: impl Fn(&mut Self)) -> Self {
        let mut draft = Self::default();
        change(&mut draft);
        draft
    }

    fn on(&self, pdf: &[u8]) -> Vec<u8> {
        let (mut out, mut text) = (pdf.to_vec(), self.stray.clone());
        let at = out.len() + text.len();
        text += &self.info;
        let table = out.len() + text.len();
        let (entry, keys, previous) = ((self.entry)(at), &self.keys, startxref(pdf));
        let start = (self.start)(table);
        let _ =
            write!(text, "xref\n{entry}trailer\n<<{keys}/Prev {previous}>>\nstartxref\n{start}\n%%EOF{}", self.after);
        out.extend(text.into_bytes());
        out
    }
}

#[test]
fn what_a_program_finds_that_repairs_the_file_is_a_change() {
    let signer = party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer);
    let profile = profile(&signer, None);
    let pdf = fill(document(signature(PADES)), &by(&signer, Spelling::International, None));
    let stream = |inside: &str, keys: &str| {
        format!("40 0 obj\n<<{keys}/Length {}>>stream\n{inside}\nendstream\nendobj\n", inside.len())
    };
    let rows: Vec<(&str, Draft, bool)> = vec![
        ("as it should be", Draft::default(), true),
        ("no line end at the end", Draft::of(|d| d.after.clear()), true),
        ("blanks", Draft::of(|d| d.after = "\r\n \n".into()), true),
        (
            "an object of a generation",
            Draft::of(|d| {
                d.info = d.info.replace("40 0 obj", "40 2 obj");
                d.entry = |at| format!("40 1\n{at:010} 00002 n\r\n");
            }),
            true,
        ),
        ("lines of nineteen octets", Draft::of(|d| d.entry = |at| format!("40 1\n{at:010} 00000 n\n")), true),
        ("an object that no table names", Draft::of(|d| d.stray = FORGED.into()), false),
        ("in a comment", Draft::of(|d| d.stray = format!("% {FORGED}")), false),
        ("with a comment in it", Draft::of(|d| d.stray = FORGED.replace("3 0", "3 %x\n0")), false),
        ("in a stream", Draft::of(|d| d.info = stream(&format!("\n{FORGED}"), "")), false),
        ("words in a stream", Draft::of(|d| d.info = stream("\nno object\n", "")), true),
        (
            "in a stream of objects",
            Draft::of(|d| d.info = stream("3 0 <</Type/Page>>", "/Type/ObjStm/N 1/First 4")),
            false,
        ),
        ("another table", Draft::of(|d| d.info = stream("", "/Type/XRef/W[1 2 1]/Size 0/Root 7 0 R")), false),
        ("another trailer", Draft::of(|d| d.stray = "trailer\n<</Root 7 0 R>>\n".into()), false),
        ("another catalog", Draft::of(|d| d.info = format!("40 0 obj\n{CATALOG}\nendobj\n")), false),
        ("no number of objects", Draft::of(|d| d.keys = "/Root 1 0 R".into()), false),
        ("a number that is none", Draft::of(|d| d.keys = "/Size 100.0/Root 1 0 R".into()), false),
        ("fewer than there are", Draft::of(|d| d.keys = "/Size 40/Root 1 0 R".into()), false),
        ("a catalog of another generation", Draft::of(|d| d.keys = "/Size 100/Root 1 1 R".into()), false),
        ("another generation", Draft::of(|d| d.entry = |at| format!("40 1\n{at:010} 00001 n\r\n")), false),
        ("a comment in the table", Draft::of(|d| d.entry = |at| format!("40 1 %c\n{at:010} 00000 n\r\n")), false),
        ("two blanks in the table", Draft::of(|d| d.entry = |at| format!("40  1\n{at:010} 00000 n\r\n")), false),
        ("short numbers", Draft::of(|d| d.entry = |at| format!("40 1\n{at} 0 n\r\n")), false),
        ("a comment before the place", Draft::of(|d| d.start = |at| format!("%c\n{at}")), false),
        ("octets after the end", Draft::of(|d| d.after = format!("\n{FORGED}")), false),
        (
            "so many that the end is not found",
            Draft::of(|d| d.after = format!("\n{FORGED}%{}\n", "x".repeat(1_200))),
            false,
        ),
        ("blanks, so that the end is not found", Draft::of(|d| d.after = " ".repeat(1_200)), false),
    ];
    for (name, draft, passes) in rows {
        let file = draft.on(&pdf);
        let found = code(&file, &profile);
        let want = if passes {
            (Indication::TotalPassed, None)
        } else {
            (Indication::Indeterminate, Some("PDF_CHANGED_AFTER_SIGNING"))
        };
        assert_eq!(found, want, "{name}");
        // Whatever follows, and whatever was there before.
        let before = draft.on(&update(&pdf, &[]));
        assert_eq!(code(&before, &profile), want, "{name}, after another update");
    }
    // The page as it was signed counts, and one behind it is found last.
    let page = "3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 595.3 841.9]/Annots[5 0 R]/Contents 9 0 R>>\nendobj\n";
    for (first, second, want) in [(page, page, None), (page, FORGED, Some("PDF_CHANGED_AFTER_SIGNING"))] {
        let mut out = [&pdf[..], first.as_bytes(), second.as_bytes()].concat();
        let mut previous = startxref(&pdf);
        // In the order of the file, and the other way round.
        let (one, other) = (pdf.len(), pdf.len() + first.len());
        for place in if want.is_none() { [one, other] } else { [other, one] } {
            let start = out.len();
            let keys = format!("/Size 100/Root 1 0 R/Prev {previous}");
            let table = format!("xref\n3 1\n{place:010} 00000 n\r\ntrailer\n<<{keys}>>\nstartxref\n{start}\n%%EOF\n");
            out.extend(table.into_bytes());
            previous = start;
        }
        assert_eq!(code(&out, &profile).1, want, "{second}");
    }
    // A signature that is the last: what it is over is followed by nothing.
    for (after, want) in [("", None), ("\n\n", None), (FORGED, Some("PDF_CHANGED_AFTER_SIGNING"))] {
        assert_eq!(code(&[&pdf[..], after.as_bytes()].concat(), &profile).1, want, "{after}");
    }
    let far = [&pdf[..], &[b'\n'; 1_200]].concat();
    assert_eq!(code(&far, &profile).1, Some("PDF_CHANGED_AFTER_SIGNING"));
}
