//! The book of issuers: who may speak, for whom, where, how strongly, and how their claims are named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use serde::{Deserialize, Serialize};

use crate::terms::{DivisionCode, RegionCode};

use super::IdentityError;
use super::caller::{Binding, Caller};
use super::keys::IssuerKeys;

/// What somebody is here. Never read from the token alone: the issuer must be allowed to speak for the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Citizen,
    Clerk,
    /// An employee of a partner outlet.
    Outlet,
    System,
    Auditor,
    Operator,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Citizen => "citizen",
            Self::Clerk => "clerk",
            Self::Outlet => "outlet",
            Self::System => "system",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
        }
    }
}

/// How an access token of this issuer shows that it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// RFC 9068: `typ` is `at+jwt`.
    AtJwt,
    /// An older OpenID provider: `typ` is `JWT` or absent; a marker claim `token_use` or `scope` must tell it from
    /// an ID token, and ID-token claims (`nonce`, `at_hash`, `c_hash`) must be absent.
    Oidc,
}

/// Which divisions an issuer may speak for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// The national platform only.
    Everywhere,
    /// These divisions and all below them.
    Within(Vec<DivisionCode>),
}

impl Reach {
    pub fn covers(&self, place: RegionCode) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Within(divisions) => divisions.iter().any(|wider| place.lies_in((*wider).into())),
        }
    }
}

/// Whether tokens must be bound to a key or certificate of their holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BindingRule {
    /// A bearer token will do; one that is bound is still checked.
    #[default]
    Optional,
    /// DPoP or a client certificate.
    Required,
    Dpop,
    Certificate,
}

impl BindingRule {
    /// # Errors
    /// `token_binding` for a caller whose token is not bound as the rule says.
    pub fn check(self, caller: &Caller) -> Result<(), IdentityError> {
        let Binding { jkt, x5t_s256 } = caller.binding();
        let why = match self {
            Self::Required if jkt.is_none() && x5t_s256.is_none() => "a bound token is needed",
            Self::Dpop if jkt.is_none() => "a token bound to a key is needed",
            Self::Certificate if x5t_s256.is_none() => "a token bound to a certificate is needed",
            _ => return Ok(()),
        };
        Err(IdentityError::TokenBinding(why))
    }
}

/// Which clients must use which binding, besides what an issuer's entry demands of all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings {
    /// By `client_id`.
    pub clients: BTreeMap<String, BindingRule>,
    pub kinds: BTreeMap<Kind, BindingRule>,
}

impl Bindings {
    /// # Errors
    /// `token_binding` where the rule of the client, or of the kind of caller, is not kept.
    pub fn check(&self, caller: &Caller) -> Result<(), IdentityError> {
        let client = caller.client().and_then(|client| self.clients.get(client));
        [client, self.kinds.get(&caller.kind())].into_iter().flatten().try_for_each(|rule| rule.check(caller))
    }
}

/// Names of the claims this issuer uses. Defaults are the ones of our own issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimNames {
    pub kind: String,
    pub division: String,
    pub org: String,
    pub roles: String,
    pub resident: String,
    pub name: String,
    /// Of the contact data; left out of a directory where they are the names of OpenID Connect.
    #[serde(skip_serializing_if = "is_phone")]
    pub phone: String,
    #[serde(skip_serializing_if = "is_email")]
    pub email: String,
    #[serde(skip_serializing_if = "is_address")]
    pub address: String,
}

/// OpenID Connect Core 1.0 §5.1.
const CONTACT: [&str; 3] = ["phone_number", "email", "address"];

fn is_phone(name: &str) -> bool {
    name == CONTACT[0]
}

fn is_email(name: &str) -> bool {
    name == CONTACT[1]
}

fn is_address(name: &str) -> bool {
    name == CONTACT[2]
}

impl Default for ClaimNames {
    fn default() -> Self {
        let own = |text: &str| text.to_owned();
        Self {
            kind: own("kind"),
            division: own("division"),
            org: own("org"),
            roles: own("roles"),
            resident: own("resident_id"),
            name: own("name"),
            phone: own(CONTACT[0]),
            email: own(CONTACT[1]),
            address: own(CONTACT[2]),
        }
    }
}

