//! Floor 7: listeners, TLS, routes, and the one place where a no becomes an answer.
//!
//! ```text
//!  socket ─TLS─▶ heads (lines) ─▶ guard (one framing, one Host, one path) ─▶ route ─▶ gateway's questions ─▶ answer
//!                  │no                                        │no           │no
//!                  └──────────────── problem (RFC 9457, TB-… code) ◀────────┘
//! ```

pub mod api;
pub mod counted;
pub mod guard;
pub mod heads;
pub mod host;
pub mod log;
pub mod openapi;
mod opening;
pub mod places;
pub mod problem;
pub mod refused;
pub mod routes;
mod search;
pub mod serve;
mod through;
pub mod tls;
mod watch;

use crate::terms::refusal::tolds;
use crate::terms::{Next, Told};

tolds! {
    /// The request is not well-formed HTTP as we take it.
    pub const MALFORMED = "TB-HTTP-0001", 400,
        "请求格式不正确，请检查业务软件的设置。",
        "The request is not well formed: check the window software.",
        Next::CorrectAndResend;
    /// No such address.
    pub const NOT_FOUND = "TB-HTTP-0002", 404,
        "没有这个地址或记录，或者您无权查看。",
        "There is nothing at this address, or not for you.",
        Next::CorrectAndResend;
    /// The address does not take this method.
    pub const METHOD = "TB-HTTP-0003", 405,
        "该地址不支持这种操作。",
        "This address does not take this method.",
        Next::CorrectAndResend;
    /// The body is too large.
    pub const TOO_LARGE = "TB-HTTP-0004", 413,
        "文件超过允许的大小，请压缩或分次上传。",
        "The file is larger than allowed: make it smaller or send it in parts.",
        Next::CorrectAndResend;
    /// The body is of a kind that is not taken.
    pub const MEDIA = "TB-HTTP-0005", 415,
        "提交的内容类型不支持。",
        "This kind of content is not taken here.",
        Next::CorrectAndResend;
    /// Too many requests at once.
    pub const BUSY = "TB-HTTP-0007", 503,
        "当前办理人数较多，请稍后再试。",
        "The gateway is busy: try again in a moment.",
        Next::TryLater;
    /// The server name and the Host do not belong together, or not to us.
    pub const MISDIRECTED = "TB-HTTP-0008", 421,
        "请求发错了地址，请检查业务软件的设置。",
        "The request was meant for another host: check the window software.",
        Next::CorrectAndResend;
    /// JSON or form data that does not say what it must.
    pub const CONTENT = "TB-HTTP-0009", 422,
        "提交的内容不完整或不正确，请按提示更正。",
        "What was sent is incomplete or wrong: correct it as told.",
        Next::CorrectAndResend;
    /// The head of a request is larger than any software of ours writes.
    pub const HEAD_TOO_LARGE = "TB-HTTP-0010", 431,
        "请求头过大，请检查业务软件的设置。",
        "The head of the request is too large: check the window software.",
        Next::CorrectAndResend;
}

pub fn tolds() -> Vec<&'static Told> {
    TOLDS.to_vec()
}
