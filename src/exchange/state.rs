//! States of a case and what may happen to it: the table of the handbook, as types.

use serde::{Deserialize, Serialize};

/// Where a case stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// 草稿
    Draft,
    /// 已申请: submitted, nobody has looked.
    Filed,
    /// 已收件: receipt given, manifest frozen. Not accepted yet.
    Received,
    /// 待补正
    SupplementPending,
    /// 已受理
    Accepted,
    /// 审查中
    InReview,
    /// 转报中
    Escalated,
    /// 特别程序
    Suspended,
    /// 准予
    DecidedGranted,
    /// 不予
    DecidedRefused,
    /// 办结
    Closed,
    /// 送达中
    Delivering,
    /// 已送达
    Delivered,
    /// 不予受理
    NotAccepted,
    /// 退件
    Returned,
    /// 撤回
    Withdrawn,
    /// 终止
    Terminated,
    /// 归档
    Archived,
}

impl State {
    pub const ALL: [State; 18] = [
        Self::Draft,
        Self::Filed,
        Self::Received,
        Self::SupplementPending,
        Self::Accepted,
        Self::InReview,
        Self::Escalated,
        Self::Suspended,
        Self::DecidedGranted,
        Self::DecidedRefused,
        Self::Closed,
        Self::Delivering,
        Self::Delivered,
        Self::NotAccepted,
        Self::Returned,
        Self::Withdrawn,
        Self::Terminated,
        Self::Archived,
    ];

    /// The word in records and on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Filed => "filed",
            Self::Received => "received",
            Self::SupplementPending => "supplement_pending",
            Self::Accepted => "accepted",
            Self::InReview => "in_review",
            Self::Escalated => "escalated",
            Self::Suspended => "suspended",
            Self::DecidedGranted => "decided_granted",
            Self::DecidedRefused => "decided_refused",
            Self::Closed => "closed",
            Self::Delivering => "delivering",
            Self::Delivered => "delivered",
            Self::NotAccepted => "not_accepted",
            Self::Returned => "returned",
            Self::Withdrawn => "withdrawn",
            Self::Terminated => "terminated",
            Self::Archived => "archived",
        }
    }

    pub fn zh(self) -> &'static str {
        match self {
            Self::Draft => "草稿",
            Self::Filed => "已申请",
            Self::Received => "已收件",
            Self::SupplementPending => "待补正",
            Self::Accepted => "已受理",
            Self::InReview => "审查中",
            Self::Escalated => "转报中",
            Self::Suspended => "特别程序",
            Self::DecidedGranted => "准予",
            Self::DecidedRefused => "不予",
            Self::Closed => "办结",
            Self::Delivering => "送达中",
            Self::Delivered => "已送达",
            Self::NotAccepted => "不予受理",
            Self::Returned => "退件",
            Self::Withdrawn => "撤回",
            Self::Terminated => "终止",
            Self::Archived => "归档",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.word() == word)
    }

    /// Before the decision: what is asked for it serves a purpose.
    pub fn is_undecided(self) -> bool {
        matches!(
            self,
            Self::Filed
                | Self::Received
                | Self::SupplementPending
                | Self::Accepted
                | Self::InReview
                | Self::Escalated
                | Self::Suspended
        )
    }

    /// Nothing but archiving can follow.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Delivered | Self::NotAccepted | Self::Returned | Self::Withdrawn | Self::Terminated | Self::Archived
        )
    }
}

/// What happened to a case, as the log and the wire name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    File,
    Receive,
    Accept,
    AcceptBySilence,
    RequestSupplement,
    Supplement,
    NotAccept,
    Return,
    BeginReview,
    Suspend,
    Resume,
    Escalate,
    ComeBack,
    Extend,
    Grant,
    Refuse,
    Close,
    HandOut,
    ConfirmDelivery,
    Withdraw,
    Terminate,
    Archive,
}

impl Act {
    pub const ALL: [Act; 22] = [
        Self::File,
        Self::Receive,
        Self::Accept,
        Self::AcceptBySilence,
        Self::RequestSupplement,
        Self::Supplement,
        Self::NotAccept,
        Self::Return,
        Self::BeginReview,
        Self::Suspend,
        Self::Resume,
        Self::Escalate,
        Self::ComeBack,
        Self::Extend,
        Self::Grant,
        Self::Refuse,
        Self::Close,
        Self::HandOut,
        Self::ConfirmDelivery,
        Self::Withdraw,
        Self::Terminate,
        Self::Archive,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Receive => "receive",
            Self::Accept => "accept",
            Self::AcceptBySilence => "accept_by_silence",
            Self::RequestSupplement => "request_supplement",
            Self::Supplement => "supplement",
            Self::NotAccept => "not_accept",
            Self::Return => "return",
            Self::BeginReview => "begin_review",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Escalate => "escalate",
            Self::ComeBack => "come_back",
            Self::Extend => "extend",
            Self::Grant => "grant",
            Self::Refuse => "refuse",
            Self::Close => "close",
            Self::HandOut => "hand_out",
            Self::ConfirmDelivery => "confirm_delivery",
            Self::Withdraw => "withdraw",
            Self::Terminate => "terminate",
            Self::Archive => "archive",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.word() == word)
    }

    /// The state this act leads to from `state`, or `None` where the handbook has no such line.
    pub fn leads(self, state: State) -> Option<State> {
        use State::*;
        Some(match (state, self) {
            (Draft, Self::File) => Filed,
            (Filed, Self::Receive) => Received,
            (Received, Self::Accept | Self::AcceptBySilence) => Accepted,
            (Received, Self::RequestSupplement) => SupplementPending,
            (SupplementPending, Self::Supplement) => Received,
            (Received, Self::NotAccept) => NotAccepted,
            (Received | SupplementPending | Filed, Self::Return) => Returned,
            (Accepted, Self::BeginReview) => InReview,
            (InReview, Self::Suspend) => Suspended,
            (Suspended, Self::Resume) => InReview,
            (InReview, Self::Escalate) => Escalated,
            (Escalated, Self::ComeBack) => InReview,
            (Accepted | InReview, Self::Extend) => state,
            (InReview, Self::Grant) => DecidedGranted,
            (InReview, Self::Refuse) => DecidedRefused,
            (DecidedGranted | DecidedRefused, Self::Close) => Closed,
            (Closed, Self::HandOut) => Delivering,
            (Delivering, Self::ConfirmDelivery) => Delivered,
            (Filed | Received | SupplementPending | Accepted | InReview, Self::Withdraw) => Withdrawn,
            (Accepted | InReview, Self::Terminate) => Terminated,
            (Delivered | NotAccepted | Returned | Withdrawn | Terminated, Self::Archive) => Archived,
            _ => return None,
        })
    }
}
