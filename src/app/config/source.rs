//! A configuration file as it was read: mistakes in what it names are told with its lines.

use std::path::{Path, PathBuf};

use crate::terms::Mistakes;

/// A configuration file as it was read.
#[derive(Clone, Default)]
pub struct Source {
    pub file: PathBuf,
    pub text: String,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({})", self.file.display()) // the text may hold a store's password
    }
}

impl Source {
    /// The line that names a file, from 1; 0 where none does.
    pub fn line_naming(&self, path: &Path) -> usize {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let quoted = |line: &str| line.contains(&format!("{name}\"")) && !line.trim_start().starts_with('#');
        self.text.lines().position(quoted).map_or(0, |n| n + 1)
    }

    /// Adds a mistake about a file that the configuration names.
    pub fn wrong(&self, mistakes: &mut Mistakes, field: &str, path: &Path, why: impl std::fmt::Display, mend: &str) {
        let (why, shown) = (why.to_string(), path.display().to_string());
        let why = why.strip_prefix(&format!("{shown}: ")).unwrap_or(&why).to_owned();
        let file = self.file.display().to_string();
        mistakes.add(&file, self.line_naming(path), field, format_args!("{shown}: {why}"), mend);
    }
}
