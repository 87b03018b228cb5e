//! Items of the catalogue: typed, checked, each with the digest of its content as its version.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::basis::{self, Bases, Basis};
use super::listed;
pub use super::listed::Material;
use super::registers::{DataResource, DataResources, LicenceTypes};
use super::words::{CaseKind, Delivery, ItemType, Level, Mode, OwnerRule, Scope, Source, Subject};
use crate::terms::json::canonical;
use crate::terms::strict_toml::{File, Table};
use crate::terms::words::Word;
use crate::terms::{Attribute, Digest, ItemCode, Lang, Mistakes, OutletKind, Presence};

/// One service item (政务服务事项) of the basic catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    pub code: ItemCode,
    pub name_zh: String,
    pub name_en: String,
    /// The department's short name, e.g. `公安`.
    pub sector: String,
    pub item_type: ItemType,
    /// What it rests on; without one it is not filed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    pub levels: Vec<Level>,
    pub case_kind: CaseKind,
    pub subjects: Vec<Subject>,
    /// Working days the law allows; 0 = no statutory limit.
    pub legal_days: u32,
    /// Working days the office promises; 0 = the same day.
    pub promised_days: u32,
    pub owner_rule: OwnerRule,
    pub modes: Vec<Mode>,
    pub scopes: Vec<Scope>,
    pub presence: Presence,
    /// Real-name level 1–4 the session must have.
    pub min_identity_level: u8,
    /// How long ago that level may have been proven, in minutes.
    #[serde(skip_serializing_if = "is_usual")]
    pub max_identity_age_min: u32,
    pub outlet_kinds: Vec<OutletKind>,
    pub fee: bool,
    /// Id of a licence type.
    pub result_licence: String,
    pub delivery: Vec<Delivery>,
    /// On the negative list (负面清单): why it is not handled in the halls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excluded: Option<String>,
    /// What the owner is told of the applicant. [`Attribute::Number`] is always among it.
    #[serde(skip_serializing_if = "is_minimal")]
    pub attributes: BTreeSet<Attribute>,
    /// Fields that the applicant fills in; any at all where the item does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<BTreeSet<String>>,
    pub materials: Vec<Material>,
}

/// How old a proof of identity may be where the item does not say less, in minutes: a working day at a window.
pub const IDENTITY_AGE_MIN: u32 = 12 * 60;

/// An item that says what is usual anyhow is the same item.
fn is_usual(minutes: &u32) -> bool {
    *minutes == IDENTITY_AGE_MIN
}

/// An item that says what is minimal anyhow is the same item.
fn is_minimal(attributes: &BTreeSet<Attribute>) -> bool {
    *attributes == Attribute::minimal()
}

impl Item {
    pub fn name(&self, lang: Lang) -> &str {
        lang.pick(&self.name_zh, &self.name_en)
    }

    /// The farthest the item may be filed from its owner; nearer is always allowed.
    pub fn widest_scope(&self) -> Scope {
        self.scopes.iter().copied().max().unwrap_or(Scope::Town)
    }

    /// Digest of the canonical content: the version a case cites, so that a later change is visible.
    pub fn version(&self) -> Digest {
        Digest::of(&canonical(self).unwrap_or_default())
    }

