//! Seals, alone and applied: steps 8 to 20 for what [`super::ses`] has read.

use super::ofd;
use super::profile::Profile;
use super::report::{SealFacts, SignatureVerdict, TimeBasis};
use super::ses::{Seal, SealSignature, SignTime, SignerList, Version};
use super::strength;
use super::suite::{self, Fault};
use super::times::Written;
use super::trusted::{self, Brought, Role};
use super::verdict::{Finding, SubIndication::*};
use super::when::{self, Times};
use crate::trust::certificate::Certificate;
use crate::trust::suite::{DigestAlgorithm, SignatureAlgorithm};

/// Steps 9 to 20 for a seal.
///
/// `signed` is the SM3 of what was signed, normally Signature.xml; none when it is not at hand.
pub(super) fn applied(
    profile: &Profile,
    signed: Option<&[u8]>,
    signature: &SealSignature<'_>,
    verdict: &mut SignatureVerdict,
) {
    let seal = &signature.seal;
    verdict.format = signature.version.word();
    verdict.seal = Some(seal_facts(seal));
    let says = match signature.version {
        Version::V1 => seal.header_version == 1,
        Version::V4 => seal.header_version == 4,
        Version::V5 => true,
    };
    if !says {
        verdict.findings.push(Finding::note(8, "SES_HEADER_VERSION", seal.header_version.to_string()));
    }
    let path = signature.property.trim_start_matches('/');
    if !verdict.file.is_empty() && path != verdict.file {
        verdict.findings.push(Finding::note(9, "PROPERTY_INFO", ofd::shown(&signature.property)));
    }
    if signed.is_some_and(|sm3| sm3 != signature.data_hash.padded(32)) {
        verdict.findings.push(Finding::failed(9, "DATA_HASH_MISMATCH", HashFailure, verdict.file.as_str()));
    }

    let signer = Certificate::parse(signature.signer).ok();
    let maker = Certificate::parse(seal.maker).ok();
    match &signer {
        None => {
            let why = NoSigningCertificateFound;
            verdict.findings.push(Finding::doubt(11, "SIGNER_CERT_UNREADABLE", why, ""));
        }
        Some(cert) => {
            let value = signature.signature.signature();
            let fault = suite::check(cert, &signature.algorithm, signature.signed, &value);
            push_fault(verdict, fault, 10, "SES_SIGNATURE");
        }
    }
    match &seal.signers {
        SignerList::Certificates(list) if list.contains(&signature.signer) => {}
        SignerList::Digests(list)
            if list.iter().any(|(kind, d)| suite::names_certificate(kind, d, signature.signer)) => {}
        _ => verdict.findings.push(Finding::doubt(12, "SIGNER_NOT_IN_SEAL", SigConstraintsFailure, "")),
    }
    maker_signature(seal, maker.as_ref(), verdict);
    if seal.time_stamp.is_some() {
        verdict.findings.push(Finding::note(20, "SEAL_TIMESTAMP_NOT_USED", ""));
    }

    let claimed = match &signature.time {
        SignTime::Claimed(written) => Some(*written),
        SignTime::Token(token) => {
            // V1 may carry a token in place of a time; what it is a token of, the standard leaves open.
            verdict.findings.push(Finding::note(20, "TIMESTAMP_AS_TIME", ""));
            when::token_time(token).map(|at| Written { at, local: false })
        }
        SignTime::Unreadable => None,
    };
    let within = Some((seal.valid_from, seal.valid_to));
    let stamped = signature.signature.stamped();
    let stamped: Vec<_> = stamped.iter().map(Vec::as_slice).collect();
    let times = when::times(profile, verdict, claimed, within, signature.time_stamp.as_slice(), &stamped);
    let by = [&signature.algorithm, &seal.algorithm].into_iter().filter_map(|oid| suite::algorithm(oid).ok());
    // The digest of Signature.xml is SM3 in every version.
    let by: Vec<_> = by.flat_map(SignatureAlgorithm::own_digests).chain([DigestAlgorithm::Sm3]).collect();
    strength::digests(profile, &by, &times, verdict);
    if let Some(cert) = &signer {
        trusted::judge(profile, Role::Signer, cert, Brought::default(), &times, verdict);
    }
    if let Some(cert) = maker {
        trusted::judge(profile, Role::Maker, &cert, Brought::default(), &times, verdict);
        verdict.findings.extend(self_made(profile, signer.as_ref(), &cert));
    }
}

