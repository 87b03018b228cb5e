//! What the issuer's register says of a licence at the time of use: a genuine seal does not tell that it was lost since.

use crate::terms::refusal::tolds;
use crate::terms::words::words;
use crate::terms::{Explain, Lang, Next, Told};

tolds! {
    /// Out of force, for a time or for good.
    pub const NOT_IN_FORCE = "TB-LIC-0401", 422,
        "颁证机关登记该证照已过期、暂扣、冻结、挂失或注销，不能使用，请先向颁证机关办理。",
        "The issuer's register has this licence as expired, suspended, lost or cancelled: settle it with the issuer first.",
        Next::BringOriginal;
    /// Taken away as a penalty, or granted unlawfully.
    pub const TAKEN_AWAY = "TB-LIC-0402", 422,
        "颁证机关登记该证照已吊销或撤销，不能使用，已记录。",
        "The issuer has revoked or annulled this licence: it cannot be used; this is on record.",
        Next::Stop;
    /// A newer version exists.
    pub const SUPERSEDED = "TB-LIC-0403", 422,
        "该证照已换版，请提交新版证照。",
        "A newer version of this licence exists: send that one.",
        Next::CorrectAndResend;
    /// The issuer knows no such licence.
    pub const NOT_REGISTERED = "TB-LIC-0404", 422,
        "颁证机关没有该证照的登记，请出示证照原件并向颁证机关核实。",
        "The issuer has no record of this licence: bring the original and ask the issuer.",
        Next::BringOriginal;
}

words! {
    /// Status of a licence in its issuer's register (证照状态).
    pub enum Status {
        Valid = "valid", "有效", "valid";
        Expired = "expired", "过期", "expired";
        Suspended = "suspended", "暂扣", "suspended";
        Frozen = "frozen", "冻结", "frozen";
        Lost = "lost", "挂失", "reported lost";
        /// Taken away as a penalty.
        Revoked = "revoked", "吊销", "revoked";
        /// The grant was unlawful: no good for past use either.
        Annulled = "annulled", "撤销", "annulled";
        Cancelled = "cancelled", "注销", "cancelled";
        Superseded = "superseded", "换版", "superseded";
    }
}

impl Status {
    /// Reads the word of either language; `None` for any other: what is not understood is not valid.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::ALL.iter().copied().find(|status| status.word() == text || status.name(Lang::Zh) == text)
    }

    /// # Errors
    /// [`NotUsable`] for everything but `valid`.
    pub fn usable(self) -> Result<(), NotUsable> {
        match self {
            Self::Valid => Ok(()),
            other => Err(NotUsable::Status(other)),
        }
    }
}

/// Why a licence whose seal holds cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotUsable {
    #[error("the issuer's register says: {}", .0.word())]
    Status(Status),
    #[error("the issuer has no record of it")]
    NotRegistered,
}

impl NotUsable {
    /// For machines.
    pub fn word(self) -> &'static str {
        match self {
            Self::Status(status) => status.word(),
            Self::NotRegistered => "not_registered",
        }
    }
}

impl Explain for NotUsable {
    fn told(&self) -> &'static Told {
        match self {
            Self::Status(Status::Revoked | Status::Annulled) => &TAKEN_AWAY,
            Self::Status(Status::Superseded) => &SUPERSEDED,
            Self::Status(_) => &NOT_IN_FORCE,
            Self::NotRegistered => &NOT_REGISTERED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_valid_can_be_used() {
        for (word, zh, code) in [
            ("valid", "有效", None),
            ("expired", "过期", Some("TB-LIC-0401")),
            ("suspended", "暂扣", Some("TB-LIC-0401")),
            ("frozen", "冻结", Some("TB-LIC-0401")),
            ("lost", "挂失", Some("TB-LIC-0401")),
            ("revoked", "吊销", Some("TB-LIC-0402")),
            ("annulled", "撤销", Some("TB-LIC-0402")),
            ("cancelled", "注销", Some("TB-LIC-0401")),
            ("superseded", "换版", Some("TB-LIC-0403")),
        ] {
            let (one, other) = (Status::read(word), Status::read(&format!(" {zh} ")));
            assert_eq!(one, other, "{word}");
            let told = one.unwrap().usable().err().map(|no| no.told().code);
            assert_eq!(told, code, "{word}");
        }
        for other in ["", "ok", "VALID", "有效的", "null"] {
            assert_eq!(Status::read(other), None, "{other}");
        }
    }
}
