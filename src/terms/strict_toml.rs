//! Reads TOML strictly: every key is known, every value has its kind, and all mistakes are told at once.
//!
//! ```text
//!  text ─▶ Table ─▶ need_str · words · int · …  ─▶ done(): what is left over is a mistake too
//!                        └────── each no goes into Mistakes, with line, field and mend
//! ```

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistakes, shown};
use super::words::Word;

/// One file on its way to becoming data.
pub struct File<'a> {
    name: &'a str,
    /// Offset of each line's first octet.
    lines: Vec<usize>,
    mistakes: RefCell<Mistakes>,
}

/// Longest text of one value, in octets.
const LONGEST: usize = 4_096;

impl<'a> File<'a> {
    /// Reads `text` and hands its table to `read`. `None` from `read`, or any mistake on the way, means no data.
    ///
    /// # Errors
    /// All mistakes found, in the order of lines; never an empty list.
    pub fn read<T>(name: &'a str, text: &str, read: impl FnOnce(&Table<'_, '_>) -> Option<T>) -> Result<T, Mistakes> {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let file = File { name, lines, mistakes: RefCell::default() };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let line = file.line(error.span().unwrap_or_default());
            file.add(line, "syntax", error.message(), "write it as TOML 1.0 says");
        }
        let data = if errors.is_empty() {
            let span = table.span();
            read(&Table::new(&file, String::new(), table.get_ref(), span))
        } else {
            None
        };
        let mut mistakes = file.mistakes.into_inner();
        match data {
            Some(data) if mistakes.is_empty() => Ok(data),
            None if mistakes.is_empty() => {
                mistakes.add(name, 0, "file", "no data", "see the documentation of this file");
                Err(mistakes)
            }
            _ => Err(mistakes.sorted()),
        }
    }

    fn line(&self, span: Range<usize>) -> usize {
        self.lines.partition_point(|&start| start <= span.start)
    }

    fn add(&self, line: usize, field: impl Into<String>, wrong: impl std::fmt::Display, mend: impl std::fmt::Display) {
        self.mistakes.borrow_mut().add(self.name, line, field, wrong, mend);
    }
}

