//! An ask in Cedar's words: request, two or three entities, context. No parsing: names are made once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression as Value, Schema,
};

use super::ask::*;
use super::facts::{CaseFacts, CaseLink, Demand, ItemFacts, Person, Source};
use super::who::{Kind, Mandate, Who};
use crate::terms::RegionCode;

/// Longest text and largest list in an ask; what is larger is not evaluated, it is refused.
const TEXT_MAX: usize = 256;
const LIST_MAX: usize = 256;

/// Why an ask cannot be put to the rules.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("`{0}` is empty, starts with `(`, or is longer than {TEXT_MAX} bytes")]
    Text(&'static str),
    #[error("`{0}` has more than {LIST_MAX} entries")]
    List(&'static str),
    #[error("the request cannot be put in the words of the schema: {0}")]
    Shape(String),
}

/// What the evaluator needs.
pub(super) struct Put {
    pub request: Request,
    pub entities: Entities,
}

struct Names {
    kinds: HashMap<Kind, EntityTypeName>,
    resources: HashMap<&'static str, EntityTypeName>,
    acts: HashMap<Act, EntityUid>,
    place: EntityTypeName,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let name = |text: &str| -> EntityTypeName { format!("Tongban::{text}").parse().expect("a name of the schema") };
    let action = name("Action");
    let uid = |act: &Act| EntityUid::from_type_name_and_id(action.clone(), EntityId::new(act.word()));
    Names {
        kinds: Kind::ALL.iter().map(|k| (*k, name(k.word()))).collect(),
        resources: ["Item", "Case", "Resource", "Licence", "Route", "Log", "Gateway"].map(|r| (r, name(r))).into(),
        acts: Act::ALL.iter().map(|a| (*a, uid(a))).collect(),
        place: name("Place"),
    }
});

pub(super) fn action_uid(act: Act) -> EntityUid {
    NAMES.acts[&act].clone()
}

pub(super) fn kind_name(kind: Kind) -> EntityTypeName {
    NAMES.kinds[&kind].clone()
}

/// Puts `ask` in Cedar's words. With a schema both request and entities are checked against it (tests, `explain`);
/// without, the shape is what this file builds, and a property test holds it to the schema.
pub(super) fn put(ask: &Ask, schema: Option<&Schema>) -> Result<Put, AskError> {
    let who = ask.who();
    let principal = principal_uid(who)?;
    let (kind, id) = ask.resource();
    let resource =
        EntityUid::from_type_name_and_id(NAMES.resources[kind].clone(), EntityId::new(checked("resource", &id)?));
    let mut places = BTreeSet::new();
    let facts = Facts::of(ask, &mut places)?;
    let who_attrs = who_record(who)?;

    let shape = |e: &dyn std::fmt::Display| AskError::Shape(e.to_string());
    let mut entities = Vec::with_capacity(2 + places.len());
    entities.push(Entity::new(principal.clone(), who_attrs, HashSet::new()).map_err(|e| shape(&e))?);
    entities.push(Entity::new(resource.clone(), facts.resource, HashSet::new()).map_err(|e| shape(&e))?);
    entities.extend(places.into_iter().map(|p| Entity::new_no_attrs(place_uid(p), wider(p))));
    let entities = Entities::from_entities(entities, schema).map_err(|e| shape(&e))?;
    let context = Context::from_pairs(facts.context).map_err(|e| shape(&e))?;
    let request = Request::new(principal, action_uid(ask.act()), resource, context, schema).map_err(|e| shape(&e))?;
    Ok(Put { request, entities })
}

fn principal_uid(who: &Who) -> Result<EntityUid, AskError> {
    let id = EntityId::new(checked("who.id", &who.id)?);
    Ok(EntityUid::from_type_name_and_id(NAMES.kinds[&who.kind].clone(), id))
}

fn place_uid(place: RegionCode) -> EntityUid {
    EntityUid::from_type_name_and_id(NAMES.place.clone(), EntityId::new(place.to_string()))
}

/// Every wider place, so that no closure has to be computed over entities we did not load.
fn wider(place: RegionCode) -> HashSet<EntityUid> {
    std::iter::successors(place.parent(), |p| p.parent()).map(place_uid).collect()
}

/// Non-empty, bounded, and not one of our own marks `(none)`, `(open)`.
fn checked<'a>(name: &'static str, text: &'a str) -> Result<&'a str, AskError> {
    if text.is_empty() || text.len() > TEXT_MAX || text.starts_with('(') {
        return Err(AskError::Text(name));
    }
    Ok(text)
}

fn text(name: &'static str, value: &str) -> Result<Value, AskError> {
    checked(name, value).map(|t| Value::new_string(t.to_owned()))
}

/// An absent value gets a mark that equals nothing else: two absent organisations are not the same organisation.
fn text_or(name: &'static str, value: Option<&str>, absent: &str) -> Result<Value, AskError> {
    value.map_or_else(|| Ok(word(absent)), |v| text(name, v))
}

