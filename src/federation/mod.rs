//! Floor 5: the signed directory of the federation: who is who, and who owns where.
//!
//! ```text
//!  operator's JWS ─signature─▶ dates ─▶ version no older than ours ─▶ Directory (a snapshot)
//!                                                                       ├─ owner of a place: longest prefix
//!                                                                       ├─ what a member may speak for
//!                                                                       └─ anchors, issuers, log keys
//! ```

pub mod directory;
pub mod signed;

pub use directory::{Directory, Issuer, Member};

use crate::terms::refusal::tolds;
use crate::terms::{Explain, Next, RegionCode, Told};

tolds! {
    /// The directory cannot be used.
    pub const BAD_DIRECTORY = "TB-FED-0001", 503,
        "联盟目录不可用，跨区域业务暂停，已通知运维人员。",
        "The federation directory cannot be used; cross-region service is paused and the operator told.",
        Next::AskOperator;
    /// No member of the federation works for this place.
    pub const NO_MEMBER = "TB-FED-0002", 422,
        "该地区尚未接入通办联盟，请到当地窗口办理。",
        "No member of the federation works for this place: go to a window there.",
        Next::GoToOwner;
    /// The caller is not the member it says it is, or speaks for a place that is not its own.
    pub const NOT_THAT_MEMBER = "TB-FED-0003", 403,
        "对方网关身份与联盟目录不符，已拒绝并记录。",
        "The other gateway is not the member it claims to be; refused and recorded.",
        Next::AskOperator;
}

pub fn tolds() -> Vec<&'static Told> {
    TOLDS.to_vec()
}

#[derive(Debug, thiserror::Error)]
pub enum FederationError {
    #[error("directory: {0}")]
    Directory(String),
    #[error("directory: signature does not verify under the operator's key")]
    Signature,
    #[error("directory: version {got} is older than {have}")]
    Rollback { got: u64, have: u64 },
    #[error("directory: expired at {0}")]
    Expired(crate::terms::UnixMillis),
    #[error("no member works for {0}")]
    NoMember(RegionCode),
    #[error("{0}")]
    NotThatMember(String),
}

impl Explain for FederationError {
    fn told(&self) -> &'static Told {
        match self {
            Self::NoMember(_) => &NO_MEMBER,
            Self::NotThatMember(_) => &NOT_THAT_MEMBER,
            _ => &BAD_DIRECTORY,
        }
    }
}
