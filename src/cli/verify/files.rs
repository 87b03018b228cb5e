//! What there is to verify: the files named, and those of the folders named. Nothing is passed over without a word.
//!
//! ```text
//!  named:         a file, or a folder, or `-` ──▶ examined; what is not there or cannot be read ──▶ a report that says so
//!  in a folder:   an ending that is known ──▶ examined; a link, pipe or device of that name is not opened ──▶ the same
//!                 any other ──▶ counted
//! ```

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// What folders are searched for; a detached signature has to be named with its content.
const ENDINGS: [&str; 9] = ["ofd", "pdf", "asice", "sce", "asics", "scs", "esl", "sd-jwt", "sdjwt"];

/// One file to report on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub path: PathBuf,
    /// Why it is not opened.
    pub refused: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Found {
    /// In order of name within each folder.
    pub items: Vec<Item>,
    /// Files of folders left out for their ending.
    pub other_endings: usize,
    /// Links, pipes, sockets and devices of folders left out, of another ending as well.
    pub no_files: usize,
}

impl Found {
    /// What was named, each in its turn.
    pub fn of(paths: &[PathBuf]) -> Self {
        let mut found = Self::default();
        for path in paths {
            if path.as_os_str() == "-" {
                found.push(path, None);
                continue;
            }
            match std::fs::metadata(path) {
                Ok(kind) if kind.is_dir() => found.folder(path),
                Ok(kind) if kind.is_file() => found.push(path, None),
                Ok(_) => found.push(path, Some(NO_FILE.to_owned())),
                Err(error) => found.push(path, Some(error.to_string())),
            }
        }
        found
    }

    fn push(&mut self, path: &Path, refused: Option<String>) {
        self.items.push(Item { path: path.to_owned(), refused });
    }

    /// A folder that cannot be read is reported like a file, and the others are still taken.
    fn folder(&mut self, folder: &Path) {
        let entries = std::fs::read_dir(folder).and_then(|all| all.map(|e| e.map(|e| e.path())).collect());
        let mut entries: Vec<PathBuf> = match entries {
            Ok(entries) => entries,
            Err(error) => return self.push(folder, Some(error.to_string())),
        };
        entries.sort();
        for path in entries {
            let known = path.extension().is_some_and(|e| ENDINGS.iter().any(|ending| e.eq_ignore_ascii_case(ending)));
            match std::fs::symlink_metadata(&path) {
                Ok(kind) if kind.is_dir() => self.folder(&path),
                Ok(kind) if kind.is_file() && known => self.push(&path, None),
                Ok(kind) if kind.is_file() => self.other_endings += 1,
                Ok(_) if known => self.push(&path, Some(NO_FILE.to_owned())),
                Ok(_) => self.no_files += 1,
                Err(error) if known => self.push(&path, Some(error.to_string())),
                Err(_) => self.no_files += 1,
            }
        }
    }

    /// How many were left out and why; none when all were taken.
    pub fn left_out(&self) -> Option<String> {
        let parts =
            [(self.other_endings, "of another ending"), (self.no_files, "that are no files (links, pipes, devices)")];
        let parts: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, why)| format!("{n} {why}")).collect();
        (!parts.is_empty()).then(|| format!("left out of folders: {}", parts.join(", ")))
    }
}

const NO_FILE: &str = "a link, pipe, socket or device, not a file";

/// Opens a file and nothing else: what took its place since it was found is not waited for, nor read.
pub(super) fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let at_once = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let file = File::options().read(true).custom_flags(at_once.bits() as i32).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other(NO_FILE)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_give_their_signed_files_in_order_and_tell_what_they_leave_out() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        std::fs::create_dir(place("more")).unwrap();
        for name in ["b.ofd", "a.OFD", "c.txt", "d.pdf", "README", "more/e.esl"] {
            std::fs::write(place(name), b"").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), place("loop")).unwrap();
        std::os::unix::fs::symlink(place("b.ofd"), place("link.ofd")).unwrap();
        for pipe in ["pipe.pdf", "pipe"] {
            let (mode, kind) = (rustix::fs::Mode::RUSR, rustix::fs::FileType::Fifo);
            rustix::fs::mknodat(rustix::fs::CWD, place(pipe), kind, mode, 0).unwrap();
        }
        let found = Found::of(&[folder.path().to_owned(), place("none.ofd"), place("pipe"), place("link.ofd")]);
        let told: Vec<_> = found
            .items
            .iter()
            .map(|item| (item.path.strip_prefix(folder.path()).unwrap().to_str().unwrap(), item.refused.is_none()))
            .collect();
        let want = [
            ("a.OFD", true),
            ("b.ofd", true),
            ("d.pdf", true),
            ("link.ofd", false),
            ("more/e.esl", true),
            ("pipe.pdf", false),
            // Named: what is not there, a pipe, and a link, which is followed.
            ("none.ofd", false),
            ("pipe", false),
            ("link.ofd", true),
        ];
        assert_eq!(told, want);
        let left_out = found.left_out().unwrap();
        assert_eq!(left_out, "left out of folders: 2 of another ending, 2 that are no files (links, pipes, devices)");
        assert_eq!(Found::of(&[place("b.ofd")]).left_out(), None);
        // A pipe that nobody writes to would be waited for.
        assert!(open(&place("pipe")).is_err() && open(&place("b.ofd")).is_ok());
    }
}
