//! One request for a decision: who wants to do what, to what, under which circumstances.

use serde::{Deserialize, Serialize};

use super::facts::*;
use super::who::{Kind, Mandate, Who, words};
use crate::terms::{CaseNo, ItemCode, RegionCode};

words! {
    /// Every act a rule can speak about; each is an action of the schema.
    Act {
        File = "file",
        Receive = "receive",
        Accept = "accept",
        /// 不予受理
        Refuse = "refuse",
        /// 一次性补正告知
        Supplement = "supplement",
        /// 退件
        Return = "return",
        Examine = "examine",
        Decide = "decide",
        Deliver = "deliver",
        Withdraw = "withdraw",
        Extend = "extend",
        /// 特别程序
        Suspend = "suspend",
        /// 转报; also what a window does instead of refusing.
        Escalate = "escalate",
        Terminate = "terminate",
        /// A supervisor's warning card.
        Warn = "warn",
        Read = "read",
        List = "list",
        LookUp = "lookUp",
        ServeLookup = "serveLookup",
        Pass = "pass",
        VerifyLicence = "verifyLicence",
        ExchangeToken = "exchangeToken",
        ReceiveFromPeer = "receiveFromPeer",
        ReadLog = "readLog",
        /// Check the log and take evidence away.
        Audit = "audit",
        Administer = "administer",
    }
}

words! {
    /// Acts on a case that exists.
    CaseAct {
        Receive = "receive",
        Accept = "accept",
        Refuse = "refuse",
        Supplement = "supplement",
        Return = "return",
        Examine = "examine",
        Decide = "decide",
        Deliver = "deliver",
        Withdraw = "withdraw",
        Extend = "extend",
        Suspend = "suspend",
        Escalate = "escalate",
        Terminate = "terminate",
        Warn = "warn",
        Read = "read",
    }
}

words! {
    /// Why a case goes back (退件) or is stopped.
    Ground {
        None = "none",
        WrongOwner = "wrong_owner",
        Unreadable = "unreadable",
        SupplementExpired = "supplement_expired",
        OwnerRecall = "owner_recall",
        ConditionsUnmet = "conditions_unmet",
        Other = "other",
    }
}

words! {
    /// What an operator changes.
    Operation {
        Reload = "reload",
        Drain = "drain",
        Contract = "contract",
        /// Switch off an outlet, a terminal, a certificate.
        Revoke = "revoke",
        /// Issue a certificate to a terminal that a contract lists.
        Enrol = "enrol",
        /// Destroy the key of a closed case.
        Shred = "shred",
        /// Keep a case's key from being destroyed.
        Hold = "hold",
        /// Let it be destroyed again.
        Release = "release",
        Keys = "keys",
        Policy = "policy",
        Directory = "directory",
        Catalogue = "catalogue",
    }
}

impl From<CaseAct> for Act {
    fn from(act: CaseAct) -> Self {
        match act {
            CaseAct::Receive => Self::Receive,
            CaseAct::Accept => Self::Accept,
            CaseAct::Refuse => Self::Refuse,
            CaseAct::Supplement => Self::Supplement,
            CaseAct::Return => Self::Return,
            CaseAct::Examine => Self::Examine,
            CaseAct::Decide => Self::Decide,
            CaseAct::Deliver => Self::Deliver,
            CaseAct::Withdraw => Self::Withdraw,
            CaseAct::Extend => Self::Extend,
            CaseAct::Suspend => Self::Suspend,
            CaseAct::Escalate => Self::Escalate,
            CaseAct::Terminate => Self::Terminate,
            CaseAct::Warn => Self::Warn,
            CaseAct::Read => Self::Read,
        }
    }
}

/// A request for a decision. Two equal asks get the same answer from the same rules: it is also the memo's key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// File a case for an item.
    File(Filing),
    /// Do something with a case, or read it.
    Step(Step),
    /// List cases.
    List(Listing),
    /// Ask shared data, here.
    LookUp(Lookup),
    /// Answer a lookup that a peer gateway sends us.
    ServeLookup(Lookup),
    /// Pass a live request to a department's system.
    Pass(Passing),
    VerifyLicence(LicenceCheck),
    /// Exchange a citizen's token for one of the gateway with `act` (RFC 8693).
    ExchangeToken(Exchange),
    /// Take a sealed case file from a peer gateway.
    ReceiveFromPeer(Arrival),
    /// Read entries of the audit log.
    ReadLog(LogReading),
    /// Check the log, take evidence away.
    Audit(LogReading),
    Administer(Administration),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filing {
    pub who: Who,
    pub item: ItemFacts,
    pub mode: Mode,
    /// How far the counter is from the owner.
    pub scope: Scope,
    pub applicant: Person,
    /// Charged for helping, in fen. Public agents and outlets help for free.
    pub fee_fen: u32,
    /// Papers the applicant is told to bring.
    #[serde(default)]
    pub demanded: Vec<Demand>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub act: CaseAct,
    pub who: Who,
    pub case: CaseFacts,
    /// The mandate under which a window accepts or decides for the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mandate: Option<Mandate>,
    /// Complete and in legal form, or every gap deferrable with an undertaking (容缺受理).
    #[serde(default)]
    pub complete: bool,
    /// A decision that grants; refusals state reasons.
    #[serde(default)]
    pub grant: bool,
    /// Reasons are given in writing.
    #[serde(default)]
    pub reasons: bool,
    #[serde(default = "no_ground")]
    pub ground: Ground,
    #[serde(default)]
    pub demanded: Vec<Demand>,
}

