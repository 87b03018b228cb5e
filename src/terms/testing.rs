//! What the tests of rooms share: vectors of other projects, and programs that nobody here wrote.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder of the vectors of one kind below the one that `TONGBAN_VECTORS` names. They are third-party material and do not
/// come with this project: without the variable a test is left out, and says so past what keeps the words of good tests back.
///
/// # Panics
/// Where the variable names a folder that does not have them: nobody would notice that nothing is tested.
pub(crate) fn vectors(kind: &str) -> Option<PathBuf> {
    let folder = below(std::env::var_os("TONGBAN_VECTORS").as_deref(), kind);
    if folder.is_none() {
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        let _ = writeln!(std::io::stderr(), "TONGBAN_VECTORS is not set: left out, vectors of {kind}: {test}");
    }
    folder
}

fn below(root: Option<&OsStr>, kind: &str) -> Option<PathBuf> {
    let folder = Path::new(root?).join(kind);
    assert!(folder.is_dir(), "TONGBAN_VECTORS is set, and {} is no folder", folder.display());
    Some(folder)
}

/// What a program of another project does with this.
///
/// # Panics
/// Where it is not installed.
pub(crate) fn other<A: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = A>) -> Output {
    let done = Command::new(program).args(args).output();
    done.unwrap_or_else(|e| panic!("{program} is not installed, or does not run ({e}): `make test` installs it"))
}

#[test]
fn what_is_not_there_is_told() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("here")).unwrap();
    assert_eq!(below(None, "here"), None);
    assert_eq!(below(Some(root.path().as_os_str()), "here"), Some(root.path().join("here")));
    let path = root.path().to_owned();
    let folder = std::thread::spawn(move || drop(below(Some(path.as_os_str()), "elsewhere")));
    let program = std::thread::spawn(|| drop(other("no-such-program", ["--version"])));
    for (missing, want) in [(folder, "elsewhere is no folder"), (program, "no-such-program is not installed")] {
        let said = missing.join().expect_err("it does not pass");
        let said = said.downcast_ref::<String>().expect("a sentence");
        assert!(said.contains(want), "{said}");
    }
}
