//! Whose case is it? Owner resolution.
//!
//! ```text
//!  rule of the item ─▶ places known for it ─▶ jurisdiction of each ─▶ one?  Known
//!                        │none: Missing         │nobody: error        several? Ask ─choice + reason─▶ Known
//! ```

use serde::Serialize;

use super::Catalogue;
use super::divisions::PlaceLevel;
use super::error::CatalogueError;
use super::items::Item;
use super::scope::is_municipality;
use super::words::{Level, OwnerRule};
use crate::terms::words::words;
use crate::terms::{CreditCode, ItemCode, RegionCode};

words! {
    /// A place the owner rules ask for. Asked of shared data or of the person, never guessed.
    pub enum PlaceFact {
        Household = "household", "户籍地", "place of household registration";
        Residence = "residence", "居住地", "place of residence";
        Destination = "destination", "迁入地或转入地", "place moved or transferred to";
        InsuredAt = "insured_at", "参保地", "place insured";
        FundAt = "fund_at", "公积金缴存地", "place of the housing fund account";
        PropertyAt = "property_at", "房屋或场所所在地", "place of the property or premises";
        RegisteredAt = "registered_at", "登记机关所在地", "place of registration";
        Issuer = "issuer", "发证机关所在地", "place of the issuing authority";
        /// Not a fact about the person: where they stand.
        Window = "window", "受理窗口所在地", "place of the window";
    }
}

impl OwnerRule {
    /// The facts that can answer the rule.
    pub fn facts(self) -> &'static [PlaceFact] {
        match self {
            Self::Household => &[PlaceFact::Household],
            Self::Residence => &[PlaceFact::Residence],
            Self::Destination => &[PlaceFact::Destination],
            Self::InsuredAt => &[PlaceFact::InsuredAt],
            Self::FundAt => &[PlaceFact::FundAt],
            Self::PropertyAt => &[PlaceFact::PropertyAt],
            Self::RegisteredAt => &[PlaceFact::RegisteredAt],
            Self::Issuer => &[PlaceFact::Issuer],
            Self::Any => &[PlaceFact::Window, PlaceFact::Residence, PlaceFact::Household],
        }
    }
}

/// What is known about a person's places. One fact may have several: two homes, two insurance relations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceFacts(Vec<(PlaceFact, RegionCode)>);

impl PlaceFacts {
    #[must_use]
    pub fn with(mut self, fact: PlaceFact, place: RegionCode) -> Self {
        self.0.push((fact, place));
        self
    }

    pub fn of(&self, fact: PlaceFact) -> impl Iterator<Item = RegionCode> {
        self.0.iter().filter(move |(f, _)| *f == fact).map(|(_, place)| *place)
    }
}

impl FromIterator<(PlaceFact, RegionCode)> for PlaceFacts {
    fn from_iter<I: IntoIterator<Item = (PlaceFact, RegionCode)>>(facts: I) -> Self {
        Self(facts.into_iter().collect())
    }
}

/// A clerk's choice of the owner; the reason goes into the log.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    pub region: RegionCode,
    pub reason: &'a str,
}

/// The office that takes the case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Office {
    /// As registered, else named by place and department, e.g. `深圳市南山区公安部门`.
    pub name: String,
    /// `None` when the register has no authority for the place: the case is routed by its division all the same.
    pub code: Option<CreditCode>,
    /// Where the office sits; wider than the jurisdiction when it works there through a branch.
    pub seat: RegionCode,
}

impl Office {
    /// The authority as records and papers name it: its credit code, or its name where the register has none.
    pub fn authority(&self) -> String {
        self.code.as_ref().map_or_else(|| self.name.clone(), ToString::to_string)
    }
}

/// Why this place owns the case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The only answer to the item's rule.
    Fact(PlaceFact),
    /// One of several answers, chosen by the clerk.
    Chosen { fact: PlaceFact, reason: String },
    /// No source could say; the clerk took the person's word. The owner may return it, naming the right one.
    Declared { fact: PlaceFact, reason: String },
}

/// A place and office that own a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ownership {
    pub item: ItemCode,
    /// The jurisdiction: the division, town or village whose office decides.
    pub region: RegionCode,
    /// The level at which the power is exercised there.
    pub level: Level,
    pub office: Office,
    pub because: Because,
}

