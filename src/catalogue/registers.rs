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
    /// Fields it gives, the smallest useful set; none where it answers yes or no only.
    pub fields: Vec<String>,
    /// How long an answer is fresh, in seconds.
    pub fresh_s: u64,
    /// How long beyond that an answer may stand in while the provider is down, in seconds; 0: never.
    pub stale_s: u64,
    /// Asked only with the person's consent.
    pub needs_consent: bool,
}

/// Fields of resources whose row does not tell them: the smallest useful set.
const FIELDS: &[(&str, &[&str])] =
    &[("DR-HH", &["household_address", "household_no", "relation"]), ("DR-POP", &["name", "birth_date"])];
/// How long an answer is fresh where the row does not tell, in seconds, by sensitivity 1–4.
const FRESH_S: [u64; 4] = [3_600, 900, 300, 60];
/// Longest time an answer may be fresh, or stand in, in seconds.
const LONGEST_S: u64 = 7 * 86_400;
/// How long answers of unconditionally shared registers may stand in where the row does not tell, in seconds.
const STALE_S: u64 = 86_400;

impl DataResource {
    /// Whether it answers yes or no, and gives no fields.
    pub fn answers_yes_no(&self) -> bool {
        self.fields.is_empty()
    }

    pub fn name(&self, lang: Lang) -> &str {
        lang.pick(&self.name_zh, &self.name_en)
    }
}

/// The data resources, by id.
#[derive(Debug, Default)]
pub struct DataResources(BTreeMap<String, DataResource>);

impl DataResources {
    pub fn read(text: &str, mistakes: &mut Mistakes) -> Self {
        // A deployment's own file may say more: what is left out, or the field empty, follows class and sensitivity.
        const COLUMNS: [&str; 10] = [
            "id",
            "name_zh",
            "name_en",
            "provider_sector",
            "sharing_class",
            "sensitivity",
            "fields",
            "fresh_s",
            "stale_s",
            "consent",
        ];
        let short = text.lines().next().is_some_and(|header| header.matches(',').count() < 6);
        let columns = if short { &COLUMNS[..6] } else { &COLUMNS[..] };
        let mut all = BTreeMap::new();
        csv::rows("data-resources.csv", text, columns, mistakes, |row, mistakes| {
            let texts = [0, 1, 2, 3].map(|column| row.need(column, mistakes).map(str::to_owned));
            let class = row.word::<SharingClass>(4, mistakes);
            let more = |column: usize| if short { "" } else { row.text(column) };
            let sensitivity = row.parse::<u8>(5, "1 to 4", mistakes);
            if sensitivity.is_some_and(|s| !(1..=4).contains(&s)) {
                row.wrong(5, mistakes, "is out of range", "write 1 to 4");
            }
            let ([Some(id), Some(name_zh), Some(name_en), Some(provider_sector)], Some(class), Some(sensitivity)) =
                (texts, class, sensitivity)
            else {
                return;
            };
            let mut seconds = |column: usize, usual: u64| match more(column) {
                "" => usual,
                text => match text.parse::<u64>() {
                    Ok(seconds) if seconds <= LONGEST_S => seconds,
                    _ => {
                        row.wrong(column, mistakes, "is not a time", format_args!("write seconds, 0 to {LONGEST_S}"));
                        usual
                    }
                },
            };
            let fresh_s = seconds(7, FRESH_S[usize::from(sensitivity.clamp(1, 4)) - 1]);
            let stale_s = seconds(8, if class == SharingClass::Unconditional { STALE_S } else { 0 });
            let needs_consent = match more(9) {
                // The most sensitive data are asked with consent unless the register says that a law does without.
                "" => sensitivity >= 4,
                "yes" => true,
                "no" => false,
                _ => {
                    row.wrong(9, mistakes, "is not valid", "write yes or no");
                    true
                }
            };
            let fields = match more(6) {
                "" if name_en.contains("yes/no only") => Vec::new(),
                "" => {
                    FIELDS.iter().find(|(known, _)| *known == id).map_or(&["holds"][..], |(_, fields)| *fields).to_vec()
                }
                "yes_no" => Vec::new(),
                text => text.split('|').map(str::trim).collect(),
            };
            let plain =
                |field: &&str| !field.is_empty() && field.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !fields.iter().all(plain) {
                row.wrong(
                    6,
                    mistakes,
                    "has a field without a plain name",
                    "write yes_no, or names with | between them",
                );
            }
            let fields = fields.into_iter().map(str::to_owned).collect();
            let resource = DataResource {
                id: id.clone(),
                name_zh,
                name_en,
                provider_sector,
                class,
                sensitivity,
                fields,
                fresh_s,
                stale_s,
                needs_consent,
            };
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
