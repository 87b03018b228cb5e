//! What is said about a signature and a file, in the words of ETSI EN 319 102-1.

use std::fmt;

/// The main word of a verdict. Ordered from best to worst: the verdict of a file is the worst of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Indication {
    TotalPassed,
    Indeterminate,
    TotalFailed,
}

impl Indication {
    pub fn word(self) -> &'static str {
        match self {
            Self::TotalPassed => "TOTAL-PASSED",
            Self::Indeterminate => "INDETERMINATE",
            Self::TotalFailed => "TOTAL-FAILED",
        }
    }
}

impl fmt::Display for Indication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The reason, as ETSI spells it (EN 319 102-1, tables 5 and 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubIndication {
    FormatFailure,
    HashFailure,
    SigCryptoFailure,
    Revoked,
    Expired,
    SigConstraintsFailure,
    ChainConstraintsFailure,
    CryptoConstraintsFailure,
    CryptoConstraintsFailureNoPoe,
    NoSigningCertificateFound,
    NoCertificateChainFound,
    RevokedNoPoe,
    RevokedCaNoPoe,
    OutOfBoundsNoPoe,
    TryLater,
    SignedDataNotFound,
}

impl SubIndication {
    pub fn word(self) -> &'static str {
        match self {
            Self::FormatFailure => "FORMAT_FAILURE",
            Self::HashFailure => "HASH_FAILURE",
            Self::SigCryptoFailure => "SIG_CRYPTO_FAILURE",
            Self::Revoked => "REVOKED",
            Self::Expired => "EXPIRED",
            Self::SigConstraintsFailure => "SIG_CONSTRAINTS_FAILURE",
            Self::ChainConstraintsFailure => "CHAIN_CONSTRAINTS_FAILURE",
            Self::CryptoConstraintsFailure => "CRYPTO_CONSTRAINTS_FAILURE",
            Self::CryptoConstraintsFailureNoPoe => "CRYPTO_CONSTRAINTS_FAILURE_NO_POE",
            Self::NoSigningCertificateFound => "NO_SIGNING_CERTIFICATE_FOUND",
            Self::NoCertificateChainFound => "NO_CERTIFICATE_CHAIN_FOUND",
            Self::RevokedNoPoe => "REVOKED_NO_POE",
            Self::RevokedCaNoPoe => "REVOKED_CA_NO_POE",
            Self::OutOfBoundsNoPoe => "OUT_OF_BOUNDS_NO_POE",
            Self::TryLater => "TRY_LATER",
            Self::SignedDataNotFound => "SIGNED_DATA_NOT_FOUND",
        }
    }

    /// What it means to a clerk (zh, en).
    pub fn sentence(self) -> (&'static str, &'static str) {
        match self {
            Self::FormatFailure => ("文件格式不规范或已损坏。", "The file is malformed or damaged."),
            Self::HashFailure => ("文件内容在盖章后被改动。", "The content was changed after it was sealed."),
            Self::SigCryptoFailure => ("电子印章或签名无效。", "The seal or signature is not genuine."),
            Self::Revoked => ("盖章时证书已被吊销。", "The certificate had been revoked when the seal was applied."),
            Self::Expired => ("盖章时证书已过期。", "The certificate had expired when the seal was applied."),
            Self::SigConstraintsFailure => (
                "印章不符合核验要求，例如文件未被完整保护。",
                "The seal does not meet the rules, e.g. not every file is protected.",
            ),
            Self::ChainConstraintsFailure => ("证书用途不符合盖章要求。", "The certificate is not meant for this use."),
            Self::CryptoConstraintsFailure => {
                ("使用了不允许的密码算法。", "An algorithm that is not allowed was used.")
            }
            Self::CryptoConstraintsFailureNoPoe => (
                "密码算法或密钥长度已过允许期限，不能证明盖章在此之前。",
                "An algorithm or key is no longer allowed, and nothing proves that the seal is older than that.",
            ),
            Self::NoSigningCertificateFound => {
                ("文件中没有签名证书，无法核验。", "There is no certificate to check the signature with.")
            }
            Self::NoCertificateChainFound => {
                ("印章不是由受信任的机构签发。", "The seal does not come from a body that is trusted here.")
            }
            Self::RevokedNoPoe | Self::RevokedCaNoPoe => (
                "证书已被吊销，不能证明盖章在吊销之前。",
                "The certificate is revoked, and nothing proves that the seal is older.",
            ),
            Self::OutOfBoundsNoPoe => (
                "证书已过有效期，不能证明盖章时有效。",
                "The certificate is out of date, and nothing proves when the seal was applied.",
            ),
            Self::TryLater => ("暂时查不到证书状态。", "The status of a certificate is not known at present."),
            Self::SignedDataNotFound => {
                ("文件没有加盖电子印章，或缺少被签文件。", "The file is not sealed, or a signed part is missing.")
            }
        }
    }
}

impl fmt::Display for SubIndication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// An indication with its reason, or `None` for a mere note.
pub type Outcome = Option<(Indication, SubIndication)>;

/// One thing found at one step of the examination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// 1–21, in the order of the examination; see [`crate::licences::verify`].
    pub step: u8,
    /// Finer than the sub-indication; stable.
    pub code: &'static str,
    pub outcome: Outcome,
    /// Which file, which value. No personal data.
    pub detail: String,
}

impl Finding {
    pub fn failed(step: u8, code: &'static str, why: SubIndication, detail: impl Into<String>) -> Self {
        Self { step, code, outcome: Some((Indication::TotalFailed, why)), detail: detail.into() }
    }

    pub fn doubt(step: u8, code: &'static str, why: SubIndication, detail: impl Into<String>) -> Self {
        Self { step, code, outcome: Some((Indication::Indeterminate, why)), detail: detail.into() }
    }

    /// Worth telling, changes nothing.
    pub fn note(step: u8, code: &'static str, detail: impl Into<String>) -> Self {
        Self { step, code, outcome: None, detail: detail.into() }
    }

    pub fn format(step: u8, code: &'static str, detail: impl Into<String>) -> Self {
        Self::failed(step, code, SubIndication::FormatFailure, detail)
    }
}

/// The finding that decides: the worst indication, and of those the one met first in the examination.
pub fn deciding<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Option<&'a Finding> {
    let rank = |f: &Finding| f.outcome.map(|(indication, _)| (indication, u8::MAX - f.step));
    let mut best: Option<&Finding> = None;
    for finding in findings {
        if rank(finding).is_some() && best.is_none_or(|b| rank(finding) > rank(b)) {
            best = Some(finding);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides_and_the_earlier_of_two_as_bad() {
        use SubIndication::*;
        let note = Finding::note(1, "N", "");
        let chain = Finding::doubt(16, "C", NoCertificateChainFound, "");
        let time = Finding::doubt(14, "T", SigConstraintsFailure, "");
        let hash = Finding::failed(7, "H", HashFailure, "");
        let hash2 = Finding::failed(7, "H2", HashFailure, "");
        for (findings, want) in [
            (vec![], None),
            (vec![&note], None),
            (vec![&note, &chain], Some("C")),
            (vec![&chain, &time], Some("T")),
            (vec![&chain, &time, &hash2, &hash], Some("H2")),
        ] {
            assert_eq!(deciding(findings).map(|f| f.code), want);
        }
    }
}
