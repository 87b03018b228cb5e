//! The report on one file: made for a clerk, a script and a court alike.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::data::LicenceData;
use super::profile::Profile;
use super::verdict::{Finding, Indication, SubIndication, deciding};
use crate::terms::{Digest, Next, UnixMillis};
use crate::trust::certificate::Certificate;
use crate::trust::suite::DigestAlgorithm;

/// Which point in time certificates are judged at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeBasis {
    /// The time the signer claims (common practice under GB/T 38540: a licence outlives its certificate).
    Claimed,
    /// The time of a verified time-stamp; without one, the time of validation.
    TimeStamp,
    /// The time of validation.
    Now,
}

impl TimeBasis {
    pub fn word(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::TimeStamp => "timestamp",
            Self::Now => "now",
        }
    }
}

/// A certificate that took part, and what is known of it.
#[derive(Clone, Debug)]
pub struct CertificateFacts {
    pub certificate: Certificate,
    /// `signer`, `maker`, `tsa`.
    pub role: &'static str,
    pub subject: String,
    pub issuer: String,
    /// Hexadecimal.
    pub serial: String,
    pub not_before: UnixMillis,
    pub not_after: UnixMillis,
    pub sha256: Digest,
    /// Subjects from the certificate to its anchor; empty when there is no trusted chain.
    pub chain: Vec<String>,
    /// Fingerprint of the anchor that the chain ends in.
    pub anchor: Option<Digest>,
    /// `good`, `revoked`, `unknown`, or `not_asked`.
    pub status: &'static str,
    /// Age of the status at the time of validation, in seconds.
    pub status_age_s: Option<i64>,
    pub revoked_at: Option<UnixMillis>,
}

/// What the seal says of itself.
#[derive(Clone, Debug)]
pub struct SealFacts {
    pub id: String,
    pub name: String,
    /// As written; values differ between systems.
    pub kind: i64,
    pub vid: String,
    pub valid_from: UnixMillis,
    pub valid_to: UnixMillis,
    /// Type in lower case, octets, width and height in millimetres. The image itself is not decoded.
    pub picture: (String, usize, i64, i64),
    /// The image as it is, where it is small; to be shown only after a pass.
    pub image: Vec<u8>,
}

/// The verdict on one signature.
#[derive(Clone, Debug)]
pub struct SignatureVerdict {
    pub id: String,
    pub file: String,
    /// `Seal` or `Sign`.
    pub kind: &'static str,
    /// `V1`, `V4`, `V5`, `CMS`, `SD-JWT`, `RAW`, or empty when it could not be read.
    pub format: &'static str,
    pub provider: Option<String>,
    pub claimed_at: Option<UnixMillis>,
    /// Proven by a time-stamp.
    pub proven_at: Option<UnixMillis>,
    /// The basis that gave the verdict, and the time it stands for.
    pub basis: TimeBasis,
    pub judged_at: UnixMillis,
    pub seal: Option<SealFacts>,
    pub certificates: Vec<CertificateFacts>,
    /// Files whose digest is right, with that digest.
    pub covered: Vec<(String, Vec<u8>)>,
    /// By what the files were digested: whether it counts is asked once the time to judge by is known.
    pub(super) digested: Vec<DigestAlgorithm>,
    pub findings: Vec<Finding>,
    pub indication: Indication,
    pub sub_indication: Option<SubIndication>,
    pub code: Option<&'static str>,
}

impl SignatureVerdict {
    /// Nothing is known yet.
    pub(super) fn blank(profile: &Profile, id: &str, file: &str, kind: &'static str) -> Self {
        Self {
            id: id.to_owned(),
            file: file.to_owned(),
            kind,
            format: "",
            provider: None,
            claimed_at: None,
            proven_at: None,
            basis: profile.time_basis,
            judged_at: profile.at,
            seal: None,
            certificates: Vec::new(),
            covered: Vec::new(),
            digested: Vec::new(),
            findings: Vec::new(),
            indication: Indication::TotalPassed,
            sub_indication: None,
            code: None,
        }
    }

