//! The closed lists of the catalogue, as `items.toml` and the other tables spell them.

use super::divisions::PlaceLevel;
use crate::terms::words::words;

words! {
    /// Case kinds (办件类型): they drive the clock. "Returned" (退办件) is an outcome, not a property of an item.
    pub enum CaseKind {
        /// Decided on the spot, the same working day.
        Immediate = "immediate", "即办件", "immediate";
        /// Decided within the promised working days.
        Promised = "promised", "承诺件", "promised";
        /// Several departments, one lead.
        Joint = "joint", "联办件", "joint";
        /// The local office examines, a superior decides.
        Escalated = "escalated", "上报件", "escalated";
    }
}

words! {
    /// How the owning jurisdiction is found.
    pub enum OwnerRule {
        Household = "household", "户籍地", "household registration";
        Residence = "residence", "居住地", "residence";
        Destination = "destination", "迁入地/转入地", "destination of the move or transfer";
        InsuredAt = "insured_at", "参保地", "place insured";
        FundAt = "fund_at", "公积金缴存地", "place of the housing fund account";
        PropertyAt = "property_at", "房屋或场所所在地", "place of the property or premises";
        RegisteredAt = "registered_at", "登记机关所在地", "registering authority";
        Issuer = "issuer", "发证机关所在地", "issuing authority";
        Any = "any", "任一", "any authority";
    }
}

words! {
    /// Cross-region modes (国办发〔2020〕35号).
    pub enum Mode {
        Online = "online", "全程网办", "fully online";
        Proxy = "proxy", "异地代收代办", "collected elsewhere for the owner";
        Joint = "joint", "多地联办", "several regions jointly";
    }
}

words! {
    /// How far from the owner an item may be filed, small to large.
    pub enum Scope {
        Town = "town", "跨镇通办", "between towns of a county";
        City = "city", "全市通办", "city-wide";
        Province = "province", "省内通办", "province-wide";
        Nation = "nation", "跨省通办", "nationwide";
    }
}

words! {
    /// Levels that exercise a power (行使层级), wide to narrow.
    pub enum Level {
        Province = "province", "省级", "provincial";
        Prefecture = "prefecture", "市级", "prefecture";
        County = "county", "县级", "county";
        Town = "town", "乡镇级", "town";
        Village = "village", "村级", "village";
    }
}

impl Level {
    /// The level digit of an implementation code; 1 is national.
    pub fn digit(self) -> u8 {
        match self {
            Self::Province => 2,
            Self::Prefecture => 3,
            Self::County => 4,
            Self::Town => 5,
            Self::Village => 6,
        }
    }
}

impl From<PlaceLevel> for Level {
    fn from(level: PlaceLevel) -> Self {
        match level {
            PlaceLevel::Province => Self::Province,
            PlaceLevel::Prefecture => Self::Prefecture,
            PlaceLevel::County | PlaceLevel::Functional => Self::County,
            PlaceLevel::Town => Self::Town,
            PlaceLevel::Village => Self::Village,
        }
    }
}

words! {
    /// Where a material comes from.
    pub enum Source {
        Citizen = "citizen", "申请人提交", "handed in by the applicant";
        /// The authorisation paper of an agent.
        Agent = "agent", "代理人提交", "handed in by the agent";
        Licence = "licence", "电子证照", "electronic licence";
        Shared = "shared", "数据共享", "shared data";
    }
}

words! {
    /// How a result may travel.
    pub enum Delivery {
        Window = "window", "窗口领取", "collected at the window";
        Electronic = "electronic", "电子送达", "electronic";
        Mail = "mail", "邮寄送达", "mail";
        SelfService = "self_service", "自助终端打印", "self-service terminal";
    }
}

words! {
    /// Who may apply.
    pub enum Subject {
        Natural = "natural", "自然人", "natural person";
        Legal = "legal", "法人", "legal person";
    }
}

words! {
    /// Who holds a licence of a type.
    pub enum Holder {
        Natural = "natural", "自然人", "natural person";
        Legal = "legal", "法人", "legal person";
        Both = "both", "自然人或法人", "natural or legal person";
    }
}

words! {
    /// Whether licences of a type end on a date.
    pub enum Validity {
        Dated = "dated", "有有效期", "dated";
        None = "none", "长期有效", "without end";
    }
}

words! {
    /// Sharing classes of the Government Data Sharing Regulation.
    pub enum SharingClass {
        Unconditional = "unconditional", "无条件共享", "unconditional";
        Conditional = "conditional", "有条件共享", "conditional";
        Denied = "denied", "不予共享", "denied";
    }
}

words! {
    /// Item types that begin on application (依申请), by the digits 3–4 of the basic code.
    pub enum ItemType {
        Licensing = "01", "行政许可", "administrative licensing";
        Payment = "05", "行政给付", "payment";
        Confirmation = "07", "行政确认", "confirmation";
        Reward = "08", "行政奖励", "reward";
        Adjudication = "09", "行政裁决", "adjudication";
        Other = "10", "其他行政权力", "other power";
        PublicService = "20", "公共服务", "public service";
    }
}
