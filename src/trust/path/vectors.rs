//! The cases of x509-limbo, where they are at hand (`TONGBAN_VECTORS`).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::trust::pem;

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

/// Cases graded `should` or `info` where we differ, and why.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "rfc5280::ca-as-leaf",
        "an authority's certificate never stands for a gateway or terminal (webpki::ca-as-leaf agrees)",
    ),
    ("webpki::cn::", "the common name counts for nothing: Chinese organisations write their name there, not a host"),
    ("webpki::eku::root-has-eku", "an anchor is trusted by decision; national roots carry extended uses"),
    ("rfc5280::pc::ica-noncritical-pc", "policy constraints are not used between gateways"),
    ("webpki::forbidden-weak-rsa-in-leaf", "1,024 bits are refused; the case asks for more than 2,048"),
    ("rfc5280::aki::cross-signed-root-missing-aki", "an anchor named by subject and key needs no key identifier"),
    ("pathlen::max-chain-depth-1-self-issued", "the depth bounds our work, so self-issued certificates count"),
    ("webpki::san::public-suffix-multi-label-wildcard-san", "there is no public suffix list inside the gateway"),
];

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
    };
    judge_within(&question, case.max_chain_depth.unwrap_or(DEFAULT_DEPTH)).map_err(|e| e.to_string())?;
    match &case.expected_peer_name {
        Some(peer) if server && !speaks_for(&leaf, &peer.value) => Err("it does not speak for the host".into()),
        _ => Ok(()),
    }
}

#[test]
fn limbo() {
    let Some(folder) = std::env::var_os("TONGBAN_VECTORS") else {
        println!("TONGBAN_VECTORS is not set: x509-limbo is skipped");
        return;
    };
    let folder = std::path::Path::new(&folder).join("x509");
    let manifest: Manifest = serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let (mut asked, mut wrong) = (0, Vec::new());
    for (file, File { cases }) in &manifest.files {
        let limbo: Limbo = serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap();
        for case in &limbo.testcases {
            let got = ask(case);
            asked += 1;
            let explained = DIFFERENT.iter().any(|(id, _)| case.id.starts_with(id));
            if got.is_ok() != (case.expected_result == "SUCCESS") {
                let grade = &cases[&case.id].grade;
                if grade == "must" || !explained {
                    wrong.push(format!("{file} {grade} {}: wanted {}, got {got:?}", case.id, case.expected_result));
                }
            }
        }
    }
    assert!(asked > 0 && wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
    println!("x509-limbo: {asked} cases asked");
}