    pub fn passed(&self) -> bool {
        self.indication == Indication::TotalPassed
    }

    pub(super) fn conclude(&mut self) {
        (self.indication, self.sub_indication, self.code) = conclude(self.findings.iter());
        bound(&mut self.findings);
    }

    /// The signer's subject, once known.
    pub fn signer(&self) -> Option<&CertificateFacts> {
        self.certificates.iter().find(|c| c.role == "signer")
    }
}

/// Most signatures of a file: each has a verdict with all it covers and its seal's picture. Documents with a seal on every page
/// have one signature for all of them.
pub(super) const SIGNATURES: usize = 64;
/// Most files that they cover, all together: each is told of each signature.
const COVERED: usize = 48 << 10;
/// Most octets of the names of these files: a name may take a thousand, and is held some times over until all is told.
const NAMES: usize = 2 << 20;

/// Fails where one signature's references have names of more than [`NAMES`] octets.
pub(super) fn short_names(octets: usize) -> Result<(), Finding> {
    if octets > NAMES { Err(too_many(long_names())) } else { Ok(()) }
}

fn long_names() -> String {
    format!("more than {NAMES} octets of names in references")
}

fn too_many(detail: String) -> Finding {
    Finding::doubt(5, "SIG_TOO_MANY", SubIndication::SigConstraintsFailure, detail)
}

/// Fails beyond [`SIGNATURES`].
pub(super) fn few_signatures(number: usize) -> Result<(), Finding> {
    let detail = || format!("{number} listed, at most {SIGNATURES}");
    let many = number > SIGNATURES;
    if many { Err(Finding::doubt(3, "SIG_TOO_MANY", SubIndication::SigConstraintsFailure, detail())) } else { Ok(()) }
}

/// Counts what signatures cover.
#[derive(Default)]
pub(super) struct FewCovered {
    files: usize,
    octets: usize,
}

impl FewCovered {
    /// Counts files that so many signatures cover.
    ///
    /// # Errors
    /// Beyond [`COVERED`] or [`NAMES`].
    pub fn add<'a>(&mut self, files: impl Iterator<Item = &'a String>, signatures: usize) -> Result<(), Finding> {
        for name in files {
            self.files += signatures;
            self.octets += name.len() * signatures;
        }
        let detail = match (self.files > COVERED, self.octets > NAMES) {
            (false, false) => return Ok(()),
            (true, _) => format!("more than {COVERED} references"),
            (false, true) => long_names(),
        };
        Err(too_many(detail))
    }
}

/// Most findings of one signature or file: more than a person reads, and little memory, told of 64 signatures. A file can bring forth any
/// number.
const FINDINGS_MAX: usize = 100;

const MORE: &str = "MORE_FINDINGS";

/// Leaves out findings beyond [`FINDINGS_MAX`], never one that decides, and tells how many.
pub(super) fn bound(findings: &mut Vec<Finding>) {
    if findings.len() <= FINDINGS_MAX + 1 && findings.last().is_some_and(|f| f.code == MORE) {
        return;
    }
    let Some(more) = findings.len().checked_sub(FINDINGS_MAX).filter(|more| *more > 0) else { return };
    // The worst first; those of one kind stay in their order.
    findings.sort_by_key(|f| (std::cmp::Reverse(f.outcome.map(|(indication, _)| indication)), f.step));
    findings.truncate(FINDINGS_MAX);
    // The room that the others took is kept for every signature otherwise.
    findings.shrink_to(FINDINGS_MAX + 1);
    findings.push(Finding::note(21, MORE, more.to_string()));
}

