//! Three small registers the items refer to: licence types, data resources, authorities.

use std::collections::BTreeMap;

use super::csv;
use super::words::{Holder, SharingClass, Validity};
use crate::terms::{CreditCode, Lang, Mistakes, RegionCode};

/// A type of licence, e.g. `LT-ID`, the resident identity card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenceType {
    pub id: String,
    /// 21 characters: credit code of the defining body + 3 (GB/T 36904).
    pub type_code: String,
    pub name_zh: String,
    pub name_en: String,
    pub sector: String,
    pub department: u8,
    pub holder: Holder,
    pub validity: Validity,
}

impl LicenceType {
    pub fn name(&self, lang: Lang) -> &str {
        lang.pick(&self.name_zh, &self.name_en)
    }
}

/// The licence types, by id and by type code.
#[derive(Debug, Default)]
pub struct LicenceTypes {
    by_id: BTreeMap<String, LicenceType>,
    by_code: BTreeMap<String, String>,
}

impl LicenceTypes {
    pub fn read(text: &str, mistakes: &mut Mistakes) -> Self {
        const COLUMNS: [&str; 8] =
            ["id", "type_code", "name_zh", "name_en", "sector", "dept_code", "holder", "validity"];
        let mut all = Self::default();
        csv::rows("licence-types.csv", text, &COLUMNS, mistakes, |row, mistakes| {
            let good_code =
                |code: &&str| code.len() == 21 && code.is_char_boundary(18) && code[..18].parse::<CreditCode>().is_ok();
            let type_code = Some(row.text(1)).filter(good_code);
            if type_code.is_none() {
                row.wrong(1, mistakes, "is not a type code", "write a credit code and 3 characters");
            }
            let texts = [0, 2, 3, 4].map(|column| row.need(column, mistakes).map(str::to_owned));
            let department = department(&row, 5, mistakes);
            let (holder, validity) = (row.word(6, mistakes), row.word(7, mistakes));
            let ([Some(id), Some(name_zh), Some(name_en), Some(sector)], Some(type_code)) = (texts, type_code) else {
                return;
            };
            let (Some(department), Some(holder), Some(validity)) = (department, holder, validity) else { return };
            let type_code = type_code.to_owned();
            if all.by_id.contains_key(&id) || all.by_code.insert(type_code.clone(), id.clone()).is_some() {
                row.wrong(0, mistakes, "id or type code is there twice", "keep one row");
            }
            let licence =
                LicenceType { id: id.clone(), type_code, name_zh, name_en, sector, department, holder, validity };
            all.by_id.insert(id, licence);
        });
        all
    }

    pub fn get(&self, id: &str) -> Option<&LicenceType> {
        self.by_id.get(id)
    }

    /// By the first part of a licence identifier.
    pub fn by_type_code(&self, type_code: &str) -> Option<&LicenceType> {
        self.by_id.get(self.by_code.get(type_code)?)
    }

    pub fn iter(&self) -> impl Iterator<Item = &LicenceType> {
        self.by_id.values()
    }
}

/// A shared-data resource, e.g. `DR-HH`, members of a household.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataResource {
    pub id: String,
    pub name_zh: String,
    pub name_en: String,
    pub provider_sector: String,
    pub class: SharingClass,
    /// 1 public … 4 most sensitive.
    pub sensitivity: u8,
}

impl DataResource {
    pub fn name(&self, lang: Lang) -> &str {
        lang.pick(&self.name_zh, &self.name_en)
    }
}

/// The data resources, by id.
#[derive(Debug, Default)]
pub struct DataResources(BTreeMap<String, DataResource>);

impl DataResources {
    pub fn read(text: &str, mistakes: &mut Mistakes) -> Self {
        const COLUMNS: [&str; 6] = ["id", "name_zh", "name_en", "provider_sector", "sharing_class", "sensitivity"];
        let mut all = BTreeMap::new();
        csv::rows("data-resources.csv", text, &COLUMNS, mistakes, |row, mistakes| {
            let texts = [0, 1, 2, 3].map(|column| row.need(column, mistakes).map(str::to_owned));
            let class = row.word(4, mistakes);
            let sensitivity = row.parse::<u8>(5, "1 to 4", mistakes);
            if sensitivity.is_some_and(|s| !(1..=4).contains(&s)) {
                row.wrong(5, mistakes, "is out of range", "write 1 to 4");
            }
            let ([Some(id), Some(name_zh), Some(name_en), Some(provider_sector)], Some(class), Some(sensitivity)) =
                (texts, class, sensitivity)
            else {
                return;
            };
            let resource = DataResource { id: id.clone(), name_zh, name_en, provider_sector, class, sensitivity };
            if all.insert(id, resource).is_some() {
                row.wrong(0, mistakes, "is there twice", "keep one row");
            }
        });
        Self(all)
    }

    pub fn get(&self, id: &str) -> Option<&DataResource> {
        self.0.get(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &DataResource> {
        self.0.values()
    }
}

/// An authority that exercises powers of a department in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    pub code: CreditCode,
    pub name: String,
    /// `None` for a national authority.
    pub region: Option<RegionCode>,
    /// Department digits of the basic codes, e.g. 9 for public security.
    pub department: u8,
}

/// The authorities, by department and region; the first of several is the department itself.
#[derive(Debug, Default)]
pub struct Authorities {
    by_seat: BTreeMap<(u8, Option<RegionCode>), Vec<Authority>>,
    by_code: BTreeMap<CreditCode, (u8, Option<RegionCode>)>,
}

/// How the table spells the nation, which has no division code.
const NATION: &str = "100000000000";

impl Authorities {
    pub fn read(text: &str, mistakes: &mut Mistakes) -> Self {
        const COLUMNS: [&str; 4] = ["uscc", "name", "division12", "dept_code"];
        let mut all = Self::default();
        csv::rows("authorities-demo.csv", text, &COLUMNS, mistakes, |row, mistakes| {
            let code = row.parse::<CreditCode>(0, "a unified social credit code", mistakes);
            let name = row.need(1, mistakes).map(str::to_owned);
            let region = match row.text(2) {
                NATION => Some(None),
                _ => row.parse(2, "12 digits", mistakes).map(Some),
            };
            let department = department(&row, 3, mistakes);
            let (Some(code), Some(name), Some(region), Some(department)) = (code, name, region, department) else {
                return;
            };
            if all.by_code.insert(code.clone(), (department, region)).is_some() {
                row.wrong(0, mistakes, "is there twice", "keep one row");
                return;
            }
            all.by_seat.entry((department, region)).or_default().push(Authority { code, name, region, department });
        });
        all
    }

    /// The authority of a department for a place: its own, or that of the narrowest place around it that has one.
    /// National authorities are never reached this way: they set rules, they do not take cases.
    pub fn of(&self, department: u8, place: RegionCode) -> Option<&Authority> {
        std::iter::successors(Some(place), |at| at.parent())
            .find_map(|at| self.by_seat.get(&(department, Some(at)))?.first())
    }

    pub fn get(&self, code: &CreditCode) -> Option<&Authority> {
        self.by_seat.get(self.by_code.get(code)?)?.iter().find(|authority| authority.code == *code)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Authority> {
        self.by_seat.values().flatten()
    }
}

fn department(row: &csv::Row<'_>, column: usize, mistakes: &mut Mistakes) -> Option<u8> {
    let text = row.text(column);
    if text.len() != 2 || !text.bytes().all(|b| b.is_ascii_digit()) {
        row.wrong(column, mistakes, "is not a department", "write two digits");
        return None;
    }
    text.parse().ok()
}