/// Step 17: a body that makes its own seal is no seal maker, whoever certified it, unless it is trusted as a maker and not
/// as a signer alike. Nothing in a certificate tells makers from signers; only who is trusted for what does.
fn self_made(profile: &Profile, signer: Option<&Certificate>, maker: &Certificate) -> Option<Finding> {
    let among = |anchors: &[Certificate]| anchors.iter().any(|anchor| anchor.der() == maker.der());
    let own = signer.is_some_and(|signer| signer.spki() == maker.spki());
    let told_apart = among(&profile.anchors.makers) && !among(&profile.anchors.signers);
    (own && !told_apart).then(|| Finding::doubt(17, "MAKER_NOT_AUTHORISED", ChainConstraintsFailure, "signer"))
}

/// A seal that is not applied to anything (`.esl`): is it a genuine one, and in use at the time of validation?
pub(super) fn alone(profile: &Profile, seal: &Seal<'_>, verdict: &mut SignatureVerdict) {
    verdict.format = seal.version.word();
    verdict.seal = Some(seal_facts(seal));
    let maker = Certificate::parse(seal.maker).ok();
    maker_signature(seal, maker.as_ref(), verdict);
    if !(seal.valid_from..=seal.valid_to).contains(&profile.at) {
        let detail = format!("{} not in {}..{}", profile.at, seal.valid_from, seal.valid_to);
        verdict.findings.push(Finding::doubt(14, "SEAL_NOT_VALID", SigConstraintsFailure, detail));
    }
    let times = Times { claimed: None, proven: None, judged_at: profile.at, basis: TimeBasis::Now };
    (verdict.basis, verdict.judged_at) = (times.basis, times.judged_at);
    let by: Vec<_> = suite::algorithm(&seal.algorithm).into_iter().flat_map(SignatureAlgorithm::own_digests).collect();
    strength::digests(profile, &by, &times, verdict);
    if let Some(cert) = maker {
        trusted::judge(profile, Role::Maker, &cert, Brought::default(), &times, verdict);
    }
}

/// Step 13.
fn maker_signature(seal: &Seal<'_>, maker: Option<&Certificate>, verdict: &mut SignatureVerdict) {
    match maker {
        None => {
            let why = NoSigningCertificateFound;
            verdict.findings.push(Finding::doubt(13, "MAKER_CERT_UNREADABLE", why, ""));
        }
        Some(cert) => {
            let fault = suite::check(cert, &seal.algorithm, &seal.signed, &seal.signature.signature());
            push_fault(verdict, fault, 13, "SEAL_SIGNATURE");
        }
    }
}

/// Largest image that is kept with the facts, in octets: pictures of seals are some 10–100 kB.
const IMAGE_MAX: usize = 128 << 10;

fn seal_facts(seal: &Seal<'_>) -> SealFacts {
    SealFacts {
        id: ofd::shown(&seal.id),
        name: ofd::shown(&seal.name),
        kind: seal.kind,
        vid: ofd::shown(&seal.vid),
        valid_from: seal.valid_from,
        valid_to: seal.valid_to,
        picture: (
            ofd::shown(&seal.picture.kind.to_lowercase()),
            seal.picture.data.len(),
            seal.picture.width,
            seal.picture.height,
        ),
        image: if seal.picture.data.len() > IMAGE_MAX { Vec::new() } else { seal.picture.data.to_vec() },
    }
}

fn push_fault(verdict: &mut SignatureVerdict, fault: Result<(), Fault>, step: u8, code: &'static str) {
    let finding = match fault {
        Ok(()) => return,
        Err(Fault::Raw) => Finding::note(step, "SIGNATURE_RAW64", code),
        Err(Fault::Algorithm(oid)) => Finding::doubt(step, "SIGNATURE_ALG", CryptoConstraintsFailure, oid),
        Err(Fault::Bad) => Finding::failed(step, code, SigCryptoFailure, ""),
    };
    verdict.findings.push(finding);
}
