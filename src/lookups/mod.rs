//! Floor 5: shared data for a stated purpose: asked once, kept for a while, never for another purpose.
//!
//! ```text
//!  question (resource · subject · purpose · fields) ─▶ key ─▶ cache ──hit──▶ Fact (age, cached)
//!                                                              │miss (one call for all who wait)
//!                                                              └─▶ provider ─▶ only the asked fields ─▶ Fact
//! ```
//! Whether somebody may ask at all is the policy's answer, given before; every hit is put on record like a call.

pub mod cache;
pub mod provider;

pub use cache::{Answer, Changed, Fact, Keeping, Lookups, Question};

use crate::terms::refusal::tolds;
use crate::terms::{Explain, Next, Told};
use crate::upstream::UpstreamError;

tolds! {
    /// Nobody answers for this resource here.
    pub const NO_PROVIDER = "TB-LKP-0001", 404,
        "该数据资源在本地区没有提供方，请按办事指南提交材料或作出承诺。",
        "Nobody provides this data here: hand in the material or give an undertaking.",
        Next::CorrectAndResend;
    /// The provider does not answer; the person is not sent home.
    pub const PROVIDER_DOWN = "TB-LKP-0002", 503,
        "数据提供部门暂时无法查询：可由申请人签署承诺书先行办理，或稍后重试，请勿让群众补交材料。",
        "The data provider does not answer: take an undertaking or try again; do not send the person home for paper.",
        Next::TryLater;
    /// The provider knows nobody of that number.
    pub const UNKNOWN_SUBJECT = "TB-LKP-0003", 404,
        "数据提供部门没有查到该人员的记录，请核对证件号码。",
        "The provider has no record of this person: check the number.",
        Next::CorrectAndResend;
    /// The provider's answer is not of the agreed form.
    pub const BAD_ANSWER = "TB-LKP-0004", 502,
        "数据提供部门返回的内容不符合约定，已通知运维人员：可由申请人签署承诺书先行办理，或稍后重试，请勿让群众补交材料。",
        "The provider's answer is not of the agreed form and the operator has been told: take an undertaking or try again later; do not send the person home for paper.",
        Next::TryLater;
}

pub fn tolds() -> Vec<&'static Told> {
    TOLDS.to_vec()
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum LookupError {
    #[error("no provider for {0}")]
    NoProvider(String),
    #[error("provider of {resource}: {why}")]
    Down { resource: String, why: String },
    #[error("provider of {0} has no such subject")]
    UnknownSubject(String),
    /// The gateway where the data are does not find the person's consent, or not good.
    #[error("{resource}: {told}", told = told.code)]
    NotAgreed { resource: String, told: &'static Told },
    #[error("provider of {resource}: answer not usable: {why}")]
    BadAnswer { resource: String, why: String },
}

impl LookupError {
    fn from_upstream(resource: &str, error: &UpstreamError) -> Self {
        Self::Down { resource: resource.to_owned(), why: error.to_string() }
    }
}

impl Explain for LookupError {
    fn told(&self) -> &'static Told {
        match self {
            Self::NoProvider(_) => &NO_PROVIDER,
            Self::Down { .. } => &PROVIDER_DOWN,
            Self::UnknownSubject(_) => &UNKNOWN_SUBJECT,
            Self::BadAnswer { .. } => &BAD_ANSWER,
            Self::NotAgreed { told, .. } => told,
        }
    }
}
