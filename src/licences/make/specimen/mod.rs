//! Test material: licences of nobody, genuine ones and broken ones, each with the verdict that it must get.
//!
//! ```text
//!  Pki::new ─▶ roots, seal maker, signers, time-stamp authority, revocation lists: all thrown away after use
//!     └─▶ form (ofd · pdf · asic · sd-jwt) × variation ─▶ Specimen { octets, expected verdict }
//! ```
//! Nothing here can be taken for real: roots, issuer and holder are called 测试 / TEST, the page says so, and all codes
//! are of division 990100, which is nowhere (GB/T 2260 ends at 82).

mod asic;
mod credential;
mod ofd;
mod ofd_rows;
mod pdf;
mod pki;

pub use pki::Pki;

use serde_json::json;

use super::{MakeError, Paper, PaperKind};
use crate::licences::verdict::{
    Indication::{self, *},
    SubIndication,
};
use crate::terms::{Digest, LicenceId, UnixMillis};

/// Credit code of the issuing body that does not exist.
pub const ISSUER_CODE: &str = "11990100TE0000010P";
pub const ISSUER_NAME: &str = "测试发证机关 TEST";
/// Of a person and of a company that do not exist.
const PERSON: &str = "990101199001010019";
const COMPANY: &str = "91990101TE0000029T";
/// What the name of every holder begins with.
const MARK: &str = "测试";
const SECONDS_A_DAY: i64 = 86_400;

/// What kind of licence is made.
#[derive(Clone, Copy, Debug)]
pub struct Kind<'a> {
    /// As printed on it.
    pub name: &'a str,
    /// 21 characters (GB/T 36904).
    pub type_code: &'a str,
    /// Held by a body with a credit code, not by a person.
    pub body: bool,
    /// It runs out.
    pub dated: bool,
}

/// The formats in which test material is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Ofd,
    Pdf,
    Asic,
    SdJwt,
}

impl Form {
    pub const ALL: [Self; 4] = [Self::Ofd, Self::Pdf, Self::Asic, Self::SdJwt];

    /// The word on the command line, and the folder that files of it go to.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ofd => "ofd",
            Self::Pdf => "pdf",
            Self::Asic => "asic",
            Self::SdJwt => "sd-jwt",
        }
    }

    /// What its files end in.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Asic => "asice",
            other => other.word(),
        }
    }

    /// All variations of the form, the good one first.
    pub fn variations(self) -> &'static [Variation] {
        match self {
            Self::Ofd => ofd_rows::ALL,
            Self::Pdf => pdf::ALL,
            Self::Asic => asic::ALL,
            Self::SdJwt => credential::ALL,
        }
    }
}

/// The verdict that a file must get under the policy of its PKI.
pub type Expected = (Indication, Option<SubIndication>, Option<&'static str>);

const PASS: Expected = (TotalPassed, None, None);

const fn failed(sub: SubIndication, code: &'static str) -> Expected {
    (TotalFailed, Some(sub), Some(code))
}

const fn doubt(sub: SubIndication, code: &'static str) -> Expected {
    (Indeterminate, Some(sub), Some(code))
}

/// One way in which a file can be odd or broken.
#[derive(Debug)]
pub struct Variation {
    pub name: &'static str,
    /// What is different about it (zh, en).
    pub what: (&'static str, &'static str),
    pub expected: Expected,
}

const fn row(name: &'static str, zh: &'static str, en: &'static str, expected: Expected) -> Variation {
    Variation { name, what: (zh, en), expected }
}

/// What all files of one call have in common.
pub struct Making<'a> {
    pub pki: &'a Pki,
    pub kind: Kind<'a>,
    /// Name of the holder; 测试 is put before it where it is missing.
    pub holder: &'a str,
}

impl Making<'_> {
    /// Makes one file.
    ///
    /// # Errors
    /// [`MakeError`] when a type code is none, or signing fails.
    pub fn file(&self, form: Form, variation: &Variation) -> Result<Vec<u8>, MakeError> {
        match form {
            Form::Ofd => ofd::make(self, variation.name),
            Form::Pdf => pdf::make(self, variation.name),
            Form::Asic => asic::make(self, variation.name),
            Form::SdJwt => credential::make(self, variation.name),
        }
    }

    fn holder_name(&self) -> String {
        if self.holder.starts_with(MARK) { self.holder.to_owned() } else { format!("{MARK}{}", self.holder) }
    }

    /// The licence's data, GB/T 36903 names.
    fn data(&self) -> Result<serde_json::Value, MakeError> {
        let (holder, holder_type) = if self.kind.body { (COMPANY, "001") } else { (PERSON, "111") };
        let from = self.pki.signed_at().plus_seconds(-SECONDS_A_DAY).day();
        let serial = Digest::of(format!("{}|{holder}|{from}", self.kind.type_code).as_bytes()).to_string();
        let serial = format!("TEST{}", serial[..12].to_uppercase());
        let id = LicenceId::new(self.kind.type_code, ISSUER_CODE, &serial, 1);
        let id = id.map_err(|_| MakeError::Package(format!("{}: not a type code", self.kind.type_code)))?;
        let to = if self.kind.dated { format!("{}-12-31", from.year() + 10) } else { "长期".to_owned() };
        Ok(json!({
            "certificateIdentifier": id.as_str(),
            "certificateName": self.kind.name,
            "certificateTypeName": self.kind.name,
            "certificateTypeCode": self.kind.type_code,
            "certificateNumber": serial,
            "certificateIssuedDate": from.to_string(),
            "certificateIssuingAuthorityName": ISSUER_NAME,
            "certificateIssuingAuthorityCode": ISSUER_CODE,
            "certificateHolderName": self.holder_name(),
            "certificateHolderCode": holder,
            "certificateHolderTypeCode": holder_type,
            "certificateEffectiveDate": from.to_string(),
            "certificateExpiringDate": to,
            "certificateAreaCode": "990100",
        }))
    }

    fn paper(&self) -> Result<Paper, MakeError> {
        let data = self.data()?;
        let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
        let mut paper = Paper::new(PaperKind::Licence, text("certificateNumber"))
            .field("证照名称", self.kind.name)
            .field("证照编号", text("certificateNumber"))
            .field("持证主体", self.holder_name())
            .field("发证机关", ISSUER_NAME)
            .field("颁证日期", text("certificateIssuedDate"))
            .field("有效期截止日期", text("certificateExpiringDate"))
            .field("说明", "仅供测试，无任何效力 TEST ONLY, WITHOUT ANY EFFECT")
            .data(data);
        paper.title = format!("测试 TEST {}", self.kind.name);
        Ok(paper)
    }
}

/// A time-stamp by the test authority, over whatever it is asked for.
fn stamp(pki: &Pki, value: &[u8], at: UnixMillis) -> Result<Vec<u8>, String> {
    use crate::trust::suite::DigestAlgorithm;
    use crate::trust::timestamp::{Request, respond, token_of};
    let request = Request::over(DigestAlgorithm::Sha256, value, [7; 8]);
    let chain = std::slice::from_ref(&pki.tsa.certificate);
    let answer = respond(&request, &pki.tsa.key, chain, "1.2.3", 1, at).map_err(|e| e.to_string())?;
    Ok(token_of(&answer, &request).map_err(|e| e.to_string())?.der().to_vec())
}

#[cfg(test)]
mod tests;
