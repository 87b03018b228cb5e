//! SignedData (RFC 5652, GB/T 35275): plain signatures of OFD (`Type="Sign"`) over Signature.xml, and those of all other
//! formats over whatever they cover.
//!
//! In OFD three forms are found: (a) the content is the SM3 of Signature.xml and is signed as it is; (b) no content, and signed
//! attributes with the digest of Signature.xml; (c) as (b), with two names for the content type. The mathematics is
//! [`crate::trust::cms`]'s; here is said what each way of failing means for a package.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;

use super::profile::Profile;
use super::report::{FewCovered, SignatureVerdict};
use super::strength;
use super::suite;
use super::times::Written;
use super::trusted::{self, Role};
use super::verdict::{Finding, SubIndication::*};
use super::verify::in_pieces;
use super::when;
use crate::formats::zip::{Archive, Entry, Source, ZipError};
use crate::trust::cms::{Along, CmsError, Content, SignedData, SignerInfo, Verified};
use crate::trust::suite::{DigestAlgorithm, Hasher, SuiteError};

/// What an error means: step and outcome.
pub(super) fn finding(error: &CmsError) -> Finding {
    let (code, detail) = (error.code(), error.to_string());
    match error {
        CmsError::Der(_) | CmsError::Form(_) | CmsError::Certificate(_) => Finding::format(8, code, detail),
        CmsError::Suite(SuiteError::Key) => Finding::failed(10, code, SigCryptoFailure, detail),
        CmsError::Suite(_) => Finding::doubt(6, code, CryptoConstraintsFailure, detail),
        CmsError::Encrypted(_) => Finding::doubt(4, code, SignedDataNotFound, detail),
        CmsError::NoContent => Finding::doubt(4, code, SignedDataNotFound, detail),
        CmsError::Digest => Finding::failed(9, code, HashFailure, detail),
        CmsError::Signature => Finding::failed(10, code, SigCryptoFailure, detail),
        CmsError::NoSigner | CmsError::NoCertificate => Finding::doubt(11, code, NoSigningCertificateFound, detail),
        CmsError::OtherCertificate => Finding::doubt(12, code, SigConstraintsFailure, detail),
    }
}

/// Steps 8 to 20 of a `Sign` signature over the octets of Signature.xml. The answer holds the verdicts on further signers of
/// the same value.
pub(super) fn examine(
    profile: &Profile,
    xml: &[u8],
    value: &[u8],
    verdict: &mut SignatureVerdict,
) -> Result<Vec<SignatureVerdict>, Finding> {
    let data = SignedData::parse(value).map_err(|e| finding(&e))?;
    each_signer(&data, verdict, &mut |signer, verdict| {
        one(profile, xml, &data, signer, verdict);
        Ok(())
    })
}

/// Judges every signer of a value that is counted as one signature: the first into `verdict`, the others into copies of it,
/// numbered.
pub(super) fn each_signer(
    data: &SignedData,
    verdict: &mut SignatureVerdict,
    judge: &mut dyn FnMut(&SignerInfo, &mut SignatureVerdict) -> Result<(), Finding>,
) -> Result<Vec<SignatureVerdict>, Finding> {
    let [first, others @ ..] = data.signers.as_slice() else { return Err(finding(&CmsError::NoSigner)) };
    // Each of them gets what the signature covers.
    FewCovered::default().add(verdict.covered.iter().map(|(name, _)| name), data.signers.len())?;
    let blank = verdict.clone();
    let mut judged = |signer: &SignerInfo, verdict: &mut SignatureVerdict| {
        if let Err(finding) = judge(signer, verdict) {
            verdict.findings.push(finding);
        }
    };
    judged(first, verdict);
    let mut further = Vec::new();
    for (n, signer) in others.iter().enumerate() {
        let mut verdict = SignatureVerdict { id: format!("{}/{}", blank.id, n + 2), ..blank.clone() };
        judged(signer, &mut verdict);
        verdict.conclude();
        further.push(verdict);
    }
    Ok(further)
}

fn one(profile: &Profile, xml: &[u8], data: &SignedData, signer: &SignerInfo, verdict: &mut SignatureVerdict) {
    // Whatever is signed must be Signature.xml, or its SM3.
    let hash = suite::sm3(xml);
    let content: &[u8] = match &data.content {
        Some(content) if *content != hash && content != xml => {
            verdict.findings.push(Finding::failed(9, "CMS_CONTENT_MISMATCH", HashFailure, ""));
            content
        }
        Some(content) => content,
        None => xml,
    };
    let mut verified = data.verify_one(signer, None, Content::Bytes(content));
    if signer.signed.is_none() && data.content.is_none() && matches!(verified, Err(CmsError::Signature)) {
        // Detached, without attributes: some sign the digest of the file as if it were the content.
        verified = data.verify_one(signer, None, Content::Bytes(&hash));
    }
    conclude(profile, data, signer, &verified, verdict);
}