/// Worst of the findings.
pub(super) fn conclude<'a>(
    findings: impl Iterator<Item = &'a Finding>,
) -> (Indication, Option<SubIndication>, Option<&'static str>) {
    match deciding(findings) {
        Some(Finding { outcome: Some((indication, sub)), code, .. }) => (*indication, Some(*sub), Some(code)),
        _ => (Indication::TotalPassed, None, None),
    }
}

/// Which files of the package a signature speaks for.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    pub covered: Vec<String>,
    /// The signatures' own files, and OFD.xml where the policy lets it be.
    pub exempt: Vec<String>,
    pub uncovered: Vec<String>,
}

/// What a file is, told by its octets, never by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// GB/T 33190, with seals or plain signatures.
    Ofd,
    /// ETSI EN 319 162-1 with CAdES: several files and manifests.
    AsicE,
    /// The same: one file and its signature.
    AsicS,
    /// ISO 32000 with PAdES, or with national signatures.
    Pdf,
    /// SignedData by itself (RFC 5652, GB/T 35275).
    Cms,
    /// The value of a seal's signature by itself (`SES_Signature`).
    SealSignature,
    /// A seal that is not applied (`SESeal`, `.esl`): passing says that the seal is genuine, and nothing of any document.
    Seal,
    /// A credential with claims that can be left out (RFC 9901).
    SdJwtVc,
    Unknown,
}

impl Format {
    pub fn word(self) -> &'static str {
        match self {
            Self::Ofd => "OFD",
            Self::AsicE => "ASiC-E",
            Self::AsicS => "ASiC-S",
            Self::Pdf => "PDF",
            Self::Cms => "CMS",
            Self::SealSignature => "SES_Signature",
            Self::Seal => "SESeal",
            Self::SdJwtVc => "SD-JWT VC",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a pass says something about a document, and not about a seal alone.
    pub fn is_document(self) -> bool {
        !matches!(self, Self::Seal | Self::Unknown)
    }
}

/// Everything found about one file. See [`crate::licences::verify`].
#[derive(Clone, Debug)]
pub struct Report {
    pub file: String,
    pub format: Format,
    /// Of the whole file; `None` when it could not be read.
    pub sha256: Option<Digest>,
    /// Time of validation.
    pub at: UnixMillis,
    pub indication: Indication,
    pub sub_indication: Option<SubIndication>,
    pub code: Option<&'static str>,
    pub signatures: Vec<SignatureVerdict>,
    /// Findings about the package.
    pub findings: Vec<Finding>,
    pub coverage: Coverage,
    /// What the licence says, each value with the file it stands in. Not to be relied on unless the report passed.
    pub data: LicenceData,
}

impl Report {
    pub fn passed(&self) -> bool {
        self.indication == Indication::TotalPassed
    }

    /// For the person at the window (zh, en).
    pub fn sentence(&self) -> (String, String) {
        let reason = self.sub_indication.map(SubIndication::sentence);
        match (self.indication, reason) {
            (Indication::TotalPassed, _) => {
                ("电子印章核验通过。".to_owned(), "The seal is genuine and valid.".to_owned())
            }
            (Indication::Indeterminate, reason) => {
                let (zh, en) = reason.unwrap_or_default();
                (format!("暂不能确认电子印章有效：{zh}"), format!("The seal cannot be confirmed: {en}"))
            }
            (Indication::TotalFailed, reason) => {
                let (zh, en) = reason.unwrap_or_default();
                (format!("电子印章核验不通过：{zh}"), format!("The seal is not valid: {en}"))
            }
        }
    }

    /// What to do next; `None` after a pass.
    pub fn next(&self) -> Option<Next> {
        match self.sub_indication? {
            SubIndication::TryLater => Some(Next::TryLater),
            SubIndication::NoCertificateChainFound => Some(Next::AskOperator),
            SubIndication::FormatFailure => Some(Next::CorrectAndResend),
            _ => Some(Next::BringOriginal),
        }
    }

