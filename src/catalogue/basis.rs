//! What items and their lookups rest on (设定依据): a short citation, under a name that fits into a line of the log.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::terms::strict_toml::Table;

/// Longest name and longest citation, in characters.
const NAME_MAX: usize = 32;
const TEXT_MAX: usize = 120;

/// A law, or what else an item rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Basis {
    /// As the log names it, e.g. `hukou`.
    pub id: String,
    /// The citation, e.g. `《中华人民共和国户口登记条例》`.
    pub text: String,
}

/// All of a catalogue, by name.
pub type Bases = BTreeMap<String, Basis>;

/// Words that stand in the log for what is no law: no law may be called so.
const TAKEN: [&str; 4] = ["item", "consent", "own-request", "duty"];

/// Reads the `[[basis]]` tables.
pub(super) fn read(root: &Table<'_, '_>) -> Bases {
    let mut all = Bases::new();
    for table in root.tables("basis") {
        let (id, text) = (table.need_str("id"), table.need_str("text"));
        table.done();
        let (Some(id), Some(text)) = (id, text) else { continue };
        let plain = id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !plain || !(1..=NAME_MAX).contains(&id.len()) || TAKEN.contains(&id) {
            table.wrong("id", "is no name for a basis", "1 to 32 of a-z, 0-9 and hyphen");
        }
        if text.trim().is_empty() || text.chars().count() > TEXT_MAX || text.chars().any(char::is_control) {
            table.wrong("text", "is no citation", "1 to 120 characters on one line");
        }
        if all.insert(id.to_owned(), Basis { id: id.to_owned(), text: text.to_owned() }).is_some() {
            table.wrong("id", "is there twice", "name each basis once");
        }
    }
    all
}

/// The basis that a table names, if it names one.
pub(super) fn named(table: &Table<'_, '_>, bases: &Bases) -> Option<Basis> {
    let name = table.str("basis")?;
    let found = bases.get(name).cloned();
    if found.is_none() {
        table.wrong("basis", format_args!("{name} is none of the file"), "write the id of a [[basis]]");
    }
    found
}