/// What a signature is over: octets that need not be in memory.
pub(super) trait Octets {
    fn size(&self) -> u64;

    /// Hands on all octets in order.
    fn each(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<()>;

    /// Digests by several algorithms at once.
    fn digests(&self, by: &[DigestAlgorithm]) -> io::Result<Vec<(DigestAlgorithm, Vec<u8>)>> {
        let mut hashers: Vec<_> = by.iter().map(|a| (*a, Hasher::new(*a))).collect();
        self.each(&mut |piece| hashers.iter_mut().for_each(|(_, hasher)| hasher.update(piece)))?;
        Ok(hashers.into_iter().map(|(a, hasher)| (a, hasher.finish())).collect())
    }
}

/// Digests of one file's contents, by name and algorithm: however many signatures name a part, it is digested once.
#[derive(Default)]
pub(super) struct Known(RefCell<HashMap<(String, DigestAlgorithm), Vec<u8>>>);

/// Octets whose digests are remembered under a name.
pub(super) struct Named<'a, O>(pub &'a str, pub O, pub &'a Known);

impl<O: Octets> Octets for Named<'_, O> {
    fn size(&self) -> u64 {
        self.1.size()
    }

    fn each(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.1.each(take)
    }

    fn digests(&self, by: &[DigestAlgorithm]) -> io::Result<Vec<(DigestAlgorithm, Vec<u8>)>> {
        let Self(name, octets, Known(known)) = self;
        let key = |by: &DigestAlgorithm| ((*name).to_owned(), *by);
        let new: Vec<_> = by.iter().copied().filter(|by| !known.borrow().contains_key(&key(by))).collect();
        if !new.is_empty() {
            let digests = octets.digests(&new)?;
            known.borrow_mut().extend(digests.into_iter().map(|(by, digest)| (key(&by), digest)));
        }
        Ok(by.iter().map(|by| (*by, known.borrow()[&key(by)].clone())).collect())
    }
}

impl<O: Octets + ?Sized> Octets for &O {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn each(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        (**self).each(take)
    }

    fn digests(&self, by: &[DigestAlgorithm]) -> io::Result<Vec<(DigestAlgorithm, Vec<u8>)>> {
        (**self).digests(by)
    }
}

impl Octets for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn each(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        take(self);
        Ok(())
    }
}

/// Ranges of a source, one after the other: offset and length.
pub(super) struct Ranges<'a, S: ?Sized>(pub &'a S, pub Vec<(u64, u64)>);

impl<S: Source + ?Sized> Octets for Ranges<'_, S> {
    fn size(&self) -> u64 {
        self.1.iter().map(|(_, len)| len).fold(0, |all, len| all.saturating_add(*len))
    }

    fn each(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.1.iter().try_for_each(|(from, len)| in_pieces(self.0, *from, *len, take))
    }
}

/// An entry of an archive.
pub(super) struct Unpacked<'a, S>(pub &'a Archive<S>, pub &'a Entry);

impl<S: Source> Octets for Unpacked<'_, S> {
    fn size(&self) -> u64 {
        self.1.size
    }

    fn each(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.0.each(self.1, take).map_err(ZipError::into_io)
    }
}

/// Most octets signed without attributes: such a signature is over the octets themselves, and needs them in memory.
const WHOLE_MAX: u64 = 8 << 20;

/// Steps 8 to 20 of one signer over `content`, or over what is inside when there is none.
pub(super) fn over(
    profile: &Profile,
    data: &SignedData,
    signer: &SignerInfo,
    content: Option<&dyn Octets>,
    verdict: &mut SignatureVerdict,
) -> Result<(), Finding> {
    let unreadable = |e: io::Error| {
        let e = ZipError::from_io(e);
        Finding::format(1, e.code(), e.to_string())
    };
    let Some(content) = content else {
        conclude(profile, data, signer, &data.verify_one(signer, None, Content::Inside), verdict);
        return Ok(());
    };
    let mut by = vec![signer.digest];
    // Some have the SM3 of what is signed for a content: only then it is asked for.
    if data.content.is_some() && signer.digest != DigestAlgorithm::Sm3 {
        by.push(DigestAlgorithm::Sm3);
    }
    let found = content.digests(&by).map_err(unreadable)?;
    let mut whole = Vec::new();
    let is_digest = found.iter().any(|(by, digest)| {
        *by == DigestAlgorithm::Sm3 && data.content.as_ref().is_some_and(|inside| inside == digest)
    });
    let verified = if is_digest {
        // As in OFD: the content inside is the SM3 of what is signed.
        verdict.findings.push(Finding::note(9, "CMS_CONTENT_IS_DIGEST", ""));
        data.verify_one(signer, None, Content::Inside)
    } else if signer.signed.is_some() {
        data.verify_one(signer, None, Content::Digests(&found[..1]))
    } else if content.size() > WHOLE_MAX {
        return Err(Finding::doubt(9, "CMS_CONTENT_TOO_BIG", SignedDataNotFound, "signed without attributes"));
    } else {
        content.each(&mut |piece| whole.extend_from_slice(piece)).map_err(unreadable)?;
        data.verify_one(signer, None, Content::Bytes(&whole))
    };
    conclude(profile, data, signer, &verified, verdict);
    Ok(())
}

