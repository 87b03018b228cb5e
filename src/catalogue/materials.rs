//! What this person must bring: the item's materials, minus what licences and sharing provide.
//!
//! ```text
//!  material ─▶ licence ─▶ usable?  Present    not had?  BringOriginal    not asked yet?  Present (or the original)
//!           ─▶ shared  ─▶ up?      LookUp     down?     Undertake (never: go home)
//!           ─▶ citizen ─▶ Bring (or later: Defer)         ─▶ agent ─▶ Bring, only when an agent files
//! ```

use std::collections::BTreeMap;

use serde::Serialize;

use super::Catalogue;
use super::items::{Item, Material};
use super::words::{SharingClass, Source};
use crate::terms::Lang;
use crate::terms::words::words;

words! {
    /// How one material gets into the case.
    pub enum How {
        Bring = "bring", "请提交", "hand it in";
        /// May be handed in after acceptance, within the days told (容缺受理).
        Defer = "defer", "可先受理、限期补交", "may follow later, in time";
        Present = "present", "出示电子证照即可，免交实体证照", "show the electronic licence; no paper needed";
        /// The person holds no electronic licence of the type.
        BringOriginal = "bring_original", "请携带证照原件", "bring the original";
        LookUp = "look_up", "由部门共享数据核查，无须提交", "looked up in shared data; nothing to hand in";
        /// As `LookUp`, once the person has agreed to the use.
        LookUpWithConsent = "look_up_with_consent", "经本人同意后由共享数据核查", "looked up in shared data with your consent";
        /// The source is down: the person signs an undertaking, or the office looks again; nobody is sent home.
        Undertake = "undertake", "数据源暂不可用，可签署承诺书先行受理", "the source is down: sign an undertaking for now";
        /// Only an agent hands this in.
        NotNeeded = "not_needed", "本人办理无须提交", "not needed when filing in person";
    }
}

/// What is known about one source of a material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// A usable licence, or a provider that answers.
    Available,
    /// No licence of the type, or data sharing has no record of the person.
    Absent,
    /// The provider does not answer now.
    Down,
}

/// What is known about the person and the sources when the plan is made. What is not listed is not yet asked.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    pub by_agent: bool,
    /// By id of licence type or data resource.
    pub sources: BTreeMap<String, Availability>,
    /// Data resources that need the person's consent before each use.
    pub consent_needed: Vec<String>,
}

/// One line of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Planned {
    pub no: u8,
    pub name: String,
    pub how: How,
    /// Why, for the person.
    pub why: String,
    pub required: bool,
    /// Working days after acceptance it may be handed in.
    pub deferrable_days: Option<u32>,
    /// Licence type or data resource it comes from.
    pub reference: Option<String>,
}

impl Planned {
    /// Whether the person has to have something in the hand.
    pub fn in_hand(&self) -> bool {
        matches!(self.how, How::Bring | How::Defer | How::BringOriginal)
    }
}

impl Catalogue {
    /// Plans the materials of an item for one person; in the order of the guide.
    pub fn plan(&self, item: &Item, circumstances: &Circumstances, lang: Lang) -> Vec<Planned> {
        item.materials.iter().map(|material| self.plan_one(material, circumstances, lang)).collect()
    }

    fn plan_one(&self, material: &Material, circumstances: &Circumstances, lang: Lang) -> Planned {
        let reference = material.reference.as_deref().unwrap_or_default();
        let known = circumstances.sources.get(reference).copied();
        let denied = self.resources.get(reference).is_some_and(|r| r.class == SharingClass::Denied);
        let how = match (material.source, known) {
            (Source::Citizen, _) => handed_in(material),
            (Source::Agent, _) if circumstances.by_agent => How::Bring,
            (Source::Agent, _) => How::NotNeeded,
            (Source::Licence, Some(Availability::Absent)) => How::BringOriginal,
            (Source::Licence, Some(Availability::Down)) => How::Undertake,
            (Source::Licence, _) => How::Present,
            (Source::Shared, _) if denied => handed_in(material),
            (Source::Shared, Some(Availability::Absent)) => handed_in(material),
            (Source::Shared, Some(Availability::Down)) => How::Undertake,
            (Source::Shared, _) if circumstances.consent_needed.iter().any(|id| id == reference) => {
                How::LookUpWithConsent
            }
            (Source::Shared, _) => How::LookUp,
        };
        Planned {
            no: material.no,
            name: self.material_name(material, lang).to_owned(),
            how,
            why: self.why(material, how, lang),
            required: material.required && how != How::NotNeeded,
            deferrable_days: material.deferrable_days,
            reference: material.reference.clone(),
        }
    }

    fn why(&self, material: &Material, how: How, lang: Lang) -> String {
        match (how, material.deferrable_days) {
            (How::Defer, Some(days)) => match lang {
                Lang::Zh => format!("{}，受理后{days}个工作日内", how.name(lang)),
                Lang::En => format!("{}: within {days} working days of acceptance", how.name(lang)),
            },
            _ => how.name(lang).to_owned(),
        }
    }

    /// The name of a material; in English that of its licence type or resource, where it has one.
    pub fn material_name<'m>(&'m self, material: &'m Material, lang: Lang) -> &'m str {
        let reference = material.reference.as_deref().unwrap_or_default();
        match (lang, self.licence_types.get(reference), self.resources.get(reference)) {
            (Lang::En, Some(licence), _) => &licence.name_en,
            (Lang::En, _, Some(resource)) => &resource.name_en,
            _ => &material.name,
        }
    }
}

fn handed_in(material: &Material) -> How {
    if material.deferrable_days.is_some() { How::Defer } else { How::Bring }
}