/// One issuer as the federation directory lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerEntry {
    /// Compared octet by octet with `iss`.
    pub issuer: String,
    /// Audiences under which this gateway is known to the issuer.
    pub audiences: Vec<String>,
    pub algorithms: Vec<Algorithm>,
    pub profile: Profile,
    #[serde(default)]
    pub claims: ClaimNames,
    /// Whom it may speak for. A token that does not say its kind gets the only one listed.
    pub populations: Vec<Kind>,
    /// Roles that its tokens may give; any when empty.
    #[serde(default)]
    pub roles: BTreeSet<String>,
    pub reach: Reach,
    /// `acr` → real-name level 0..=4. What is not listed is level 0.
    #[serde(default)]
    pub acr_levels: BTreeMap<String, u8>,
    /// Methods (`amr`, RFC 8176) → level: one word, or several joined with `+` that must all be there. The highest level
    /// that `acr` or methods give is the session's.
    #[serde(default)]
    pub amr_levels: BTreeMap<String, u8>,
    /// Subjects that may stand in `act`, as `sub` values of this issuer or `iss#sub`.
    #[serde(default)]
    pub actors: Vec<String>,
    #[serde(default)]
    pub binding: BindingRule,
    /// Longest life of a token, in seconds.
    #[serde(default = "max_lifetime")]
    pub max_lifetime_s: i64,
    /// Clock difference forgiven, in seconds, on both sides.
    #[serde(default = "leeway")]
    pub leeway_s: i64,
}

impl IssuerEntry {
    /// Real-name level of a session with this `acr` that was proven by these methods.
    pub(super) fn level(&self, acr: &str, methods: &BTreeSet<String>) -> u8 {
        let shown = |all: &str| all.split('+').all(|one| methods.contains(one));
        let by_method = self.amr_levels.iter().filter(|(all, _)| shown(all)).map(|(_, level)| *level);
        by_method.chain(self.acr_levels.get(acr).copied()).max().unwrap_or(0).min(4)
    }
}

fn max_lifetime() -> i64 {
    3_600
}

fn leeway() -> i64 {
    10
}

/// Why an entry is not taken into the book.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    #[error("issuer {0} listed twice")]
    Twice(String),
    #[error("issuer {issuer}: {why}")]
    Entry { issuer: String, why: &'static str },
}

/// An entry with its keys as last fetched; `None` before the first fetch or past the stale bound.
#[derive(Clone, Debug)]
pub struct Issuer {
    pub entry: IssuerEntry,
    pub keys: Option<IssuerKeys>,
}

/// Generations are never given twice in a process, so that no two different books look the same to a cache.
fn next_generation() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// All issuers; a cheap snapshot to pass around. Changing anything makes a new generation.
#[derive(Clone, Debug, Default)]
pub struct IssuerBook {
    issuers: Arc<BTreeMap<String, Arc<Issuer>>>,
    generation: u64,
}

impl IssuerBook {
    /// # Errors
    /// An entry with a symmetric algorithm, no audience, no population, a bad level or bad limits.
    pub fn new(entries: impl IntoIterator<Item = IssuerEntry>) -> Result<Self, BookError> {
        let mut issuers = BTreeMap::new();
        for entry in entries {
            let issuer = entry.issuer.clone();
            let wrong = |why| Err(BookError::Entry { issuer: issuer.clone(), why });
            if issuer.is_empty() {
                return wrong("empty issuer");
            }
            if entry.algorithms.is_empty() || entry.algorithms.iter().any(|a| a.family() == AlgorithmFamily::Hmac) {
                return wrong("algorithms must be asymmetric");
            }
            if entry.audiences.iter().all(|a| a.is_empty()) {
                return wrong("no audience");
            }
            if entry.populations.is_empty() {
                return wrong("no population");
            }
            if entry.acr_levels.values().chain(entry.amr_levels.values()).any(|level| *level > 4) {
                return wrong("level above 4");
            }
            if entry.amr_levels.keys().any(|methods| methods.split('+').any(str::is_empty)) {
                return wrong("a method without a name");
            }
            if !(0..=120).contains(&entry.leeway_s) || !(1..=86_400).contains(&entry.max_lifetime_s) {
                return wrong("leeway 0 to 120 s, lifetime 1 to 86400 s");
            }
            if issuers.insert(issuer.clone(), Arc::new(Issuer { entry, keys: None })).is_some() {
                return Err(BookError::Twice(issuer));
            }
        }
        Ok(Self { issuers: Arc::new(issuers), generation: next_generation() })
    }

    /// The same book with new keys (or none any more) for one issuer. An unknown issuer changes nothing.
    #[must_use]
    pub fn with_keys(mut self, issuer: &str, keys: Option<IssuerKeys>) -> Self {
        if !self.issuers.contains_key(issuer) {
            return self;
        }
        if let Some(slot) = Arc::make_mut(&mut self.issuers).get_mut(issuer) {
            *slot = Arc::new(Issuer { entry: slot.entry.clone(), keys });
            self.generation = next_generation();
        }
        self
    }

    pub fn get(&self, issuer: &str) -> Option<&Arc<Issuer>> {
        self.issuers.get(issuer)
    }

    pub fn issuers(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.issuers.values()
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }
}
