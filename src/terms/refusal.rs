//! How to say no: a stable code, a sentence for the person at the window, the next step.

use std::fmt;

/// One way of saying no. Every room lists its own with [`tolds!`]; `docs/errors.md` is the list of them all.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// Never changes once printed, e.g. `TB-LIC-0101`.
    pub code: &'static str,
    /// HTTP status of the answer.
    pub status: u16,
    /// What the clerk reads first.
    pub zh: &'static str,
    pub en: &'static str,
    pub next: Next,
}

/// What the person at the window does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Mend the request and send it again.
    CorrectAndResend,
    /// Authenticate again (a new token, a new proof).
    SignInAgain,
    /// Authenticate at a higher real-name level.
    StepUp,
    /// Bring the paper original, or a newly issued licence.
    BringOriginal,
    /// Send again later; what has a receipt is kept.
    TryLater,
    /// File at a window of the named or owning authority.
    GoToOwner,
    /// File at a government window instead of an outlet.
    GoToWindow,
    /// The operator of this gateway has to act.
    AskOperator,
    /// Nothing can be done here; remedies are on the paper.
    Stop,
}

impl Next {
    /// Stable word for machines.
    pub fn word(self) -> &'static str {
        match self {
            Self::CorrectAndResend => "correct_and_resend",
            Self::SignInAgain => "sign_in_again",
            Self::StepUp => "step_up",
            Self::BringOriginal => "bring_original",
            Self::TryLater => "try_later",
            Self::GoToOwner => "go_to_owner",
            Self::GoToWindow => "go_to_window",
            Self::AskOperator => "ask_operator",
            Self::Stop => "stop",
        }
    }

    /// The step in words: (zh, en).
    pub fn sentence(self) -> (&'static str, &'static str) {
        match self {
            Self::CorrectAndResend => ("请更正后重新提交。", "Correct it and send it again."),
            Self::SignInAgain => ("请重新登录后再办理。", "Sign in again, then continue."),
            Self::StepUp => ("请完成更高等级的身份核验。", "Verify identity at a higher level."),
            Self::BringOriginal => {
                ("请携带证照原件或重新签发后再来。", "Bring the original, or have the licence issued again.")
            }
            Self::TryLater => {
                ("请稍后再试；已取得回执的材料不会丢失。", "Try again later; what has a receipt is kept.")
            }
            Self::GoToOwner => ("请到有权办理的部门办理。", "Go to the authority that owns the matter."),
            Self::GoToWindow => ("请到政务服务窗口办理。", "Go to a government service window."),
            Self::AskOperator => ("请联系平台运维人员。", "Ask the operator of the platform."),
            Self::Stop => ("本事项到此结束，可依法申请救济。", "This ends here; legal remedies remain open."),
        }
    }
}

/// Every error enum says which of its room's answers it is.
pub trait Explain: std::error::Error {
    fn told(&self) -> &'static Told;
}

/// A no on its way to the person who asked. Made from any [`Explain`]; turned into an answer in one place (`http`).
#[derive(Debug)]
pub struct Refusal {
    pub told: &'static Told,
    /// HTTP status of the answer: that of the code, but where a protocol sets another.
    pub status: u16,
    /// For the operator: what happened, without personal data or secrets.
    pub detail: String,
    /// Further members of the problem document, e.g. the rule ids of a denial.
    pub members: Vec<(&'static str, serde_json::Value)>,
    /// Header lines of the answer, e.g. `WWW-Authenticate`.
    pub headers: Vec<(&'static str, String)>,
    /// What was refused, where a person should be able to see it; for the line in the log, not for the answer.
    pub about: Option<Box<About>>,
    /// The reason for the line in the log, where the answer must not tell it: that a case is not yours would say that it is there.
    pub because: Option<Box<Refusal>>,
}

/// A refused look at somebody's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Pseudonym of the person.
    pub subject: String,
    /// What was asked for.
    pub resource: String,
    pub purpose: Option<String>,
    pub item: Option<super::ItemCode>,
    /// What it would have rested on, as the log names it: that by which it was judged.
    pub basis: Option<String>,
}

impl Refusal {
    pub fn new(told: &'static Told, detail: impl Into<String>) -> Self {
        let (members, headers) = (Vec::new(), Vec::new());
        Self { told, status: told.status, detail: detail.into(), members, headers, about: None, because: None }
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<serde_json::Value>) -> Self {
        self.members.push((name, value.into()));
        self
    }

    /// The same, about somebody.
    #[must_use]
    pub fn about(mut self, about: About) -> Self {
        self.about = Some(Box::new(about));
        self
    }

    /// The same answer, with its reason for the log.
    #[must_use]
    pub fn because(mut self, reason: Refusal) -> Self {
        self.because = Some(Box::new(reason));
        self
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.told.code, self.detail)
    }
}

impl<E: Explain> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::new(error.told(), error.to_string())
    }
}

/// Declares a room's answers as constants, and `TOLDS`, the list of them.
macro_rules! tolds {
    ($($(#[$doc:meta])* $vis:vis const $name:ident = $code:literal, $status:literal, $zh:literal, $en:literal, $next:expr;)+) => {
        $($(#[$doc])* $vis const $name: $crate::terms::Told =
            $crate::terms::Told { code: $code, status: $status, zh: $zh, en: $en, next: $next };)+
        /// All answers of this room, for `docs/errors.md`.
        pub const TOLDS: &[&$crate::terms::Told] = &[$(&$name),+];
    };
}
pub(crate) use tolds;