    /// Fields of a form that the item does not ask for: not in its list, where it has one, or attributes of the person that
    /// it does not name.
    pub fn not_asked<'f>(&self, form: &'f serde_json::Value) -> Vec<&'f str> {
        let asked = |field: &str| match Attribute::of_field(field) {
            Some(attribute) => self.attributes.contains(&attribute),
            None => self.form.as_ref().is_none_or(|fields| fields.contains(field)),
        };
        let fields = form.as_object().into_iter().flatten().map(|(field, _)| field.as_str());
        fields.filter(|field| !asked(field)).collect()
    }

    /// Whether partner outlets of this kind may take the item.
    pub fn open_to(&self, kind: OutletKind) -> bool {
        self.presence == Presence::None && self.outlet_kinds.contains(&kind)
    }

    /// Whether the item's entry names this data resource, or asks for a licence of this type, whose status its issuer
    /// knows; without that no lookup is justified.
    pub fn may_look_up(&self, resource: &str) -> bool {
        self.needs(resource).is_some()
    }

    /// What a lookup of it for this purpose rests on: what the entry with the purpose says, else what the whole item rests on.
    pub fn basis_of<'i>(&'i self, resource: &'i str, purpose: &'i str) -> Option<&'i Basis> {
        let mut for_it = self.looked_up(resource).filter(|material| material.purposes.contains(purpose));
        let stated = for_it.find_map(|material| material.basis.as_ref());
        stated.or_else(|| self.may_look_up(resource).then_some(self.basis.as_ref()).flatten())
    }

    /// Whether its entry names this purpose for the resource: nobody asks for whatever they like in an open case.
    pub fn may_look_up_for(&self, resource: &str, purpose: &str) -> bool {
        self.looked_up(resource).any(|material| material.purposes.contains(purpose))
    }

    /// Fields that the item may have, of those that the register lists. All of them where no entry names the resource: then
    /// there is no lookup.
    pub fn fields_of(&self, resource: &DataResource) -> BTreeSet<String> {
        let all = || resource.fields.iter().cloned().collect::<BTreeSet<_>>();
        let listed = self.looked_up(&resource.id).map(|material| material.fields.clone().unwrap_or_else(all));
        listed.reduce(|all, more| &all | &more).unwrap_or_else(all)
    }

    /// The number of the material that a resource or licence is looked up for.
    pub fn needs(&self, resource: &str) -> Option<u8> {
        Some(self.looked_up(resource).next()?.no)
    }

    /// Materials for whose sake a resource or licence is looked up.
    fn looked_up<'i>(&'i self, resource: &'i str) -> impl Iterator<Item = &'i Material> {
        let looked_up = |source| matches!(source, Source::Shared | Source::Licence);
        self.materials.iter().filter(move |m| looked_up(m.source) && m.reference.as_deref() == Some(resource))
    }
}

/// Reads `items.toml`. References are checked against the two registers.
///
/// # Errors
/// Every mistake in the file.
pub fn read(
    text: &str,
    licences: &LicenceTypes,
    resources: &DataResources,
) -> Result<(BTreeMap<ItemCode, Item>, Bases), Mistakes> {
    File::read("items.toml", text, |root| {
        root.need_int("schema", 1..=1);
        let bases = basis::read(root);
        let mut items = BTreeMap::new();
        let mut sectors: BTreeMap<u8, String> = BTreeMap::new();
        for table in root.tables("item") {
            let item = read_item(&table, licences, resources, &bases);
            table.done();
            let Some(item) = item else { continue };
            let sector = sectors.entry(item.code.department()).or_insert_with(|| item.sector.clone());
            if *sector != item.sector {
                table.wrong("sector", "differs from other items of the department", format_args!("write {sector}"));
            }
            if items.insert(item.code, item).is_some() {
                table.wrong("code", "is there twice", "keep one item or give it its own code");
            }
        }
        root.done();
        Some((items, bases))
    })
}