fn word(value: &str) -> Value {
    Value::new_string(value.to_owned())
}

fn number(value: impl Into<i64>) -> Value {
    Value::new_long(value.into())
}

fn flag(value: bool) -> Value {
    Value::new_bool(value)
}

fn place(value: RegionCode, places: &mut BTreeSet<RegionCode>) -> Value {
    places.insert(value);
    Value::new_entity_uid(place_uid(value))
}

/// Places on the right of `in` need no entity of their own.
fn place_set(name: &'static str, values: &[RegionCode]) -> Result<Value, AskError> {
    bounded(name, values.len())?;
    Ok(Value::new_set(values.iter().map(|p| Value::new_entity_uid(place_uid(*p)))))
}

fn bounded(name: &'static str, len: usize) -> Result<(), AskError> {
    if len > LIST_MAX { Err(AskError::List(name)) } else { Ok(()) }
}

fn texts(name: &'static str, values: &[String]) -> Result<Value, AskError> {
    bounded(name, values.len())?;
    Ok(Value::new_set(values.iter().map(|v| text(name, v)).collect::<Result<Vec<_>, _>>()?))
}

fn words(name: &'static str, values: impl ExactSizeIterator<Item = &'static str>) -> Result<Value, AskError> {
    bounded(name, values.len())?;
    Ok(Value::new_set(values.map(word)))
}

type Record = HashMap<String, Value>;

fn record<const N: usize>(pairs: [(&str, Value); N]) -> Record {
    pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

fn value<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    // Fails on a duplicate key only; the keys are literals of this file.
    Value::new_record(pairs.into_iter().map(|(k, v)| (k.to_owned(), v))).expect("literal keys differ")
}

fn who_record(who: &Who) -> Result<Record, AskError> {
    let mut attrs = record([
        ("id", text("who.id", &who.id)?),
        ("kind", word(who.kind.word())),
        ("level", number(who.level)),
        ("levelAgeMin", number(who.level_age_min)),
        ("org", text_or("who.org", who.org.as_deref(), "(none)")?),
        ("places", place_set("who.places", &who.places)?),
        ("roles", words("who.roles", who.roles.iter().map(|r| r.word()))?),
        ("scopes", texts("who.scopes", &who.scopes)?),
        ("post", word(who.post.word())),
    ]);
    if let Some(p) = &who.paper {
        let paper = value([
            ("kind", word(p.kind.word())),
            ("from", text("who.paper.from", &p.from)?),
            ("live", flag(p.live)),
            ("itemListed", flag(p.item_listed)),
            ("actListed", flag(p.act_listed)),
        ]);
        attrs.insert("paper".to_owned(), paper);
    }
    if let Some(o) = &who.outlet {
        let outlet = value([
            ("kind", word(o.kind.word())),
            ("live", flag(o.live)),
            ("itemListed", flag(o.item_listed)),
            ("actListed", flag(o.act_listed)),
            ("inHours", flag(o.in_hours)),
            ("atPlace", flag(o.at_place)),
            ("customerPresent", flag(o.customer_present)),
        ]);
        attrs.insert("outlet".to_owned(), outlet);
    }
    Ok(attrs)
}

/// Attributes of the resource and the context.
struct Facts {
    resource: Record,
    context: Record,
}

