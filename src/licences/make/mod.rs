//! Makes papers: licences, receipts and vouchers as sealed OFD files.
//!
//! ```text
//!  Paper ──▶ page, data ──▶ package ──┐
//!  SealSpec ── seal maker's key ──▶ seal ──┴── signer's key ──▶ sealed OFD: every file covered, list locked
//!  any OFD ── apply: seal or plain signature, time-stamp ─────▶ the same files, one signature more
//!  any PDF ── sign_pdf: PAdES B-B, B-T ──────────────────────▶ the same octets, one update more
//! ```
//! The same paper, seal, keys' signatures and time give the same bytes.

mod apply;
mod page;
mod pdf;
mod png;
mod seal;
pub mod specimen;

pub use apply::{Apply, apply};
pub use pdf::{PdfApply, sign_pdf};
pub use png::round_seal;
pub use seal::{SealSpec, make_seal, seal};

use crate::terms::{Explain, Next, Told, UnixMillis, refusal::tolds};

tolds! {
    /// A paper without a field that it must have, or with a seal of the wrong kind.
    pub const PAPER_INCOMPLETE = "TB-LIC-0301", 500,
        "文书缺少必备内容或印章种类不符，未能生成，请联系平台运维人员。",
        "The paper lacks a required field or its seal is of the wrong kind: ask the operator.",
        Next::AskOperator;
    /// Sealing failed.
    pub const SEALING = "TB-LIC-0302", 500,
        "电子印章暂不可用，文书未能生成，请稍后再试。",
        "The seal cannot be used at present: try again later.",
        Next::TryLater;
}

/// Why a paper was not made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    #[error("{kind}: no {label}")]
    FieldMissing { kind: &'static str, label: &'static str },
    #[error("{kind}: a seal whose name holds {wanted} is needed")]
    SealKind { kind: &'static str, wanted: &'static str },
    #[error("signing: {0}")]
    Sign(String),
    #[error("the seal cannot be read: {0}")]
    Seal(#[from] super::ses::SesError),
    #[error("the signer's certificate is not in the seal")]
    SignerNotInSeal,
    #[error("the package cannot be sealed: {0}")]
    Package(String),
    #[error("packing: {0}")]
    Zip(#[from] crate::formats::zip::ZipError),
}

impl Explain for MakeError {
    fn told(&self) -> &'static Told {
        match self {
            Self::FieldMissing { .. } | Self::SealKind { .. } => &PAPER_INCOMPLETE,
            _ => &SEALING,
        }
    }
}

/// Kinds of paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaperKind {
    /// 电子证照.
    Licence,
    /// 收件凭证: papers were taken in; it does not mean accepted.
    CollectionReceipt,
    /// 受理凭证.
    AcceptanceVoucher,
    /// 补正通知书.
    SupplementNotice,
    /// 不予受理通知书.
    NonAcceptance,
    /// 决定书.
    Decision,
    /// 送达回证.
    DeliveryReceipt,
    /// Any other notice of a case: return slip, extension, transfer, withdrawal, termination.
    Notice,
}

impl PaperKind {
    /// Stable word for machines.
    pub fn word(self) -> &'static str {
        match self {
            Self::Licence => "licence",
            Self::CollectionReceipt => "collection_receipt",
            Self::AcceptanceVoucher => "acceptance_voucher",
            Self::SupplementNotice => "supplement_notice",
            Self::NonAcceptance => "non_acceptance",
            Self::Decision => "decision",
            Self::DeliveryReceipt => "delivery_receipt",
            Self::Notice => "notice",
        }
    }

    /// The usual heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Licence => "电子证照",
            Self::CollectionReceipt => "收件凭证",
            Self::AcceptanceVoucher => "受理凭证",
            Self::SupplementNotice => "补正通知书",
            Self::NonAcceptance => "不予受理通知书",
            Self::Decision => "行政许可决定书",
            Self::DeliveryReceipt => "送达回证",
            Self::Notice => "告知书",
        }
    }

    /// Labels that must be there and not be empty (the minimum that service-hall standards name).
    pub fn required(self) -> &'static [&'static str] {
        match self {
            Self::Licence => &[],
            Self::Notice => &["办件编号", "事项名称", "申请人"],
            Self::CollectionReceipt => &["办件编号", "事项名称", "申请人", "收件点", "收件时间", "材料清单"],
            Self::AcceptanceVoucher => &["办件编号", "事项名称", "申请人", "受理人员", "受理日期"],
            Self::SupplementNotice => &["办件编号", "事项名称", "申请人", "补正内容", "补正期限"],
            Self::NonAcceptance => &["办件编号", "事项名称", "申请人", "理由", "救济途径"],
            Self::Decision => &["办件编号", "事项名称", "申请人", "决定内容", "决定日期"],
            Self::DeliveryReceipt => &["办件编号", "送达文书", "送达方式", "送达时间", "收件人"],
        }
    }

    /// What the name of the seal must hold; `None` where several kinds are lawful.
    pub fn seal_word(self) -> Option<&'static str> {
        match self {
            Self::CollectionReceipt => Some("收件"),
            Self::AcceptanceVoucher | Self::SupplementNotice => Some("受理专用章"),
            _ => None,
        }
    }
}

/// A paper before it is sealed.
#[derive(Clone, Debug)]
pub struct Paper {
    pub kind: PaperKind,
    pub title: String,
    pub number: String,
    /// What the page shows, in order. Mask ID numbers before they get here.
    pub fields: Vec<(String, String)>,
    /// The same for machines, with GB/T 36903 names where it is a licence; embedded as XML and JSON.
    pub data: serde_json::Value,
    /// `CustomDatas` of OFD.xml.
    pub custom: Vec<(String, String)>,
}

impl Paper {
    /// A paper with the usual heading of its kind.
    pub fn new(kind: PaperKind, number: impl Into<String>) -> Self {
        let (title, number) = (kind.title().to_owned(), number.into());
        Self { kind, title, number, fields: Vec::new(), data: serde_json::Value::Null, custom: Vec::new() }
    }

    #[must_use]
    pub fn field(mut self, label: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.push((label.into(), value.into()));
        self
    }

    #[must_use]
    pub fn data(mut self, data: serde_json::Value) -> Self {
        self.data = data;
        self
    }

    fn check(&self) -> Result<(), MakeError> {
        let has = |label: &str| self.fields.iter().any(|(l, value)| l == label && !value.trim().is_empty());
        match self.kind.required().iter().find(|label| !has(label)) {
            Some(label) => Err(MakeError::FieldMissing { kind: self.kind.word(), label }),
            None => Ok(()),
        }
    }
}

/// The document without a seal, for previews and for sealing elsewhere.
pub fn unsealed(paper: &Paper, at: UnixMillis) -> Result<Vec<u8>, MakeError> {
    use crate::formats::zip::{DosTime, Packing, Writer};
    paper.check()?;
    let mut writer = Writer::new(Vec::new(), DosTime::day_of(at));
    for (name, bytes) in page::files(paper, at) {
        // OFD.xml names a list of signatures; an empty one says "not signed".
        writer.add(&name, Packing::Deflated, &bytes)?;
    }
    writer.add("Doc_0/Signs/Signatures.xml", Packing::Deflated, seal::EMPTY_LIST.as_bytes())?;
    Ok(writer.finish()?)
}

#[cfg(test)]
mod tests;
