//! Which names an entry may have.

use std::collections::HashMap;

use super::{Entry, ZipError};

/// Longest name we take, in octets: longer than any path a real package has, short enough to print.
const NAME_MAX: usize = 1024;
/// Most folders a file may lie in; real packages have five. Each is looked up, so this bounds the work.
const DEPTH_MAX: usize = 64;

/// Reads a name: UTF-8, or what packers on Chinese systems write. `false` with a name outside ASCII that is not marked as
/// UTF-8, which others may read differently. `unicode` is the name in UTF-8 if the entry has it a second time.
pub(super) fn read(raw: &[u8], utf8: bool, unicode: Option<&[u8]>) -> Result<(String, bool), ZipError> {
    let unicode = match unicode.map(std::str::from_utf8) {
        None => None,
        Some(Ok(name)) => Some(name),
        Some(Err(_)) => return Err(ZipError::Name { name: "?".to_owned(), why: "a Unicode name that is not UTF-8" }),
    };
    match std::str::from_utf8(raw) {
        Ok(name) if unicode.is_none_or(|other| other == name) => Ok((name.to_owned(), utf8 || name.is_ascii())),
        Ok(name) => Err(ZipError::Name { name: shown(name), why: "two different names" }),
        Err(_) if utf8 => Err(ZipError::Name { name: "?".to_owned(), why: "marked as UTF-8 and is not" }),
        Err(_) => {
            let gb = || encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(raw);
            let name = match unicode {
                Some(name) => name.to_owned(),
                // CP437 or damage: nothing in an OFD refers to such a name, so one reversible reading is enough.
                None => gb().map_or_else(|| raw.iter().map(|&b| char::from(b)).collect(), |name| name.into_owned()),
            };
            Ok((name, false))
        }
    }
}

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
    if name.matches('/').count() > DEPTH_MAX {
        return no("too deep");
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