impl Facts {
    fn of(ask: &Ask, places: &mut BTreeSet<RegionCode>) -> Result<Self, AskError> {
        let (resource, context) = match ask {
            Ask::File(a) => (item_record(&a.item, places)?, filing(a)?),
            Ask::Step(a) => (case_record(&a.case, places)?, step(a)?),
            Ask::List(a) => (Record::new(), listing(a, places)?),
            Ask::LookUp(a) | Ask::ServeLookup(a) => {
                let r = &a.resource;
                let attrs = record([
                    ("class", word(r.class.word())),
                    ("answers", word(r.answers.word())),
                    ("provider", place(r.provider, places)),
                    ("sensitivity", number(r.sensitivity)),
                    ("fields", texts("resource.fields", &r.fields)?),
                    ("needsConsent", flag(r.needs_consent)),
                ]);
                (attrs, lookup(a, places)?)
            }
            Ask::Pass(a) => {
                let r = &a.route;
                let attrs = record([
                    ("owner", place(r.owner, places)),
                    ("kinds", words("route.kinds", r.kinds.iter().map(|k| k.word()))?),
                    ("scope", text("route.scope", &r.scope)?),
                    ("minLevel", number(r.min_level)),
                    ("maxLevelAgeMin", number(r.max_level_age_min)),
                ]);
                let (level, age) = proven(&a.who, a.person.as_ref());
                let present = a.person.as_ref().is_some_and(|p| p.present);
                let mut context =
                    record([("level", number(level)), ("levelAgeMin", number(age)), ("present", flag(present))]);
                optional(&mut context, "subject", a.person.as_ref().map(|p| p.id.as_str()))?;
                (attrs, context)
            }
            Ask::VerifyLicence(a) => {
                let attrs = record([
                    ("licenceType", text("licence.licence_type", &a.licence.licence_type)?),
                    ("holder", text_or("licence.holder", a.licence.holder.as_deref(), "(nobody)")?),
                ]);
                let mut context = record([("consent", flag(a.consent))]);
                optional(&mut context, "purpose", a.purpose.as_deref())?;
                if let Some(level) = a.consent_level {
                    context.insert("consentLevel".to_owned(), number(level));
                }
                if let Some(c) = &a.case {
                    context.insert("case".to_owned(), case_link(c)?);
                }
                (attrs, context)
            }
            Ask::ExchangeToken(a) => {
                let mut context = record([
                    ("subject", text("person.id", &a.person.id)?),
                    ("level", number(a.person.level)),
                    ("levelAgeMin", number(a.person.level_age_min)),
                    ("present", flag(a.person.present)),
                    ("bound", flag(a.bound)),
                    ("depth", number(a.depth)),
                ]);
                optional(&mut context, "purpose", a.purpose.as_deref())?;
                optional(&mut context, "item", a.item.map(|i| i.to_string()).as_deref())?;
                (Record::new(), context)
            }
            Ask::ReceiveFromPeer(a) => {
                let attrs = case_record(&a.case, places)?;
                let context = record([
                    ("here", place_set("here", &a.here)?),
                    ("vouchedAt", place(a.vouched_at, places)),
                    ("subject", text("applicant.id", &a.applicant.id)?),
                    ("level", number(a.applicant.level)),
                    ("levelAgeMin", number(a.applicant.level_age_min)),
                    ("present", flag(a.applicant.present)),
                    ("via", word(a.via.word())),
                    ("mode", word(a.mode.word())),
                    ("scope", word(a.scope.word())),
                    ("item", arriving_item(&a.item)?),
                ]);
                (attrs, context)
            }
            Ask::ReadLog(a) | Ask::Audit(a) => {
                let mut context = record([("unmasked", flag(a.unmasked))]);
                optional(&mut context, "about", a.about.as_deref())?;
                optional(&mut context, "ground", a.ground.as_deref())?;
                (record([("owner", place(a.place, places))]), context)
            }
            Ask::Administer(a) => {
                let mut context = record([("operation", word(a.operation.word()))]);
                optional(&mut context, "approvedBy", a.approved_by.as_deref())?;
                (Record::new(), context)
            }
        };
        Ok(Self { resource, context })
    }
}

fn optional(context: &mut Record, name: &'static str, value: Option<&str>) -> Result<(), AskError> {
    if let Some(v) = value {
        context.insert(name.to_owned(), text(name, v)?);
    }
    Ok(())
}

fn item_record(item: &ItemFacts, places: &mut BTreeSet<RegionCode>) -> Result<Record, AskError> {
    Ok(record([
        ("owner", place(item.owner, places)),
        ("presence", word(item.presence.word())),
        ("minLevel", number(item.min_level)),
        ("maxLevelAgeMin", number(item.max_level_age_min)),
        ("modes", words("item.modes", item.modes.iter().map(|m| m.word()))?),
        ("scopes", words("item.scopes", item.scopes.iter().map(|s| s.word()))?),
        ("outletKinds", words("item.outlet_kinds", item.outlet_kinds.iter().map(|k| k.word()))?),
        ("agents", flag(item.agents)),
        ("excluded", flag(item.excluded)),
        ("basis", flag(item.basis)),
    ]))
}

fn case_record(case: &CaseFacts, places: &mut BTreeSet<RegionCode>) -> Result<Record, AskError> {
    Ok(record([
        ("item", word(&case.item.to_string())),
        ("owner", place(case.owner, places)),
        ("authority", text("case.authority", &case.authority)?),
        ("applicant", text("case.applicant", &case.applicant)?),
        ("agent", text_or("case.agent", case.agent.as_deref(), "(open)")?),
        ("state", word(case.state.word())),
        ("receiver", text_or("case.receiver", case.receiver.as_deref(), "(open)")?),
        ("examiners", texts("case.examiners", &case.examiners)?),
        ("collectedBy", text_or("case.collected_by", case.collected_by.as_deref(), "(open)")?),
        ("collectedAt", place(case.collected_at, places)),
        ("presence", word(case.presence.word())),
        ("immediate", flag(case.immediate)),
        ("supplements", number(case.supplements)),
        ("extended", flag(case.extended)),
    ]))
}