    /// All findings, package first, with the signature they belong to.
    pub fn all_findings(&self) -> impl Iterator<Item = (Option<&str>, &Finding)> {
        let own = self.findings.iter().map(|f| (None, f));
        own.chain(self.signatures.iter().flat_map(|s| s.findings.iter().map(move |f| (Some(s.id.as_str()), f))))
    }

    /// One object; members are only ever added to.
    pub fn to_json(&self) -> Value {
        let (zh, en) = self.sentence();
        json!({
            "file": self.file,
            "format": self.format.word(),
            "sha256": self.sha256,
            "at": self.at.to_string(),
            "indication": self.indication.word(),
            "sub_indication": self.sub_indication.map(SubIndication::word),
            "code": self.code,
            "signatures": self.signatures.iter().map(signature_json).collect::<Vec<_>>(),
            "findings": self.findings.iter().map(finding_json).collect::<Vec<_>>(),
            "coverage": {
                "covered": self.coverage.covered,
                "exempt": self.coverage.exempt,
                "uncovered": self.coverage.uncovered,
            },
            "licence": self.data.to_json(),
            "sentence": { "zh": zh, "en": en },
            "next": self.next().map(Next::word),
        })
    }

    /// For a terminal.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let (zh, en) = self.sentence();
        let mut line = |depth: usize, text: &str| {
            let _ = writeln!(out, "{:1$}{2}", "", depth * 2, visible(text));
        };
        let sub = self.sub_indication.map(|s| format!(" / {s}")).unwrap_or_default();
        let code = self.code.map(|c| format!(" ({c})")).unwrap_or_default();
        line(0, &format!("{} [{}]: {}{sub}{code}", self.file, self.format.word(), self.indication));
        line(1, &zh);
        line(1, &en);
        if let Some(next) = self.next() {
            let (zh, en) = next.sentence();
            line(1, &format!("{zh} {en}"));
        }
        for finding in &self.findings {
            line(1, &finding_text(finding));
        }
        for s in &self.signatures {
            line(1, &format!("{} {} {}: {}", s.kind, s.id, s.format, s.indication));
            if let Some(seal) = &s.seal {
                let (kind, _, w, h) = &seal.picture;
                line(2, &format!("seal    {} ({}), {kind} {w}×{h} mm", seal.name, seal.id));
                line(2, &format!("        {} … {}", seal.valid_from.on_paper(), seal.valid_to.on_paper()));
            }
            if let Some(at) = s.claimed_at {
                let proven = s.proven_at.map(|at| format!(", proven {}", at.on_paper())).unwrap_or_default();
                line(2, &format!("signed  {} (claimed{proven})", at.on_paper()));
            }
            line(2, &format!("judged  at {} ({})", s.judged_at.on_paper(), s.basis.word()));
            for c in &s.certificates {
                line(2, &format!("{:7} {}", c.role, c.subject));
                let age = c.status_age_s.map(|age_s| format!(", {} old", age(age_s))).unwrap_or_default();
                line(2, &format!("        from {}, status {}{age}", c.issuer, c.status));
            }
            for finding in &s.findings {
                line(2, &finding_text(finding));
            }
        }
        for name in &self.coverage.uncovered {
            line(1, &format!("not covered: {name}"));
        }
        let mut said: Vec<_> = self.data.shown().collect();
        said.sort_unstable();
        // The same value often stands in several files; where it is covered is first.
        said.dedup_by(|one, first| (one.0, &one.1) == (first.0, &first.1));
        for (name, value, unsealed) in said {
            let mark = unsealed.map(|file| format!("  [未受签章保护 not sealed: {file}]")).unwrap_or_default();
            line(1, &format!("{name}: {value}{mark}"));
        }
        out
    }
}

/// How old a status is, as exactly as a person wants to know.
fn age(age_s: i64) -> String {
    match age_s / 60 {
        minutes @ ..120 => format!("{minutes} min"),
        minutes @ ..4_320 => format!("{} h", minutes / 60),
        minutes => format!("{} days", minutes / 1_440),
    }
}

