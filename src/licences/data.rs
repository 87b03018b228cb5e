//! What a licence says (GB/T 36903 names), each value bound to the file it stands in.
//!
//! ```text
//!  OFD.xml CustomDatas · attachments (XML, JSON) · custom tags ─▶ page text ──▶ Datum { name, value, file, covered }
//! ```
//! A value counts only if its file is covered by a signature and is, octet for octet, the file that was digested.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::ofd::{self, ENTRANCE, Entrance, shown};
use super::suite;
use super::verdict::Finding;
use crate::formats::xml::{self, Element};
use crate::formats::zip::{Archive, Source};
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

fn canonical(name: &str) -> Option<&'static str> {
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

    /// Name and value as a person may see them: the holder's code masked.
    pub fn shown(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.data.iter().map(|d| (d.name, public(d)))
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
const VALUE_MAX: usize = 4_096;
/// Largest file that is looked into for values.
const DATA_MAX: u64 = 2 << 20;
/// Largest of JSON, which takes many times its size in memory.
const JSON_MAX: usize = 512 << 10;
/// Most files that are looked into.
const FILES_MAX: usize = 32;

/// Collects the values. `digests` are those that a signature vouches for and that were found right.
pub(super) fn collect<S: Source>(
    archive: &Archive<S>,
    entrance: &Entrance,
    digests: &HashMap<&str, Vec<&[u8]>>,
) -> LicenceData {
    let mut found = Collector { archive, digests, values: Values::default(), files: 0 };
    let covered = found.vouched(ENTRANCE, &entrance.bytes);
    for body in &entrance.bodies {
        for (name, value) in &body.custom {
            found.values.add(name, value, ENTRANCE, covered);
        }
        if let Some(root) = &body.root {
            found.document(root);
        }
    }
    found.values.into()
}

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
struct Values {
    data: Vec<Datum>,
    too_many: bool,
}

impl From<Values> for LicenceData {
    fn from(Values { data, too_many }: Values) -> Self {
        Self { data, too_many }
    }
}

impl Values {
    fn add(&mut self, name: &str, value: &str, file: &str, covered: bool) {
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

    fn walk_xml(&mut self, element: &Element, file: &str, covered: bool) {
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

    fn walk_json(&mut self, value: &Value, file: &str, covered: bool) {
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

struct Collector<'a, S> {
    archive: &'a Archive<S>,
    digests: &'a HashMap<&'a str, Vec<&'a [u8]>>,
    values: Values,
    files: usize,
}

impl<S: Source> Collector<'_, S> {
    /// Whether these very octets are what a signature covers: a file may change between two reads of a disk.
    fn vouched(&self, file: &str, bytes: &[u8]) -> bool {
        self.digests.get(file).is_some_and(|known| known.iter().any(|d| suite::is_digest_of(d, bytes)))
    }

    fn read(&mut self, name: &str) -> Option<Vec<u8>> {
        self.files += 1;
        if self.files > FILES_MAX { None } else { self.archive.read(name, DATA_MAX).ok() }
    }

    fn tree(&mut self, name: &str) -> Option<(Element, bool)> {
        let bytes = self.read(name)?;
        let covered = self.vouched(name, &bytes);
        Some((xml::parse(&bytes, &xml::Limits::default()).ok()?, covered))
    }

    fn document(&mut self, root: &str) {
        let Some((document, covered)) = self.tree(root) else { return };
        let follow = |field| document.field(field).ok().flatten().and_then(|loc| ofd::resolve(root, loc).ok());
        for (list, item) in [("Attachments", "Attachment"), ("CustomTags", "CustomTag")] {
            let Some(at) = follow(list) else { continue };
            let Some((tree, _)) = self.tree(&at) else { continue };
            for entry in tree.all(item) {
                let Some(file) = entry.field("FileLoc").ok().flatten() else { continue };
                let Ok(file) = ofd::resolve(&at, file) else { continue };
                if item == "Attachment" {
                    self.attachment(&file);
                } else {
                    self.tag(&file, root, &document, covered);
                }
            }
        }
    }

    fn attachment(&mut self, file: &str) {
        let Some(bytes) = self.read(file) else { return };
        let covered = self.vouched(file, &bytes);
        if let Ok(tree) = xml::parse(&bytes, &xml::Limits::default()) {
            self.values.walk_xml(&tree, file, covered);
        } else if bytes.len() <= JSON_MAX
            && let Ok(json) = serde_json::from_slice::<Value>(&bytes)
        {
            self.values.walk_json(&json, file, covered);
        }
    }

    /// A custom tag gives its value as text, or points to an object of a page; then page and tag must both be covered.
    fn tag(&mut self, file: &str, root: &str, document: &Element, document_covered: bool) {
        let Some((tree, tag_covered)) = self.tree(file) else { return };
        let tags = || tree.children.iter().filter(|tag| canonical(&tag.name).is_some());
        // Each page is looked through once, for all that is pointed to, and then let go.
        let mut wanted: HashMap<&str, HashMap<&str, String>> = HashMap::new();
        for (page, object) in tags().flat_map(references) {
            wanted.entry(page).or_default().entry(object).or_default();
        }
        let mut pages: HashMap<&str, (String, bool)> = HashMap::new();
        for (id, objects) in &mut wanted {
            if let Some((name, page, page_covered)) = self.page(root, document, id) {
                texts(&page, objects);
                pages.insert(id, (name, page_covered));
            }
        }
        for tag in tags() {
            if tag.children.is_empty() {
                self.values.add(&tag.name, &tag.text, file, tag_covered);
                continue;
            }
            let (mut text, mut covered, mut at) = (String::new(), tag_covered && document_covered, file);
            for (page, object) in references(tag) {
                let Some((name, page_covered)) = pages.get(page) else { continue };
                // A value that is too long is none, however much longer it would be.
                if text.len() <= VALUE_MAX {
                    text.push_str(&wanted[page][object]);
                }
                covered &= *page_covered;
                at = name;
            }
            self.values.add(&tag.name, &text, at, covered);
        }
    }

    fn page(&mut self, root: &str, document: &Element, id: &str) -> Option<(String, Element, bool)> {
        let pages = document.at_most_one("Pages").ok()??;
        let mut named = pages.all("Page").filter(|page| page.attr("ID") == Some(id));
        let page = named.next().filter(|_| named.next().is_none())?;
        let name = ofd::resolve(root, page.field("BaseLoc").ok()??).ok()?;
        let (tree, covered) = self.tree(&name)?;
        Some((name, tree, covered))
    }
}

/// What a tag points to: page and object, by their IDs.
fn references(tag: &Element) -> impl Iterator<Item = (&str, &str)> {
    tag.all("ObjectRef").filter_map(|reference| Some((reference.attr("PageRef")?, reference.trimmed())))
}

/// Collects the text of the objects with these IDs.
fn texts(element: &Element, objects: &mut HashMap<&str, String>) {
    for child in &element.children {
        match child.attr("ID").and_then(|id| objects.get_mut(id)) {
            Some(text) => child.all("TextCode").for_each(|code| text.push_str(code.trimmed())),
            None => texts(child, objects),
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