/// One table of the file. Call [`Table::done`] last.
pub struct Table<'f, 'i> {
    file: &'f File<'f>,
    path: String,
    table: &'f DeTable<'i>,
    span: Range<usize>,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'f, 'i> Table<'f, 'i> {
    fn new(file: &'f File<'f>, path: String, table: &'f DeTable<'i>, span: Range<usize>) -> Self {
        Self { file, path, table, span, asked: RefCell::default() }
    }

    /// The line the table begins on.
    pub fn line(&self) -> usize {
        self.file.line(self.span.clone())
    }

    /// The line of a key, or of the table when the key is not there.
    pub fn line_of(&self, key: &str) -> usize {
        self.table.get(key).map_or_else(|| self.line(), |value| self.file.line(value.span()))
    }

    /// A rule that the reading itself does not know is broken.
    pub fn wrong(&self, key: &str, wrong: impl std::fmt::Display, mend: impl std::fmt::Display) {
        self.file.add(self.line_of(key), self.field(key), wrong, mend);
    }

    fn field(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn get(&self, key: &'static str) -> Option<&'f Spanned<DeValue<'i>>> {
        self.asked.borrow_mut().insert(key);
        self.table.get(key)
    }

    fn missing<T>(&self, key: &'static str, kind: &str) -> Option<T> {
        self.file.add(self.line(), self.field(key), "missing", format_args!("write `{key} = …` ({kind})"));
        None
    }

    fn kind<T>(&self, key: &str, value: &Spanned<DeValue<'_>>, kind: &str) -> Option<T> {
        let wrong = format!("is of kind {}", value.get_ref().type_str());
        self.file.add(self.file.line(value.span()), self.field(key), wrong, format_args!("write {kind}"));
        None
    }

    /// Keys nobody asked for are mistakes: a misspelt limit must not be no limit.
    pub fn done(&self) {
        let asked = self.asked.borrow();
        for (key, value) in self.table {
            if !asked.contains(key.get_ref().as_ref()) {
                let known = asked.iter().copied().collect::<Vec<_>>().join(", ");
                let mend = format!("remove it; known here: {known}");
                let line = self.file.line(value.span());
                self.file.add(line, self.field(&shown(key.get_ref())), "is not a known field", mend);
            }
        }
    }

    /// A text of 1 to 4,096 octets without control characters; `None` and no mistake when absent.
    pub fn str(&self, key: &'static str) -> Option<&'f str> {
        let value = self.get(key)?;
        let Some(text) = value.get_ref().as_str() else { return self.kind(key, value, "a text in quotation marks") };
        if text.trim().is_empty() || text.len() > LONGEST || text.chars().any(|c| c.is_control() && c != '\n') {
            self.wrong(key, "is empty, too long or has control characters", "write 1 to 4096 octets of plain text");
            return None;
        }
        Some(text)
    }

    pub fn need_str(&self, key: &'static str) -> Option<&'f str> {
        if !self.has(key) {
            return self.missing(key, "a text");
        }
        self.str(key)
    }

    /// Whether the key is there.
    pub fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    /// A text that is parsed; `form` says in words what it must look like.
    pub fn parse<T: FromStr>(&self, key: &'static str, form: &str) -> Option<T> {
        let text = self.str(key)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.wrong(key, format_args!("{} is not valid", shown(text)), format_args!("write {form}"));
        }
        parsed
    }

    pub fn need_parse<T: FromStr>(&self, key: &'static str, form: &str) -> Option<T> {
        if self.has(key) { self.parse(key, form) } else { self.missing(key, form) }
    }

    /// A word of a closed list.
    pub fn need_word<T: Word>(&self, key: &'static str) -> Option<T> {
        self.need_parse(key, &format!("one of {}", T::WORDS.join(", ")))
    }

    /// A list of words of a closed list, each at most once.
    pub fn need_words<T: Word>(&self, key: &'static str) -> Option<Vec<T>> {
        self.need_list(key, &format!("one of {}", T::WORDS.join(", ")))
    }

    /// A list of texts that are parsed, each at most once; may be empty.
    pub fn need_list<T: FromStr + PartialEq>(&self, key: &'static str, form: &str) -> Option<Vec<T>> {
        if self.has(key) { self.list(key, form) } else { self.missing(key, &format!("a list, each {form}")) }
    }

    pub fn list<T: FromStr + PartialEq>(&self, key: &'static str, form: &str) -> Option<Vec<T>> {
        let value = self.get(key)?;
        let Some(array) = value.get_ref().as_array() else { return self.kind(key, value, "a list in brackets") };
        let mut found = Vec::new();
        let mut good = true;
        for (n, entry) in array.iter().enumerate() {
            let field = format!("{}[{}]", self.field(key), n + 1);
            let line = self.file.line(entry.span());
            let text = entry.get_ref().as_str();
            match text.and_then(|t| t.parse::<T>().ok()) {
                None => {
                    let what = text.map_or_else(|| entry.get_ref().type_str().to_owned(), shown);
                    self.file.add(line, field, format_args!("{what} is not valid"), format_args!("write {form}"));
                    good = false;
                }
                Some(entry) if found.contains(&entry) => {
                    self.file.add(
                        line,
                        field,
                        format_args!("{} is there twice", shown(text.unwrap_or_default())),
                        "remove one",
                    );
                    good = false;
                }
                Some(entry) => found.push(entry),
            }
        }
        good.then_some(found)
    }

    /// A whole number within `range`.
    pub fn int(&self, key: &'static str, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let value = self.get(key)?;
        let mend = format!("write a whole number from {} to {}", range.start(), range.end());
        let Some(number) = value.get_ref().as_integer() else { return self.kind(key, value, &mend[6..]) };
        let parsed = u32::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok();
        let within = parsed.filter(|n| range.contains(n));
        if within.is_none() {
            self.wrong(key, format_args!("{} is out of range", shown(number.as_str())), mend);
        }
        within
    }

    pub fn need_int(&self, key: &'static str, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        if self.has(key) {
            self.int(key, range)
        } else {
            self.missing(key, &format!("a whole number from {} to {}", range.start(), range.end()))
        }
    }

    pub fn bool(&self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        value.get_ref().as_bool().or_else(|| self.kind(key, value, "true or false"))
    }

    pub fn need_bool(&self, key: &'static str) -> Option<bool> {
        if self.has(key) { self.bool(key) } else { self.missing(key, "true or false") }
    }

    /// A table of this table; `None` and no mistake when absent.
    pub fn table(&self, key: &'static str) -> Option<Table<'f, 'i>> {
        let value = self.get(key)?;
        match value.get_ref().as_table() {
            Some(table) => Some(Table::new(self.file, self.field(key), table, value.span())),
            None => self.kind(key, value, "a table"),
        }
    }

    /// A list of tables; empty when absent.
    pub fn tables(&self, key: &'static str) -> Vec<Table<'f, 'i>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            return self.kind(key, value, "a list of tables").unwrap_or_default();
        };
        let mut tables = Vec::new();
        for (n, entry) in array.iter().enumerate() {
            let path = format!("{}[{}]", self.field(key), n + 1);
            match entry.get_ref().as_table() {
                Some(table) => tables.push(Table::new(self.file, path, table, entry.span())),
                None => self.file.add(self.file.line(entry.span()), path, "is not a table", "write { … } or [[…]]"),
            }
        }
        tables
    }

    /// Keys and numbers of a table whose keys are free, e.g. limits by item.
    pub fn int_map<K: FromStr + Ord>(
        &self,
        key: &'static str,
        form: &str,
        range: std::ops::RangeInclusive<u32>,
    ) -> std::collections::BTreeMap<K, u32> {
        let mut map = std::collections::BTreeMap::new();
        let Some(inner) = self.table(key) else { return map };
        for (name, value) in inner.table {
            let name = name.get_ref().as_ref();
            let number = value.get_ref().as_integer();
            let number = number.and_then(|n| u32::from_str_radix(&n.as_str().replace('_', ""), n.radix()).ok());
            match (name.parse(), number.filter(|n| range.contains(n))) {
                (Ok(name), Some(number)) => drop(map.insert(name, number)),
                (Err(_), _) => {
                    inner.wrong(name, format_args!("{} is not valid", shown(name)), format_args!("write {form}"))
                }
                (_, None) => inner.wrong(
                    name,
                    "is not a number in range",
                    format_args!("write a whole number from {} to {}", range.start(), range.end()),
                ),
            }
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::OutletKind;
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        let read = File::read("test.toml", text, |root| {
            let (name, kind) = (root.need_str("name"), root.need_word::<OutletKind>("kind"));
            let limit = root.int("limit", 1..=10);
            for inner in root.tables("inner") {
                inner.need_bool("on");
                inner.done();
            }
            root.done();
            name.and(kind).map(|_| limit)
        });
        read.err().map_or_else(Vec::new, |m| m.list().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn all_mistakes_at_once_with_line_and_mend() {
        assert_eq!(mistakes("name = \"x\"\nkind = \"post\"\nlimit = 0x0a\n[[inner]]\non = true\n"), [""; 0]);
        let got = mistakes("name = \" \"\nkind = \"pub\"\nlimit = 11\nlimt = 3\n[[inner]]\n[[inner]]\non = 1\n");
        assert_eq!(
            got,
            [
                "test.toml:1: name: is empty, too long or has control characters; write 1 to 4096 octets of plain text",
                "test.toml:2: kind: `pub` is not valid; write one of bank, post, shop, terminal",
                "test.toml:3: limit: `11` is out of range; write a whole number from 1 to 10",
                "test.toml:4: `limt`: is not a known field; remove it; known here: inner, kind, limit, name",
                "test.toml:5: inner[1].on: missing; write `on = …` (true or false)",
                "test.toml:7: inner[2].on: is of kind integer; write true or false",
            ]
        );
        assert!(mistakes("name = \nkind")[0].starts_with("test.toml:1: syntax: "));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            let _ = mistakes(&text);
        }
    }
}
