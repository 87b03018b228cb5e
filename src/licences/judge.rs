//! Is this licence good for this need? A yes is a value that nothing else can make.

use super::data::{self, NoDatum, names};
use super::report::Report;
use super::verdict::{Indication, SubIndication};
use crate::terms::refusal::tolds;
use crate::terms::{CreditCode, Day, Digest, Explain, LicenceId, Next, ResidentId, Told, UnixMillis};

tolds! {
    /// A seal that is not genuine, or content changed after sealing.
    pub const NOT_GENUINE = "TB-LIC-0101", 422,
        "电子证照的印章核验不通过，请出示证照原件或重新签发的电子证照。",
        "The seal of the licence is not valid: bring the original, or have the licence issued again.",
        Next::BringOriginal;
    /// Nothing false was found, but not everything could be confirmed.
    pub const NOT_CONFIRMED = "TB-LIC-0102", 422,
        "暂不能确认电子证照有效，请出示证照原件。",
        "The licence cannot be confirmed: bring the original.",
        Next::BringOriginal;
    /// The status of a certificate is not known.
    pub const STATUS_UNKNOWN = "TB-LIC-0103", 503,
        "暂时无法核实证照的证书状态，材料已保留，请稍后再试。",
        "The status of the certificate is not known at present: try again later.",
        Next::TryLater;
    /// No trusted body has issued the seal.
    pub const NOT_TRUSTED = "TB-LIC-0104", 422,
        "该电子印章的签发机构不在信任名单内，请联系平台运维人员。",
        "The seal comes from a body that is not on the trust list: ask the operator.",
        Next::AskOperator;
    /// A file that is not a proper OFD.
    pub const NOT_READABLE = "TB-LIC-0105", 422,
        "文件不是规范的版式电子证照，请重新获取后提交。",
        "The file is not a proper electronic licence: obtain it again and send it.",
        Next::CorrectAndResend;
    /// The seal's certificate, or one above it, has been revoked.
    pub const SEAL_REVOKED = "TB-LIC-0106", 422,
        "签章证书已被吊销，该电子证照不能使用，请出示证照原件或重新签发的电子证照。",
        "The certificate of the seal has been revoked: bring the original, or have the licence issued again.",
        Next::BringOriginal;
    /// An algorithm or key that the policy does not take, or no longer.
    pub const NOT_STRONG = "TB-LIC-0107", 422,
        "电子印章使用的密码算法或密钥不被接受，请携带证照原件，或请颁发机关换发电子证照。",
        "The seal was made with an algorithm or key that is not accepted: bring the original, or have the licence issued anew.",
        Next::BringOriginal;
    /// Somebody else's licence.
    pub const WRONG_HOLDER = "TB-LIC-0201", 403,
        "证照持有人与申请人不一致，请提交申请人本人的证照。",
        "The licence belongs to somebody else: send the applicant's own licence.",
        Next::CorrectAndResend;
    /// A licence of another type.
    pub const WRONG_TYPE = "TB-LIC-0202", 422,
        "证照类型与事项要求不符，请提交要求的证照。",
        "This is not the type of licence that is needed: send the one asked for.",
        Next::CorrectAndResend;
    /// Its period is over.
    pub const EXPIRED = "TB-LIC-0203", 422,
        "证照已过有效期，请换领新证后办理。",
        "The licence has expired: have it renewed first.",
        Next::BringOriginal;
    /// Its period has not begun.
    pub const NOT_YET_VALID = "TB-LIC-0204", 422,
        "证照尚未生效，请在生效后办理。",
        "The licence is not valid yet: come back when it is.",
        Next::TryLater;
    /// Issued or sealed by another body than the need says.
    pub const WRONG_ISSUER = "TB-LIC-0205", 422,
        "证照颁发机构不符合要求，请提交有权机关颁发的证照。",
        "The licence was issued by another body than required: send one of the competent authority.",
        Next::CorrectAndResend;
    /// The licence does not say what must be known of it, or says it outside of what is sealed.
    pub const NO_DATA = "TB-LIC-0206", 422,
        "证照缺少可核验的照面信息，请出示证照原件。",
        "The licence holds no sealed data to check: bring the original.",
        Next::BringOriginal;
}

