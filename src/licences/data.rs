//! What a licence says (GB/T 36903 names), each value bound to the file it stands in.
//!
//! ```text
//!  OFD.xml CustomDatas · attachments (XML, JSON) · custom tags ─▶ page text ──▶ Datum { name, value, file, covered }
//! ```
//! A value counts only if its file is covered by a signature and is, octet for octet, the file that was digested.

use serde_json::{Value, json};

use super::ofd::shown;
use super::verdict::Finding;
use crate::formats::xml::Element;
use crate::terms::{Day, LicenceId};

/// Names of GB/T 36903, as platforms write them.
pub mod names {
    pub const IDENTIFIER: &str = "certificateIdentifier";
    pub const NAME: &str = "certificateName";
    pub const TYPE_NAME: &str = "certificateTypeName";
    pub const TYPE_CODE: &str = "certificateTypeCode";
    pub const NUMBER: &str = "certificateNumber";
    pub const ISSUED: &str = "certificateIssuedDate";
    pub const ISSUER_NAME: &str = "certificateIssuingAuthorityName";
    pub const ISSUER_CODE: &str = "certificateIssuingAuthorityCode";
    pub const HOLDER_NAME: &str = "certificateHolderName";
    pub const HOLDER_CODE: &str = "certificateHolderCode";
    pub const HOLDER_TYPE: &str = "certificateHolderTypeCode";
    pub const VALID_FROM: &str = "certificateEffectiveDate";
    pub const VALID_TO: &str = "certificateExpiringDate";
    pub const AREA: &str = "certificateAreaCode";
}

/// Other spellings of the same names, in lower case.
const SPELLINGS: &[(&str, &[&str])] = &[
    (names::IDENTIFIER, &["certificateidentifier", "证照标识", "电子证照标识", "licenceidentifier"]),
    (names::NAME, &["certificatename", "证照名称"]),
    (names::TYPE_NAME, &["certificatetypename", "certificatetype", "证照类型名称", "证照类型"]),
    (names::TYPE_CODE, &["certificatetypecode", "证照类型代码"]),
    (names::NUMBER, &["certificatenumber", "证照编号", "证照号码", "证书编号"]),
    (names::ISSUED, &["certificateissueddate", "颁证日期", "发证日期", "证照颁发日期"]),
    (names::ISSUER_NAME, &["certificateissuingauthorityname", "发证机关", "证照颁发机构", "颁发机构"]),
    (names::ISSUER_CODE, &["certificateissuingauthoritycode", "证照颁发机构代码", "颁发机构代码", "发证机关代码"]),
    (names::HOLDER_NAME, &["certificateholdername", "holdername", "持证主体", "持有人", "持证者", "持证人"]),
    (names::HOLDER_CODE, &["certificateholdercode", "holdercode", "持证主体代码", "持有人代码", "持证者代码"]),
    (names::HOLDER_TYPE, &["certificateholdertypecode", "holdertypecode", "certificateholdertype", "持证主体代码类型"]),
    (names::VALID_FROM, &["certificateeffectivedate", "有效期起始日期", "证照有效期起始日期"]),
    (names::VALID_TO, &["certificateexpiringdate", "certificateexpirydate", "有效期截止日期", "证照有效期截止日期"]),
    (names::AREA, &["certificateareacode", "证照所属地区编码", "证照所属区域代码"]),
];

pub(super) fn canonical(name: &str) -> Option<&'static str> {
    let name = name.trim().to_lowercase();
    SPELLINGS.iter().find(|(_, spellings)| spellings.contains(&name.as_str())).map(|(canonical, _)| *canonical)
}

/// One value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datum {
    /// The GB/T 36903 name.
    pub name: &'static str,
    pub value: String,
    /// Entry of the package.
    pub file: String,
    /// Whether a signature that did not fail covers exactly the octets this was read from.
    pub covered: bool,
}

/// Why a value cannot be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDatum {
    Missing,
    /// Only in files that no signature covers.
    Uncovered,
    /// Two covered files say two things.
    Conflict,
}