/// The answer to "whose case is it".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    Known(Ownership),
    /// Several answers: the clerk chooses, with a reason.
    Ask {
        item: ItemCode,
        candidates: Vec<Ownership>,
    },
    /// No answer: this fact is not known, or known only too coarsely (`coarse`).
    Missing {
        item: ItemCode,
        fact: PlaceFact,
        coarse: Option<RegionCode>,
    },
}

impl Owner {
    /// For callers that cannot ask back.
    ///
    /// # Errors
    /// [`CatalogueError::OwnerAmbiguous`] or [`CatalogueError::OwnerUnknown`].
    pub fn settled(self) -> Result<Ownership, CatalogueError> {
        match self {
            Self::Known(ownership) => Ok(ownership),
            Self::Ask { item, candidates } => Err(CatalogueError::OwnerAmbiguous { item, count: candidates.len() }),
            Self::Missing { item, fact, .. } => Err(CatalogueError::OwnerUnknown { item, fact }),
        }
    }
}

/// Hong Kong, Taiwan and Macau: places people come from, where mainland items are not exercised.
const OUTSIDE: [u32; 3] = [71, 81, 82];

enum Jurisdiction {
    At(RegionCode, Level),
    TooCoarse,
    Nobody,
}

impl Catalogue {
    /// Finds the owner of a case.
    ///
    /// A `choice` settles several answers, or stands in when no source could answer; it never overrules the one answer
    /// that is known.
    ///
    /// # Errors
    /// [`CatalogueError::UnknownPlace`], [`CatalogueError::NobodyOwns`], [`CatalogueError::NotACandidate`],
    /// [`CatalogueError::ChoiceWithoutReason`].
    pub fn resolve(
        &self,
        item: &Item,
        known: &PlaceFacts,
        window: RegionCode,
        choice: Option<Choice<'_>>,
    ) -> Result<Owner, CatalogueError> {
        if choice.is_some_and(|c| c.reason.trim().is_empty()) {
            return Err(CatalogueError::ChoiceWithoutReason { item: item.code });
        }
        let facts = item.owner_rule.facts();
        let mut candidates: Vec<Ownership> = Vec::new();
        let (mut coarse, mut nobody) = (None, None);
        for &fact in facts {
            let here = (fact == PlaceFact::Window).then_some(window);
            for place in known.of(fact).chain(here) {
                match self.jurisdiction(item, place)? {
                    Jurisdiction::At(region, level) if candidates.iter().all(|c| c.region != region) => {
                        candidates.push(self.ownership(item, region, level, Because::Fact(fact)));
                    }
                    Jurisdiction::At(..) => {}
                    Jurisdiction::TooCoarse => coarse = coarse.or(Some((fact, place))),
                    Jurisdiction::Nobody => nobody = nobody.or(Some(place)),
                }
            }
        }
        // A coarse place may hide any number of owners: it is no answer, not even beside a fine one.
        if let (Some((fact, place)), None) = (coarse, choice) {
            return Ok(Owner::Missing { item: item.code, fact, coarse: Some(place) });
        }
        match (candidates.len(), choice) {
            (0, None) => match nobody {
                Some(place) => Err(CatalogueError::NobodyOwns { item: item.code, place }),
                None => Ok(Owner::Missing { item: item.code, fact: facts[0], coarse: None }),
            },
            (1, None) => Ok(Owner::Known(candidates.swap_remove(0))),
            (_, None) => Ok(Owner::Ask { item: item.code, candidates }),
            (_, Some(choice)) => {
                let open = (candidates.is_empty() || item.owner_rule == OwnerRule::Any) && nobody.is_none();
                self.chosen(item, candidates, coarse, open, choice)
            }
        }
    }

