//! What the catalogue says no to.

use super::owner::PlaceFact;
use super::words::{Mode, Scope};
use crate::terms::refusal::tolds;
use crate::terms::{Day, Explain, ItemCode, Mistakes, Next, RegionCode, Told};

/// A question the catalogue cannot answer with yes.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    #[error("the catalogue's files have mistakes:\n{0}")]
    Faulty(Mistakes),
    #[error("{file}: {problem}")]
    File { file: String, problem: String },
    #[error("item {0} is not in the catalogue")]
    UnknownItem(ItemCode),
    #[error("place {0}: not even its province is known")]
    UnknownPlace(RegionCode),
    #[error("item {item}: no authority exercises it in {place}")]
    NobodyOwns { item: ItemCode, place: RegionCode },
    #[error("item {item}: owner unknown, {fact} is missing or too coarse")]
    OwnerUnknown { item: ItemCode, fact: PlaceFact },
    #[error("item {item}: {count} owners are possible, none is chosen")]
    OwnerAmbiguous { item: ItemCode, count: usize },
    #[error("item {item}: {chosen} is none of its possible owners")]
    NotACandidate { item: ItemCode, chosen: RegionCode },
    #[error("item {item}: the owner was chosen without a reason")]
    ChoiceWithoutReason { item: ItemCode },
    #[error("item {item}: needs {needed}, offered up to {widest}")]
    OutOfScope { item: ItemCode, needed: Scope, widest: Scope },
    #[error("item {item}: is not offered {mode}")]
    ModeNotOffered { item: ItemCode, mode: Mode },
    #[error("a limit of {0} working days is longer than any law knows")]
    LimitTooLong(u32),
    #[error("a pause from {from} to {to} runs backwards")]
    PauseBackwards { from: Day, to: Day },
    #[error("no working day is left in the calendar after {0}")]
    CalendarEnds(Day),
}

tolds! {
    /// The data files do not load; the gateway keeps the catalogue it has.
    pub const FAULTY = "TB-CAT-0001", 500,
        "事项目录数据有误，平台继续使用上一版本。",
        "The catalogue's files have mistakes; the last good version stays in use.",
        Next::AskOperator;
    pub const UNKNOWN_ITEM = "TB-CAT-0101", 404,
        "目录中没有该事项，请核对事项编码。",
        "The catalogue has no such item: check its code.",
        Next::CorrectAndResend;
    pub const UNKNOWN_PLACE = "TB-CAT-0102", 400,
        "行政区划代码不存在，请核对。",
        "The place is not in the directory of divisions: check its code.",
        Next::CorrectAndResend;
    pub const NOBODY_OWNS = "TB-CAT-0201", 422,
        "该地区没有承办此事项的部门，请到“办不成事”窗口反映。",
        "No authority exercises this item there: raise it at the stuck-case desk.",
        Next::GoToWindow;
    pub const OWNER_UNKNOWN = "TB-CAT-0202", 422,
        "尚不能确定承办地，请补充所需的地点信息。",
        "The owning place cannot be told yet: give the place the item asks for.",
        Next::CorrectAndResend;
    pub const OWNER_AMBIGUOUS = "TB-CAT-0203", 409,
        "有多个可能的承办地，请选择其一并填写理由。",
        "More than one place may own the case: choose one and give the reason.",
        Next::CorrectAndResend;
    pub const NOT_A_CANDIDATE = "TB-CAT-0204", 400,
        "所选承办地不在可选范围内。",
        "The chosen place is not one that may own the case.",
        Next::CorrectAndResend;
    pub const CHOICE_WITHOUT_REASON = "TB-CAT-0205", 400,
        "选择承办地须填写理由。",
        "Choosing the owning place needs a reason.",
        Next::CorrectAndResend;
    pub const OUT_OF_SCOPE = "TB-CAT-0301", 403,
        "该事项不能在本窗口异地办理，请到承办地办理。",
        "This item cannot be filed this far from its owner: file it there.",
        Next::GoToOwner;
    pub const MODE_NOT_OFFERED = "TB-CAT-0302", 403,
        "该事项不以此方式办理，请查看办事指南中的办理方式。",
        "This item is not handled in this way: see the modes in its guide.",
        Next::CorrectAndResend;
    pub const CLOCK = "TB-CAT-0401", 500,
        "办理期限无法计算，请联系平台运维人员。",
        "The due date cannot be computed.",
        Next::AskOperator;
}

impl Explain for CatalogueError {
    fn told(&self) -> &'static Told {
        match self {
            Self::Faulty(_) | Self::File { .. } => &FAULTY,
            Self::UnknownItem(_) => &UNKNOWN_ITEM,
            Self::UnknownPlace(_) => &UNKNOWN_PLACE,
            Self::NobodyOwns { .. } => &NOBODY_OWNS,
            Self::OwnerUnknown { .. } => &OWNER_UNKNOWN,
            Self::OwnerAmbiguous { .. } => &OWNER_AMBIGUOUS,
            Self::NotACandidate { .. } => &NOT_A_CANDIDATE,
            Self::ChoiceWithoutReason { .. } => &CHOICE_WITHOUT_REASON,
            Self::OutOfScope { .. } => &OUT_OF_SCOPE,
            Self::ModeNotOffered { .. } => &MODE_NOT_OFFERED,
            Self::LimitTooLong(_) | Self::PauseBackwards { .. } | Self::CalendarEnds(_) => &CLOCK,
        }
    }
}
