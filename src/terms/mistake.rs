//! Mistakes in a file somebody wrote: all of them at once, each with its line and the mend.

use std::fmt;

/// One mistake in a configuration or data file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    pub file: String,
    /// Counted from 1; 0 when the mistake has no line, e.g. a file that is not there.
    pub line: usize,
    /// Where in the file, e.g. `item[3].owner_rule` or a column's name.
    pub field: String,
    /// What is wrong.
    pub wrong: String,
    /// What to write instead.
    pub mend: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}; {}", self.file, self.line, self.field, self.wrong, self.mend)
    }
}

/// How many mistakes are kept: a file of another kind altogether must not fill the memory or the screen.
const MOST: usize = 200;

/// Gathers the mistakes of one reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes {
    list: Vec<Mistake>,
    dropped: usize,
}

impl Mistakes {
    pub fn add(
        &mut self,
        file: &str,
        line: usize,
        field: impl Into<String>,
        wrong: impl fmt::Display,
        mend: impl fmt::Display,
    ) {
        if self.list.len() == MOST {
            self.dropped += 1;
            return;
        }
        let (wrong, mend) = (wrong.to_string(), mend.to_string());
        self.list.push(Mistake { file: file.to_owned(), line, field: field.into(), wrong, mend });
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// In the order of file and line.
    pub fn sorted(mut self) -> Self {
        self.list.sort();
        self
    }

    pub fn list(&self) -> &[Mistake] {
        &self.list
    }

    pub fn extend(&mut self, other: Mistakes) {
        self.dropped += other.dropped;
        for mistake in other.list {
            if self.list.len() == MOST {
                self.dropped += 1;
            } else {
                self.list.push(mistake);
            }
        }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, mistake) in self.list.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{mistake}")?;
        }
        if self.dropped > 0 {
            write!(f, "\n… and {} more", self.dropped)?;
        }
        Ok(())
    }
}

/// A value cut to a length that fits a message: what came in may be anything.
pub fn shown(text: &str) -> String {
    const LENGTH: usize = 40;
    let clean: String = text.chars().take(LENGTH).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LENGTH).is_some() { format!("`{clean}…`") } else { format!("`{clean}`") }
}