/// All values of one package.
#[derive(Clone, Debug, Default)]
pub struct LicenceData {
    pub data: Vec<Datum>,
    /// More than [`VALUES_MAX`]: what is left out might say otherwise than what is here.
    too_many: bool,
}

impl LicenceData {
    /// The one covered value of that name.
    pub fn get(&self, name: &str) -> Result<&Datum, NoDatum> {
        if self.too_many {
            return Err(NoDatum::Conflict);
        }
        let mut covered = self.data.iter().filter(|d| d.name == name && d.covered);
        match covered.next() {
            Some(first) if covered.all(|other| other.value == first.value) => Ok(first),
            Some(_) => Err(NoDatum::Conflict),
            None if self.data.iter().any(|d| d.name == name) => Err(NoDatum::Uncovered),
            None => Err(NoDatum::Missing),
        }
    }

    pub fn identifier(&self) -> Option<LicenceId> {
        self.get(names::IDENTIFIER).ok()?.value.parse().ok()
    }

    /// Name and value as a person may see them, the holder's code masked; and the file, where no signature covers it.
    pub fn shown(&self) -> impl Iterator<Item = (&'static str, String, Option<&str>)> {
        self.data.iter().map(|d| (d.name, public(d), (!d.covered).then_some(d.file.as_str())))
    }

    pub fn to_json(&self) -> Value {
        let one = |d: &Datum| json!({ "name": d.name, "value": public(d), "file": d.file, "covered": d.covered });
        json!(self.data.iter().map(one).collect::<Vec<_>>())
    }

    /// Findings about the values; none of them changes a verdict on seals.
    pub(super) fn findings(&self) -> Vec<Finding> {
        if self.too_many {
            return vec![Finding::note(21, "LICENCE_DATA_TOO_MANY", format!("more than {VALUES_MAX} values"))];
        }
        let mut out = Vec::new();
        for d in self.data.iter().filter(|d| d.name == names::IDENTIFIER) {
            match d.value.parse::<LicenceId>() {
                Ok(id) if !id.check_matches() => out.push(Finding::note(21, "LICENCE_ID_CHECK", id.to_string())),
                Ok(_) => {}
                Err(_) => out.push(Finding::note(21, "LICENCE_ID_FORM", shown(&d.value))),
            }
        }
        let uncovered = self.data.iter().filter(|d| !d.covered).map(|d| d.file.as_str());
        let mut files: Vec<&str> = uncovered.collect();
        files.sort_unstable();
        files.dedup();
        out.extend(files.iter().map(|file| Finding::note(21, "LICENCE_DATA_UNSIGNED", *file)));
        for (name, _) in SPELLINGS {
            if self.get(name) == Err(NoDatum::Conflict) {
                out.push(Finding::note(21, "LICENCE_DATA_CONFLICT", *name));
            }
        }
        out
    }
}

fn public(d: &Datum) -> String {
    if d.name != names::HOLDER_CODE {
        return shown(&d.value);
    }
    let chars: Vec<char> = d.value.chars().collect();
    match chars.len() {
        0..=5 => "*".repeat(chars.len()),
        n => chars.iter().enumerate().map(|(i, &c)| if i < 3 || i >= n - 2 { c } else { '*' }).collect(),
    }
}

