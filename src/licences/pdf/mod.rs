//! Signed PDF: PAdES baseline (ETSI EN 319 142-1), national SignedData, and national seals in the same place.
//!
//! ```text
//!  [0 … first) ── contents ── [second … end) ── what came later
//!        └──────── signed ────────┘                 │
//!        steps 8 to 20 as for all formats      step 21: nothing, validation data, further signatures, or a change
//! ```
//! What came after a signature was not signed by it. A change makes the verdict indeterminate, also if somebody else signed
//! it; validation data do not, nor do further signatures that changed nothing but what signing needs.

use super::examine::{Form, form};
use super::ofd::shown;
use super::profile::Profile;
use super::report::{Report, SignatureVerdict, few_signatures};
use super::signed_data::{self, Octets, Ranges};
use super::verdict::{Finding, Indication, SubIndication::*};
use super::{seals, ses, times, when};
use crate::formats::ber;
use crate::formats::der::{DerError, Reader};
use crate::formats::pdf::{Document, Kind, PdfError, Signature, Store, Update};
use crate::formats::zip::{Source, ZipError};
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::crl::Crl;
use crate::trust::ocsp::Response;
use crate::trust::suite::DigestAlgorithm;

/// Most octets that all signatures of a document are over: each digests the document anew up to its own end. Ten seconds of work.
const SIGNED_MAX: u64 = 4 << 30;

pub(super) fn examine<S: Source>(source: &S, profile: &Profile, report: &mut Report) -> Result<(), Finding> {
    let document = Document::open(source).map_err(|e| broken(&e))?;
    let signatures = document.signatures().map_err(|e| broken(&e))?;
    few_signatures(signatures.len())?;
    if signatures.iter().map(|s| s.end).fold(0, u64::saturating_add) > SIGNED_MAX.max(document.size()) {
        return Err(Finding::doubt(
            3,
            "SIG_TOO_MANY",
            SigConstraintsFailure,
            format!("over more than {SIGNED_MAX} octets"),
        ));
    }
    if !signatures.iter().any(|s| s.kind == Kind::Signature) {
        report.findings.push(Finding::doubt(3, "NOT_SIGNED", SignedDataNotFound, ""));
    }
    let store = document.security_store();
    if store.left_out > 0 {
        // A list of revocation might be among them: whoever reads the verdict must know that it was not asked.
        let detail = format!("{} streams, too large or too many", store.left_out);
        report.findings.push(Finding::note(18, "PDF_STORE_LEFT_OUT", detail));
    }
    let stored = with_store(profile, store);
    let profile = stored.as_ref().unwrap_or(profile);
    // What stamps of the document prove, they prove for all signatures and stamps before them: the last is asked first.
    let mut proven: Vec<(u64, UnixMillis)> = Vec::new();
    let earliest = |proven: &[(u64, UnixMillis)], of: &Signature| {
        proven.iter().filter(|(end, _)| *end >= of.end).map(|(_, at)| *at).min()
    };
    let mut stamps = Vec::new();
    for (n, signature) in signatures.iter().enumerate().rev().filter(|(_, s)| s.kind == Kind::TimeStamp) {
        let mut verdict = blank(profile, n, signature, "DocTimeStamp");
        verdict.proven_at = earliest(&proven, signature);
        match stamp(source, profile, signature, &mut verdict) {
            Ok(at) => proven.push((signature.end, at)),
            Err(finding) => verdict.findings.push(finding),
        }
        stamps.push(verdict);
    }
    stamps.into_iter().rev().for_each(|verdict| keep(verdict, report));
    let forms = forms_may_be_filled(&document, &signatures).map_err(|e| broken(&e))?;
    for (n, signature) in signatures.iter().enumerate().filter(|(_, s)| s.kind == Kind::Signature) {
        let mut verdict = blank(profile, n, signature, "Sign");
        verdict.claimed_at = signature.date.as_deref().and_then(date);
        verdict.proven_at = earliest(&proven, signature);
        if let Err(finding) = judge(source, profile, signature, &mut verdict) {
            verdict.findings.push(finding);
        }
        let update = document.update_after(signature.end).map_err(|e| broken(&e))?;
        // What was filled in after the last signature is nobody's word.
        report.coverage.uncovered = match &update {
            Update::Filled(fields) => fields.iter().map(|field| format!("field {}", shown(field))).collect(),
            _ => Vec::new(),
        };
        verdict.findings.extend(after(signature, update, forms));
        verdict.covered.push((revision(signature), Vec::new()));
        keep(verdict, report);
    }
    for verdict in report.signatures.iter().filter(|v| v.indication != Indication::TotalFailed) {
        report.coverage.covered.extend(verdict.covered.iter().map(|(name, _)| name.clone()));
    }
    Ok(())
}