    fn chosen(
        &self,
        item: &Item,
        candidates: Vec<Ownership>,
        coarse: Option<(PlaceFact, RegionCode)>,
        open: bool,
        choice: Choice<'_>,
    ) -> Result<Owner, CatalogueError> {
        let not_one = CatalogueError::NotACandidate { item: item.code, chosen: choice.region };
        let reason = choice.reason.trim().to_owned();
        let (region, level) = match self.jurisdiction(item, choice.region)? {
            Jurisdiction::At(region, level) => (region, level),
            Jurisdiction::Nobody => return Err(CatalogueError::NobodyOwns { item: item.code, place: choice.region }),
            Jurisdiction::TooCoarse => return Err(not_one),
        };
        let several = candidates.len() > 1 || coarse.is_some();
        if let Some(mut candidate) = candidates.into_iter().find(|c| c.region == region) {
            if let (Because::Fact(fact), true) = (&candidate.because, several) {
                candidate.because = Because::Chosen { fact: *fact, reason };
            }
            return Ok(Owner::Known(candidate));
        }
        let fact = item.owner_rule.facts()[0];
        let because = match coarse {
            Some((fact, around)) if region.lies_in(around) => Because::Chosen { fact, reason },
            None if open && item.owner_rule == OwnerRule::Any => Because::Chosen { fact, reason },
            None if open => Because::Declared { fact, reason },
            _ => return Err(not_one),
        };
        Ok(Owner::Known(self.ownership(item, region, level, because)))
    }

    /// The most local place around `place` at one of the item's levels.
    ///
    /// Divisions are not regular, so powers move: a prefecture without counties exercises the county's, a county
    /// directly under its province exercises the prefecture's, a municipality the prefecture's of its districts; and
    /// a town's or village's power is reached through the county when the place is not known more finely.
    fn jurisdiction(&self, item: &Item, place: RegionCode) -> Result<Jurisdiction, CatalogueError> {
        let chain: Vec<_> = self.divisions.chain(place).collect();
        let Some(finest) = chain.first() else { return Err(CatalogueError::UnknownPlace(place)) };
        if OUTSIDE.contains(&(place.division().number() / 10_000)) {
            return Ok(Jurisdiction::Nobody);
        }
        let has = |level| item.levels.contains(&level);
        if let Some(at) = chain.iter().find(|at| has(at.level.into())) {
            return Ok(Jurisdiction::At(at.code, at.level.into()));
        }
        // No place of the chain has one of the levels: its irregular stand-in, else the county for towns and villages.
        let prefecture = chain.iter().find(|at| at.level == PlaceLevel::Prefecture);
        let county = chain.iter().find(|at| matches!(at.level, PlaceLevel::County | PlaceLevel::Functional));
        let local = has(Level::County) || has(Level::Town) || has(Level::Village);
        if local && let Some(without) = prefecture.filter(|at| self.divisions.is_without_counties(at.code)) {
            return Ok(Jurisdiction::At(without.code, Level::County));
        }
        if has(Level::Prefecture) && prefecture.is_none() {
            let province = chain.last().filter(|at| is_municipality(at.code));
            if let Some(at) = province.or(county) {
                return Ok(Jurisdiction::At(at.code, Level::Prefecture));
            }
        }
        if let Some(at) = county.filter(|_| local) {
            return Ok(Jurisdiction::At(at.code, Level::County));
        }
        // The levels left are all narrower than what is known.
        let known: Level = finest.level.into();
        let narrower = item.levels.iter().any(|level| *level > known);
        Ok(if narrower { Jurisdiction::TooCoarse } else { Jurisdiction::Nobody })
    }

    fn ownership(&self, item: &Item, region: RegionCode, level: Level, because: Because) -> Ownership {
        Ownership { item: item.code, region, level, office: self.office(item, region), because }
    }

    /// The office that takes cases of an item that a place owns.
    pub fn office(&self, item: &Item, region: RegionCode) -> Office {
        match self.authorities.of(item.code.department(), region) {
            Some(authority) => Office {
                name: authority.name.clone(),
                code: Some(authority.code.clone()),
                seat: authority.region.unwrap_or(region),
            },
            None => Office { name: self.named_office(item, region), code: None, seat: region },
        }
    }

    fn named_office(&self, item: &Item, region: RegionCode) -> String {
        let mut names: Vec<&str> = self.divisions.chain(region).take(2).map(|at| at.name.as_str()).collect();
        names.reverse();
        format!("{}{}部门", names.concat(), item.sector)
    }
}
