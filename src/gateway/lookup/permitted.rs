//! What the catalogue and the rules say of a lookup: read once, so that what is permitted, asked for and put on record is the
//! same, whatever is reloaded meanwhile.

use std::collections::BTreeSet;

use super::Asking;
use crate::audit::Word;
use crate::catalogue::{Basis, Catalogue, registers};
use crate::gateway::facts;
use crate::gateway::ledger;
use crate::gateway::rooms::Rooms;
use crate::lookups::{Keeping, LookupError};
use crate::policy::{AnswerForm, Ask, DataResource, Lookup, NOT_LISTED, PURPOSE, Permit, SharingClass};
use crate::terms::refusal::About;
use crate::terms::{ItemCode, Refusal, RegionCode};

/// Fields of the status of a licence.
const STATUS_FIELDS: [&str; 1] = ["status"];
/// How sensitive it is that a licence is in force, of 1–4.
const STATUS_SENSITIVITY: u8 = 2;
/// How long the status of a licence is fresh, in seconds: a lost one must not be used for long.
const STATUS_FRESH_S: u64 = 900;
/// The field in which a yes or no comes.
const HOLDS: &str = "holds";

/// The basis of what a person agreed to, as the log says it.
pub const CONSENT: &str = "consent";

/// A lookup that may be done: for this item, on this basis.
pub(super) struct Granted {
    pub permit: Permit,
    pub item: ItemCode,
    pub basis: Basis,
    /// Fields that are asked of the provider.
    pub fields: BTreeSet<String>,
    pub keeping: Keeping,
    /// Which material of the item it is necessary for, as the log says it.
    pub necessary: Option<Word>,
}

/// May they ask? By one reading of the catalogue.
pub(super) fn ask(asking: &Asking<'_>, rooms: &Rooms) -> Result<Granted, Refusal> {
    let catalogue = rooms.catalogue.load();
    let (purpose, agreed) = (asking.purpose.unwrap_or_default(), asking.agreed.is_some());
    let basis = asking.item.and_then(|item| basis(&catalogue, item, asking.resource, purpose, agreed));
    let subject = rooms.pseudonyms.resident(asking.subject).to_string();
    // The person sees who tried, and on what.
    let about = || About {
        subject: subject.clone(),
        resource: asking.resource.to_owned(),
        purpose: asking.purpose.map(str::to_owned),
        item: asking.item,
        basis: basis.as_ref().map(|basis| basis.id.clone()),
    };
    let described = described(&catalogue, asking.item, asking.resource, asking.place, asking.licence.is_some());
    let facts = described.map_err(|error| Refusal::from(error).about(about()))?;
    let fields = wanted(&catalogue, asking.item, asking.resource, asking.fields.as_ref());
    let listed = asking.item.map(|item| listed(&catalogue, item, asking.resource, purpose));
    let (item_lists, purpose_listed) = listed.unwrap_or_default();
    let yes_no = facts.answers == AnswerForm::YesNo;
    let ask = Ask::LookUp(Lookup {
        who: asking.who.clone(),
        resource: facts,
        subject: subject.clone(),
        purpose: asking.purpose.map(str::to_owned),
        item: asking.item,
        item_lists: item_lists && basis.is_some(),
        purpose_listed: Some(purpose_listed),
        case: asking.case.clone(),
        asked: if yes_no { Vec::new() } else { fields.iter().cloned().collect() },
        consent: agreed,
        requester: asking.requester,
    });
    let denied = rooms.policies.decide(&ask, asking.trace.at).map_err(|denial| denial.refusal());
    let permit = denied.map_err(|refusal| refusal.about(about()))?;
    // The rules as shipped let none pass without; whatever others say, nobody is asked for nothing.
    let item = asking.item.ok_or_else(|| Refusal::new(&PURPOSE, "no item is named").about(about()))?;
    let necessary = necessary(&catalogue, item, asking.resource);
    let keeping = keeping(&catalogue, asking.resource);
    let basis = basis.clone().ok_or_else(|| on_nothing(asking.resource).about(about()))?;
    Ok(Granted { permit, item, basis, fields, keeping, necessary })
}

