//! How this room says no: one answer per kind of reason, the sentence of the rule that spoke.

use std::fmt;
use std::sync::Arc;

use super::ask::Act;
use super::who::Kind;
use crate::terms::refusal::tolds;
use crate::terms::{Digest, Explain, Next, Refusal, Told};

tolds! {
    /// Default deny.
    pub const NO_RULE = "TB-POL-0001", 403,
        "没有规则允许这一操作。", "No rule permits this.", Next::AskOperator;
    /// A rule failed while it was evaluated. A forbid that fails must not turn into a yes.
    pub const EVALUATION = "TB-POL-0002", 500,
        "策略计算出错，为安全起见已拒绝。", "A rule could not be evaluated; refused to be safe.", Next::AskOperator;
    pub const MALFORMED = "TB-POL-0003", 400,
        "请求的内容不完整或过大，无法判定。", "The request is incomplete or too large to decide on.", Next::CorrectAndResend;
    /// A policy folder that does not load.
    pub const LOAD = "TB-POL-0101", 500,
        "策略文件有误，未予启用；原策略继续有效。", "The policy files have mistakes and were not taken; the old ones stay in force.",
        Next::AskOperator;
    pub const PRESENCE = "TB-POL-0201", 403,
        "该事项须本人到窗口当面办理。", "This matter needs the person at a government window.", Next::GoToWindow;
    pub const LEVEL = "TB-POL-0202", 403,
        "实名核验等级不够或时间过久。", "The real-name level is too low or too old.", Next::StepUp;
    pub const OUTLET_LIST = "TB-POL-0203", 403,
        "本网点不能办理该事项。", "This outlet may not handle this item.", Next::GoToWindow;
    pub const OUTLET_CONTRACT = "TB-POL-0204", 403,
        "本网点此时此地不能办理。", "This outlet may not act here and now.", Next::GoToWindow;
    pub const NOT_PRESENT = "TB-POL-0205", 403,
        "须先核验申请人在场。", "First check that the applicant is present.", Next::CorrectAndResend;
    pub const PAPER = "TB-POL-0206", 403,
        "授权文书缺失、失效或不覆盖此事。", "The paper of authority is missing, not live, or does not cover this.",
        Next::CorrectAndResend;
    pub const NOT_OFFERED = "TB-POL-0207", 403,
        "该事项不在此通办方式或范围内。", "The item is not offered in this way or from here.", Next::GoToOwner;
    pub const ITEM_CLOSED = "TB-POL-0208", 403,
        "该事项目前不能在此办理。", "This item cannot be handled here.", Next::GoToOwner;
    pub const OWNER_ONLY = "TB-POL-0301", 403,
        "只有有权办理的部门才能这样做。", "Only the owning authority may do this.", Next::GoToOwner;
    pub const SEPARATION = "TB-POL-0302", 403,
        "收件、审查、决定须由不同的人办理。", "Receiving, examining and deciding are done by different people.",
        Next::CorrectAndResend;
    pub const NO_VETO = "TB-POL-0303", 403,
        "窗口和网点不能拒绝或决定，请转报。", "Windows and outlets neither refuse nor decide: escalate.",
        Next::CorrectAndResend;
    pub const REASONS = "TB-POL-0304", 422,
        "须书面说明理由。", "State the reasons in writing.", Next::CorrectAndResend;
    pub const ONLY_ONCE = "TB-POL-0305", 409,
        "这一步只能做一次。", "This step is taken once only.", Next::Stop;
    pub const STATE = "TB-POL-0306", 409,
        "办件当前状态不允许这一步。", "The state of the case does not allow this step.", Next::CorrectAndResend;
    pub const POST = "TB-POL-0307", 403,
        "A岗在岗时，B岗不能经办。", "The B post does not act while A is at work.", Next::CorrectAndResend;
    pub const OWN_CASE = "TB-POL-0308", 403,
        "不得经办自己的事项。", "Nobody handles a case of their own.", Next::CorrectAndResend;
    pub const EXEMPT = "TB-POL-0401", 422,
        "该材料免于提交，请不要向申请人索要。", "This material is exempt: do not ask the applicant for it.",
        Next::CorrectAndResend;
    pub const BEYOND_GUIDE = "TB-POL-0402", 422,
        "不得重复索要或超出办事指南索要材料。", "Do not ask twice, or beyond the guide.", Next::CorrectAndResend;
    pub const FREE = "TB-POL-0403", 422,
        "帮办代办不收费。", "Help with filing is free of charge.", Next::CorrectAndResend;
    pub const PURPOSE = "TB-POL-0501", 403,
        "请说明事项和用途。", "State the item and the purpose.", Next::CorrectAndResend;
    pub const NO_CASE = "TB-POL-0502", 403,
        "没有能说明此次查询理由的在办办件。", "No open case justifies this lookup.", Next::CorrectAndResend;
    pub const DENIED_CLASS = "TB-POL-0503", 403,
        "该数据不予共享。", "This data is not shared.", Next::Stop;
    pub const FIELDS = "TB-POL-0504", 403,
        "请只查询允许的字段。", "Ask only for the fields that are allowed.", Next::CorrectAndResend;
    pub const CONSENT = "TB-POL-0505", 403,
        "须先取得本人同意。", "The person's consent is needed first.", Next::CorrectAndResend;
    pub const NOT_LISTED = "TB-POL-0506", 403,
        "该事项未列明此数据资源。", "The item does not list this resource.", Next::AskOperator;
    pub const PURPOSE_NOT_LISTED = "TB-POL-0507", 403,
        "该事项未列明为此用途查询此数据，请只为列明的用途查询。",
        "The item does not name this purpose for this data: ask for a purpose that it names.", Next::CorrectAndResend;
    /// "Not yours" and "not there" look the same from outside.
    pub const NOT_YOURS = "TB-POL-0601", 404,
        "没有找到您可以办理或查看的内容。", "Nothing here that you may handle or see.", Next::Stop;
    pub const ROUTE = "TB-POL-0602", 403,
        "该系统未向您的身份或授权范围开放。", "This system is not open to your kind of caller or token scope.",
        Next::AskOperator;
    pub const PEER = "TB-POL-0701", 403,
        "对方网关不能为该地区发言。", "The peer gateway does not speak for this place.", Next::AskOperator;
    pub const NOT_OURS = "TB-POL-0702", 403,
        "该办件不属于本网关辖区。", "This gateway does not serve the owner of this case.", Next::GoToOwner;
    pub const OVERSIGHT = "TB-POL-0801", 403,
        "审计和监察人员只看不改。", "Auditors and supervisors look; they never change.", Next::Stop;
    pub const OPERATOR = "TB-POL-0802", 403,
        "运维人员不接触办件。", "Operators do not touch cases.", Next::Stop;
    pub const GROUND = "TB-POL-0803", 403,
        "查看完整证件号码、检索个人记录须有书面理由。", "Full identity numbers, and a person's entries, need a written ground.", Next::CorrectAndResend;
    pub const SECOND_PERSON = "TB-POL-0804", 403,
        "须有第二人批准。", "A second person has to approve.", Next::CorrectAndResend;
    pub const EXCHANGE = "TB-POL-0901", 403,
        "令牌换取条件不满足。", "The conditions for exchanging the token are not met.", Next::SignInAgain;
}

