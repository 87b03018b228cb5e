//! The vectors of `$TONGBAN_VECTORS/ofd`, all of them: indication and sub-indication as their manifests say.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;
use crate::terms::{LicenceId, UnixMillis};
use crate::trust::certificate::Certificate;
use crate::trust::crl::Crl;

fn folder() -> Option<PathBuf> {
    crate::terms::testing::vectors("ofd")
}

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
}

/// `20201024114537` or null.
fn at(value: &Value) -> UnixMillis {
    let text = value.as_str().unwrap_or("20261125000000");
    times::read(&format!("{text}Z")).unwrap().at
}

fn certificates(root: &Path, names: &Value) -> Vec<Certificate> {
    let names = names.as_array().unwrap().iter().map(|n| n.as_str().unwrap());
    names.map(|n| Certificate::parse(&std::fs::read(root.join(n)).unwrap()).unwrap()).collect()
}

fn anchored(profile: &mut Profile, anchors: Vec<Certificate>) {
    profile.anchors = Anchors { signers: anchors.clone(), makers: anchors.clone(), tsas: anchors };
}

/// What came out, and what may.
fn differs(report: &Report, want: &Value, sub: &str) -> Option<String> {
    let got = (report.indication.word(), report.sub_indication.map(SubIndication::word));
    let expected = (want["indication"].as_str().unwrap(), want[sub].as_str());
    let either = want["either"].as_array().map(|e| e.iter().filter_map(Value::as_str).collect::<Vec<_>>());
    let allowed = match either.as_deref() {
        // A pair is an indication with its reason; several indications stand for any reason.
        Some([indication, reason]) if !reason.starts_with("TOTAL") && !reason.starts_with("INDET") => {
            got == (*indication, Some(*reason))
        }
        Some(indications) => indications.contains(&got.0),
        None => false,
    };
    let findings = report.all_findings().map(|(s, f)| format!("{s:?} {} {} {}", f.step, f.code, f.detail));
    (got != expected && !allowed).then(|| {
        format!(
            "{}: {got:?} {:?}, expected {expected:?} {}\n  {}",
            report.file,
            report.code,
            want["code"],
            findings.collect::<Vec<_>>().join("\n  ")
        )
    })
}