/// The no to a lookup that rests on nothing.
pub(super) fn on_nothing(resource: &str) -> Refusal {
    Refusal::new(&NOT_LISTED, format!("a lookup of {resource} rests on nothing"))
}

/// Fields that are asked of the provider: those the caller names, or all that the item may have; a yes or no comes in one.
pub fn wanted(
    catalogue: &Catalogue,
    item: Option<ItemCode>,
    resource: &str,
    named: Option<&BTreeSet<String>>,
) -> BTreeSet<String> {
    let data = catalogue.resources.get(resource);
    match (catalogue.licence_types.get(resource), data) {
        (Some(_), _) => STATUS_FIELDS.iter().map(|field| (*field).to_owned()).collect(),
        (None, Some(data)) if data.answers_yes_no() => [HOLDS.to_owned()].into(),
        (None, data) => match named {
            Some(named) => named.clone(),
            None => data.map(|data| allowed(catalogue, item, data)).unwrap_or_default(),
        },
    }
}

/// Fields of a resource that an item may have, of those that the register lists.
fn allowed(catalogue: &Catalogue, item: Option<ItemCode>, data: &registers::DataResource) -> BTreeSet<String> {
    match item.and_then(|code| catalogue.items.get(&code)) {
        Some(item) => item.fields_of(data),
        None => data.fields.iter().cloned().collect(), // without an item there is no lookup, the rules say
    }
}

/// What an item's entry says of a lookup: whether it names the resource, and this purpose for it.
pub(super) fn listed(catalogue: &Catalogue, item: ItemCode, resource: &str, purpose: &str) -> (bool, bool) {
    let item = catalogue.items.get(&item);
    item.map_or((false, false), |item| (item.may_look_up(resource), item.may_look_up_for(resource, purpose)))
}

/// What a lookup rests on: what the person agreed to, else what the item's entry says, if it says anything.
pub(super) fn basis(
    catalogue: &Catalogue,
    item: ItemCode,
    resource: &str,
    purpose: &str,
    agreed: bool,
) -> Option<Basis> {
    match agreed {
        true => Some(Basis { id: CONSENT.to_owned(), text: CONSENT.to_owned() }),
        false => catalogue.items.get(&item)?.basis_of(resource, purpose).cloned(),
    }
}

/// Which material of the item a lookup is necessary for, as the log says it.
pub(super) fn necessary(catalogue: &Catalogue, item: ItemCode, resource: &str) -> Option<Word> {
    ledger::word(&format!("material-{}", catalogue.items.get(&item)?.needs(resource)?))
}

/// How long an answer is kept, as the register says.
fn keeping(catalogue: &Catalogue, resource: &str) -> Keeping {
    match catalogue.resources.get(resource) {
        Some(resource) => Keeping { fresh_s: resource.fresh_s, stale_s: resource.stale_s },
        None => Keeping::fresh(STATUS_FRESH_S),
    }
}

/// A resource as the rules see it for an item: data about a person, or the status of a licence.
pub(super) fn described(
    catalogue: &Catalogue,
    item: Option<ItemCode>,
    id: &str,
    place: RegionCode,
    status: bool,
) -> Result<DataResource, LookupError> {
    let data = catalogue.resources.get(id).filter(|_| !status);
    match (data, catalogue.licence_types.get(id).filter(|_| status)) {
        (Some(resource), _) => {
            let fields = allowed(catalogue, item, resource).into_iter().collect();
            Ok(facts::resource(resource, place, fields))
        }
        (None, Some(kind)) => Ok(DataResource {
            id: kind.id.clone(),
            class: SharingClass::Conditional,
            answers: AnswerForm::Fields,
            provider: place,
            sensitivity: STATUS_SENSITIVITY,
            fields: STATUS_FIELDS.iter().map(|field| (*field).to_owned()).collect(),
            needs_consent: false,
        }),
        (None, None) => Err(LookupError::NoProvider(id.to_owned())),
    }
}
