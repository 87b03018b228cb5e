//! One octet changed anywhere, in a paper, in a licence, or in a log, is found by the command line, which says what it is.

mod tools;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tongban::formats::zip::{Archive, Limits};
use tools::{Dice, announced, audit, demo, files, ports, program, text};

/// Every so many octets of a paper one is changed, besides those of its headers; and so many places of a log file.
const STRIDE: usize = 23;
const PLACES: usize = 48;

/// A demonstration that has walked, and the papers of its case.
fn walked(folder: &Path, nth: u16) -> Vec<PathBuf> {
    let done = demo(folder, ports(nth)).arg("--once").output().expect("the binary runs");
    assert!(done.status.success(), "{}", text(&done));
    // What the walk prints can be pasted as it is.
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let lines: Vec<_> =
        said.lines().map(str::trim).filter(|l| l.contains("tongban verify") || l.contains("audit verify")).collect();
    assert_eq!(lines.len(), 3, "{said}");
    for line in lines {
        let shell = Command::new("sh").arg("-c").arg(line).output().expect("a shell");
        assert!(shell.status.success(), "{line}\n{}", text(&shell));
    }
    files(&folder.join("papers"))
}

/// Where the headers of a ZIP lie: local headers, directory, end record, found by their signatures.
fn headers(bytes: &[u8]) -> Vec<usize> {
    let lengths: [(&[u8], usize); 3] = [(b"PK\x03\x04", 30), (b"PK\x01\x02", 46), (b"PK\x05\x06", 22)];
    let at = |n: usize| lengths.iter().find(|(mark, _)| bytes[n..].starts_with(mark)).map(|(_, len)| n..n + len);
    (0..bytes.len()).filter_map(at).flatten().filter(|n| *n < bytes.len()).collect()
}

fn verify(folder: &Path, what: &Path) -> std::process::Output {
    program().args(["verify", "--json", "--policy"]).arg(folder.join("trust.toml")).arg(what).output().expect("it runs")
}

/// Every file of a package, unpacked.
fn unpacked(package: &[u8]) -> Vec<(String, Vec<u8>)> {
    let archive = Archive::open(package, &Limits::default()).expect("a package");
    let read = |name: &str| (name.to_owned(), archive.read(name, 1 << 20).expect("a file"));
    archive.files().map(|file| read(&file.name)).collect()
}

#[test]
fn one_octet_of_a_paper_or_licence() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (papers, mut dice) = (walked(folder, 0), Dice::new("papers"));
    assert_eq!(papers.len(), 5, "{papers:?}");
    for paper in papers {
        let whole = fs::read(&paper).unwrap();
        let mut places = headers(&whole);
        let of_headers: HashSet<usize> = places.iter().copied().collect();
        assert!(places.len() > 400, "{}: {} octets of headers", paper.display(), places.len());
        places.extend((0..whole.len()).step_by(STRIDE));
        places.push(whole.len() - 1);
        // All the changed copies in one folder: the command takes them in one go, and judges each by itself.
        let bent = folder.join("bent").join(paper.file_stem().unwrap());
        fs::create_dir_all(&bent).unwrap();
        for at in &places {
            let mut copy = whole.clone();
            copy[*at] ^= 1 << dice.below(8);
            fs::write(bent.join(format!("{at:06}.ofd")), copy).unwrap();
        }
        let count = files(&bent).len();
        let told = verify(folder, &bent);
        assert_eq!(told.status.code(), Some(1), "{}", paper.display());
        let mut same = 0;
        let said = String::from_utf8_lossy(&told.stdout).into_owned();
        let reports: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(reports.len(), count);
        for report in &reports {
            let named = report["code"].as_str().is_some_and(|code| !code.is_empty());
            if report["indication"] != "TOTAL-PASSED" && named {
                continue;
            }
            // Deflate can say the same thing in two ways (a match at another distance): a changed octet of packed data
            // that unpacks to the very same files is no changed paper. In a header nothing may differ.
            let file = Path::new(report["file"].as_str().expect("its file"));
            let at: usize = file.file_stem().and_then(|name| name.to_str()?.parse().ok()).expect("the place");
            assert!(!of_headers.contains(&at), "{}: {report}", paper.display());
            assert_eq!(unpacked(&fs::read(file).unwrap()), unpacked(&whole), "{}: {report}", paper.display());
            same += 1;
        }
        assert!(same <= 3, "{}: {same} changes that change nothing", paper.display());
        println!(
            "{}: {count} of {} octets changed, {same} to no effect, each other found",
            paper.display(),
            whole.len()
        );
        // One by one, as a person would.
        let one = bent.join(format!("{:06}.ofd", places[of_headers.len() / 2]));
        assert_ne!(verify(folder, &one).status.code(), Some(0));
        assert_eq!(verify(folder, &paper).status.code(), Some(0), "the paper itself");
        fs::remove_dir_all(&bent).unwrap();
    }
}

