//! What an outlet's screen and papers show of a person: a few characters at either end.

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

#[cfg(test)]
mod tests {
    use super::*;

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
