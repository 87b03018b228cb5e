//! The directory of divisions: what exists, what it is called, what it lies in.
//!
//! ```text
//!  440305007003 ─▶ known? ─no▶ 440305007000 ─no▶ 440305000000 南山区   (longest known prefix)
//!                                                   └▶ 440300 深圳市 ▶ 440000 广东省
//! ```

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::csv;
use crate::terms::words::{Lang, words};
use crate::terms::{DivisionCode, Mistakes, RegionCode};

words! {
    /// What kind of place a division is.
    pub enum PlaceLevel {
        Province = "province", "省级", "province";
        Prefecture = "prefecture", "市级", "prefecture";
        County = "county", "县级", "county";
        /// A development zone or new area: real offices and a statistical code, outside GB/T 2260.
        Functional = "functional", "功能区", "functional zone";
        Town = "town", "乡镇街道", "town or street";
        Village = "village", "村社区", "village or community";
    }
}

/// One place of the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    pub code: RegionCode,
    pub name: String,
    pub level: PlaceLevel,
    /// `None` for a province.
    pub parent: Option<RegionCode>,
}

/// A code that is no longer in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    pub name: String,
    /// Year and month of the last list that had it, e.g. `201607`.
    pub last_seen: u32,
}

/// What the first six digits of a resident number say. Never a reason to refuse: people move, codes change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BirthPlace<'d> {
    Current(&'d Place),
    Former(&'d Former),
    /// Worth a warning to the clerk, nothing more.
    Unknown,
}

/// Every division and the towns and villages a deployment knows.
#[derive(Debug, Default)]
pub struct Divisions {
    places: BTreeMap<RegionCode, Place>,
    by_name: HashMap<String, Vec<RegionCode>>,
    former: BTreeMap<DivisionCode, Former>,
}

impl Divisions {
    /// Reads `divisions.csv`, `divisions-historic.csv` and the towns and villages of `divisions-demo.csv`.
    pub fn read(divisions: &str, historic: &str, towns: &str, mistakes: &mut Mistakes) -> Self {
        let mut all = Self::default();
        all.read_places("divisions.csv", divisions, &["code", "name", "level", "parent"], false, mistakes);
        all.read_places("divisions-demo.csv", towns, &["code12", "name", "level", "parent12"], true, mistakes);
        all.read_former(historic, mistakes);
        for place in all.places.values() {
            all.by_name.entry(place.name.clone()).or_default().push(place.code);
        }
        all
    }

    fn read_places(&mut self, file: &str, text: &str, columns: &[&str], overlap: bool, mistakes: &mut Mistakes) {
        let mut lines = Vec::new();
        csv::rows(file, text, columns, mistakes, |row, mistakes| {
            let code = row.parse::<RegionCode>(0, "6 or 12 digits of GB/T 2260 and GB/T 10114", mistakes);
            let name = row.need(1, mistakes).map(str::to_owned);
            let level = row.word::<PlaceLevel>(2, mistakes);
            let parent = match row.text(3) {
                "" => Some(None),
                _ => row.parse(3, "the code of the place it lies in", mistakes).map(Some),
            };
            let (Some(code), Some(name), Some(level), Some(parent)) = (code, name, level, parent) else { return };
            let place = Place { code, name, level, parent };
            match self.places.get(&code) {
                Some(known) if overlap && *known == place => return,
                Some(_) => row.wrong(0, mistakes, "is there twice, or differs from the other list", "keep one row"),
                None => {
                    if !shape_fits(&place) {
                        row.wrong(2, mistakes, "does not fit the digits of the code", "correct code or level");
                    }
                    self.places.insert(code, place);
                }
            }
            lines.push((row.line, code));
        });
        for (line, code) in lines {
            let Some(place) = self.places.get(&code) else { continue };
            let good = match place.parent {
                None => place.level == PlaceLevel::Province,
                Some(parent) => self.places.contains_key(&parent) && code.lies_in(parent) && code != parent,
            };
            if !good {
                mistakes.add(file, line, columns[3], "is not a known place around it", "write the code of its parent");
            }
        }
    }

    fn read_former(&mut self, text: &str, mistakes: &mut Mistakes) {
        let columns = ["code", "name", "last_seen"];
        csv::rows("divisions-historic.csv", text, &columns, mistakes, |row, mistakes| {
            let code = row.parse::<DivisionCode>(0, "6 digits", mistakes);
            let name = row.need(1, mistakes).map(str::to_owned);
            let last_seen = row.parse::<u32>(2, "year and month, e.g. 201607", mistakes);
            if let (Some(code), Some(name), Some(last_seen)) = (code, name, last_seen) {
                self.former.insert(code, Former { name, last_seen });
            }
        });
    }

    /// The place with exactly this code.
    pub fn exact(&self, code: RegionCode) -> Option<&Place> {
        self.places.get(&code)
    }

    /// The narrowest known place around `code`, or itself; `None` when not even its province is known.
    pub fn longest_prefix(&self, code: RegionCode) -> Option<&Place> {
        std::iter::successors(Some(code), |at| at.parent()).find_map(|at| self.places.get(&at))
    }

    /// The place and what it lies in, narrowest first. Starts at the longest known prefix.
    pub fn chain(&self, code: RegionCode) -> impl Iterator<Item = &Place> {
        std::iter::successors(self.longest_prefix(code), |place| self.places.get(&place.parent?))
    }

    /// Names from the province down, e.g. `广东省/深圳市/南山区`; empty when nothing is known.
    pub fn name_chain(&self, code: RegionCode) -> String {
        let mut names: Vec<&str> = self.chain(code).map(|place| place.name.as_str()).collect();
        names.reverse();
        names.join("/")
    }

    /// Places a chain of names can mean, e.g. `广东省/深圳市/南山区`, `河南省/济源市` or `南山区` alone (two of them).
    /// Levels may be left out; those given must be in order, and the last is the place itself.
    pub fn find_chain(&self, text: &str) -> Vec<&Place> {
        let mut wanted: Vec<&str> = text.split('/').map(str::trim).filter(|name| !name.is_empty()).collect();
        let Some(last) = wanted.pop() else { return Vec::new() };
        let fits = |code: &RegionCode| {
            let mut around = self.chain(*code).skip(1);
            wanted.iter().rev().all(|name| around.any(|place| place.name == *name))
        };
        let codes = self.by_name.get(last).map_or(&[][..], Vec::as_slice);
        codes.iter().filter(|code| fits(code)).filter_map(|code| self.places.get(code)).collect()
    }

    /// Places whose name contains `text`, widest first; at most `limit`.
    pub fn search(&self, text: &str, limit: usize) -> Vec<&Place> {
        let text = text.trim();
        if text.is_empty() {
            return Vec::new();
        }
        let mut found: Vec<&Place> = self.places.values().filter(|place| place.name.contains(text)).collect();
        found.sort_by_key(|place| (place.level, place.code));
        found.truncate(limit);
        found
    }

    /// Places directly below `code`, in the order of their codes.
    pub fn children(&self, code: RegionCode) -> impl Iterator<Item = &Place> {
        let around = move |place: &&Place| place.parent == Some(code);
        self.places.range(code..).map(|(_, place)| place).take_while(move |p| p.code.lies_in(code)).filter(around)
    }

    /// Looks at the first six characters of a resident number.
    pub fn birth_place(&self, six_digits: &str) -> BirthPlace<'_> {
        let Ok(code) = six_digits.parse::<DivisionCode>() else { return BirthPlace::Unknown };
        match (self.places.get(&code.into()), self.former.get(&code)) {
            (Some(place), _) => BirthPlace::Current(place),
            (None, Some(former)) => BirthPlace::Former(former),
            (None, None) => BirthPlace::Unknown,
        }
    }

    /// A prefecture without counties, whose towns hang directly below it: Dongguan, Zhongshan, Danzhou, Jiayuguan.
    pub fn is_without_counties(&self, code: RegionCode) -> bool {
        self.exact(code).is_some_and(|place| place.level == PlaceLevel::Prefecture)
            && !self.children(code).any(|place| matches!(place.level, PlaceLevel::County | PlaceLevel::Functional))
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Place> {
        self.places.values()
    }
}

impl Place {
    /// Name and level for people, e.g. `南山区 (县级)`.
    pub fn titled(&self, lang: Lang) -> String {
        format!("{} ({})", self.name, self.level.name(lang))
    }
}

fn shape_fits(place: &Place) -> bool {
    matches!(
        (place.level, place.code.significant()),
        (PlaceLevel::Province, 2)
            | (PlaceLevel::Prefecture, 4)
            | (PlaceLevel::County | PlaceLevel::Functional, 6)
            | (PlaceLevel::Town, 9)
            | (PlaceLevel::Village, 12)
    )
}