/// Where a file of a log holds something: up to the last octet that is not zero.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1)
}

#[test]
fn one_octet_of_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    walked(folder, 1);
    let mut dice = Dice::new("logs");
    let told = announced(folder).unwrap();
    for gateway in [0, 1] {
        let name = told["gateways"][gateway]["name"].as_str().unwrap();
        let log = files(&folder.join(name).join("data/log"));
        let log: Vec<_> = log.into_iter().filter(|file| used(&fs::read(file).unwrap()) > 0).collect();
        assert!(log.len() >= 4, "key, checkpoint, entries, hashes: {log:?}");
        for file in log {
            let whole = fs::read(&file).unwrap();
            let used = used(&whole);
            // The beginning and the end octet by octet; in between at random; and what is set aside and still blank.
            let mut places: Vec<_> = (0..used.min(8)).chain(used.saturating_sub(8)..used).collect();
            places.extend((0..PLACES).map(|_| dice.below(used as u64) as usize));
            places.extend((used < whole.len()).then(|| used + dice.below((whole.len() - used) as u64) as usize));
            for at in places {
                let mut bent = whole.clone();
                bent[at] ^= 1 << dice.below(8);
                fs::write(&file, &bent).unwrap();
                let found = audit(folder, gateway);
                let said = text(&found);
                assert!(matches!(found.status.code(), Some(1 | 2)), "{} octet {at}: {said}", file.display());
                let last = said.lines().any(|line| line.contains('✘') || line.contains('✗') || line.contains('?'));
                assert!(last || found.status.code() == Some(2), "{} octet {at}: {said}", file.display());
            }
            fs::write(&file, &whole).unwrap();
        }
        assert_eq!(audit(folder, gateway).status.code(), Some(0), "whole again");
    }
}

/// Copies a folder as a backup would.
fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap().map(|item| item.unwrap().path()) {
        let target = to.join(item.file_name().unwrap());
        match item.is_dir() {
            true => copied(&item, &target),
            false => drop(fs::copy(&item, &target).unwrap()),
        }
    }
}

#[test]
fn a_log_restored_from_an_older_copy_is_not_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, nth) = (folder.path(), 2);
    let walk = || {
        let done = demo(folder, ports(nth)).arg("--once").output().expect("the binary runs");
        assert!(done.status.success(), "{}", text(&done));
    };
    walk();
    let (log, backup) = (folder.join("gw-440305/data/log"), folder.join("backup"));
    copied(&log, &backup);
    walk();
    fs::remove_dir_all(&log).unwrap();
    copied(&backup, &log);
    let config = folder.join("gw-440305/tongban.toml");
    let refused = program().args(["serve", "--config"]).arg(&config).output().expect("the binary runs");
    assert!(!refused.status.success(), "{}", text(&refused));
    assert!(text(&refused).contains("rolled back"), "{}", text(&refused));
}
