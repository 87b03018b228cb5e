//! SignedData (RFC 5652, GB/T 35275): plain signatures of OFD (`Type="Sign"`) over Signature.xml, and those of all other
//! formats over whatever they cover.
//!
//! In OFD three forms are found: (a) the content is the SM3 of Signature.xml and is signed as it is; (b) no content, and signed
//! attributes with the digest of Signature.xml; (c) as (b), with two names for the content type. The mathematics is
//! [`crate::trust::cms`]'s; here is said what each way of failing means for a package.

use std::io::{self, Read};

use super::profile::Profile;
use super::report::SignatureVerdict;
use super::suite;
use super::times::Written;
use super::trusted::{self, Role};
use super::verdict::{Finding, SubIndication::*};
use super::verify::in_pieces;
use super::when;
use crate::formats::zip::{Archive, Entry, Source, ZipError};
use crate::trust::cms::{CmsError, Content, SignedData, SignerInfo, Verified};
use crate::trust::suite::{DigestAlgorithm, Hasher, SuiteError};

/// What an error means: step and outcome.
pub(super) fn finding(error: &CmsError) -> Finding {
    let (code, detail) = (error.code(), error.to_string());
    match error {
        CmsError::Der(_) | CmsError::Form(_) | CmsError::Certificate(_) => Finding::format(8, code, detail),
        CmsError::Suite(SuiteError::Key) => Finding::failed(10, code, SigCryptoFailure, detail),
        CmsError::Suite(_) => Finding::doubt(6, code, CryptoConstraintsFailure, detail),
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
    /// Hands on all octets in order.
    fn each(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<()>;
}

impl Octets for [u8] {
    fn each(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        take(self);
        Ok(())
    }
}

/// Ranges of a source, one after the other: offset and length.
pub(super) struct Ranges<'a, S: ?Sized>(pub &'a S, pub Vec<(u64, u64)>);

impl<S: Source + ?Sized> Octets for Ranges<'_, S> {
    fn each(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.1.iter().try_for_each(|(from, len)| in_pieces(self.0, *from, *len, take))
    }
}

/// An entry of an archive.
pub(super) struct Unpacked<'a, S>(pub &'a Archive<S>, pub &'a Entry);

impl<S: Source> Octets for Unpacked<'_, S> {
    fn each(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let (mut reader, mut buf) = (self.0.reader(self.1), vec![0; 32 << 10]);
        loop {
            match reader.read(&mut buf)? {
                0 => return Ok(()),
                n => take(&buf[..n]),
            }
        }
    }
}

/// Digests by several algorithms at once.
pub(super) fn digests(
    content: &(impl Octets + ?Sized),
    by: &[DigestAlgorithm],
) -> io::Result<Vec<(DigestAlgorithm, Vec<u8>)>> {
    let mut hashers: Vec<_> = by.iter().map(|a| (*a, Hasher::new(*a))).collect();
    content.each(&mut |piece| hashers.iter_mut().for_each(|(_, hasher)| hasher.update(piece)))?;
    Ok(hashers.into_iter().map(|(a, hasher)| (a, hasher.finish())).collect())
}

/// Most octets signed without attributes: such a signature is over the octets themselves, and needs them in memory.
const WHOLE_MAX: usize = 8 << 20;

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
    let found = digests(content, &[signer.digest, DigestAlgorithm::Sm3]).map_err(unreadable)?;
    let mut whole = Vec::new();
    let is_digest = data.content.as_ref().is_some_and(|inside| *inside == found[1].1);
    let verified = if is_digest {
        // As in OFD: the content inside is the SM3 of what is signed.
        verdict.findings.push(Finding::note(9, "CMS_CONTENT_IS_DIGEST", ""));
        data.verify_one(signer, None, Content::Inside)
    } else if signer.signed.is_some() {
        data.verify_one(signer, None, Content::Digests(&found[..1]))
    } else {
        let mut fits = true;
        let mut keep = |piece: &[u8]| {
            fits &= whole.len() + piece.len() <= WHOLE_MAX;
            if fits {
                whole.extend_from_slice(piece);
            }
        };
        content.each(&mut keep).map_err(unreadable)?;
        if !fits {
            return Err(Finding::doubt(9, "CMS_CONTENT_TOO_BIG", SignedDataNotFound, "signed without attributes"));
        }
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
    let (mut claimed, mut tokens) = (None, Vec::new());
    match verified {
        Err(error) => verdict.findings.push(finding(error)),
        Ok(good) => {
            claimed = good.signing_time.map(|at| Written { at, local: false });
            tokens.clone_from(&good.time_stamps);
            if good.raw_signature {
                verdict.findings.push(Finding::note(10, "SIGNATURE_RAW64", "CMS_SIGNATURE"));
            }
        }
    }
    let claimed = claimed.or(verdict.claimed_at.map(|at| Written { at, local: true }));
    let times = when::times(profile, verdict, claimed, None, &tokens, &signer.signature);
    // A signer is named even if the signature does not hold: all findings are told.
    let Some(cert) = data.certificate_of(signer) else { return };
    trusted::judge(profile, Role::Signer, cert, (&data.along(signer)).into(), &times, verdict);
}
