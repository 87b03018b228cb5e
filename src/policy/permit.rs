//! The yes, as a value only this room can make.

use std::sync::Arc;

use super::ask::{Act, Ask};
use super::replay;
use super::who::Kind;
use crate::terms::{CaseNo, Digest, ItemCode, UnixMillis};

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Grant {
    act: Act,
    kind: Kind,
    principal: String,
    resource: (&'static str, String),
    item: Option<ItemCode>,
    case: Option<CaseNo>,
    purpose: Option<String>,
    version: Digest,
    asked: Digest,
    rules: Vec<Arc<str>>,
}

impl Grant {
    pub(super) fn new(ask: &Ask, version: Digest, rules: Vec<Arc<str>>) -> Self {
        Self {
            act: ask.act(),
            kind: ask.who().kind,
            principal: ask.who().id.clone(),
            resource: ask.resource(),
            item: ask.item(),
            case: ask.case(),
            purpose: ask.purpose().map(str::to_owned),
            version,
            asked: replay::digest(ask),
            rules,
        }
    }
}

/// Proof that the rules in force permitted exactly this act of this principal on this resource at this moment.
/// It is good for the request it was made for, not for later ones. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    grant: Arc<Grant>,
    at: UnixMillis,
}

impl Permit {
    pub(super) fn new(grant: Arc<Grant>, at: UnixMillis) -> Self {
        Self { grant, at }
    }

    pub fn act(&self) -> Act {
        self.grant.act
    }

    pub fn kind(&self) -> Kind {
        self.grant.kind
    }

    /// Id of the principal.
    pub fn principal(&self) -> &str {
        &self.grant.principal
    }

    /// The resource as (entity type, id), e.g. `("Case", "4190010000002026021300000017S")`.
    pub fn resource(&self) -> (&'static str, &str) {
        (self.grant.resource.0, &self.grant.resource.1)
    }

    pub fn item(&self) -> Option<ItemCode> {
        self.grant.item
    }

    pub fn case(&self) -> Option<CaseNo> {
        self.grant.case
    }

    pub fn purpose(&self) -> Option<&str> {
        self.grant.purpose.as_deref()
    }

    /// Version of the policy set that decided; belongs in the log.
    pub fn version(&self) -> Digest {
        self.grant.version
    }

    /// Digest of what was asked, under which it is kept for a replay; belongs in the log.
    pub fn asked(&self) -> Digest {
        self.grant.asked
    }

    /// Ids of the rules that permitted, in their order.
    pub fn rules(&self) -> &[Arc<str>] {
        &self.grant.rules
    }

    pub fn at(&self) -> UnixMillis {
        self.at
    }

    /// Whether this permit was made for an ask like `ask`: same act, principal, resource, item, case and purpose.
    pub fn is_for(&self, ask: &Ask) -> bool {
        let other = Grant::new(ask, self.grant.version, self.grant.rules.clone());
        *self.grant == other
    }
}
