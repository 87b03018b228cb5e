//! What partners are told no for. Outlets read these to people: each says where to go instead.

use super::acts::Act;
use super::contract::OutletId;
use super::quota::Counter;
use crate::terms::refusal::tolds;
use crate::terms::{Day, Explain, ItemCode, Mistakes, Next, RegionCode, Told};

/// An outlet may not do this, here, now.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartnerError {
    #[error("the contracts have mistakes:\n{0}")]
    Faulty(Mistakes),
    #[error("no contract knows this client certificate")]
    UnknownTerminal,
    #[error("outlet {outlet}: its terminal is revoked")]
    TerminalRevoked { outlet: OutletId },
    #[error("outlet {outlet}: the contract begins on {from}")]
    NotYet { outlet: OutletId, from: Day },
    #[error("outlet {outlet}: the contract ended with {to}")]
    Ended { outlet: OutletId, to: Day },
    #[error("outlet {outlet}: suspended")]
    Suspended { outlet: OutletId },
    #[error("outlet {outlet}: {act} is not in the contract")]
    ActNotAllowed { outlet: OutletId, act: Act },
    #[error("outlet {outlet}: {act} needs an item")]
    ItemMissing { outlet: OutletId, act: Act },
    #[error("outlet {outlet}: item {item} needs the person at a government window")]
    NeedsPresence { outlet: OutletId, item: ItemCode },
    #[error("outlet {outlet}: item {item} is not in the contract")]
    ItemNotListed { outlet: OutletId, item: ItemCode },
    #[error("outlet {outlet}: item {item} is not open to outlets of its kind")]
    KindNotAdmitted { outlet: OutletId, item: ItemCode },
    #[error("outlet {outlet}: {place} is outside its places")]
    OutsidePlace { outlet: OutletId, place: RegionCode },
    #[error("outlet {outlet}: a terminal that moves did not tell its place")]
    PlaceUntold { outlet: OutletId },
    #[error("outlet {outlet}: closed now")]
    OutsideHours { outlet: OutletId },
    #[error("outlet {outlet}: its mandate does not verify: {why}")]
    MandateBroken { outlet: OutletId, why: String },
    #[error("outlet {outlet}: its mandate is not in force")]
    MandatePeriod { outlet: OutletId },
    #[error("outlet {outlet}: its mandate was taken back")]
    MandateRevoked { outlet: OutletId },
    #[error("outlet {outlet}: its mandate does not cover this: {why}")]
    MandateScope { outlet: OutletId, why: String },
    #[error("outlet {outlet}: {counter} quota of {limit} a day is used up")]
    QuotaUsedUp { outlet: OutletId, counter: Counter, limit: u32 },
    #[error("outlet {outlet}: one citizen came more than {limit} times a day")]
    TooOftenForOne { outlet: OutletId, limit: u32 },
    #[error("outlet {outlet}: counter {counter} was not taken as planned")]
    NotTaken { outlet: OutletId, counter: Counter },
    #[error("outlet {outlet}: too many requests, again in {wait_ms} ms")]
    TooFast { outlet: OutletId, wait_ms: u64 },
}

