//! Materials as an item's entry lists them: where each comes from, and what may be looked up for its sake, which fields and
//! for what.

use std::collections::BTreeSet;

use serde::Serialize;

use super::basis::{self, Bases, Basis};
use super::registers::{DataResource, DataResources, LicenceTypes};
use super::words::{SharingClass, Source};
use crate::terms::strict_toml::Table;

/// The purpose that every entry names: handling the case itself.
pub const CASE: &str = "case";

/// Longest word for a purpose, in octets.
const PURPOSE_MAX: usize = 32;

/// Names that ask for anything at all; a guide must say what it wants.
const CATCH_ALLS: [&str; 5] = ["其他相关", "其它相关", "其他材料", "其它材料", "等相关材料"];

/// One material of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Material {
    pub no: u8,
    pub name: String,
    pub source: Source,
    /// Id of a licence type or of a data resource.
    pub reference: Option<String>,
    pub required: bool,
    /// Working days it may be handed in after acceptance (容缺).
    pub deferrable_days: Option<u32>,
    /// Fields of the data resource that the item may have; all that the register lists where the entry does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<BTreeSet<String>>,
    /// What the lookup rests on, where that is not what the item rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// What it may be looked up for. [`CASE`] is always among it.
    #[serde(skip_serializing_if = "is_for_the_case")]
    pub purposes: BTreeSet<String>,
}

/// A material that is looked up for nothing else is the same material as before others could be.
fn is_for_the_case(purposes: &BTreeSet<String>) -> bool {
    purposes.iter().all(|purpose| purpose == CASE)
}

/// Reads the materials of an item.
pub(super) fn read(
    item: &Table<'_, '_>,
    licences: &LicenceTypes,
    resources: &DataResources,
    bases: &Bases,
) -> Option<Vec<Material>> {
    let mut numbers = BTreeSet::new();
    let mut good = true;
    let mut materials = Vec::new();
    for table in item.tables("material") {
        let no = table.need_int("no", 1..=99);
        let name = table.need_str("name");
        let source = table.need_word::<Source>("source");
        let reference = table.str("ref");
        let required = table.need_bool("required");
        let deferrable_days = table.int("deferrable_days", 1..=366);
        let fields = table.list::<String>("fields", "name of a field").map(BTreeSet::from_iter);
        let basis = basis::named(&table, bases);
        let further = table.list::<String>("purposes", "a short word");
        table.done();
        if no.is_some_and(|no| !numbers.insert(no)) {
            table.wrong("no", "is there twice", "number the materials 1, 2, 3 …");
        }
        if let (Some(name), Some(source)) = (name, source) {
            check_source(&table, name, source, reference, licences, resources);
            let resource = reference.filter(|_| source == Source::Shared).and_then(|id| resources.get(id));
            if basis.is_some() && !matches!(source, Source::Shared | Source::Licence) {
                table.wrong("basis", "nothing is looked up for this source", "remove it");
            }
            check_use(&table, source, resource, fields.as_ref(), further.as_deref().unwrap_or_default());
        }
        let material = (|| {
            Some(Material {
                no: no?.try_into().ok()?,
                name: name?.to_owned(),
                source: source?,
                reference: reference.map(str::to_owned),
                required: required?,
                deferrable_days,
                fields,
                basis,
                purposes: further.unwrap_or_default().into_iter().chain([CASE.to_owned()]).collect(),
            })
        })();
        good &= material.is_some();
        materials.extend(material);
    }
    if materials.is_empty() && good {
        item.wrong("material", "is empty", "list at least the identity document");
    }
    good.then_some(materials)
}

fn check_source(
    table: &Table<'_, '_>,
    name: &str,
    source: Source,
    reference: Option<&str>,
    licences: &LicenceTypes,
    resources: &DataResources,
) {
    match (source, reference) {
        (Source::Licence, Some(id)) if licences.get(id).is_some() => {}
        (Source::Licence, _) => table.wrong("ref", "is not a licence type", "write an id of licence-types.csv"),
        (Source::Shared, Some(id)) => match resources.get(id) {
            Some(resource) if resource.class == SharingClass::Denied => {
                table.wrong("ref", "this resource is not shared", "ask the citizen, or remove the material");
            }
            Some(_) => {}
            None => table.wrong("ref", "is not a data resource", "write an id of data-resources.csv"),
        },
        (Source::Shared, None) => table.wrong("ref", "missing", "write an id of data-resources.csv"),
        (Source::Citizen | Source::Agent, Some(_)) => {
            table.wrong("ref", "has no meaning for this source", "remove it, or make the source licence or shared");
        }
        (Source::Citizen | Source::Agent, None) => {
            if CATCH_ALLS.iter().any(|catch_all| name.contains(catch_all)) {
                table.wrong("name", "asks for anything at all", "name the material");
            }
            if licences.iter().any(|licence| licence.name_zh == name) {
                table.wrong("source", "an electronic licence can be had", "write source = \"licence\" and its ref");
            }
            if resources.iter().any(|r| r.class != SharingClass::Denied && r.name_zh == name) {
                table.wrong("source", "sharing can give this", "write source = \"shared\" and its ref");
            }
        }
    }
}

/// What is looked up, as far as the entry narrows or widens it.
fn check_use(
    table: &Table<'_, '_>,
    source: Source,
    resource: Option<&DataResource>,
    fields: Option<&BTreeSet<String>>,
    further: &[String],
) {
    if let Some(fields) = fields {
        let none = fields.is_empty() || !resource.is_some_and(|data| fields.iter().all(|f| data.fields.contains(f)));
        if none {
            table.wrong("fields", "are not fields of the data resource", "write some of those that its register lists");
        }
    }
    // Purposes stand in the log, where there is no room for free text.
    let plain = |word: &String| {
        let letters = word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        (1..=PURPOSE_MAX).contains(&word.len()) && letters
    };
    if !further.iter().all(plain) {
        table.wrong("purposes", "has a word that is none", "1 to 32 of a-z, 0-9 and hyphen");
    }
    if !further.is_empty() && !matches!(source, Source::Shared | Source::Licence) {
        table.wrong("purposes", "nothing is looked up for this source", "remove it");
    }
}