/// Why a licence is not good for a need. No personal data in any of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LicenceError {
    #[error("not passed: {indication} {} {}", .sub.map_or("", SubIndication::word), .code.unwrap_or(""))]
    NotPassed { indication: Indication, sub: Option<SubIndication>, code: Option<&'static str> },
    #[error("{name}: {why:?}")]
    NoData { name: &'static str, why: NoDatum },
    #[error("{0} cannot be read as a day")]
    Day(&'static str),
    #[error("the holder is somebody else")]
    WrongHolder,
    #[error("type {found}, needed {needed}")]
    WrongType { found: String, needed: String },
    #[error("issuer {found}, needed {needed}")]
    WrongIssuer { found: String, needed: String },
    #[error("sealed by another body than the issuer")]
    WrongSealer,
    #[error("valid until {0}")]
    Expired(Day),
    #[error("valid from {0}")]
    NotYetValid(Day),
}

impl Explain for LicenceError {
    fn told(&self) -> &'static Told {
        match self {
            Self::NotPassed { sub: Some(SubIndication::FormatFailure), .. } => &NOT_READABLE,
            Self::NotPassed {
                sub: Some(SubIndication::Revoked | SubIndication::RevokedNoPoe | SubIndication::RevokedCaNoPoe),
                ..
            } => &SEAL_REVOKED,
            Self::NotPassed { indication: Indication::TotalFailed, .. } => &NOT_GENUINE,
            Self::NotPassed { sub: Some(SubIndication::TryLater), .. } => &STATUS_UNKNOWN,
            Self::NotPassed { sub: Some(SubIndication::NoCertificateChainFound), .. } => &NOT_TRUSTED,
            Self::NotPassed {
                sub: Some(SubIndication::CryptoConstraintsFailure | SubIndication::CryptoConstraintsFailureNoPoe),
                ..
            } => &NOT_STRONG,
            Self::NotPassed { .. } => &NOT_CONFIRMED,
            Self::NoData { .. } | Self::Day(_) => &NO_DATA,
            Self::WrongHolder => &WRONG_HOLDER,
            Self::WrongType { .. } => &WRONG_TYPE,
            Self::WrongIssuer { .. } | Self::WrongSealer => &WRONG_ISSUER,
            Self::Expired(_) => &EXPIRED,
            Self::NotYetValid(_) => &NOT_YET_VALID,
        }
    }
}

/// Whose licence it must be.
#[derive(Clone, Copy, Debug)]
pub enum Holder<'a> {
    Person(&'a ResidentId),
    Entity(&'a CreditCode),
}

impl Holder<'_> {
    fn code(&self) -> &str {
        match self {
            Self::Person(id) => id.reveal(),
            Self::Entity(code) => code.as_str(),
        }
    }
}

/// What an item asks of a licence.
#[derive(Clone, Copy, Debug)]
pub struct Need<'a> {
    /// 21 characters (GB/T 36904); `None` takes any type.
    pub type_code: Option<&'a str>,
    /// Credit code of the body that must have issued it.
    pub issuer: Option<&'a str>,
    /// Whether the signer's certificate must name the body that the licence says issued it: government seal certificates
    /// begin their O with the credit code of the body. A good seal of somebody else makes no licence of it.
    pub sealed_by_issuer: bool,
    pub holder: Holder<'a>,
    pub today: Day,
}

/// A licence whose seal holds, which is its holder's, of the needed type, and in force on the day asked.
///
/// Made only by [`judge`]; where a function takes this value, the questions have been asked. Says nothing about the
/// status in the issuer's register (revoked, lost, superseded): that is a lookup.
#[derive(Clone, Debug)]
pub struct VerifiedLicence {
    sha256: Digest,
    identifier: Option<LicenceId>,
    type_code: Option<String>,
    name: Option<String>,
    holder_name: Option<String>,
    issuer: Option<String>,
    sealed_by: String,
    valid_to: Option<Day>,
    checked_at: UnixMillis,
}

impl VerifiedLicence {
    /// Digest of the very file that was examined.
    pub fn sha256(&self) -> Digest {
        self.sha256
    }

    pub fn identifier(&self) -> Option<&LicenceId> {
        self.identifier.as_ref()
    }

    pub fn type_code(&self) -> Option<&str> {
        self.type_code.as_deref()
    }

    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub fn holder_name(&self) -> Option<&str> {
        self.holder_name.as_deref()
    }