/// The profile with what the document itself brings for later; none when it brings nothing. Certificates help to build
/// chains and are not trusted; lists and answers count for what their signatures are worth.
fn with_store(profile: &Profile, store: Store) -> Option<Profile> {
    if store.is_empty() {
        return None;
    }
    let mut profile = profile.clone();
    profile.intermediates.extend(store.certificates.into_iter().filter_map(|der| Certificate::parse(&der).ok()));
    profile.crls.extend(store.crls.into_iter().filter_map(|der| Crl::of(der).ok()));
    profile.ocsp.extend(store.ocsp.into_iter().filter_map(|der| Response::parse(&der).ok()));
    Some(profile)
}

fn broken(error: &PdfError) -> Finding {
    match error {
        PdfError::Encrypted | PdfError::Filter => {
            Finding::doubt(2, error.code(), SigConstraintsFailure, error.to_string())
        }
        PdfError::Signature(_) => Finding::format(5, error.code(), error.to_string()),
        _ => Finding::format(2, error.code(), error.to_string()),
    }
}

fn blank(profile: &Profile, n: usize, signature: &Signature, kind: &'static str) -> SignatureVerdict {
    let mut verdict = SignatureVerdict::blank(profile, &(n + 1).to_string(), &shown(&signature.field), kind);
    verdict.provider = Some(shown(&signature.sub_filter)).filter(|s| !s.is_empty());
    verdict
}

fn keep(mut verdict: SignatureVerdict, report: &mut Report) {
    verdict.conclude();
    report.signatures.push(verdict);
}

/// The octets a signature is over.
fn ranges<'a, S: Source>(source: &'a S, signature: &Signature) -> Ranges<'a, S> {
    Ranges(source, vec![(0, signature.first), (signature.second, signature.end - signature.second)])
}

fn revision(signature: &Signature) -> String {
    format!("0..{},{}..{}", signature.first, signature.second, signature.end)
}

/// The value without the zeros that fill its place.
fn value(signature: &Signature) -> Result<&[u8], Finding> {
    let contents = &signature.contents;
    let wrong = |e: DerError| Finding::format(8, "SIGNED_VALUE_DER", e.to_string());
    let length = match form(contents) {
        // Its end stands in it, and the zeros that fill the place look like more ends.
        Form::Cms if contents.get(1) == Some(&0x80) => ber::definite(contents).map_err(wrong)?.1,
        _ => Reader::new(contents).element().map_err(wrong)?.full.len(),
    };
    let (value, rest) = contents.split_at(length);
    if rest.iter().all(|b| *b == 0) { Ok(value) } else { Err(Finding::format(8, "PDF_CONTENTS_TRAILING", "")) }
}

/// Steps 6 to 20.
fn judge<S: Source>(
    source: &S,
    profile: &Profile,
    signature: &Signature,
    verdict: &mut SignatureVerdict,
) -> Result<(), Finding> {
    if !is_known(&signature.sub_filter) && !signature.contents.starts_with(&[0x30]) {
        let detail = shown(&signature.sub_filter);
        return Err(Finding::doubt(8, "PDF_SUBFILTER", SigConstraintsFailure, detail));
    }
    let value = value(signature)?;
    let octets = ranges(source, signature);
    match (form(value), signature.sub_filter.as_str()) {
        (_, "adbe.pkcs7.sha1" | "adbe.x509.rsa_sha1") => {
            let detail = shown(&signature.sub_filter);
            Err(Finding::doubt(6, "REF_DIGEST_ALG_WEAK", CryptoConstraintsFailure, detail))
        }
        (Form::Cms, _) => {
            verdict.format = "CMS";
            let data = signed_data::with_one_signer(value)?;
            signed_data::over(profile, &data, &data.signers[0], Some(&octets), verdict)
        }
        (Form::Ses, _) => {
            let parsed = ses::signature(value).map_err(|e| Finding::format(8, e.code(), e.to_string()))?;
            let sm3 = digest(&octets, DigestAlgorithm::Sm3)?;
            // Where this kind of signature names a file, it is none of a PDF.
            let field = std::mem::take(&mut verdict.file);
            seals::applied(profile, Some(&sm3), &parsed, verdict);
            verdict.file = field;
            Ok(())
        }
        (Form::Raw, _) => Err(Finding::doubt(11, "RAW_SIGNATURE_NO_CERT", NoSigningCertificateFound, "")),
        (Form::None, _) => Err(Finding::format(8, "SIGNED_VALUE_DER", "")),
    }
}

