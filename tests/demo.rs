//! The demonstration as its user sees it: the whole walk on real sockets, then what an auditor finds in its folders.

mod lines;
mod tools;

use std::fs;
use std::path::Path;
use std::process::Output;

use tools::{audit, files, ports, text, tongban};

fn walk(folder: &Path, base: u16, more: &[&str]) -> Output {
    tools::demo(folder, base).arg("--once").args(more).output().expect("the binary runs")
}

#[test]
fn one_case_across_provinces_and_what_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let base = ports(0);
    let first = walk(folder.path(), base, &[]);
    assert!(first.status.success(), "{}", text(&first));
    assert!(text(&first).contains("LT-ID: 有效 valid"), "the issuer was asked: {}", text(&first));
    for gateway in [0, 1] {
        let proven = audit(folder.path(), gateway);
        assert_eq!(proven.status.code(), Some(0), "{}", text(&proven));
    }

    let logs = ["gw-440305", "gw-419001"].map(|id| folder.path().join(id).join("data/log").display().to_string());
    let shown = logs.map(|log| text(&tongban(&["audit", "show", &log])));
    let lines: Vec<_> = shown.iter().flat_map(|log| log.lines()).map(serde_json::from_str).collect();
    lines::check(&lines.into_iter().collect::<Result<Vec<_>, _>>().expect("lines of JSON"));

    // Started again on the same folder, everything goes on: no log broken, keys and cases kept.
    let again = walk(folder.path(), base, &[]);
    assert!(again.status.success(), "{}", text(&again));

    // No resident number in clear anywhere a gateway keeps data, nor in what its process says.
    let mut kept = Vec::new();
    for gateway in ["gw-440305", "gw-419001"] {
        kept.extend(files(&folder.path().join(gateway).join("data")));
        kept.push(folder.path().join(gateway).join("gateway.log"));
    }
    assert!(kept.len() > 20, "the gateways kept files");
    for file in &kept {
        let bytes = fs::read(file).unwrap();
        for number in [&b"990101199202290010"[..], b"990101198506150020"] {
            assert!(!bytes.windows(18).any(|w| w == number), "{} holds a resident number", file.display());
        }
    }
}

#[test]
fn the_demonstration_on_postgresql() {
    let Ok(server) = std::env::var("TONGBAN_TEST_POSTGRES") else {
        println!("TONGBAN_TEST_POSTGRES is not set: the demonstration ran on SQLite only");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let done = walk(folder.path(), ports(1), &["--store", &server]);
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
