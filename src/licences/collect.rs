//! Where a package says what its licence says: one file after the other, each let go before the next.
//!
//! ```text
//!  OFD.xml ── CustomDatas
//!     └─▶ root file ─┬─ Attachments ─▶ list ─▶ XML, JSON
//!                    └─ CustomTags ──▶ list ─▶ tags: a value, or objects of pages ─▶ their text
//! ```
//! A value counts only if its file is covered by a signature and is, octet for octet, the file that was digested.

use std::collections::HashMap;

use serde_json::Value;
use smol_str::SmolStr;

use super::data::{LicenceData, VALUE_MAX, Values, canonical};
use super::ofd::{self, ENTRANCE, Entrance};
use super::suite;
use crate::formats::xml::{self, Element};
use crate::formats::zip::{Archive, Source};

/// Largest file that is looked into for values.
const DATA_MAX: u64 = 2 << 20;
/// Largest of JSON, which takes many times its size in memory.
const JSON_MAX: usize = 256 << 10;
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
        if let Some(root) = body.root.as_deref().and_then(|root| found.root(root)) {
            found.document(&root);
        }
    }
    found.values.into()
}

struct Collector<'a, S> {
    archive: &'a Archive<S>,
    digests: &'a HashMap<&'a str, Vec<&'a [u8]>>,
    values: Values,
    files: usize,
}

/// What a root file leads to.
struct Root {
    attachments: Option<String>,
    tags: Option<String>,
    /// Files of pages by their IDs; none where two pages have one ID.
    pages: HashMap<String, Option<String>>,
    covered: bool,
}

/// What a custom tag gives.
enum Tag {
    Text(String),
    /// Page and object, by their IDs.
    Objects(Vec<(SmolStr, SmolStr)>),
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

    fn root(&mut self, name: &str) -> Option<Root> {
        let (document, covered) = self.tree(name)?;
        let follow = |element: &Element, field| -> Option<String> {
            element.field(field).ok().flatten().and_then(|loc| ofd::resolve(name, loc).ok())
        };
        let mut pages: HashMap<String, Option<String>> = HashMap::new();
        let list = document.at_most_one("Pages").ok().flatten();
        for page in list.iter().flat_map(|list| list.all("Page")) {
            if let Some(id) = page.attr("ID") {
                let file = follow(page, "BaseLoc");
                pages.entry(id.to_owned()).and_modify(|known| *known = None).or_insert(file);
            }
        }
        Some(Root {
            attachments: follow(&document, "Attachments"),
            tags: follow(&document, "CustomTags"),
            pages,
            covered,
        })
    }

    fn document(&mut self, root: &Root) {
        for file in self.listed(root.attachments.as_deref(), "Attachment") {
            self.attachment(&file);
        }
        for file in self.listed(root.tags.as_deref(), "CustomTag") {
            self.tags(&file, root);
        }
    }

    /// The files that a list names.
    fn listed(&mut self, list: Option<&str>, item: &str) -> Vec<String> {
        let Some((at, (tree, _))) = list.and_then(|at| Some((at, self.tree(at)?))) else { return Vec::new() };
        let file = |entry: &Element| ofd::resolve(at, entry.field("FileLoc").ok()??).ok();
        tree.all(item).filter_map(file).take(FILES_MAX).collect()
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

    /// A custom tag gives its value as text, or points to objects of pages; then pages and tag must all be covered.
    fn tags(&mut self, file: &str, root: &Root) {
        let Some((tags, tag_covered)) = self.tags_of(file) else { return };
        // Each page is looked through once, for all that is pointed to.
        let mut wanted: HashMap<&str, HashMap<&str, String>> = HashMap::new();
        for (_, tag) in &tags {
            if let Tag::Objects(objects) = tag {
                for (page, object) in objects {
                    wanted.entry(page).or_default().entry(object).or_default();
                }
            }
        }
        let mut pages: HashMap<&str, (&str, bool)> = HashMap::new();
        for (id, objects) in &mut wanted {
            if let Some(Some(name)) = root.pages.get(*id)
                && let Some((page, page_covered)) = self.tree(name)
            {
                texts(&page, objects);
                pages.insert(id, (name, page_covered));
            }
        }
        for (name, tag) in &tags {
            let objects = match tag {
                Tag::Text(text) => {
                    self.values.add(name, text, file, tag_covered);
                    continue;
                }
                Tag::Objects(objects) => objects,
            };
            let (mut text, mut covered, mut at) = (String::new(), tag_covered && root.covered, file);
            for (page, object) in objects {
                let Some((name, page_covered)) = pages.get(page.as_str()) else { continue };
                // A value that is too long is none, however much longer it would be.
                if text.len() <= VALUE_MAX {
                    text.push_str(&wanted[page.as_str()][object.as_str()]);
                }
                covered &= *page_covered;
                at = name;
            }
            self.values.add(name, &text, at, covered);
        }
    }

    fn tags_of(&mut self, file: &str) -> Option<(Vec<(&'static str, Tag)>, bool)> {
        let (mut tree, covered) = self.tree(file)?;
        let mut tags = Vec::new();
        for tag in &mut tree.children {
            let Some(name) = canonical(&tag.name) else { continue };
            let object = |reference: &Element| Some((reference.attr("PageRef")?.into(), reference.trimmed().into()));
            let says = match tag.children.is_empty() {
                true => Tag::Text(std::mem::take(&mut tag.text)),
                false => Tag::Objects(tag.all("ObjectRef").filter_map(object).collect()),
            };
            tags.push((name, says));
        }
        Some((tags, covered))
    }
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