    /// Credit code or name of the issuing body.
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Subject of the certificate that sealed it.
    pub fn sealed_by(&self) -> &str {
        &self.sealed_by
    }

    /// Last day of validity; `None` without limit.
    pub fn valid_to(&self) -> Option<Day> {
        self.valid_to
    }

    /// When the seal was examined.
    pub fn checked_at(&self) -> UnixMillis {
        self.checked_at
    }
}

/// Judges a report against a need: seal, holder, type, issuer, period, in this order.
///
/// # Errors
/// The first [`LicenceError`]. Values that no signature covers are as good as missing.
pub fn judge(report: &Report, need: &Need<'_>) -> Result<VerifiedLicence, LicenceError> {
    let (true, Some(sha256)) = (report.passed(), report.sha256) else {
        let Report { indication, sub_indication: sub, code, .. } = *report;
        return Err(LicenceError::NotPassed { indication, sub, code });
    };
    let data = &report.data;
    let must = |name| data.get(name).map(|d| d.value.as_str()).map_err(|why| LicenceError::NoData { name, why });
    let may = |name| match data.get(name) {
        Ok(d) => Ok(Some(d.value.as_str())),
        Err(NoDatum::Missing | NoDatum::Uncovered) => Ok(None),
        Err(why) => Err(LicenceError::NoData { name, why }),
    };

    if ResidentId::normalise(must(names::HOLDER_CODE)?) != need.holder.code() {
        return Err(LicenceError::WrongHolder);
    }
    let identifier = match may(names::IDENTIFIER)? {
        Some(text) => text.parse::<LicenceId>().ok(),
        None => None,
    };
    let type_code = may(names::TYPE_CODE)?.or(identifier.as_ref().map(LicenceId::type_code));
    if let Some(needed) = need.type_code {
        // Both places count: a licence whose identifier is of another type than its data is neither.
        let found = [type_code, identifier.as_ref().map(LicenceId::type_code)];
        let wrong = found.iter().flatten().find(|&&found| found != needed);
        match (type_code, wrong) {
            (None, _) => return Err(LicenceError::NoData { name: names::TYPE_CODE, why: NoDatum::Missing }),
            (_, Some(&found)) => {
                let found = super::ofd::shown(found);
                return Err(LicenceError::WrongType { found, needed: needed.to_owned() });
            }
            _ => {}
        }
    }
    let sealed_by = report.signatures.iter().find_map(|s| s.signer()).map(|c| c.subject.clone()).unwrap_or_default();
    let issuer = may(names::ISSUER_CODE)?.or(identifier.as_ref().map(LicenceId::issuer));
    if let Some(needed) = need.issuer
        && issuer != Some(needed)
    {
        let found = super::ofd::shown(issuer.unwrap_or("unknown"));
        return Err(LicenceError::WrongIssuer { found, needed: needed.to_owned() });
    }
    if need.sealed_by_issuer {
        let why = NoDatum::Missing;
        let own = issuer.ok_or(LicenceError::NoData { name: names::ISSUER_CODE, why })?;
        let named = |s: &super::report::SignatureVerdict| s.signer().is_some_and(|c| c.subject.contains(own));
        // A word in place of a code would be found in many a name.
        if own.parse::<CreditCode>().is_err() || !report.signatures.iter().any(named) {
            return Err(LicenceError::WrongSealer);
        }
    }
    if let Some(text) = may(names::VALID_FROM)? {
        let from = data::day(text).ok_or(LicenceError::Day(names::VALID_FROM))?;
        if need.today < from {
            return Err(LicenceError::NotYetValid(from));
        }
    }
    let valid_to = match may(names::VALID_TO)? {
        Some(text) if !data::is_long_term(text) => {
            let to = data::day(text).ok_or(LicenceError::Day(names::VALID_TO))?;
            if need.today > to {
                return Err(LicenceError::Expired(to));
            }
            Some(to)
        }
        _ => None,
    };
    Ok(VerifiedLicence {
        sha256,
        type_code: type_code.map(str::to_owned),
        name: may(names::NAME)?.map(str::to_owned),
        holder_name: may(names::HOLDER_NAME)?.map(str::to_owned),
        issuer: issuer.or(may(names::ISSUER_NAME)?).map(str::to_owned),
        identifier,
        sealed_by,
        valid_to,
        checked_at: report.at,
    })
}
