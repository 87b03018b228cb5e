//! Archives that another program opens as something else, and then shows that. Part of step 1.
//!
//! ```text
//!  %PDF- in the first 1,024 octets ─┬─ outside of entries ─────────────────────▶ a reader of PDF takes it for the beginning
//!                                   └─ in an entry, startxref outside of them ─▶ … and goes on behind the archive
//!  more than 64 octets before the first entry ─▶ room for an archive of another kind, which an unpacker finds first
//! ```
//! Vendors' octets around an archive are taken, and no signature is over them: whoever gets the file under another name must not
//! be shown there what nobody signed.

use super::verdict::{Finding, SubIndication::SigConstraintsFailure};
use crate::formats::zip::{Archive, Source};

/// Where readers of PDF look for its beginning (ISO 32000-1, annex H), in octets.
pub(super) const PDF_BEGINS_WITHIN: u64 = 1_024;
pub(super) const PDF: &[u8] = b"%PDF-";

/// Where they may look for its end: a comment of an archive takes 64 KiB, and what stands behind it as much.
const PDF_ENDS_WITHIN: u64 = 128 << 10;
const PDF_END: &[u8] = b"startxref";

/// Octets of a vendor's mark before an archive. 7-Zip opens what it finds first of some fifty kinds, and the least archive of another kind
/// with a file in it, one of its own, takes more.
const MARK_MAX: u64 = 64;

pub(super) fn check<S: Source>(archive: &Archive<S>) -> Option<Finding> {
    pdf(archive).or_else(|| before(archive))
}

fn before<S: Source>(archive: &Archive<S>) -> Option<Finding> {
    let first = archive.entries().iter().map(|entry| entry.header_at).min()?;
    let detail = || format!("{first} octets, at most {MARK_MAX}");
    (first > MARK_MAX).then(|| Finding::doubt(1, "ZIP_PREFIX_TOO_LONG", SigConstraintsFailure, detail()))
}

fn pdf<S: Source>(archive: &Archive<S>) -> Option<Finding> {
    let size = archive.source().size().unwrap_or(0);
    let head = size.min(PDF_BEGINS_WITHIN);
    let begins = places(archive, PDF, 0, head);
    if begins.is_empty() {
        return None;
    }
    let outside = |at: &u64| !archive.entries().iter().any(|entry| entry.data().contains(at));
    let tail = size - size.min(PDF_ENDS_WITHIN);
    let open = begins.iter().any(outside) || places(archive, PDF_END, tail, size).iter().any(outside);
    open.then(|| Finding::doubt(1, "ZIP_AND_PDF", SigConstraintsFailure, "a reader of PDF opens it as well"))
}

/// Where a word stands in a part of the file.
fn places<S: Source>(archive: &Archive<S>, word: &[u8], from: u64, to: u64) -> Vec<u64> {
    let mut octets = vec![0; (to - from) as usize];
    // What cannot be read is found damaged elsewhere.
    let _ = archive.source().read_at(from, &mut octets);
    memchr::memmem::find_iter(&octets, word).map(|at| from + at as u64).collect()
}

#[cfg(test)]
mod tests {
    use super::super::variations::kit::{Draft, World};
    use super::super::variations::packing::Shape;
    use super::super::verify;

    const ENDS: &[u8] = b"1 0 obj <<>> endobj xref trailer <<>> startxref 9 %%EOF";

    #[test]
    fn what_others_open_as_something_else_is_no_pass() {
        let world = World::new();
        let before = |octets: &[u8]| Shape { before: octets.to_vec(), ..Shape::default() };
        let after = |octets: &[u8]| Shape { after: octets.to_vec(), ..Shape::default() };
        let comment = |octets: &[u8]| Shape { comment: octets.to_vec(), ..Shape::default() };
        let far = [&[b' '; 1_024][..], b"%PDF-1.7", ENDS].concat();
        for (name, shape, first, want) in [
            ("plain", Shape::default(), None, None),
            ("a vendor's octets", before(b"VENDOR 1.0\n"), None, None),
            ("a PDF before it", before(&[b"\n%PDF-1.7\n", ENDS].concat()), None, Some("ZIP_AND_PDF")),
            ("the beginning of one", before(b"\n%PDF-"), None, Some("ZIP_AND_PDF")),
            ("a PDF where no reader looks, and room for anything", before(&far), None, Some("ZIP_PREFIX_TOO_LONG")),
            ("a long mark", before(&[b'v'; 64]), None, None),
            ("room for an archive of another kind", before(&[b'v'; 65]), None, Some("ZIP_PREFIX_TOO_LONG")),
            ("room for that behind", after(&[b'v'; 4_096]), None, None),
            ("the end of one", after(ENDS), None, None),
            ("a PDF in it, as it is", Shape::default(), Some(&b"%PDF-1.7 startxref"[..]), None),
            ("a PDF in it that goes on behind", after(ENDS), Some(b"%PDF-1.7"), Some("ZIP_AND_PDF")),
            ("a PDF in it that goes on in the comment", comment(ENDS), Some(b"%PDF-1.7"), Some("ZIP_AND_PDF")),
            ("a PDF in it, a comment", comment(b"mimetype=application/ofd"), Some(b"%PDF-1.7"), None),
        ] {
            let mut draft = Draft { shape, ..Draft::default() };
            draft.files.extend(first.map(|octets| ("Doc_0/a.pdf", octets.to_vec())));
            let report = verify("f", draft.package(&world), &world.profile());
            assert_eq!(report.code, want, "{name}: {}", report.to_text());
            assert_eq!(report.passed(), want.is_none(), "{name}");
        }
    }
}