/// Whether a signature is of a kind that ISO 32000-2 §12.8.3 or EN 319 142-1 names. The value of any other kind is looked at, and where
/// it is nothing that is known here either, nobody can tell whether it is good.
fn is_known(sub_filter: &str) -> bool {
    const KNOWN: [&str; 5] =
        ["", "adbe.pkcs7.detached", "adbe.pkcs7.sha1", "adbe.x509.rsa_sha1", "ETSI.CAdES.detached"];
    KNOWN.contains(&sub_filter)
}

fn digest<S: Source>(octets: &Ranges<'_, S>, by: DigestAlgorithm) -> Result<Vec<u8>, Finding> {
    let mut found = octets.digests(&[by]).map_err(|e| {
        let e = ZipError::from_io(e);
        Finding::format(1, "FILE_UNREADABLE", e.to_string())
    })?;
    found.pop().map(|(_, digest)| digest).ok_or_else(|| Finding::format(1, "FILE_UNREADABLE", ""))
}

/// Step 20 for a stamp over the document: what it proves.
fn stamp<S: Source>(
    source: &S,
    profile: &Profile,
    signature: &Signature,
    verdict: &mut SignatureVerdict,
) -> Result<UnixMillis, Finding> {
    verdict.format = "RFC3161";
    let octets = ranges(source, signature);
    let of = |by| {
        let mut found = octets.digests(&[by])?;
        Ok(found.pop().map(|(_, digest)| digest).unwrap_or_default())
    };
    let at = when::time_stamp(profile, value(signature)?, &of, verdict)?;
    verdict.proven_at = Some(at);
    Ok(at)
}

/// Whether the document's author lets others fill in its form (ISO 32000-2 §12.8.2.2): the first signature certifies it, and says so.
fn forms_may_be_filled<S: Source>(document: &Document<S>, signatures: &[Signature]) -> Result<bool, PdfError> {
    let first = signatures.iter().find(|s| s.kind == Kind::Signature);
    match first.filter(|first| first.permission.is_some_and(|p| p >= 2)) {
        Some(first) => document.is_certified_by(first),
        None => Ok(false),
    }
}

/// Step 21. `forms`: the author lets the form be filled in.
fn after(signature: &Signature, update: Update, forms: bool) -> Option<Finding> {
    let doubt = |code, detail: String| Some(Finding::doubt(21, code, SigConstraintsFailure, detail));
    let nothing_more = signature.permission.is_some_and(|p| p < 2);
    match update {
        Update::None => None,
        Update::ValidationData => Some(Finding::note(21, "PDF_VALIDATION_DATA_ADDED", "")),
        Update::Unshown => Some(Finding::note(21, "PDF_UPDATE_UNSHOWN", "")),
        Update::Stamps => Some(Finding::note(21, "PDF_STAMPED_AGAIN", "")),
        // Each is judged as well, and the worst of all decides.
        Update::Signatures if !nothing_more => Some(Finding::note(21, "PDF_SIGNED_AGAIN", "")),
        Update::Signatures => doubt("PDF_CHANGED_AGAINST_DOCMDP", "further signatures".to_owned()),
        Update::Filled(fields) => {
            let locked = fields.iter().find(|field| signature.lock.holds(field));
            let names = fields.iter().take(8).map(|field| shown(field)).collect::<Vec<_>>().join(", ");
            match locked {
                _ if nothing_more => doubt("PDF_CHANGED_AGAINST_DOCMDP", names),
                Some(field) => doubt("PDF_CHANGED_AGAINST_FIELDMDP", shown(field)),
                None if forms => Some(Finding::note(21, "PDF_FORM_FILLED", names)),
                None => doubt("PDF_CHANGED_AFTER_SIGNING", format!("filled in: {names}")),
            }
        }
        Update::Other(why) if nothing_more => doubt("PDF_CHANGED_AGAINST_DOCMDP", why.to_owned()),
        Update::Other(why) => doubt("PDF_CHANGED_AFTER_SIGNING", why.to_owned()),
    }
}

/// `D:20260213100000+08'00'` and what is left out of it from the right.
fn date(text: &str) -> Option<UnixMillis> {
    let text = text.strip_prefix("D:").unwrap_or(text);
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (moment, zone) = text.split_at_checked(digits)?;
    let moment = match moment.len() {
        14 => moment.to_owned(),
        8 | 10 | 12 => format!("{moment:0<14}"),
        _ => return None,
    };
    let zone = match zone.as_bytes() {
        [] => String::new(),
        [b'Z', ..] => "Z".to_owned(),
        _ => format!("{:0<5}", zone.replace('\'', "")),
    };
    times::read(&format!("{moment}{zone}")).map(|w| w.at)
}

#[cfg(test)]
pub(super) mod archived;
#[cfg(test)]
mod forms;
#[cfg(test)]
mod left_out;
#[cfg(test)]
mod repaired;
#[cfg(test)]
mod signing;
#[cfg(test)]
pub(super) mod tests;
#[cfg(test)]
mod told;