fn no_ground() -> Ground {
    Ground::None
}

/// A list of cases: of one person, of one organisation, or of a place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    pub who: Who,
    pub gateway: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_person: Option<String>,
    /// Collected or owned by this organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_org: Option<String>,
    /// Place of the gateway whose cases are listed.
    pub place: RegionCode,
    /// Ended cases as well.
    pub ended: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    pub who: Who,
    pub resource: DataResource,
    /// Whom the question is about.
    pub subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemCode>,
    /// The item's entry in the catalogue lists the resource, with a legal basis.
    #[serde(default)]
    pub item_lists: bool,
    /// That entry names the purpose for the resource; `None` in a question of before entries named any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose_listed: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseLink>,
    /// Fields asked for; none for a yes/no question.
    #[serde(default)]
    pub asked: Vec<String>,
    #[serde(default)]
    pub consent: bool,
    /// Place of the requester.
    pub requester: RegionCode,
}

/// The purpose that every entry of an item that names a resource names for it.
const CASE: &str = "case";

impl Lookup {
    /// Whether the entry names the purpose. While entries named none, each stood for handling the case and for nothing else: a
    /// question of then is judged as what it was.
    pub fn purpose_listed(&self) -> bool {
        self.purpose_listed.unwrap_or_else(|| self.item_lists && self.purpose.as_deref() == Some(CASE))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passing {
    pub who: Who,
    pub route: RouteFacts,
    /// The person behind the window, when the principal is not that person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicenceCheck {
    pub who: Who,
    pub licence: LicenceFacts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseLink>,
    /// The holder consented, or gave a one-time use code (用证码).
    #[serde(default)]
    pub consent: bool,
    /// Real-name level of the session in which the holder consents; none where it is no session's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_level: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// The actor.
    pub who: Who,
    pub gateway: String,
    /// The subject, whose token is exchanged.
    pub person: Person,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemCode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Bound to a key of the device (DPoP or client certificate).
    #[serde(default)]
    pub bound: bool,
    /// Actors in the chain after this exchange.
    pub depth: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrival {
    pub who: Who,
    pub case: CaseFacts,
    /// Places this gateway serves.
    pub here: Vec<RegionCode>,
    /// The place whose identity provider vouches for the applicant, as the peer asserts it.
    pub vouched_at: RegionCode,
    pub applicant: Person,
    /// The item as our own catalogue says it: the other end's word is not enough.
    pub item: ItemFacts,
    /// Who collected the case at the other end.
    pub via: Kind,
    pub mode: Mode,
    pub scope: Scope,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogReading {
    pub who: Who,
    pub log: String,
    /// Place of the gateway whose log it is.
    pub place: RegionCode,
    /// Only entries about this person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Full identity numbers are wanted.
    pub unmasked: bool,
    /// Written ground for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ground: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Administration {
    pub who: Who,
    pub gateway: String,
    pub operation: Operation,
    /// The second person who approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
}

impl Ask {
    /// The whole story in one call, for the commonest ask: somebody files.
    pub fn file(who: Who, item: ItemFacts, mode: Mode, scope: Scope, applicant: Person) -> Self {
        Self::File(Filing { who, item, mode, scope, applicant, fee_fen: 0, demanded: Vec::new() })
    }

    /// Somebody does something with a case, or reads it; set what else is known on the [`Step`].
    pub fn step(act: CaseAct, who: Who, case: CaseFacts) -> Step {
        let (mandate, demanded) = (None, Vec::new());
        Step { act, who, case, mandate, complete: false, grant: false, reasons: false, ground: Ground::None, demanded }
    }

    pub fn act(&self) -> Act {
        match self {
            Self::File(_) => Act::File,
            Self::Step(a) => a.act.into(),
            Self::List(_) => Act::List,
            Self::LookUp(_) => Act::LookUp,
            Self::ServeLookup(_) => Act::ServeLookup,
            Self::Pass(_) => Act::Pass,
            Self::VerifyLicence(_) => Act::VerifyLicence,
            Self::ExchangeToken(_) => Act::ExchangeToken,
            Self::ReceiveFromPeer(_) => Act::ReceiveFromPeer,
            Self::ReadLog(_) => Act::ReadLog,
            Self::Audit(_) => Act::Audit,
            Self::Administer(_) => Act::Administer,
        }
    }

    pub fn who(&self) -> &Who {
        match self {
            Self::File(a) => &a.who,
            Self::Step(a) => &a.who,
            Self::List(a) => &a.who,
            Self::LookUp(a) | Self::ServeLookup(a) => &a.who,
            Self::Pass(a) => &a.who,
            Self::VerifyLicence(a) => &a.who,
            Self::ExchangeToken(a) => &a.who,
            Self::ReceiveFromPeer(a) => &a.who,
            Self::ReadLog(a) | Self::Audit(a) => &a.who,
            Self::Administer(a) => &a.who,
        }
    }

    /// The resource as (entity type, id).
    pub fn resource(&self) -> (&'static str, String) {
        match self {
            Self::File(a) => ("Item", a.item.code.to_string()),
            Self::Step(a) => ("Case", a.case.no.to_string()),
            Self::List(a) => ("Gateway", a.gateway.clone()),
            Self::LookUp(a) | Self::ServeLookup(a) => ("Resource", a.resource.id.clone()),
            Self::Pass(a) => ("Route", a.route.id.clone()),
            Self::VerifyLicence(a) => ("Licence", a.licence.id.clone()),
            Self::ExchangeToken(a) => ("Gateway", a.gateway.clone()),
            Self::ReceiveFromPeer(a) => ("Case", a.case.no.to_string()),
            Self::ReadLog(a) | Self::Audit(a) => ("Log", a.log.clone()),
            Self::Administer(a) => ("Gateway", a.gateway.clone()),
        }
    }

    pub fn item(&self) -> Option<ItemCode> {
        match self {
            Self::File(a) => Some(a.item.code),
            Self::Step(a) => Some(a.case.item),
            Self::LookUp(a) | Self::ServeLookup(a) => a.item,
            Self::ExchangeToken(a) => a.item,
            Self::ReceiveFromPeer(a) => Some(a.case.item),
            _ => None,
        }
    }

    pub fn case(&self) -> Option<CaseNo> {
        match self {
            Self::Step(a) => Some(a.case.no),
            Self::LookUp(a) | Self::ServeLookup(a) => a.case.as_ref().map(|c| c.no),
            Self::VerifyLicence(a) => a.case.as_ref().map(|c| c.no),
            Self::ReceiveFromPeer(a) => Some(a.case.no),
            _ => None,
        }
    }

    pub fn purpose(&self) -> Option<&str> {
        match self {
            Self::LookUp(a) | Self::ServeLookup(a) => a.purpose.as_deref(),
            Self::VerifyLicence(a) => a.purpose.as_deref(),
            Self::ExchangeToken(a) => a.purpose.as_deref(),
            _ => None,
        }
    }

    /// The real-name level and greatest age (minutes; `None` for any) the act needs, for the step-up challenge of RFC 9470.
    pub fn level_needed(&self) -> Option<(u8, Option<u32>)> {
        match self {
            Self::File(a) => Some((a.item.min_level, Some(a.item.max_level_age_min))),
            Self::ReceiveFromPeer(a) => Some((a.item.min_level, Some(a.item.max_level_age_min))),
            Self::Pass(a) => Some((a.route.min_level, Some(a.route.max_level_age_min))),
            Self::Step(a) if matches!(a.act, CaseAct::Read | CaseAct::Withdraw) => Some((OWN_LEVEL, None)),
            Self::List(_) | Self::ReadLog(_) | Self::VerifyLicence(_) => Some((OWN_LEVEL, None)),
            _ => None,
        }
    }
}

/// The level that the shipped rules want of whoever reads, lists or withdraws what is their own, or consents.
const OWN_LEVEL: u8 = 2;

impl Ask {
    /// Size of the ask as JSON, in bytes, without making it: what the memo weighs.
    pub(super) fn text_bytes(&self) -> usize {
        struct Count(usize);
        impl std::io::Write for Count {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0 += bytes.len();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut count = Count(0);
        // Fails for maps with odd keys only; an ask has none. Should it ever: too heavy to keep.
        serde_json::to_writer(&mut count, self).map_or(usize::MAX / 2, |()| count.0)
    }
}