/// Names and values from outside, for a terminal: what would steer it, or turn the direction of writing, is spelt out.
pub fn visible(text: &str) -> Cow<'_, str> {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(steers) {
        return text.into();
    }
    let spelt = |c: char| if steers(c) { c.escape_unicode().to_string() } else { c.into() };
    text.chars().map(spelt).collect::<String>().into()
}

fn finding_json(f: &Finding) -> Value {
    json!({
        "step": f.step,
        "code": f.code,
        "indication": f.outcome.map(|(i, _)| i.word()),
        "sub_indication": f.outcome.map(|(_, s)| s.word()),
        "detail": f.detail,
    })
}

fn finding_text(f: &Finding) -> String {
    let mark = match f.outcome {
        Some((Indication::TotalFailed, _)) => "✗",
        Some(_) => "?",
        None => "·",
    };
    format!("{mark} {:2} {} {}", f.step, f.code, f.detail)
}

fn signature_json(s: &SignatureVerdict) -> Value {
    let certificates = s.certificates.iter().map(|c| {
        json!({
            "role": c.role,
            "subject": c.subject,
            "issuer": c.issuer,
            "serial": c.serial,
            "not_before": c.not_before.to_string(),
            "not_after": c.not_after.to_string(),
            "sha256": c.sha256,
            "chain": c.chain,
            "anchor": c.anchor,
            "status": c.status,
            "status_age_s": c.status_age_s,
            "revoked_at": c.revoked_at.map(|at| at.to_string()),
        })
    });
    let seal = s.seal.as_ref().map(|seal| {
        let (kind, octets, width, height) = &seal.picture;
        json!({
            "id": seal.id,
            "name": seal.name,
            "type": seal.kind,
            "vid": seal.vid,
            "valid_from": seal.valid_from.to_string(),
            "valid_to": seal.valid_to.to_string(),
            "picture": { "type": kind, "octets": octets, "width_mm": width, "height_mm": height },
        })
    });
    json!({
        "id": s.id,
        "file": s.file,
        "type": s.kind,
        "format": s.format,
        "provider": s.provider,
        "indication": s.indication.word(),
        "sub_indication": s.sub_indication.map(SubIndication::word),
        "code": s.code,
        "claimed_at": s.claimed_at.map(|at| at.to_string()),
        "proven_at": s.proven_at.map(|at| at.to_string()),
        "time_basis": s.basis.word(),
        "judged_at": s.judged_at.to_string(),
        "seal": seal,
        "certificates": certificates.collect::<Vec<_>>(),
        "covered": s.covered.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "findings": s.findings.iter().map(finding_json).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_as_people_say_them() {
        const HOUR: i64 = 3_600;
        for (age_s, want) in [
            (0, "0 min"),
            (HOUR, "60 min"),
            (2 * HOUR - 1, "119 min"),
            (2 * HOUR, "2 h"),
            (72 * HOUR - 1, "71 h"),
            (72 * HOUR, "3 days"),
            (824 * 24 * HOUR, "824 days"),
        ] {
            assert_eq!(age(age_s), want);
        }
    }

    #[test]
    fn nothing_steers_the_terminal() {
        for (text, want) in [
            ("证照.ofd", "证照.ofd"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\r\n\u{9b}", "a\\u{d}\\u{a}\\u{9b}"),
            ("fdp.\u{202e}dfo", "fdp.\\u{202e}dfo"),
        ] {
            assert_eq!(visible(text), want);
        }
        let report = crate::licences::unreadable("\u{1b}]0;x\u{7}.ofd", "not there\n", &Profile::new(UnixMillis(0)));
        let text = report.to_text();
        assert!(
            text.lines().all(|line| !line.contains(char::is_control)) && text.contains("\\u{1b}]0;x\\u{7}.ofd"),
            "{text}"
        );
    }
}
