//! Which names an entry may have.

use std::collections::HashMap;

use super::{Entry, ZipError};

/// Longest name we take, in octets: longer than any path a real package has, short enough to print.
const NAME_MAX: usize = 1024;

/// A name must be a normal relative path in every file system it may be unpacked to.
pub(super) fn check(name: &str) -> Result<(), ZipError> {
    let no = |why| Err(ZipError::Name { name: shown(name), why });
    if name.is_empty() || name.len() > NAME_MAX {
        return no("empty or too long");
    }
    if name.contains('\\') {
        return no("backslash");
    }
    if name.chars().any(char::is_control) {
        return no("control character");
    }
    if name.starts_with('/') {
        return no("absolute");
    }
    if name.as_bytes().get(1) == Some(&b':') {
        return no("drive letter");
    }
    for part in name.strip_suffix('/').unwrap_or(name).split('/') {
        match part {
            "" | "." => return no("empty or dot segment"),
            ".." => return Err(ZipError::Traversal(shown(name))),
            _ => {}
        }
    }
    Ok(())
}

/// Names must differ as a file system without case, with either slash, would see them; and no file may be a folder too.
pub(super) fn check_all(entries: &[Entry]) -> Result<(), ZipError> {
    let key = |name: &str| name.trim_matches('/').replace('\\', "/").to_lowercase();
    let mut seen: HashMap<String, bool> = HashMap::with_capacity(entries.len());
    for entry in entries {
        if seen.insert(key(&entry.name), entry.is_folder()).is_some() {
            return Err(ZipError::Duplicate(shown(&entry.name)));
        }
    }
    for entry in entries {
        check(&entry.name)?;
        let path = key(&entry.name);
        // At most 512 slashes (NAME_MAX), so this stays linear in the size of the directory.
        let mut folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        if folders.any(|folder| seen.get(folder) == Some(&false)) {
            return Err(ZipError::Name { name: shown(&entry.name), why: "lies in a file" });
        }
    }
    Ok(())
}

/// A name for an error text: short and printable.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(120).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
