//! The cases of x509-limbo, where they are at hand (`TONGBAN_VECTORS`).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::*;
use crate::trust::pem;
use crate::trust::suite::Strengths;

#[derive(Deserialize)]
struct Limbo {
    testcases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    validation_kind: String,
    trusted_certs: Vec<String>,
    untrusted_intermediates: Vec<String>,
    peer_certificate: String,
    validation_time: Option<String>,
    expected_result: String,
    expected_peer_name: Option<Peer>,
    max_chain_depth: Option<usize>,
    crls: Vec<String>,
}

#[derive(Deserialize)]
struct Peer {
    value: String,
}

#[derive(Deserialize)]
struct Manifest {
    files: BTreeMap<String, File>,
}

#[derive(Deserialize)]
struct File {
    cases: BTreeMap<String, Graded>,
}

#[derive(Deserialize)]
struct Graded {
    grade: String,
}

/// The page that lists, with reasons, where we differ.
const PAGE: &str = include_str!("../../../docs/x509.md");

/// Cases of the page's table, with what we do and why.
fn differences() -> BTreeMap<&'static str, (&'static str, &'static str)> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [id, _, done, why] = cells[..] else { panic!("not four cells: {row}") };
        (id.trim_matches('`'), (done, why))
    })
    .collect()
}

/// Without a time of its own a case is judged at this one.
const CASES_AT: &str = "2026-06-01T00:00:00Z";

fn all_der(texts: &[String]) -> Vec<Vec<u8>> {
    texts.iter().flat_map(|t| pem::decode(t.as_bytes()).unwrap()).map(|b| b.octets.to_vec()).collect()
}

/// Whether the case is accepted, and why not. What cannot be read is refused, too; unrelated certificates that cannot be
/// read are left out, as a peer may send anything.
fn ask(case: &Case) -> Result<(), String> {
    let read = |texts: &[String]| -> Vec<Certificate> {
        all_der(texts).iter().filter_map(|der| Certificate::parse(der).ok()).collect()
    };
    let leaf =
        Certificate::parse(&all_der(std::slice::from_ref(&case.peer_certificate))[0]).map_err(|e| e.to_string())?;
    let crls: Vec<Crl> = all_der(&case.crls).iter().map(|der| Crl::parse(der).unwrap()).collect();
    let server = case.validation_kind == "SERVER";
    let question = Question {
        leaf: &leaf,
        intermediates: &read(&case.untrusted_intermediates),
        anchors: &read(&case.trusted_certs),
        purpose: if server { Purpose::TlsServer } else { Purpose::TlsClient },
        at: UnixMillis::parse_rfc3339(case.validation_time.as_deref().unwrap_or(CASES_AT)).unwrap(),
        crls: &crls,
        ocsp: &[],
        revocation: Revocation::IfAvailable,
        strengths: Strengths::shipped(),
    };
    judge_within(&question, case.max_chain_depth.unwrap_or(DEFAULT_DEPTH)).map_err(|e| e.to_string())?;
    match &case.expected_peer_name {
        Some(peer) if server && !speaks_for(&leaf, &peer.value) => Err("it does not speak for the host".into()),
        _ => Ok(()),
    }
}

#[test]
fn limbo() {
    let Some(folder) = crate::terms::testing::vectors("x509") else { return };
    let manifest: Manifest = serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let (page, mut seen) = (differences(), BTreeSet::new());
    let (mut asked, mut wrong) = (0, Vec::new());
    for (file, File { cases }) in &manifest.files {
        let limbo: Limbo = serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap();
        for case in &limbo.testcases {
            let got = ask(case);
            asked += 1;
            if got.is_ok() == (case.expected_result == "SUCCESS") {
                continue;
            }
            let (grade, done) = (&cases[&case.id].grade, if got.is_ok() { "taken" } else { "refused" });
            seen.insert(case.id.as_str().to_owned());
            if grade == "must" || page.get(case.id.as_str()).is_none_or(|(said, _)| *said != done) {
                wrong.push(format!("{file} {grade} {}: wanted {}, got {got:?}", case.id, case.expected_result));
            }
        }
    }
    let agreed = page.keys().filter(|id| !seen.contains(**id));
    wrong.extend(agreed.map(|id| format!("docs/x509.md lists {id}, where we do not differ")));
    assert!(asked > 0 && wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
    println!("x509-limbo: {asked} cases asked");
}

/// The page itself, with or without the cases: each row says what we do, and the clause or the reason.
#[test]
fn the_page_gives_reasons() {
    let page = differences();
    assert!(!page.is_empty());
    for (id, (done, why)) in page {
        assert!(["taken", "refused"].contains(&done), "{id}: {done}");
        assert!(why.contains('§') && why.len() > 40, "{id}: {why}");
    }
}
