//! `docs/mechanisms.md` names for each mechanism of the business what shows it working: all of it must be there.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// All files below a folder that end like this.
fn below(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => all.extend(below(&path, end)),
            false if path.to_string_lossy().ends_with(end) => all.push(path),
            false => {}
        }
    }
    all
}

/// What stands between this sign and the next of it.
fn between(cell: &str, sign: char) -> Vec<&str> {
    cell.split(sign).skip(1).step_by(2).collect()
}

/// What is there to be named.
struct There {
    /// Text of all sources and tests.
    code: String,
    /// Text of all policy cases.
    cases: String,
}

impl There {
    fn has_function(&self, name: &str) -> bool {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        !name.is_empty() && name.chars().all(is_name) && self.code.contains(&format!("fn {name}("))
    }

    /// Mistakes of one page.
    fn mistakes(&self, page: &str) -> Vec<String> {
        let mut all = Vec::new();
        for row in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| # |")) {
            let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [number, _, shown] = cells[..] else {
                all.push(format!("not three cells: {row}"));
                continue;
            };
            let names = between(shown, '`');
            let mut shows = shown.contains("Demo");
            for name in &names {
                if name.ends_with(".rs") {
                    let found =
                        [*name, &format!("src/{name}"), &format!("tests/{name}")].map(|f| root().join(f).is_file());
                    if !found.contains(&true) {
                        all.push(format!("{number}: there is no file {name}"));
                    }
                } else if name.ends_with(".toml") && !root().join("policies/cases").join(name).is_file() {
                    all.push(format!("{number}: there are no cases {name}"));
                } else if name.ends_with(".toml") || self.has_function(name) {
                    shows = true;
                } else if name.contains('_') && name.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                    all.push(format!("{number}: there is no {name}"));
                }
            }
            // What a policy case is called stands in quotation marks, outside of code.
            let plain: String = shown.split('`').step_by(2).collect();
            if plain.contains("olicy case") {
                for title in between(&plain, '"') {
                    match self.cases.to_lowercase().contains(&title.to_lowercase()) {
                        true => shows = true,
                        false => all.push(format!("{number}: there is no case \"{title}\"")),
                    }
                }
            }
            if !shows && !shown.starts_with("in part") {
                all.push(format!("{number}: nothing shows it"));
            }
        }
        all
    }
}

fn there() -> There {
    let gather = |files: Vec<PathBuf>| files.iter().map(|file| read(file)).collect::<String>();
    let code = [below(&root().join("src"), ".rs"), below(&root().join("tests"), ".rs")].concat();
    There { code: gather(code), cases: gather(below(&root().join("policies/cases"), ".toml")) }
}

#[test]
fn every_mechanism_has_what_shows_it() {
    let page = read(&root().join("docs/mechanisms.md"));
    assert!(page.lines().filter(|line| line.starts_with("| ")).count() > 50, "the page has its rows");
    let wrong = there().mistakes(&page);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_row_can_be_wrong() {
    let there = there();
    for row in [
        "| 1 | a | `no_such_test` |",
        "| 1 | a | `tests/no_such_file.rs` `reloads` |",
        "| 1 | a | policy cases `no-such-cases.toml` |",
        "| 1 | a | policy case \"Nobody wrote this case\" |",
        "| 1 | a | it works |",
        "| 1 | a |",
    ] {
        assert!(!there.mistakes(row).is_empty(), "{row}");
    }
    let good = "| 1 | a | `tests/partners.rs` `reloads`, policy cases `filing.toml`; Demo |";
    assert_eq!(there.mistakes(good), Vec::<String>::new());
}
