//! Floor 5: cases: their states, papers, files at rest, and what crosses to another region.
//!
//! ```text
//!            ┌ case + event ┐
//!  gateway ──┤ files, papers ├─ one transaction ─▶ outbox ─▶ jobs ─▶ peer · office
//!            └ leaf for log ┘                       │same bytes, same id, until a receipt comes back
//!                                                   ▼
//!  peer ──sealed message──▶ inbox: known id? same receipt again : step the case, once
//! ```

pub mod case;
pub mod message;
pub mod outbox;
pub mod papers;
pub mod records;
pub mod state;
pub mod vault;

pub use case::{Case, Event, Paper, StepError};
pub use message::Message;
pub use state::{Act, State};
pub use vault::{Kept, Key, Vault, VaultError};

use crate::store::StoreError;
use crate::terms::refusal::tolds;
use crate::terms::{Explain, Next, Told};

tolds! {
    /// The act does not fit the state the case is in.
    pub const NOT_NOW = "TB-EXC-0001", 409,
        "该办件当前状态不能进行此操作，请刷新后查看。",
        "The case is in a state that does not allow this: reload and look again.",
        Next::CorrectAndResend;
    /// One supplement notice only.
    pub const SECOND_NOTICE = "TB-EXC-0002", 409,
        "该办件已发出过一次性补正通知，不能再次要求补正。",
        "The one supplement notice of this case was given; nothing further may be asked.",
        Next::Stop;
    /// Receiving, examining and deciding are separate duties.
    pub const SAME_PERSON = "TB-EXC-0003", 403,
        "受审分离：收件、审查、决定不能由同一人办理。",
        "Receiver, examiner and approver of one case must be different people.",
        Next::GoToOwner;
    /// The same filing key was used for something else.
    pub const KEY_REUSED = "TB-EXC-0004", 422,
        "同一提交编号已用于其他申请，请重新生成提交编号。",
        "This idempotency key was used for another filing: make a new one.",
        Next::CorrectAndResend;
    /// No such case, or not for you: the same answer.
    pub const NO_CASE = "TB-EXC-0005", 404,
        "没有这个办件，或者您无权查看。",
        "There is no such case, or not for you.",
        Next::CorrectAndResend;
    /// A sealed case file cannot be opened or is not what it says.
    pub const BAD_MESSAGE = "TB-EXC-0006", 422,
        "案卷封包核验未通过，未予接收。",
        "The sealed case file does not hold what it must; it was not taken.",
        Next::AskOperator;
    /// A stored file does not open.
    pub const VAULT = "TB-EXC-0007", 500,
        "已存材料无法打开，已通知运维人员。",
        "A stored file cannot be opened; the operator has been told.",
        Next::AskOperator;
    /// A file is larger than allowed.
    pub const FILE_TOO_LARGE = "TB-EXC-0008", 413,
        "单个文件超过允许的大小，请压缩或分次上传。",
        "A file is larger than allowed: make it smaller or send it in parts.",
        Next::CorrectAndResend;
    /// The numbers of one collecting point for one owner and day are used up.
    pub const NUMBERS_USED_UP = "TB-EXC-0009", 503,
        "今日该部门的编号已用完，请明日再试或联系运维人员。",
        "Today's case numbers for this owner are used up: try tomorrow or ask the operator.",
        Next::AskOperator;
    /// Personal data of the case were destroyed.
    pub const SHREDDED = "TB-EXC-0010", 410,
        "该办件的个人数据已依法销毁，仅保留存证记录。",
        "The personal data of this case were destroyed; only the evidence of it remains.",
        Next::Stop;
    /// The case is on hold: its key must not be destroyed.
    pub const ON_HOLD = "TB-EXC-0011", 409,
        "该办件处于保全状态，解除保全前不得销毁。",
        "This case is on hold: its data must not be destroyed until the hold is lifted.",
        Next::AskOperator;
}

pub fn tolds() -> Vec<&'static Told> {
    TOLDS.to_vec()
}

#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("the filing key was used with another content")]
    KeyReused,
    #[error("no such case")]
    NoCase,
    #[error("message: {0}")]
    Message(String),
    #[error("case numbers for this owner and day are used up")]
    NumbersUsedUp,
    #[error("the key of the case was destroyed")]
    Shredded,
    #[error("the case is on hold: {0}")]
    OnHold(String),
    #[error("the case is not over, or something of it is still on its way")]
    NotOver,
}

impl Explain for ExchangeError {
    fn told(&self) -> &'static Told {
        match self {
            Self::Step(StepError::NotFrom { .. } | StepError::SecondExtension) => &NOT_NOW,
            Self::Step(StepError::SecondNotice) => &SECOND_NOTICE,
            Self::Step(StepError::SamePerson) => &SAME_PERSON,
            Self::Store(e) => e.told(),
            Self::Vault(VaultError::TooLarge { .. }) => &FILE_TOO_LARGE,
            Self::Vault(error) if error.is_full() => &crate::store::UNAVAILABLE,
            Self::Vault(_) => &VAULT,
            Self::KeyReused => &KEY_REUSED,
            Self::NoCase => &NO_CASE,
            Self::Message(_) => &BAD_MESSAGE,
            Self::NumbersUsedUp => &NUMBERS_USED_UP,
            Self::Shredded => &SHREDDED,
            Self::OnHold(_) => &ON_HOLD,
            Self::NotOver => &NOT_NOW,
        }
    }
}

/// A file of a case with what it is for.
#[derive(Clone, Debug)]
pub struct PaperRow {
    /// `material`, `paper` or `container`.
    pub role: String,
    pub seq: u64,
    pub stored: message::Stored,
}
