//! Floor 3: calls that leave the house: pooled connections, mutual TLS, time limits, bounded answers, breakers.
//!
//! ```text
//!  gateway · jobs ──request──▶ Client ──breaker open?──▶ pool ──mTLS──▶ peer · office · provider · issuer
//!                                │                                  │
//!                                └──── UpstreamError ◀── late · too large · refused · bad certificate
//! ```
//! Where a call may go is configuration, never taken from a request or a document.

pub mod body;
pub mod breaker;
pub mod client;
pub mod objects;
mod servers;
pub mod tls;

pub use body::Body;
pub use client::Client;
pub use tls::ClientTls;

use crate::terms::refusal::tolds;
use crate::terms::{Explain, Next, Told};

tolds! {
    /// The system behind does not answer.
    pub const UNREACHABLE = "TB-UPS-0001", 502,
        "对方系统暂时无法连接，材料已保留，系统会自动重试。",
        "The other system cannot be reached; what was handed in is kept and will be sent again.",
        Next::TryLater;
    /// The system behind answers too slowly.
    pub const LATE = "TB-UPS-0002", 504,
        "对方系统响应超时，请稍后再试。",
        "The other system did not answer in time: try again later.",
        Next::TryLater;
    /// The system behind answered something that cannot be used.
    pub const UNUSABLE = "TB-UPS-0003", 502,
        "对方系统返回的内容无法使用，已通知运维人员。",
        "The other system sent an answer that cannot be used; the operator has been told.",
        Next::AskOperator;
    /// The system behind has failed several times; it is left alone for a while.
    pub const RESTING = "TB-UPS-0004", 503,
        "对方系统故障，暂停访问，请稍后再试。",
        "The other system is failing and is left alone for a while: try again later.",
        Next::TryLater;
}

pub fn tolds() -> Vec<&'static Told> {
    TOLDS.to_vec()
}

/// Why a call outside gave nothing usable.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("{host}: no connection: {why}")]
    Unreachable { host: String, why: String },
    #[error("{host}: no answer within {limit_ms} ms")]
    Late { host: String, limit_ms: u64 },
    #[error("{host}: answer is larger than {limit} octets")]
    TooLarge { host: String, limit: usize },
    #[error("{host}: answered {status}")]
    Status { host: String, status: u16 },
    #[error("{host}: answer cannot be read: {why}")]
    Unusable { host: String, why: String },
    #[error("{host}: resting after repeated failures")]
    Resting { host: String },
    #[error("TLS files: {0}")]
    Tls(String),
}

impl Explain for UpstreamError {
    fn told(&self) -> &'static Told {
        match self {
            Self::Unreachable { .. } => &UNREACHABLE,
            Self::Late { .. } => &LATE,
            Self::Resting { .. } => &RESTING,
            Self::TooLarge { .. } | Self::Status { .. } | Self::Unusable { .. } | Self::Tls(_) => &UNUSABLE,
        }
    }
}
