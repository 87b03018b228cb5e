//! What is asked about: items, cases, shared data, licences, routes, and the materials somebody is told to bring.

use serde::{Deserialize, Serialize};

use super::who::{OutletKind, words};
use crate::terms::{CaseNo, ItemCode, RegionCode};

words! {
    /// Whether somebody must stand before the authority in person.
    Presence {
        None = "none",
        /// Face or fingerprints taken by the authority.
        Biometric = "biometric",
        /// Both parties in person, e.g. a marriage.
        Both = "both",
    }
}

words! {
    /// Cross-region mode (国办发〔2020〕35号).
    Mode {
        Online = "online",
        Proxy = "proxy",
        Joint = "joint",
    }
}

words! {
    /// How far the counter is from the owning place.
    Scope {
        /// Counter and owner are the same town.
        Local = "local",
        Town = "town",
        City = "city",
        Province = "province",
        Nation = "nation",
    }
}

words! {
    /// Case states of the lifecycle, as far as rules look at them.
    State {
        Draft = "draft",
        Filed = "filed",
        Received = "received",
        SupplementPending = "supplement_pending",
        Accepted = "accepted",
        InReview = "in_review",
        Escalated = "escalated",
        Suspended = "suspended",
        Decided = "decided",
        Delivering = "delivering",
        /// Delivered, returned, not accepted, withdrawn, terminated or archived.
        Ended = "ended",
    }
}

words! {
    /// Sharing class (政务数据共享条例).
    SharingClass {
        Unconditional = "unconditional",
        Conditional = "conditional",
        Denied = "denied",
    }
}

words! {
    /// How a resource answers.
    AnswerForm {
        Fields = "fields",
        YesNo = "yes_no",
    }
}

words! {
    /// Where a demanded material can be had without the citizen.
    Source {
        /// Only the citizen has it.
        Citizen = "citizen",
        /// An electronic licence can be had.
        Licence = "licence",
        /// Sharing between departments gives it.
        Shared = "shared",
        /// A department of the same government issued it.
        IssuedHere = "issued_here",
        /// Already handed in as an electronic material with seal and signature.
        Sealed = "sealed",
    }
}

/// An item as the catalogue in force says it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemFacts {
    pub code: ItemCode,
    /// The place whose authority owns this filing, by the item's owner rule.
    pub owner: RegionCode,
    pub presence: Presence,
    pub min_level: u8,
    /// How old the proof of identity may be, in minutes.
    pub max_level_age_min: u32,
    pub modes: Vec<Mode>,
    pub scopes: Vec<Scope>,
    #[serde(default)]
    pub outlet_kinds: Vec<OutletKind>,
    /// Agents may file it.
    #[serde(default)]
    pub agents: bool,
    /// On the list of items kept out of the hall (负面清单).
    pub excluded: bool,
    /// A legal basis is named.
    #[serde(default)]
    pub basis: bool,
}

/// A material somebody is told to bring as paper.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demand {
    /// Licence type, data resource or name in the guide, e.g. `LT-ID`.
    pub material: String,
    pub source: Source,
    /// The guide version in force at filing lists it.
    #[serde(default)]
    pub in_guide: bool,
    /// It was handed in before in this case.
    #[serde(default)]
    pub again: bool,
}

/// The person in whose name something is done, when that is not the principal.
///
/// Level and age are those of the proof of identity that the counter, or the paper of authority, rests on. For a
/// principal of kind `Citizen` the rules look at the principal's own session instead.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    pub id: String,
    #[serde(default)]
    pub level: u8,
    /// Whole minutes since that level was proven, rounded up.
    pub level_age_min: u32,
    /// Stands at the counter, checked against the card.
    #[serde(default)]
    pub present: bool,
}

/// A case as the owner's or the collecting gateway's records say it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFacts {
    pub no: CaseNo,
    pub item: ItemCode,
    pub owner: RegionCode,
    /// The authority that owns it (credit code).
    pub authority: String,
    pub applicant: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    pub state: State,
    /// Who received it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<String>,
    /// Everyone who examined it.
    #[serde(default)]
    pub examiners: Vec<String>,
    /// Organisation of the counter that collected it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected_by: Option<String>,
    /// Place of that counter; the owner's own when it was filed there.
    pub collected_at: RegionCode,
    pub presence: Presence,
    /// Decided on the spot (即办件).
    #[serde(default)]
    pub immediate: bool,
    /// Supplement notices sent so far.
    pub supplements: u32,
    /// The limit was extended before.
    pub extended: bool,
}

/// A shared-data resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataResource {
    /// E.g. `DR-HH`.
    pub id: String,
    pub class: SharingClass,
    pub answers: AnswerForm,
    /// Place of the providing department.
    pub provider: RegionCode,
    /// 1–4.
    pub sensitivity: u8,
    /// Fields the item's entry allows.
    #[serde(default)]
    pub fields: Vec<String>,
    /// The person's consent is needed for this use.
    pub needs_consent: bool,
}

/// The case that justifies a lookup.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseLink {
    pub no: CaseNo,
    pub item: ItemCode,
    pub applicant: String,
    /// Filed and not yet ended.
    #[serde(default)]
    pub open: bool,
    pub authority: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected_by: Option<String>,
}

/// A route to a department's system.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteFacts {
    pub id: String,
    pub owner: RegionCode,
    /// Kinds of principal it is opened to.
    #[serde(default)]
    pub kinds: Vec<super::who::Kind>,
    /// OAuth scope the token needs.
    pub scope: String,
    pub min_level: u8,
    pub max_level_age_min: u32,
}

/// A licence somebody wants verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicenceFacts {
    /// Licence identifier, or its digest.
    pub id: String,
    /// E.g. `LT-HKB`.
    pub licence_type: String,
    /// Absent where the paper names nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
}
