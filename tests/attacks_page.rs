//! `docs/attacks.md` names a test and a code for each attack: both must be there.

use std::fs;
use std::path::Path;

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Mistakes of one page.
fn mistakes(page: &str, errors: &str) -> Vec<String> {
    let mut all = Vec::new();
    for row in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| attack")) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [attack, codes, shown] = cells[..] else {
            all.push(format!("not three cells: {row}"));
            continue;
        };
        let names = quoted(shown);
        let (files, tests): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name.contains('/'));
        let text: String = files.iter().map(|file| read(file)).collect();
        if files.is_empty() || tests.is_empty() {
            all.push(format!("{attack}: names no test"));
        }
        for test in tests {
            if !text.contains(&format!("fn {test}(")) {
                all.push(format!("{attack}: there is no {test} in {files:?}"));
            }
        }
        for code in quoted(codes) {
            if !text.contains(&format!("\"{code}\"")) {
                all.push(format!("{attack}: {files:?} say nothing of {code}"));
            }
            if code.starts_with("TB-") && !errors.contains(code) {
                all.push(format!("{attack}: nobody answers {code}"));
            }
        }
    }
    all
}

#[test]
fn every_attack_has_its_test_and_its_code() {
    let (page, errors) = (read("docs/attacks.md"), read("docs/errors.md"));
    assert!(page.lines().filter(|line| line.starts_with("| ")).count() > 40, "the page has its rows");
    let wrong = mistakes(&page, &errors);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_row_can_be_wrong() {
    for row in [
        "| a | `TB-IDN-0002` | `tests/people/attacks.rs` |",
        "| a | `TB-IDN-0002` | `tests/people/attacks.rs` `no_such_test` |",
        "| a | `TB-IDN-9999` | `tests/people/attacks.rs` `tokens` |",
        "| a | `TB-IDN-0002` |",
    ] {
        assert!(!mistakes(row, "TB-IDN-0002").is_empty(), "{row}");
    }
    assert!(mistakes("| a | `TB-IDN-0002` | `tests/people/attacks.rs` `tokens` |", "TB-IDN-0002").is_empty());
}
