//! How this room says no.

use crate::terms::refusal::tolds;
use crate::terms::{Explain, Next, Told};

tolds! {
    /// The log cannot take more: the disk is full.
    pub const FULL = "TB-AUD-0101", 503,
        "审计存储空间不足，暂停受理，请稍后再试。",
        "The audit store is full; nothing is accepted until there is room.",
        Next::TryLater;
    /// More requests wait to be recorded than the queue holds.
    pub const BUSY = "TB-AUD-0102", 503,
        "系统繁忙，请稍后再试。",
        "Too many requests wait to be recorded; try again shortly.",
        Next::TryLater;
    /// The disk failed; this process records nothing any more and is about to end.
    pub const DEAD = "TB-AUD-0103", 503,
        "审计日志写入失败，系统即将重启，请稍后再试。",
        "The audit log could not be written; this gateway is restarting.",
        Next::TryLater;
    /// The log has been closed.
    pub const CLOSED = "TB-AUD-0104", 503,
        "系统正在停机，请稍后再试。",
        "This gateway is shutting down; try again shortly.",
        Next::TryLater;
    /// No quorum of witnesses has signed what the log holds for longer than this gateway's policy allows.
    pub const UNWITNESSED = "TB-AUD-0105", 503,
        "审计日志暂时得不到见证机构签署，按规定暂停办理新业务。请登记申请人联系方式，恢复后再办，并告知运维人员。",
        "The audit log lacks its witnesses' signatures: nothing new is begun until they are back. Note whom to call back, and tell the operator.",
        Next::TryLater;
    /// The log folder is damaged, rolled back, or in use.
    pub const UNFIT = "TB-AUD-0201", 500,
        "审计日志校验未通过，系统拒绝启动，请联系运维人员。",
        "The audit log on disk does not hold together; the gateway refuses to use it.",
        Next::AskOperator;
    /// No such resource of the log, or not published yet.
    pub const NOT_FOUND = "TB-AUD-0301", 404,
        "审计日志中没有该资源，或尚未发布。",
        "The log has no such resource, or has not published it yet.",
        Next::CorrectAndResend;
    /// Entries below the log's minimum index: pruned under its retention policy.
    pub const PRUNED = "TB-AUD-0303", 410,
        "该条目已按日志保存期限清除，请查阅归档或镜像；其哈希仍可核验。",
        "These entries were pruned under the log's retention policy: ask its archive or a mirror. Their hashes still verify.",
        Next::Stop;
    /// Entries are asked for without a certificate of an auditor or a mirror.
    pub const ENTRIES = "TB-AUD-0302", 403,
        "日志条目只向已登记的审计人员和镜像机构开放，请使用审计证书访问。",
        "Entries of the log are for registered auditors and mirrors: use an auditor's certificate.",
        Next::AskOperator;
    /// The search index does not cover the log yet, or is damaged and being made anew.
    pub const INDEX = "TB-AUD-0304", 503,
        "日志检索索引尚未就绪，请稍后再试，或镜像日志后自行检索。",
        "The search index does not cover the log yet: try again shortly, or mirror the log and search the mirror.",
        Next::TryLater;
    /// One auditor searches too often.
    pub const SEARCHES = "TB-AUD-0305", 429,
        "检索过于频繁，请稍后再试。",
        "Too many searches: wait a moment.",
        Next::TryLater;
    /// An entry that must not be written as it stands.
    pub const ENTRY = "TB-AUD-0401", 500,
        "审计记录格式不合规，未予写入，请联系运维人员。",
        "An audit entry breaks the rules for entries and was not written.",
        Next::AskOperator;
    /// A sealed part of an entry does not open: wrong key, or its key was destroyed.
    pub const SEALED = "TB-AUD-0402", 410,
        "该记录的加密内容无法打开，密钥不符或已依法销毁。",
        "The encrypted part of this record does not open: wrong key, or the key was destroyed as the law asks.",
        Next::Stop;
}

/// What can go wrong with the log on disk and in use.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuditError {
    #[error("no space left for the log: {0}")]
    Full(String),
    #[error("the queue of entries is full")]
    Busy,
    #[error("the log is dead: {0}")]
    Dead(String),
    #[error("the log is closed")]
    Closed,
    #[error("another process holds the log folder")]
    Locked,
    #[error("the log is damaged: {file} at byte {offset}: {what}")]
    Corrupt { file: String, offset: u64, what: String },
    #[error(
        "the log was rolled back: {0}; bring its true end back, or make it anew: `tongban audit recover --from-mirror`"
    )]
    RolledBack(String),
    #[error("the log folder is of another log: {0}")]
    Foreign(String),
    #[error("{doing}: {reason}")]
    Io { doing: String, reason: String },
    #[error("no such resource, or not published yet")]
    NotFound,
    #[error("entries below {minimum} were pruned")]
    Pruned { minimum: u64 },
    #[error(transparent)]
    Entry(#[from] super::entry::EntryError),
}

impl AuditError {
    pub(super) fn io(doing: impl Into<String>, error: &std::io::Error) -> Self {
        Self::Io { doing: doing.into(), reason: error.to_string() }
    }
}

impl Explain for AuditError {
    fn told(&self) -> &'static Told {
        match self {
            Self::Full(_) => &FULL,
            Self::Busy => &BUSY,
            Self::Dead(_) => &DEAD,
            Self::Closed => &CLOSED,
            Self::Locked | Self::Corrupt { .. } | Self::RolledBack(_) | Self::Foreign(_) | Self::Io { .. } => &UNFIT,
            Self::NotFound => &NOT_FOUND,
            Self::Pruned { .. } => &PRUNED,
            Self::Entry(error) => error.told(),
        }
    }
}
