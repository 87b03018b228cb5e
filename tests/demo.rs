//! The demonstration as its user sees it: the whole walk on real sockets, then what an auditor finds in its folders.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn tongban(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tongban")).args(args).output().expect("the binary runs")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A base for 25 free ports; two tests never share one.
fn ports(nth: u16) -> String {
    (21_000 + (std::process::id() % 300) as u16 * 100 + nth * 30).to_string()
}

fn walk(folder: &Path, base: &str, more: &[&str]) -> Output {
    let folder = folder.display().to_string();
    let mut args = vec!["demo", "--once", "--data", &folder, "--port-base", base];
    args.extend_from_slice(more);
    tongban(&args)
}

/// Verifies the log of a gateway with the key that `federation.json` names.
fn audit(folder: &Path, gateway: usize) -> Output {
    let told: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("federation.json")).expect("federation.json")).expect("JSON");
    let gateway = &told["gateways"][gateway];
    let log = folder.join(gateway["name"].as_str().expect("name")).join("data/log");
    tongban(&["audit", "verify", &log.display().to_string(), "--key", gateway["log_key"].as_str().expect("log_key")])
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

#[test]
fn one_case_across_provinces_and_what_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let base = ports(0);
    let first = walk(folder.path(), &base, &[]);
    assert!(first.status.success(), "{}", text(&first));
    for gateway in [0, 1] {
        let proven = audit(folder.path(), gateway);
        assert_eq!(proven.status.code(), Some(0), "{}", text(&proven));
    }

    // Started again on the same folder, everything goes on: no log broken, keys and cases kept.
    let again = walk(folder.path(), &base, &[]);
    assert!(again.status.success(), "{}", text(&again));

    // No resident number in clear anywhere a gateway keeps data.
    let mut kept = Vec::new();
    for gateway in ["gw-440305", "gw-419001"] {
        files(&folder.path().join(gateway).join("data"), &mut kept);
    }
    assert!(kept.len() > 20, "the gateways kept files");
    for file in &kept {
        let bytes = fs::read(file).unwrap();
        for number in [&b"990101199202290010"[..], b"990101198506150020"] {
            assert!(!bytes.windows(18).any(|w| w == number), "{} holds a resident number", file.display());
        }
    }

    // One octet changed anywhere in the log of the Nanshan gateway is found, and the verifier says so.
    let mut log = Vec::new();
    files(&folder.path().join("gw-440305/data/log"), &mut log);
    let log: Vec<_> = log.into_iter().filter(|f| fs::metadata(f).is_ok_and(|m| m.len() > 0)).collect();
    let mut bent = 0;
    for file in &log {
        let whole = fs::read(file).unwrap();
        let used = whole.iter().rposition(|b| *b != 0).unwrap_or(0);
        let mut changed = whole.clone();
        changed[used / 2] ^= 0x01;
        fs::write(file, &changed).unwrap();
        let found = audit(folder.path(), 0);
        assert_eq!(found.status.code(), Some(1), "{}: {}", file.display(), text(&found));
        fs::write(file, &whole).unwrap();
        bent += 1;
    }
    assert!(bent >= 2, "the log has files");
    assert_eq!(audit(folder.path(), 0).status.code(), Some(0), "whole again");
}

#[test]
fn the_demonstration_on_postgresql() {
    let Ok(server) = std::env::var("TONGBAN_TEST_POSTGRES") else {
        println!("TONGBAN_TEST_POSTGRES is not set: the demonstration ran on SQLite only");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let done = walk(folder.path(), &ports(1), &["--store", &server]);
    assert!(done.status.success(), "{}", text(&done));
}

#[test]
fn mistakes_of_a_configuration_are_told_with_the_mend() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tongban.toml");
    fs::write(&file, "[gateway]\nid = \"gw\"\ndivision = \"1\"\n").unwrap();
    let told = tongban(&["check", "--config", &file.display().to_string()]);
    let said = text(&told);
    assert_eq!(told.status.code(), Some(1), "{said}");
    for want in ["tongban.toml:3: gateway.division", "gateway.name: missing", "listen: missing"] {
        assert!(said.contains(want), "{want} is not told:\n{said}");
    }
}
