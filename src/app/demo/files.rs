//! Files of the demonstration's folder: written whole or not at all, private ones for their owner only.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Anybody may read it: certificates, configurations.
pub const PUBLIC: u32 = 0o644;
/// Keys.
pub const PRIVATE: u32 = 0o600;

/// An I/O error with the file it is about.
pub fn said(file: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", file.display())
}

/// Reads a file; `None` when there is none.
pub fn read(file: &Path) -> Result<Option<Vec<u8>>, String> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(said(file, e)),
    }
}

/// Writes a file so that a crash leaves the old or the new one. Nothing is written when it is there already, octet for
/// octet. Gives whether something was written.
pub fn write(file: &Path, bytes: &[u8], mode: u32) -> Result<bool, String> {
    if read(file)?.as_deref() == Some(bytes) {
        return Ok(false);
    }
    let folder = file.parent().ok_or_else(|| said(file, "is not in a folder"))?;
    fs::create_dir_all(folder).map_err(|e| said(folder, e))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}.new", std::process::id()));
    let mut options = fs::OpenOptions::new();
    let mut out =
        options.write(true).create(true).truncate(true).mode(mode).open(&beside).map_err(|e| said(&beside, e))?;
    out.write_all(bytes).and_then(|()| out.sync_all()).map_err(|e| said(&beside, e))?;
    fs::rename(&beside, file).map_err(|e| said(file, e))?;
    // The name is safe only once the folder is.
    fs::File::open(folder).and_then(|f| f.sync_all()).map_err(|e| said(folder, e))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_same_octets_are_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a/b.key");
        assert_eq!(read(&file), Ok(None));
        assert_eq!(write(&file, b"1", PRIVATE), Ok(true));
        assert_eq!(write(&file, b"1", PRIVATE), Ok(false));
        assert_eq!(write(&file, b"2", PRIVATE), Ok(true));
        assert_eq!(read(&file), Ok(Some(b"2".to_vec())));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, PRIVATE);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }
}
