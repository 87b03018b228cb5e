//! Every set that ever decided, by its version: whoever replays or disputes a decision finds the rules that made it.
//!
//! ```text
//!  <folder>/<version, 64 hexadecimal digits>/schema.cedarschema · 10-people.cedar · …
//! ```

use std::io;
use std::path::{Path, PathBuf};

use super::load::LoadError;
use super::set::PolicySet;
use crate::terms::Digest;

/// Why an archived set is not given.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("no set {0} in the archive")]
    Missing(Digest),
    #[error("the archived set {0} was changed")]
    Changed(Digest),
    #[error(transparent)]
    Load(#[from] LoadError),
}

fn place(folder: &Path, version: Digest) -> PathBuf {
    folder.join(version.to_string())
}

/// Keeps a set's sources, whole or not at all; what is there already stays.
///
/// # Errors
/// The disk's.
pub fn keep(folder: &Path, set: &PolicySet) -> io::Result<()> {
    let place = place(folder, set.version());
    if place.is_dir() {
        return Ok(());
    }
    let part = place.with_extension("part");
    let _ = std::fs::remove_dir_all(&part); // left by a crash
    std::fs::create_dir_all(&part)?;
    for (name, text) in set.sources() {
        let file = part.join(name);
        std::fs::write(&file, text)?;
        std::fs::File::open(&file)?.sync_all()?;
    }
    std::fs::rename(&part, &place)?;
    std::fs::File::open(folder)?.sync_all()
}

/// The set of a version.
///
/// # Errors
/// [`ArchiveError`]; a set whose files give another version is none.
pub fn find(folder: &Path, version: Digest) -> Result<PolicySet, ArchiveError> {
    let place = place(folder, version);
    if !place.is_dir() {
        return Err(ArchiveError::Missing(version));
    }
    let set = PolicySet::load(&place)?;
    if set.version() == version { Ok(set) } else { Err(ArchiveError::Changed(version)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_found_by_its_version_and_only_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let set = PolicySet::embedded().unwrap();
        keep(folder.path(), &set).unwrap();
        keep(folder.path(), &set).unwrap();
        assert_eq!(find(folder.path(), set.version()).unwrap().version(), set.version());
        let other = Digest::of(b"other");
        assert!(matches!(find(folder.path(), other), Err(ArchiveError::Missing(v)) if v == other));
        let file = folder.path().join(set.version().to_string()).join("20-outlets.cedar");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{text}\n")).unwrap();
        assert!(matches!(find(folder.path(), set.version()), Err(ArchiveError::Changed(_))));
    }
}
