//! Who asks: the principal of a request, and the papers that let one act for another.

use serde::{Deserialize, Serialize};

use crate::terms::RegionCode;

/// Gives an enum of words one stable spelling, for Cedar, JSON and TOML alike.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }
        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant),+];
            /// The stable word, as rules, records and cases spell it.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}
pub(super) use words;

words! {
    /// Kinds of principal; each is an entity type of the schema.
    Kind {
        /// A natural person, or a legal person through its representative or handler.
        Citizen = "Citizen",
        /// A public or volunteer agent (代办员) who acts under a power of attorney.
        Agent = "Agent",
        /// A person employed at a government window or back office.
        Clerk = "Clerk",
        /// A partner outlet: bank, post, shop, self-service terminal.
        Outlet = "Outlet",
        /// A department's system, e.g. the approval system of the owning authority.
        Department = "Department",
        /// Another region's gateway.
        Peer = "Peer",
        Auditor = "Auditor",
        /// Electronic supervision (电子监察).
        Supervisor = "Supervisor",
        Operator = "Operator",
    }
}

words! {
    /// Duties a clerk may hold; one person may hold several, one case may not use them together.
    Role {
        Receive = "receive",
        Accept = "accept",
        Examine = "examine",
        Approve = "approve",
        Issue = "issue",
        /// Chief representative (首席事务代表): decides on the spot within a written mandate.
        Chief = "chief",
        /// Head of the authority: extends limits.
        Head = "head",
    }
}

words! {
    /// A and B posts (AB岗): B acts only while A is marked away.
    Post {
        A = "a",
        /// B post, A is not marked away.
        Deputy = "b",
        /// B post while A is marked away.
        Acting = "b_acting",
    }
}

words! {
    /// Papers by which one acts for another. A window mandate is another paper: [`Mandate`].
    PaperKind {
        /// Power of attorney (Civil Code 165).
        Attorney = "attorney",
        Guardian = "guardian",
        LegalRepresentative = "legal_representative",
        /// Handler of a legal person, bound by its representative.
        Handler = "handler",
    }
}

words! {
    /// Kinds of partner outlet.
    OutletKind {
        Bank = "bank",
        Post = "post",
        Shop = "shop",
        Terminal = "terminal",
    }
}

/// A principal with what has been verified about it. Facts, not claims: whoever fills this in has checked them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    pub kind: Kind,
    /// Pairwise subject, staff number, outlet number, gateway name. Never a resident number.
    pub id: String,
    /// Real-name level of this session, 0–4 (0: none).
    #[serde(default)]
    pub level: u8,
    /// Whole minutes since that level was proven, rounded up, so that an older proof never looks younger.
    pub level_age_min: u32,
    /// Organisation: a credit code or the number of a contract partner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<String>,
    /// Places this principal works for or, a peer gateway, speaks for.
    #[serde(default)]
    pub places: Vec<RegionCode>,
    #[serde(default)]
    pub roles: Vec<Role>,
    /// OAuth scopes of the token.
    #[serde(default)]
    pub scopes: Vec<String>,
    #[serde(default = "regular")]
    pub post: Post,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paper: Option<Paper>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlet: Option<Outlet>,
}

fn regular() -> Post {
    Post::A
}

impl Who {
    /// A principal of whom nothing but its name is known.
    pub fn new(kind: Kind, id: impl Into<String>) -> Self {
        Self {
            kind,
            id: id.into(),
            level: 0,
            level_age_min: u32::MAX,
            org: None,
            places: Vec::new(),
            roles: Vec::new(),
            scopes: Vec::new(),
            post: Post::A,
            paper: None,
            outlet: None,
        }
    }
}

/// A paper from the person for whom the principal acts, and what it covers of this request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paper {
    pub kind: PaperKind,
    /// Whose paper it is: the id of the person represented.
    pub from: String,
    /// Signed, within its period, not revoked, not used up.
    #[serde(default)]
    pub live: bool,
    /// The item of this request is listed in it.
    #[serde(default)]
    pub item_listed: bool,
    /// The act of this request is listed in it.
    #[serde(default)]
    pub act_listed: bool,
}

/// What the outlet's contract says about this request, as `partners` found it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outlet {
    pub kind: OutletKind,
    /// The contract is in force and neither outlet, terminal nor employee is switched off.
    #[serde(default)]
    pub live: bool,
    #[serde(default)]
    pub item_listed: bool,
    #[serde(default)]
    pub act_listed: bool,
    /// Within the opening hours of the contract.
    #[serde(default)]
    pub in_hours: bool,
    /// The terminal stands where the contract says.
    #[serde(default)]
    pub at_place: bool,
    /// Evidence that the customer stands there: card read and face compared.
    #[serde(default)]
    pub customer_present: bool,
}

/// A window mandate (窗口授权委托书): department → window, with the acts it lists.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mandate {
    /// The authority that gave it; it must be the one that owns the case.
    pub authority: String,
    /// Both seals hold, within its period, not revoked.
    #[serde(default)]
    pub live: bool,
    #[serde(default)]
    pub item_listed: bool,
    #[serde(default)]
    pub act_listed: bool,
}
