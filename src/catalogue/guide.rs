//! The service guide (办事指南): one item rendered for people, from the one source all channels publish.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Catalogue;
use super::items::Item;
use super::owner::Ownership;
use crate::terms::{Digest, ImplementationCode, ItemCode, Lang};

/// A word and its name in the reader's language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    pub word: &'static str,
    pub name: &'static str,
}

/// The guide of an item. Day counts are working days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Guide {
    pub code: ItemCode,
    /// With the authority: 31 characters, when its credit code is registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub implementation_code: Option<String>,
    /// Digest of the item's content; a case cites the version in force when it was filed.
    pub version: Digest,
    pub name: String,
    pub item_type: Named,
    pub sector: String,
    /// What it rests on (设定依据).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
    /// The office, once the owner is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    pub levels: Vec<Named>,
    pub case_kind: Named,
    pub subjects: Vec<Named>,
    /// 0 = no statutory limit.
    pub legal_days: u32,
    /// 0 = the same day.
    pub promised_days: u32,
    pub owner_rule: Named,
    pub modes: Vec<Named>,
    pub scopes: Vec<Named>,
    pub presence: Named,
    pub min_identity_level: u8,
    /// How long ago it may have been proven, in minutes.
    pub max_identity_age_min: u32,
    pub outlets: Vec<Named>,
    pub fee: bool,
    /// What the office is told of the applicant.
    pub attributes: Vec<Named>,
    /// Fields to fill in; absent where the item does not list them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<BTreeSet<String>>,
    pub materials: Vec<GuideMaterial>,
    pub delivery: Vec<Named>,
    pub result: GuideResult,
    /// Limits in a sentence.
    pub time_limit: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GuideMaterial {
    pub no: u8,
    pub name: String,
    pub source: Named,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    pub required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deferrable_days: Option<u32>,
    /// What a lookup for its sake rests on, where the guide as a whole says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
    /// What is looked up for its sake: these fields, where the item does not take all, and for these purposes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<BTreeSet<String>>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub purposes: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GuideResult {
    /// Id of the licence type, e.g. `LT-HHC`.
    pub licence_type: String,
    pub name: String,
}

/// One of the closed lists, named in a language.
macro_rules! named {
    ($value:expr, $lang:expr) => {
        Named { word: $value.word(), name: $value.name($lang) }
    };
}

impl Catalogue {
    /// The guide of `item`; with the office and the 31-digit code when the owner is known.
    pub fn guide(&self, item: &Item, owner: Option<&Ownership>, lang: Lang) -> Guide {
        let all = |words: &[super::words::Level]| words.iter().map(|w| named!(w, lang)).collect();
        let authority = owner.map(|o| o.office.name.clone());
        let implementation_code = owner.and_then(|o| {
            let authority = o.office.code.clone()?;
            Some(ImplementationCode { authority, level: o.level.digit(), item: item.code }.to_string())
        });
        let materials = item.materials.iter().map(|m| GuideMaterial {
            no: m.no,
            name: self.material_name(m, lang).to_owned(),
            source: named!(m.source, lang),
            reference: m.reference.clone(),
            required: m.required,
            deferrable_days: m.deferrable_days,
            basis: m.basis.as_ref().map(|basis| basis.text.clone()),
            fields: m.fields.clone(),
            purposes: if m.reference.is_some() { m.purposes.clone() } else { BTreeSet::new() },
        });
        let result = self.licence_types.get(&item.result_licence).map_or("", |licence| licence.name(lang));
        Guide {
            code: item.code,
            implementation_code,
            version: item.version(),
            name: item.name(lang).to_owned(),
            item_type: named!(item.item_type, lang),
            sector: item.sector.clone(),
            basis: item.basis.as_ref().map(|basis| basis.text.clone()),
            authority,
            levels: all(&item.levels),
            case_kind: named!(item.case_kind, lang),
            subjects: item.subjects.iter().map(|w| named!(w, lang)).collect(),
            legal_days: item.legal_days,
            promised_days: item.promised_days,
            owner_rule: named!(item.owner_rule, lang),
            modes: item.modes.iter().map(|w| named!(w, lang)).collect(),
            scopes: item.scopes.iter().map(|w| named!(w, lang)).collect(),
            presence: named!(item.presence, lang),
            min_identity_level: item.min_identity_level,
            max_identity_age_min: item.max_identity_age_min,
            outlets: item.outlet_kinds.iter().map(|w| named!(w, lang)).collect(),
            fee: item.fee,
            attributes: item.attributes.iter().map(|w| named!(w, lang)).collect(),
            form: item.form.clone(),
            materials: materials.collect(),
            delivery: item.delivery.iter().map(|w| named!(w, lang)).collect(),
            result: GuideResult { licence_type: item.result_licence.clone(), name: result.to_owned() },
            time_limit: time_limit(item, lang),
        }
    }
}

fn time_limit(item: &Item, lang: Lang) -> String {
    let promised = match (item.promised_days, lang) {
        (0, Lang::Zh) => "承诺当日办结".to_owned(),
        (0, Lang::En) => "promised the same day".to_owned(),
        (days, Lang::Zh) => format!("承诺{days}个工作日"),
        (days, Lang::En) => format!("promised in {days} working days"),
    };
    match (item.legal_days, lang) {
        (0, _) => promised,
        (days, Lang::Zh) => format!("{promised}，法定{days}个工作日"),
        (days, Lang::En) => format!("{promised}, statutory limit {days}"),
    }
}