/// Reads a day as papers print it. `None` for no day; long-term validity is [`is_long_term`].
pub fn day(text: &str) -> Option<Day> {
    let text = text.trim();
    let mut parts = [String::new(), String::new(), String::new()];
    let mut at = 0;
    for c in text.chars() {
        match c {
            '0'..='9' if at < 3 => parts[at].push(c),
            '-' | '/' | '.' | '年' | '月' => at += 1,
            '日' | ' ' | 'T' => break,
            _ => return None,
        }
    }
    let [year, month, day] = &parts;
    if at == 0 {
        return Day::parse_digits(year.get(..8)?).filter(|_| matches!(year.len(), 8 | 14));
    }
    if year.len() != 4 || month.len() > 2 || day.len() > 2 {
        return None;
    }
    Day::from_ymd(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
}

/// "Valid without limit", as licences say it.
pub fn is_long_term(text: &str) -> bool {
    matches!(text.trim(), "长期" | "长期有效" | "永久" | "无固定期限" | "9999-12-31" | "99991231" | "9999年12月31日")
}

/// Most values that are kept; a licence has some twenty, each in two or three files.
const VALUES_MAX: usize = 500;
/// Longest value, in octets.
pub(super) const VALUE_MAX: usize = 4_096;

/// What the claims of a credential say; `place` tells which part of it a top-level claim stands in.
pub(super) fn of_claims(claims: &serde_json::Map<String, Value>, place: &dyn Fn(&str) -> String) -> LicenceData {
    let mut found = Values::default();
    for (name, value) in claims {
        let file = place(name);
        match value {
            Value::String(text) => found.add(name, text, &file, true),
            other => found.walk_json(other, &file, true),
        }
    }
    found.into()
}

/// Values met so far.
#[derive(Default)]
pub(super) struct Values {
    data: Vec<Datum>,
    too_many: bool,
}

impl From<Values> for LicenceData {
    fn from(Values { data, too_many }: Values) -> Self {
        Self { data, too_many }
    }
}

impl Values {
    pub fn add(&mut self, name: &str, value: &str, file: &str, covered: bool) {
        let value = value.trim();
        if let Some(name) = canonical(name)
            && !value.is_empty()
            && value.len() <= VALUE_MAX
        {
            let same = |d: &Datum| d.name == name && d.value == value && d.file == file && d.covered == covered;
            if self.data.iter().any(same) {
            } else if self.data.len() == VALUES_MAX {
                self.too_many = true;
            } else {
                self.data.push(Datum { name, value: value.to_owned(), file: file.to_owned(), covered });
            }
        }
    }

    pub fn walk_xml(&mut self, element: &Element, file: &str, covered: bool) {
        if element.children.is_empty() {
            self.add(&element.name, &element.text, file, covered);
        }
        for (name, value) in &element.attributes {
            self.add(name, value, file, covered);
        }
        for child in &element.children {
            self.walk_xml(child, file, covered);
        }
    }

    pub fn walk_json(&mut self, value: &Value, file: &str, covered: bool) {
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    match value {
                        Value::String(text) => self.add(name, text, file, covered),
                        other => self.walk_json(other, file, covered),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.walk_json(item, file, covered)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_as_papers_print_them() {
        for (text, want) in [
            ("2026-02-13", Some("2026-02-13")),
            ("2026年2月13日", Some("2026-02-13")),
            ("2026/02/13", Some("2026-02-13")),
            ("20260213", Some("2026-02-13")),
            ("20260213101500", Some("2026-02-13")),
            ("2026-02-13 10:15:00", Some("2026-02-13")),
            ("2026-02-30", None),
            ("长期", None),
            ("202602131", None),
            ("", None),
        ] {
            assert_eq!(day(text).map(|d| d.to_string()).as_deref(), want, "{text}");
        }
        assert!(is_long_term("长期有效"));
    }

    #[test]
    fn only_covered_values_count_and_only_one() {
        let datum = |value: &str, file: &str, covered| Datum {
            name: names::HOLDER_CODE,
            value: value.to_owned(),
            file: file.to_owned(),
            covered,
        };
        let data = |data: &[Datum]| LicenceData { data: data.to_vec(), too_many: false };
        let (a, b, forged) = (datum("A", "x", true), datum("B", "y", true), datum("C", "OFD.xml", false));
        for (values, want) in [
            (vec![], Err(NoDatum::Missing)),
            (vec![forged.clone()], Err(NoDatum::Uncovered)),
            (vec![forged.clone(), a.clone()], Ok("A")),
            (vec![a.clone(), b], Err(NoDatum::Conflict)),
        ] {
            assert_eq!(data(&values).get(names::HOLDER_CODE).map(|d| d.value.as_str()), want);
        }
        let masked = data(&[datum("990101199202290010", "x", true)]);
        assert_eq!(masked.shown().next().unwrap().1, "990*************10");
    }
}