tolds! {
    pub const FAULTY = "TB-PAR-0001", 500,
        "网点合作协议数据有误，平台继续使用上一版本。",
        "The contracts have mistakes; the last good version stays in use.",
        Next::AskOperator;
    pub const UNKNOWN_TERMINAL = "TB-PAR-0101", 403,
        "本终端未登记，不能办理政务服务。",
        "This terminal is not enrolled.",
        Next::GoToWindow;
    pub const TERMINAL_REVOKED = "TB-PAR-0102", 403,
        "本终端已停用。",
        "This terminal has been switched off.",
        Next::GoToWindow;
    pub const NOT_YET = "TB-PAR-0201", 403,
        "本网点的合作协议尚未生效。",
        "This outlet's contract has not begun.",
        Next::GoToWindow;
    pub const ENDED = "TB-PAR-0202", 403,
        "本网点的合作协议已到期。",
        "This outlet's contract has ended.",
        Next::GoToWindow;
    pub const SUSPENDED = "TB-PAR-0203", 403,
        "本网点的政务服务已暂停。",
        "Government services are suspended at this outlet.",
        Next::GoToWindow;
    pub const ACT_NOT_ALLOWED = "TB-PAR-0204", 403,
        "本网点无权办理该环节。",
        "This outlet may not do this step.",
        Next::GoToWindow;
    pub const ITEM_MISSING = "TB-PAR-0205", 400,
        "请先选择要办理的事项。",
        "Name the item first.",
        Next::CorrectAndResend;
    pub const NEEDS_PRESENCE = "TB-PAR-0206", 403,
        "该事项须本人到政务服务窗口办理，网点不能代收。",
        "This item needs the person at a government window: an outlet cannot take it.",
        Next::GoToWindow;
    pub const ITEM_NOT_LISTED = "TB-PAR-0207", 403,
        "该事项不在本网点的代办清单内。",
        "This item is not on this outlet's list.",
        Next::GoToWindow;
    pub const KIND_NOT_ADMITTED = "TB-PAR-0208", 403,
        "该事项不对此类网点开放。",
        "This item is not open to outlets of this kind.",
        Next::GoToWindow;
    pub const OUTSIDE_PLACE = "TB-PAR-0209", 403,
        "本终端不在约定的服务地点。",
        "The terminal is outside the places of its contract.",
        Next::GoToWindow;
    pub const OUTSIDE_HOURS = "TB-PAR-0210", 403,
        "现在不在本网点的服务时间内。",
        "This outlet is closed now.",
        Next::TryLater;
    pub const PLACE_UNTOLD = "TB-PAR-0211", 403,
        "移动终端未报告所在地，请打开定位后再试。",
        "A terminal that moves has to tell its place: switch its position on.",
        Next::CorrectAndResend;
    pub const MANDATE_BROKEN = "TB-PAR-0212", 403,
        "本网点所依据的部门委托书未通过核验，网点不能办理，请到政务服务窗口办理。",
        "The department's mandate for this outlet does not verify: nothing is done here. Go to a government window.",
        Next::GoToWindow;
    pub const MANDATE_PERIOD = "TB-PAR-0213", 403,
        "部门对本网点的委托不在有效期内，网点不能办理，请到政务服务窗口办理。",
        "The department's mandate for this outlet is not in force: go to a government window.",
        Next::GoToWindow;
    pub const MANDATE_REVOKED = "TB-PAR-0214", 403,
        "部门已撤销对本网点的委托，网点不能办理，请到政务服务窗口办理。",
        "The department has taken back its mandate for this outlet: go to a government window.",
        Next::GoToWindow;
    pub const MANDATE_SCOPE = "TB-PAR-0215", 403,
        "部门对本网点的委托未涵盖该事项、该环节或该地点，请到政务服务窗口办理。",
        "The department's mandate for this outlet does not cover this item, step or place: go to a government window.",
        Next::GoToWindow;
    pub const QUOTA_USED_UP = "TB-PAR-0301", 429,
        "本网点今日办理数量已满，请明日再来或到政务服务窗口办理。",
        "Today's quota is used up: come tomorrow, or go to a government window.",
        Next::GoToWindow;
    pub const TOO_OFTEN = "TB-PAR-0302", 429,
        "同一申请人今日在网点办理次数过多，请到政务服务窗口办理。",
        "One person has filed too often at outlets today: go to a government window.",
        Next::GoToWindow;
    pub const NOT_TAKEN = "TB-PAR-0303", 500,
        "办理数量未能登记，请稍后再试。",
        "The quota could not be counted.",
        Next::TryLater;
    pub const TOO_FAST = "TB-PAR-0304", 429,
        "请求过于频繁，请稍后再试。",
        "Too many requests: wait a moment.",
        Next::TryLater;
}

impl Explain for PartnerError {
    fn told(&self) -> &'static Told {
        match self {
            Self::Faulty(_) => &FAULTY,
            Self::UnknownTerminal => &UNKNOWN_TERMINAL,
            Self::TerminalRevoked { .. } => &TERMINAL_REVOKED,
            Self::NotYet { .. } => &NOT_YET,
            Self::Ended { .. } => &ENDED,
            Self::Suspended { .. } => &SUSPENDED,
            Self::ActNotAllowed { .. } => &ACT_NOT_ALLOWED,
            Self::ItemMissing { .. } => &ITEM_MISSING,
            Self::NeedsPresence { .. } => &NEEDS_PRESENCE,
            Self::ItemNotListed { .. } => &ITEM_NOT_LISTED,
            Self::KindNotAdmitted { .. } => &KIND_NOT_ADMITTED,
            Self::OutsidePlace { .. } => &OUTSIDE_PLACE,
            Self::PlaceUntold { .. } => &PLACE_UNTOLD,
            Self::OutsideHours { .. } => &OUTSIDE_HOURS,
            Self::MandateBroken { .. } => &MANDATE_BROKEN,
            Self::MandatePeriod { .. } => &MANDATE_PERIOD,
            Self::MandateRevoked { .. } => &MANDATE_REVOKED,
            Self::MandateScope { .. } => &MANDATE_SCOPE,
            Self::QuotaUsedUp { .. } => &QUOTA_USED_UP,
            Self::TooOftenForOne { .. } => &TOO_OFTEN,
            Self::NotTaken { .. } => &NOT_TAKEN,
            Self::TooFast { .. } => &TOO_FAST,
        }
    }
}