#[test]
fn third_party_files() {
    let Some(root) = folder() else { return };
    let manifest = json(root.join("manifest.json"));
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in manifest["files"].as_array().unwrap() {
        let name = file["file"].as_str().unwrap();
        for want in file["expected"].as_array().unwrap() {
            let mut profile = Profile::new(at(&want["at"]));
            anchored(&mut profile, certificates(&root, &want["anchors"]));
            if want["coverage"] == "strict" {
                profile.coverage = CoverageRule::Strict;
            }
            let report = verify(name, std::fs::File::open(root.join(name)).unwrap(), &profile);
            wrong.extend(differs(&report, want, "sub").map(|d| format!("{} {d}", want["profile"])));
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn generated_files() {
    let Some(root) = folder().map(|r| r.join("generated")) else { return };
    let cases = json(root.join("cases.json"));
    let mut profile = Profile::new(at(&cases["validation_time"]));
    anchored(&mut profile, certificates(&root, &cases["anchors"]));
    profile.intermediates = certificates(&root, &cases["intermediates"]);
    for name in cases["crls"].as_array().unwrap() {
        profile.crls.push(Crl::parse(&std::fs::read(root.join(name.as_str().unwrap())).unwrap()).unwrap());
    }
    let (mut wrong, mut count) = (Vec::new(), 0);
    for case in cases["cases"].as_array().unwrap() {
        let name = case["file"].as_str().unwrap();
        for revocation in [Revocation::IfAvailable, Revocation::Require] {
            profile.revocation = revocation;
            let report = verify(name, std::fs::read(root.join(name)).unwrap(), &profile);
            wrong.extend(differs(&report, case, "sub"));
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Signature files whose packages are not kept: what can be said without the package.
#[test]
fn detached_signatures() {
    let Some(root) = folder() else { return };
    for case in json(root.join("manifest.json"))["detached"].as_array().unwrap() {
        let dir = root.join(case["dir"].as_str().unwrap());
        let xml = std::fs::read(dir.join("Signature.xml")).unwrap();
        let value = std::fs::read(dir.join("SignedValue.dat")).unwrap();
        let verdict = verify::detached(&xml, &value, &Profile::new(at(&Value::Null)));
        let found = |code: &str| verdict.findings.iter().any(|f| f.code == code);
        let name = case["dir"].as_str().unwrap();
        let expect = |member: &str, code: &str| {
            if let Some(good) = case[member].as_bool() {
                assert_eq!(good, !found(code), "{name}: {member}: {:?}", verdict.findings);
            }
        };
        expect("data_hash_matches", "DATA_HASH_MISMATCH");
        expect("signer_signature", if case["kind"] == "cms" { "CMS_SIGNATURE" } else { "SES_SIGNATURE" });
        expect("maker_signature", "SEAL_SIGNATURE");
        expect("signer_in_seal", "SIGNER_NOT_IN_SEAL");
        if let Some(version) = case["ses"].as_str().filter(|v| v.starts_with('V')) {
            assert_eq!(verdict.format, version, "{name}");
        }
        if let Some(time) = case["time"].as_str() {
            assert_eq!(verdict.claimed_at, times::read(time).map(|w| w.at), "{name}");
        }
        let broken = verdict.findings.iter().find(|f| f.outcome.is_some_and(|(i, _)| i == Indication::TotalFailed));
        assert_eq!(broken, None, "{name}");
    }
}

#[test]
fn stand_alone_seals() {
    let Some(root) = folder() else { return };
    for case in json(root.join("manifest.json"))["seals"].as_array().unwrap() {
        let name = case["file"].as_str().unwrap();
        let bytes = std::fs::read(root.join(name)).unwrap();
        let signature = (case["kind"] == "SES_Signature").then(|| ses::signature(&bytes).unwrap());
        let seal = signature.as_ref().map_or_else(|| ses::seal(&bytes).unwrap(), |s| s.seal.clone());
        assert_eq!(seal.version.word(), case["seal_version"].as_str().unwrap(), "{name}");
        assert_eq!(seal.header_version, case["header_version"].as_i64().unwrap(), "{name}");
        assert_eq!(seal.vid, case["vid"].as_str().unwrap(), "{name}");
        let dates = [seal.created, seal.valid_from, seal.valid_to];
        for (got, want) in dates.iter().zip(case["seal_times"].as_array().unwrap()) {
            assert_eq!(*got, times::read(want.as_str().unwrap()).unwrap().at, "{name}");
        }
        let good = |cert: &[u8], algorithm: &crate::formats::der::Oid, message: &[u8], value: &[u8]| {
            suite::check(&Certificate::parse(cert).unwrap(), algorithm, message, value).is_ok()
        };
        let maker = good(seal.maker, &seal.algorithm, &seal.signed, &seal.signature.signature());
        assert_eq!(maker, case["maker_signature"].as_bool().unwrap(), "{name}");
        if let Some(s) = &signature {
            let signer = good(s.signer, &s.algorithm, s.signed, &s.signature.signature());
            assert_eq!(signer, case["signer_signature"].as_bool().unwrap(), "{name}");
        }
    }
}

#[test]
fn licence_identifiers() {
    let Some(root) = folder() else { return };
    let all = json(root.join("licence-ids.json"));
    let (mut matching, mut count) = (0, 0);
    for case in all["identifiers"].as_array().unwrap() {
        let text = case["id"].as_str().unwrap();
        let got = match text.parse::<LicenceId>() {
            Ok(id) if id.check_matches() => "match",
            Ok(_) => "mismatch",
            Err(_) => "malformed",
        };
        let want = case["check"].as_str().unwrap();
        assert!(got == want || want != "match" && got != "match", "{text}: {got}, expected {want}");
        matching += usize::from(got == "match");
        count += 1;
    }
    assert!(matching > 0 && count > matching);
}
