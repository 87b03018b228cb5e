//! The shipped rules, their cases, and what must hold whatever the rules say.

use std::collections::BTreeSet;

use super::*;
use crate::terms::{Explain, UnixMillis};

const NOW: UnixMillis = UnixMillis(1_770_000_000_000);

fn shipped() -> PolicySet {
    PolicySet::embedded()
        .unwrap_or_else(|e| panic!("{}", e.faults.iter().map(|f| format!("{f}\n")).collect::<String>()))
}

fn shipped_asks() -> Vec<Ask> {
    let run = run_cases(&shipped(), &embedded_cases()).unwrap();
    run.outcomes.into_iter().map(|o| o.ask).collect()
}

#[test]
fn every_shipped_case_comes_out_and_every_rule_is_shown() {
    let run = run_cases(&shipped(), &embedded_cases())
        .unwrap_or_else(|e| panic!("{}", e.faults.iter().map(|f| format!("{f}\n")).collect::<String>()));
    let failed: Vec<String> = run
        .outcomes
        .iter()
        .filter(|o| !o.passed)
        .map(|o| format!("{}:{} {}\n  want {}\n  got  {}\n", o.file, o.line, o.en, o.want, o.got))
        .collect();
    assert!(failed.is_empty(), "{}", failed.concat());
    assert!(run.outcomes.len() >= 60, "{} cases", run.outcomes.len());
    assert_eq!(run.unshown, Vec::<String>::new(), "rules without a case");
    let names: BTreeSet<&str> = run.outcomes.iter().map(|o| o.en.as_str()).collect();
    assert_eq!(names.len(), run.outcomes.len(), "two cases of one name");
}