/// Reads the SignedData of a container that takes one signer only.
pub(super) fn with_one_signer(value: &[u8]) -> Result<SignedData, Finding> {
    let data = SignedData::parse(value).map_err(|e| finding(&e))?;
    match data.signers.len() {
        1 => Ok(data),
        0 => Err(finding(&CmsError::NoSigner)),
        _ => Err(Finding::format(8, "CMS_STRUCTURE", "more than one signer")),
    }
}

/// archive-time-stamp-v3, and v2 before it (ETSI EN 319 122-1 §5.5.3, TS 101 733 §6.4.1): they are not judged, so they prove nothing. What
/// else stands beside the signature counts without them.
const ARCHIVE_STAMPS: [&str; 2] = ["0.4.0.1733.2.4", "1.2.840.113549.1.9.16.2.48"];

/// Steps 9 to 20 of one signer, once it is known whether the signature holds.
pub(super) fn conclude(
    profile: &Profile,
    data: &SignedData,
    signer: &SignerInfo,
    verified: &Result<Verified<'_>, CmsError>,
    verdict: &mut SignatureVerdict,
) {
    if data.streamed {
        verdict.findings.push(Finding::note(8, "CMS_BER", "lengths that are not told"));
    }
    if signer.unsigned.iter().any(|attribute| ARCHIVE_STAMPS.contains(&attribute.oid.as_str())) {
        verdict.findings.push(Finding::note(20, "CMS_ARCHIVE_TIMESTAMP_NOT_USED", ""));
    }
    let mut tokens = Vec::new();
    match verified {
        Err(error) => verdict.findings.push(finding(error)),
        Ok(good) => {
            tokens.clone_from(&good.time_stamps);
            if good.raw_signature {
                verdict.findings.push(Finding::note(10, "SIGNATURE_RAW64", "CMS_SIGNATURE"));
            }
        }
    }
    let claimed = signer.signing_time().map(|at| Written { at, local: false });
    let claimed = claimed.or(verdict.claimed_at.map(|at| Written { at, local: true }));
    let times = when::times(profile, verdict, claimed, None, &tokens, &[&signer.signature]);
    strength::digests(profile, &signer.digests(), &times, verdict);
    // A signer is named even if the signature does not hold: all findings are told.
    let Some(cert) = data.certificate_of(signer) else { return };
    let along = data.along(signer);
    verdict.findings.extend(left_out(&along));
    trusted::judge(profile, Role::Signer, cert, (&along).into(), &times, verdict);
}

/// A list of revocation might be among what was not read: whoever reads the verdict must know that it was not asked.
pub(super) fn left_out(along: &Along) -> Option<Finding> {
    let detail = || format!("{} certificates, lists and answers, too many", along.left_out);
    (along.left_out > 0).then(|| Finding::note(18, "CMS_ALONG_LEFT_OUT", detail()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    struct Counted(Cell<u32>);

    impl Octets for Counted {
        fn size(&self) -> u64 {
            6
        }

        fn each(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
            self.0.set(self.0.get() + 1);
            take(b"octets");
            Ok(())
        }
    }

    #[test]
    fn a_file_is_digested_once_by_each_algorithm_however_many_signatures_name_it() {
        use DigestAlgorithm::*;
        let (known, counted) = (Known::default(), Counted(Cell::new(0)));
        let named = |name| Named(name, &counted, &known);
        for (name, by, read) in [
            ("a", &[Sm3][..], 1),
            ("a", &[Sm3], 1),
            ("a", &[Sha256, Sm3, Sha512], 2), // both in one pass
            ("a", &[Sha512, Sha256, Sm3], 2),
            ("b", &[Sm3], 3), // another file
        ] {
            let want: Vec<_> = by.iter().map(|by| (*by, by.of(b"octets"))).collect();
            assert_eq!((named(name).digests(by).unwrap(), counted.0.get()), (want, read), "{name} {by:?}");
        }
    }
}
