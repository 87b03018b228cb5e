//! Files of folders that somebody else may have filled: mirrors, logs of others, whatever an auditor is handed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a plain file, and nothing else: a pipe would make the reader wait for ever, a device never end.
///
/// # Errors
/// Kind `InvalidInput` for what is no plain file; as [`File::open`].
pub fn open(path: &Path) -> io::Result<File> {
    // Without waiting for somebody to write into it, if it is a pipe.
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file")),
    }
}

/// The whole of a plain file of at most `most` bytes.
///
/// # Errors
/// Kind `FileTooLarge` for a longer one; as [`open`].
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (file, mut bytes) = (open(path)?, Vec::new());
    // It may grow while it is read.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, "a file that is too long")),
        false => Ok(bytes),
    }
}

/// As [`read`], as text.
///
/// # Errors
/// Kind `InvalidData` for what is no UTF-8; as [`read`].
pub fn text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read(path, most)?).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_files_of_a_bounded_length_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("four"), b"four").unwrap();
        std::os::unix::fs::symlink(at("four"), at("link")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("zero")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        File::create(at("sparse")).unwrap().set_len(1 << 42).unwrap();
        for (name, most, want) in [
            ("four", 4, Ok(4)),
            ("link", 9, Ok(4)),
            ("four", 3, Err(io::ErrorKind::FileTooLarge)),
            ("sparse", 1 << 20, Err(io::ErrorKind::FileTooLarge)),
            ("zero", 9, Err(io::ErrorKind::InvalidInput)),
            ("pipe", 9, Err(io::ErrorKind::InvalidInput)),
            ("folder", 9, Err(io::ErrorKind::InvalidInput)),
            ("none", 9, Err(io::ErrorKind::NotFound)),
        ] {
            assert_eq!(read(&at(name), most).map(|bytes| bytes.len()).map_err(|e| e.kind()), want, "{name}");
        }
    }
}