/// The answer a rule's `@code` names; `None` for a code this room does not have.
pub(super) fn told_of(code: &str) -> Option<&'static Told> {
    TOLDS.iter().copied().find(|told| told.code == code)
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Denied {
    pub told: &'static Told,
    pub zh: String,
    pub en: String,
    pub rules: Vec<Arc<str>>,
    pub nearest: Option<Nearest>,
    pub version: Digest,
    pub asked: Digest,
    pub act: Act,
    pub kind: Kind,
    pub level_needed: Option<(u8, Option<u32>)>,
    pub detail: Option<String>,
}

/// The permit that came closest, and what of it did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest {
    pub rule: Arc<str>,
    /// Clauses in Cedar's words.
    pub failed: Vec<String>,
}

/// A no, with the rules that said it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial(pub(super) Arc<Denied>);

impl Denial {
    /// Ids of the forbidding rules, the one that speaks first; empty when no rule permitted.
    pub fn rules(&self) -> &[Arc<str>] {
        &self.0.rules
    }

    /// The rule that speaks: the first forbid, or else the nearest permit.
    pub fn speaking(&self) -> Option<&str> {
        self.0.rules.first().or(self.0.nearest.as_ref().map(|n| &n.rule)).map(|r| &**r)
    }

    /// When no rule forbade: the permit that came closest.
    pub fn nearest(&self) -> Option<&Nearest> {
        self.0.nearest.as_ref()
    }

    /// The sentence of the rule that speaks: (zh, en).
    pub fn sentence(&self) -> (&str, &str) {
        (&self.0.zh, &self.0.en)
    }

    pub fn version(&self) -> Digest {
        self.0.version
    }

    /// Digest of what was asked, under which it is kept for a replay.
    pub fn asked(&self) -> Digest {
        self.0.asked
    }

    pub fn act(&self) -> Act {
        self.0.act
    }

    /// For a level too low: the level and the greatest age in minutes that would do, `None` for any (RFC 9470).
    pub fn step_up(&self) -> Option<(u8, Option<u32>)> {
        self.0.level_needed.filter(|_| self.0.told.code == LEVEL.code)
    }

    /// The refusal with everything the problem document should carry.
    pub fn refusal(&self) -> Refusal {
        let rules: Vec<String> = self.0.rules.iter().map(|r| r.to_string()).collect();
        let mut refusal = Refusal::new(self.0.told, self.to_string())
            .with("reason_zh", self.0.zh.as_str())
            .with("reason_en", self.0.en.as_str())
            .with("rules", rules)
            .with("policy", self.0.version.to_string())
            .with("asked", self.0.asked.to_string());
        if let Some(n) = &self.0.nearest {
            refusal = refusal.with("nearest_rule", n.rule.to_string());
        }
        if let Some((level, age)) = self.step_up() {
            refusal = refusal.with("level_needed", level);
            if let Some(age) = age {
                refusal = refusal.with("max_age_s", u64::from(age) * 60);
            }
        }
        refusal
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} may not {}: ", self.0.kind, self.0.act)?;
        match (&self.0.detail, &self.0.nearest) {
            (Some(detail), _) => write!(f, "{detail}"),
            (None, Some(n)) => write!(f, "no rule permits; nearest is {}", n.rule),
            (None, None) if self.0.rules.is_empty() => write!(f, "no rule permits"),
            (None, None) => write!(f, "forbidden by {}", self.0.rules.join(", ")),
        }
    }
}

impl std::error::Error for Denial {}

impl Explain for Denial {
    fn told(&self) -> &'static Told {
        self.0.told
    }
}
