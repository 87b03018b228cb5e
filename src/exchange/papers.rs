//! What stands on the papers of a case; `licences::make` sets and seals them.

use serde_json::{Value, json};

use super::case::Paper;
use super::message::{Dossier, Message};
use crate::terms::{CaseNo, Day, UnixMillis};

/// Which seal a paper needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealKind {
    /// 收件专用章, of the collecting point.
    Collection,
    /// 业务受理专用章
    Acceptance,
    /// 业务审批专用章
    Approval,
    /// None: the recipient signs.
    None,
}

/// A paper in words, before it is set and sealed.
#[derive(Clone, Debug)]
pub struct PaperText {
    pub kind: Paper,
    pub title: &'static str,
    pub number: String,
    pub rows: Vec<(&'static str, String)>,
    pub seal: SealKind,
    /// The same content for machines, embedded in the document.
    pub data: Value,
}

impl Paper {
    pub fn title(self) -> &'static str {
        match self {
            Self::Receipt => "收件凭证",
            Self::AcceptanceVoucher => "受理凭证",
            Self::SupplementNotice => "补正通知书",
            Self::NonAcceptance => "不予受理通知书",
            Self::ReturnSlip => "退件单",
            Self::SpecialProcedureNotice => "特别程序告知书",
            Self::TransferLetter => "移送函",
            Self::ExtensionNotice => "延期告知书",
            Self::Grant => "准予决定书",
            Self::Refusal => "不予决定书",
            Self::DeliveryReceipt => "送达回证",
            Self::WithdrawalConfirmation => "撤回确认书",
            Self::TerminationNotice => "终止办理通知书",
        }
    }

    pub fn seal(self) -> SealKind {
        match self {
            Self::Receipt => SealKind::Collection,
            Self::Grant | Self::Refusal | Self::ExtensionNotice | Self::TransferLetter => SealKind::Approval,
            Self::DeliveryReceipt => SealKind::None,
            _ => SealKind::Acceptance,
        }
    }

    /// The word in file names and records.
    pub fn word(self) -> String {
        serde_json::to_value(self).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Number of a paper: the case number, the kind and the act that produced it.
    pub fn number(self, case: CaseNo, seq: u64) -> String {
        format!("{case}-{}-{seq}", self.word().to_uppercase().replace('_', "-"))
    }
}

/// What differs from paper to paper.
pub struct Occasion<'a> {
    pub kind: Paper,
    pub case: CaseNo,
    pub seq: u64,
    pub at: UnixMillis,
    /// Clerk or official who acts; empty where nobody of them does.
    pub by: &'a str,
    pub authority: &'a str,
    pub note: Option<&'a str>,
    /// (promised, legal) last days, on papers that promise something.
    pub due: Option<(Day, Option<Day>)>,
    pub enquiry: &'a str,
}

/// Who received what somebody filed without a counter.
const ONLINE: &str = "无（网上提交）";

/// Sets a paper in words. The verification code is the last row: case number, kind and act, to be looked up or scanned.
pub fn compose(o: &Occasion<'_>, d: &Dossier) -> PaperText {
    let number = o.kind.number(o.case, o.seq);
    let mut rows = vec![
        ("编号", number.clone()),
        ("办件编号", o.case.to_string()),
        ("事项名称", d.item_name.clone()),
        ("事项编码", d.item.to_string()),
        ("申请人", d.applicant.shown_name().to_owned()),
        ("证件号码", d.applicant.masked_code()),
    ];
    let note = o.note.unwrap_or("无");
    match o.kind {
        Paper::Receipt => {
            let listed = d.materials.iter().map(|m| {
                let digest =
                    m.file.as_ref().map_or("无需提交".to_owned(), |f| f.digest.to_string()[..16].to_owned());
                format!("{}. {}（{digest}）", m.no, m.name)
            });
            rows.push(("材料清单", listed.collect::<Vec<_>>().join("；")));
            rows.push(("收件点", d.collector.name.clone()));
            rows.push(("收件人员", if o.by.is_empty() { ONLINE.to_owned() } else { o.by.to_owned() }));
            rows.push(("收件时间", o.at.on_paper()));
            rows.push(("办理部门", d.authority_name.clone()));
            rows.push(("下一步", "由办理部门决定是否受理；本凭证不代表已受理。".into()));
        }
        Paper::AcceptanceVoucher => {
            rows.push(("受理人员", o.by.to_owned()));
            rows.push(("受理日期", o.at.day().to_string()));
            if let Some((promised, legal)) = o.due {
                rows.push(("承诺办结日", promised.to_string()));
                rows.push(("法定办结日", legal.map_or("无".into(), |d| d.to_string())));
            }
        }
        Paper::SupplementNotice => {
            rows.push(("补正内容", note.to_owned()));
            rows.push(("补正期限", "见说明；逾期未补正的，退回申请。".into()));
        }
        Paper::NonAcceptance => {
            rows.push(("理由", note.to_owned()));
            rows.push(("救济途径", REMEDIES.into()));
        }
        Paper::Grant | Paper::Refusal => {
            let content = if o.kind == Paper::Grant { "准予" } else { "不予准予" };
            rows.push(("决定内容", content.into()));
            rows.push(("决定日期", o.at.day().to_string()));
            rows.push(("理由", note.to_owned()));
            if o.kind == Paper::Refusal {
                rows.push(("救济途径", REMEDIES.into()));
            }
        }
        _ => rows.push(("说明", note.to_owned())),
    }
    rows.push(("机关", o.authority.to_owned()));
    rows.push(("咨询投诉", o.enquiry.to_owned()));
    rows.push(("核验码", number.clone()));
    let data = json!({
        "kind": o.kind, "number": number, "caseNo": o.case, "itemCode": d.item, "itemName": d.item_name,
        "applicantName": d.applicant.name, "applicantCode": d.applicant.masked_code(),
        "authority": o.authority, "by": o.by, "at": o.at.to_string(), "note": o.note,
        "promisedDue": o.due.map(|(p, _)| p), "legalDue": o.due.and_then(|(_, l)| l),
        "materials": d.materials.iter().map(|m| json!({
            "no": m.no, "name": m.name, "digest": m.file.as_ref().map(|f| f.digest),
        })).collect::<Vec<_>>(),
    });
    PaperText { kind: o.kind, title: o.kind.title(), number, rows, seal: o.kind.seal(), data }
}

/// Administrative Reconsideration Law art. 20, Administrative Litigation Law art. 46.
const REMEDIES: &str = "可在60日内申请行政复议，或在6个月内提起行政诉讼。";

/// Whether a message brings the paper its act must produce.
pub fn has_paper(message: &Message, kind: Paper) -> bool {
    message.papers.iter().any(|p| p.kind == kind)
}