fn read_item(table: &Table<'_, '_>, licences: &LicenceTypes, resources: &DataResources, bases: &Bases) -> Option<Item> {
    // All fields are read before the first `?`, so that every mistake is told.
    let code = table.need_parse::<ItemCode>("code", "12 digits of the basic catalogue");
    let name_zh = table.need_str("name_zh");
    let name_en = table.need_str("name_en");
    let sector = table.need_str("sector");
    let department = table.need_parse::<u8>("dept_code", "two digits");
    let item_type = table.need_word::<ItemType>("task_type");
    let basis = basis::named(table, bases);
    let levels = table.need_words::<Level>("levels");
    let case_kind = table.need_word::<CaseKind>("case_kind");
    let subjects = table.need_words::<Subject>("subjects");
    let legal_days = table.need_int("legal_days", 0..=366);
    let promised_days = table.need_int("promised_days", 0..=366);
    let owner_rule = table.need_word::<OwnerRule>("owner_rule");
    let modes = table.need_words::<Mode>("modes");
    let scopes = table.need_words::<Scope>("scopes");
    let presence = table.need_word::<Presence>("presence");
    let min_identity_level = table.need_int("min_identity_level", 1..=4);
    let max_identity_age_min = table.int("max_identity_age_min", 1..=IDENTITY_AGE_MIN);
    let outlet_kinds = table.need_words::<OutletKind>("outlet_kinds");
    let fee = table.need_bool("fee");
    let result_licence = table.need_str("result_licence");
    let delivery = table.need_words::<Delivery>("delivery");
    let excluded = table.str("excluded").map(str::to_owned);
    if excluded.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
        table.wrong("excluded", "is empty", "write the reason, or leave it out");
    }
    let attributes = table.list::<Attribute>("attributes", &format!("one of {}", Attribute::WORDS.join(", ")));
    let attributes = attributes.map_or_else(Attribute::minimal, BTreeSet::from_iter);
    if !attributes.contains(&Attribute::Number) {
        table.wrong("attributes", "lacks `number`", "a case is kept under the applicant's number: add it");
    }
    let form = read_form(table);
    let materials = listed::read(table, licences, resources, bases);

    for (key, empty) in [
        ("levels", levels.as_ref().is_some_and(Vec::is_empty)),
        ("subjects", subjects.as_ref().is_some_and(Vec::is_empty)),
        ("modes", modes.as_ref().is_some_and(Vec::is_empty)),
        ("scopes", scopes.as_ref().is_some_and(Vec::is_empty)),
        ("delivery", delivery.as_ref().is_some_and(Vec::is_empty)),
    ] {
        if empty {
            table.wrong(key, "is empty", "write at least one");
        }
    }
    if result_licence.is_some_and(|id| licences.get(id).is_none()) {
        table.wrong("result_licence", "is not a licence type", "write an id of licence-types.csv");
    }

    let item = Item {
        code: code?,
        name_zh: name_zh?.to_owned(),
        name_en: name_en?.to_owned(),
        sector: sector?.to_owned(),
        item_type: item_type?,
        basis,
        levels: levels?,
        case_kind: case_kind?,
        subjects: subjects?,
        legal_days: legal_days?,
        promised_days: promised_days?,
        owner_rule: owner_rule?,
        modes: modes?,
        scopes: scopes?,
        presence: presence?,
        min_identity_level: min_identity_level?.try_into().ok()?,
        max_identity_age_min: max_identity_age_min.unwrap_or(IDENTITY_AGE_MIN),
        outlet_kinds: outlet_kinds?,
        fee: fee?,
        result_licence: result_licence?.to_owned(),
        delivery: delivery?,
        excluded,
        attributes,
        form,
        materials: materials?,
    };
    check_together(&item, department?, table);
    Some(item)
}

/// Longest name of a field of a form, in octets.
const FIELD_MAX: usize = 64;

fn read_form(table: &Table<'_, '_>) -> Option<BTreeSet<String>> {
    let fields = table.list::<String>("form", "name of a field")?;
    for field in &fields {
        if field.trim().is_empty() || field.trim() != field || field.len() > FIELD_MAX {
            table.wrong("form", "has a name that is none", "1 to 64 octets, no blanks around");
        }
        if Attribute::of_field(field).is_some() {
            table.wrong("form", format_args!("`{field}` is an attribute of the person"), "write it under attributes");
        }
    }
    Some(fields.into_iter().collect())
}

/// Rules between fields.
fn check_together(item: &Item, department: u8, table: &Table<'_, '_>) {
    if item.code.department() != department {
        table.wrong("dept_code", "differs from digits 5 and 6 of the code", "make them the same");
    }
    if format!("{:02}", item.code.item_type()) != item.item_type.word() {
        table.wrong("task_type", "differs from digits 3 and 4 of the code", "make them the same");
    }
    if item.legal_days != 0 && item.promised_days > item.legal_days {
        table.wrong("promised_days", "is longer than the law allows", "promise at most legal_days");
    }
    if (item.case_kind == CaseKind::Immediate) != (item.promised_days == 0) {
        table.wrong("promised_days", "does not fit the case kind", "0 for an immediate item, at least 1 for any other");
    }
    if item.presence != Presence::None && !item.outlet_kinds.is_empty() {
        table.wrong("outlet_kinds", "an item that needs presence cannot be filed at an outlet", "write []");
    }
}
