//! Which document a reader opens, where no signature covers OFD.xml. Part of step 21.
//!
//! ```text
//!  OFD.xml (unsigned) ── DocRoot, Versions ──▶ the one document among the signed files: nothing else to open
//!                                         └──▶ an unsigned file, or one of two signed documents: nobody knows which was meant
//! ```
//! Genuine producers leave OFD.xml out, and then anyone can point it elsewhere. That does no harm while there is nowhere
//! else to point.

use std::io::Read;

use super::ofd::{DocBody, ENTRANCE, shown};
use super::report::{Coverage, SignatureVerdict};
use super::verdict::{Finding, Indication, SubIndication::SigConstraintsFailure};
use crate::formats::zip::{Archive, Entry, Source};

/// Octets of a file in which its first element begins, if it is a document: a declaration and a comment stand before it.
const START: u64 = 4 << 10;

/// What speaks against opening the document of the only body of an unsigned OFD.xml; nothing where it is signed.
pub(super) fn check<S: Source>(archive: &Archive<S>, bodies: &[DocBody], coverage: &Coverage) -> Option<Finding> {
    const CODE: &str = "OFD_ROOT_UNSIGNED";
    if !coverage.exempt.iter().any(|name| name == ENTRANCE) {
        return None;
    }
    let doubt = |detail: String| Some(Finding::doubt(21, CODE, SigConstraintsFailure, detail));
    let root = bodies.iter().find_map(|body| body.root.as_deref()).unwrap_or_default();
    if !coverage.covered.iter().any(|name| name == root) {
        return doubt(shown(root));
    }
    let others = coverage.covered.iter().filter(|name| *name != root).filter_map(|name| archive.find(name));
    let other = others.into_iter().find(|entry| is_document(&start(archive, entry)))?;
    doubt(format!("{} or {}", shown(root), shown(&other.name)))
}

/// Tells of each signature that is over none of the documents that are opened: over an earlier version of one, as where a paper is
/// annotated and signed again, or over a part. It is good for what it covers; who vouches for what is shown is another.
pub(super) fn told_elsewhere(bodies: &[DocBody], signatures: &mut [SignatureVerdict]) {
    let roots: Vec<&str> = bodies.iter().filter_map(|body| body.root.as_deref()).collect();
    let Some(first) = roots.first() else { return };
    for signature in signatures.iter_mut().filter(|s| s.indication != Indication::TotalFailed) {
        if !signature.covered.iter().any(|(name, _)| roots.contains(&name.as_str())) {
            signature.findings.push(Finding::note(21, "OFD_ROOT_NOT_COVERED", shown(first)));
        }
    }
}

/// What cannot be read was found damaged before.
fn start<S: Source>(archive: &Archive<S>, entry: &Entry) -> Vec<u8> {
    let mut start = Vec::new();
    let _ = archive.reader(entry).take(START).read_to_end(&mut start);
    start
}

/// Whether the first element is `Document` of GB/T 33190. Files are not parsed for that: a reader may take what is not
/// well formed. The zeros of UTF-16 are left out.
fn is_document(start: &[u8]) -> bool {
    let text: Vec<u8> = start.iter().copied().filter(|b| !matches!(b, 0 | 0xef | 0xbb | 0xbf | 0xfe | 0xff)).collect();
    let mut rest = text.trim_ascii_start();
    let tag = loop {
        let Some(inside) = rest.strip_prefix(b"<") else { return false };
        let end: &[u8] = match inside {
            [b'?', ..] => b"?>",
            [b'!', b'-', b'-', ..] => b"-->",
            [b'!', ..] => b">",
            _ => break inside.split(|b| *b == b'>').next().unwrap_or_default(),
        };
        let Some(at) = memchr::memmem::find(inside, end) else { return false };
        rest = inside[at + end.len()..].trim_ascii_start();
    };
    let name = tag.split(|b| b.is_ascii_whitespace() || *b == b'/').next().unwrap_or_default();
    let holds = |word: &[u8]| memchr::memmem::find(tag, word).is_some();
    // Other vocabularies have documents too, such as ISO 20022 in an attachment.
    name.rsplit(|b| *b == b':').next() == Some(b"Document") && (holds(b"ofdspec") || !holds(b"xmlns"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_by_their_first_element() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        for (start, want) in [
            (b"<ofd:Document xmlns:ofd=\"http://www.ofdspec.org/2016\">".to_vec(), true),
            (
                b"\xef\xbb\xbf<?xml version=\"1.0\"?>\r\n<!-- by p --><Document xmlns='http://www.ofdspec.org'>"
                    .to_vec(),
                true,
            ),
            (b"<Document>".to_vec(), true),
            (b"<Document/>".to_vec(), true),
            ([&[0xff, 0xfe][..], &utf16("<?xml version=\"1.0\"?><ofd:Document>")].concat(), true),
            (b"<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.09\">".to_vec(), false),
            (b"<ofd:DocVersion><Document>".to_vec(), false),
            (b"<Documents>".to_vec(), false),
            (b"<?xml <Document>".to_vec(), false),
            (b"\x89PNG <Document>".to_vec(), false),
            (Vec::new(), false),
        ] {
            assert_eq!(is_document(&start), want, "{}", String::from_utf8_lossy(&start));
        }
    }
}