fn filing(a: &Filing) -> Result<Record, AskError> {
    let (level, age) = proven(&a.who, Some(&a.applicant));
    let mut context = record([
        ("mode", word(a.mode.word())),
        ("scope", word(a.scope.word())),
        ("subject", text("applicant.id", &a.applicant.id)?),
        ("level", number(level)),
        ("levelAgeMin", number(age)),
        ("present", flag(a.applicant.present)),
        ("feeFen", number(a.fee_fen)),
    ]);
    demanded(&mut context, &a.demanded, &a.item.code.to_string())?;
    Ok(context)
}

fn step(a: &Step) -> Result<Record, AskError> {
    let mut context = record([
        ("complete", flag(a.complete)),
        ("grant", flag(a.grant)),
        ("reasons", flag(a.reasons)),
        ("ground", word(a.ground.word())),
    ]);
    if let Some(m) = &a.mandate {
        context.insert("mandate".to_owned(), mandate(m)?);
    }
    demanded(&mut context, &a.demanded, &a.case.item.to_string())?;
    Ok(context)
}

fn mandate(m: &Mandate) -> Result<Value, AskError> {
    Ok(value([
        ("authority", text("mandate.authority", &m.authority)?),
        ("live", flag(m.live)),
        ("itemListed", flag(m.item_listed)),
        ("actListed", flag(m.act_listed)),
    ]))
}

fn listing(a: &Listing, places: &mut BTreeSet<RegionCode>) -> Result<Record, AskError> {
    let mut context = record([("at", place(a.place, places)), ("ended", flag(a.ended))]);
    optional(&mut context, "ofPerson", a.of_person.as_deref())?;
    optional(&mut context, "ofOrg", a.of_org.as_deref())?;
    Ok(context)
}

fn lookup(a: &Lookup, places: &mut BTreeSet<RegionCode>) -> Result<Record, AskError> {
    let mut context = record([
        ("subject", text("subject", &a.subject)?),
        ("itemLists", flag(a.item_lists)),
        ("purposeListed", flag(a.purpose_listed())),
        ("asked", texts("asked", &a.asked)?),
        ("consent", flag(a.consent)),
        ("requester", place(a.requester, places)),
    ]);
    optional(&mut context, "purpose", a.purpose.as_deref())?;
    optional(&mut context, "item", a.item.map(|i| i.to_string()).as_deref())?;
    if let Some(c) = &a.case {
        context.insert("case".to_owned(), case_link(c)?);
    }
    Ok(context)
}

fn case_link(c: &CaseLink) -> Result<Value, AskError> {
    Ok(value([
        ("item", word(&c.item.to_string())),
        ("applicant", text("case.applicant", &c.applicant)?),
        ("open", flag(c.open)),
        ("authority", text("case.authority", &c.authority)?),
        ("collectedBy", text_or("case.collected_by", c.collected_by.as_deref(), "(open)")?),
    ]))
}

fn arriving_item(item: &ItemFacts) -> Result<Value, AskError> {
    Ok(value([
        ("minLevel", number(item.min_level)),
        ("maxLevelAgeMin", number(item.max_level_age_min)),
        ("presence", word(item.presence.word())),
        ("modes", words("item.modes", item.modes.iter().map(|m| m.word()))?),
        ("scopes", words("item.scopes", item.scopes.iter().map(|s| s.word()))?),
        ("agents", flag(item.agents)),
        ("outlets", flag(!item.outlet_kinds.is_empty())),
        ("excluded", flag(item.excluded)),
        ("basis", flag(item.basis)),
    ]))
}

/// Level and its age in minutes: a citizen's own session, whatever else is claimed; otherwise the person's proof.
fn proven(who: &Who, person: Option<&Person>) -> (u8, u32) {
    match person {
        Some(p) if who.kind != Kind::Citizen => (p.level, p.level_age_min),
        _ => (who.level, who.level_age_min),
    }
}

/// Sorts the demanded papers by where they can be had instead; absent when nothing is demanded.
fn demanded(context: &mut Record, demands: &[Demand], item: &str) -> Result<(), AskError> {
    if demands.is_empty() {
        return Ok(());
    }
    bounded("demanded", demands.len())?;
    for d in demands {
        checked("demanded.material", &d.material)?;
    }
    let those = |pick: &dyn Fn(&Demand) -> bool| {
        Value::new_set(demands.iter().filter(|d| pick(d)).map(|d| word(&format!("{item}/{}", d.material))))
    };
    let papers = value([
        ("licensed", those(&|d| d.source == Source::Licence)),
        ("shareable", those(&|d| d.source == Source::Shared)),
        ("issuedHere", those(&|d| d.source == Source::IssuedHere)),
        ("sealed", those(&|d| d.source == Source::Sealed)),
        ("again", those(&|d| d.again)),
        ("beyondGuide", those(&|d| !d.in_guide)),
    ]);
    context.insert("demanded".to_owned(), papers);
    Ok(())
}
