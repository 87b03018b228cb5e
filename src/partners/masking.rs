//! What an outlet's screen and papers show of a person: a few characters at either end.

use serde_json::Value;

/// How many characters stay visible at either end of a value; everything between becomes `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    pub head: usize,
    pub tail: usize,
}

/// Masking of one outlet. The defaults are those of the public papers: first 3 and last 2 of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Masking {
    pub id_number: Keep,
    pub phone: Keep,
    pub name: Keep,
}

impl Default for Masking {
    fn default() -> Self {
        Self { id_number: Keep { head: 3, tail: 2 }, phone: Keep { head: 3, tail: 2 }, name: Keep { head: 1, tail: 0 } }
    }
}

impl Keep {
    /// Masks `text`. At least half of it, rounded up, is always hidden, so that a short value never shows whole.
    pub fn apply(self, text: &str) -> String {
        let length = text.chars().count();
        let visible = length / 2;
        let head = self.head.min(visible);
        let tail = self.tail.min(visible - head);
        text.chars().enumerate().map(|(n, c)| if n < head || n >= length - tail { c } else { '*' }).collect()
    }
}

impl std::str::FromStr for Keep {
    type Err = crate::terms::IdentifierError;
    /// Two digits with a hyphen: characters kept at the head and at the tail, e.g. `3-2`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let [head @ b'0'..=b'6', b'-', tail @ b'0'..=b'4'] = text.as_bytes() else {
            return Err(crate::terms::IdentifierError::Shape);
        };
        Ok(Self { head: usize::from(head - b'0'), tail: usize::from(tail - b'0') })
    }
}

/// What numbers are made of, masked ones included.
fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '*'
}

impl Masking {
    /// Masks every string of a JSON value, wherever it stands: resident numbers and telephone numbers by their form, and
    /// `names` wherever they occur. Keys stay.
    pub fn mask(&self, value: &mut Value, names: &[&str]) {
        match value {
            Value::String(text) => {
                let masked = self.mask_text(text, names);
                *text = masked;
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask(item, names)),
            Value::Object(members) => members.values_mut().for_each(|member| self.mask(member, names)),
            _ => {}
        }
    }

    /// The same for one text.
    pub fn mask_text(&self, text: &str, names: &[&str]) -> String {
        let mut named = text.to_owned();
        for name in names.iter().filter(|name| !name.is_empty()) {
            named = named.replace(name, &self.name.apply(name));
        }
        let mut out = String::with_capacity(named.len());
        let mut rest = named.as_str();
        while let Some(at) = rest.find(is_part) {
            let (before, from) = rest.split_at(at);
            let end = from.find(|c| !is_part(c)).unwrap_or(from.len());
            let (run, after) = from.split_at(end);
            out.push_str(before);
            match self.keep_of(run) {
                Some(keep) => out.push_str(&keep.apply(run)),
                None => out.push_str(run),
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// How a run of letters and digits is masked: a resident number of either length, a mobile telephone number.
    fn keep_of(&self, run: &str) -> Option<Keep> {
        // What somebody masked before us counts as what it was: the contract may hide more.
        let digits = run.bytes().filter(|b| b.is_ascii_digit() || *b == b'*').count();
        match (run.len(), digits) {
            (18, 18) | (15, 15) => Some(self.id_number),
            (18, 17) if run.ends_with(['X', 'x']) => Some(self.id_number),
            (11, 11) if run.starts_with('1') => Some(self.phone),
            (13, 13) if run.starts_with("861") => Some(self.phone),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_person_passes_whole() {
        let masking = Masking::default();
        for (text, want) in [
            ("张三，990101199202290010", "张*，990*************10"),
            ("990101199202290010", "990*************10"),
            ("99010119920229001X", "990*************1X"),
            ("130503670401001", "130**********01"), // the shorter number of before 1999
            ("电话13800001234。", "电话138******34。"),
            ("+8613800001234", "+861********34"),
            ("990*************10", "990*************10"), // masked before
            ("4190010000002026112500010001A", "4190010000002026112500010001A"), // a case
            ("11419001DT00001826", "11419001DT00001826"), // an organisation
            ("2026-11-25T10:00:00.000Z", "2026-11-25T10:00:00.000Z"),
            ("002009901000", "002009901000"), // an item
            ("", ""),
        ] {
            assert_eq!(masking.mask_text(text, &["张三"]), want, "{text}");
        }
        let mut value = serde_json::json!({"name": "张三", "at": [1, {"id": "990101199202290010", "张三": true}]});
        masking.mask(&mut value, &["张三", ""]);
        let want = serde_json::json!({"name": "张*", "at": [1, {"id": "990*************10", "张三": true}]});
        assert_eq!(value, want);
    }

    #[test]
    fn values_never_show_whole() {
        for (keep, text, want) in [
            ("3-2", "990101199202290010", "990*************10"),
            ("1-0", "王小明", "王**"),
            ("1-0", "王明", "王*"),
            ("1-0", "王", "*"),
            ("6-4", "1234", "12**"),
            ("0-0", "13800000000", "***********"),
            ("3-2", "", ""),
        ] {
            assert_eq!(keep.parse::<Keep>().unwrap().apply(text), want, "{keep} {text}");
        }
        for wrong in ["7-0", "3-5", "3", "3-", "33-2", "-3-2"] {
            assert!(wrong.parse::<Keep>().is_err(), "{wrong}");
        }
    }
}
