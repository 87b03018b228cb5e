//! The evidence of a case from a running gateway: on record before it leaves, the same twice, proven by us, and in its parts by
//! programs that nobody here wrote.

mod federation;
mod tools;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use federation::Federation;
use serde_json::Value;
use tools::{text, tongban};

fn run(program: &str, args: &[&str], folder: &Path) -> Output {
    Command::new(program).args(args).current_dir(folder).output().unwrap_or_else(|e| panic!("{program}: {e}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_is_on_record_and_stands_without_us() {
    ["openssl", "python3", "unzip"].into_iter().for_each(tools::needs);
    let federation = Federation::start(1).await;
    let folder = federation.folder.path().to_owned();
    let told =
        |gateway: usize, name: &str| federation.told["gateways"][gateway][name].as_str().expect("text").to_owned();
    let (key, peer_key, config) = (told(0, "log_key"), told(1, "log_key"), told(0, "config"));
    let window = federation.client("window", 0);
    let both = vec![
        ("authorization", format!("Bearer {}", federation.token("clerk"))),
        ("tongban-subject-token", federation.token("citizen")),
    ];
    let filed = federation.file(&window, &both, "419001", None).await;
    let no = filed.json["case"].as_str().unwrap_or_else(|| panic!("{}", filed.text())).to_owned();
    federation.until_over(&window, &both, &no).await;
    // What is on its way to the other gateway has arrived: no intent is open.
    let log = folder.join("gw-440305/data/log").display().to_string();
    let kinds = |kind: &str| {
        let shown = tongban(&["audit", "show", &log]);
        String::from_utf8_lossy(&shown.stdout).matches(&format!("\"kind\":\"{kind}\"")).count()
    };
    for _ in 0..100 {
        if kinds("case.intent") == kinds("case.outcome") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }

    // The gateway runs: without who and why nothing leaves, and a ground is no place for a resident number.
    let peer = folder.join("gw-419001/data/log").display().to_string();
    let out = |name: &str| folder.join(name).display().to_string();
    let export = |to: &str, more: &[&str]| {
        let line = ["audit", "export", &no, "--config", &config, "--peer", &peer, "-o", to];
        tongban(&[&line[..], more].concat())
    };
    for more in [
        &[][..],
        &["--by", "A-1"],
        &["--by", "A-1", "--ground", "990101199202290010"],
        &["--by", "A-1", "--ground", "因案"],
    ] {
        let refused = export(&out("refused.asice"), more);
        assert!(!refused.status.success() && !folder.join("refused.asice").exists(), "{more:?}: {}", text(&refused));
    }
    // Nor is anything put on record that was not taken: of a case that nobody filed, or to a place that cannot be written.
    let stranger = "0".repeat(32);
    let ours = ["--config", &config, "--by", "A-1", "--ground", "SJ-2026-17", "-o"];
    for (what, case, to) in
        [("no such case", &stranger, out("strange.asice")), ("no such folder", &no, out("none/x.asice"))]
    {
        let refused = tongban(&[&["audit", "export", case][..], &ours, &[&to]].concat());
        assert!(!refused.status.success() && !Path::new(&to).exists(), "{what}: {}", text(&refused));
    }
    assert_eq!(kinds("audit.export"), 0);
    let here = std::fs::read_dir(&folder).expect("a folder").flatten();
    let half_made = here.filter(|file| file.file_name().to_string_lossy().ends_with(".part")).count();
    assert_eq!(half_made, 0, "nothing half-made is left behind");

    let done = export(&out("first.asice"), &["--by", "A-1", "--ground", "青监〔2026〕17号"]);
    assert!(done.status.success() && text(&done).contains("on record"), "{}", text(&done));
    let shown = tongban(&["audit", "show", &log]);
    let lines = String::from_utf8_lossy(&shown.stdout).into_owned();
    let exports: Vec<Value> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let exports: Vec<&Value> = exports.iter().filter(|line| line["kind"] == "audit.export").collect();
    assert_eq!(exports.len(), 1);
    assert_eq!(
        (&exports[0]["actor"]["staff"], &exports[0]["why"]["basis"]),
        (&"A-1".into(), &"青监〔2026〕17号".into())
    );

    for private in [folder.join("first.asice"), folder.join("gw-440305/data/store.db")] {
        let mode = std::fs::metadata(&private).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: for nobody else to read", private.display());
    }

    // All verdicts offline; what nobody pinned proves nothing; a rule or question taken out or changed is found.
    let bundle = out("first.asice");
    let judge = |bundle: &str, keys: &[&str]| {
        let keys = keys.iter().flat_map(|key| ["--key", *key]);
        let line: Vec<&str> = ["audit", "verify", bundle, "--json"].into_iter().chain(keys).collect();
        let output = tongban(&line);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
        report
    };
    let report = judge(&bundle, &[&key, &peer_key]);
    for question in ["integrity", "complete", "content", "decisions", "seals", "opened"] {
        assert_eq!(report["verdicts"][question], "proven", "{question}: {report:#}");
    }
    assert_eq!(report["exit_code"], 0, "{report:#}");
    // Nothing was shredded, and what lookups answered is no document.
    let notes = report["notes"].to_string();
    assert!(notes.contains("0 of them named by no entry; 0 named and not here"), "{notes}");
    assert!(report["peers"].as_object().is_some_and(|peers| !peers.is_empty()), "{report:#}");
    assert_eq!(judge(&bundle, &[&peer_key])["exit_code"], 2);

    // The owner examined the licence again, and its log says by what.
    let owner = out("gw-419001/data/log");
    let shown = tongban(&["audit", "show", &owner]);
    let lines = text(&shown);
    let checks = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let checks: Vec<_> = checks.filter(|entry| entry["kind"] == "licence.check").collect();
    assert!(!checks.is_empty(), "{lines}");
    for check in &checks {
        assert_eq!(check["ev"][0]["verdict"], "TOTAL-PASSED", "{check}");
        assert!(check["ev"][0]["trust"].is_string() && check["case"]["id"].is_string(), "{check}");
    }

    verdicts_that_stand(&folder, &key);

    let unpacked = folder.join("unpacked");
    std::fs::create_dir(&unpacked).expect("a folder");
    assert!(run("unzip", &["-t", &bundle], &folder).status.success());
    tools::unpack(Path::new(&bundle), &unpacked);
    told_with_the_key(&folder, &unpacked, &key);
    from_a_mirror(&folder, &unpacked, &[&key, &peer_key], &peer);
    parts(&unpacked, &key);
}

/// The auditor's own copy gives the same entries, with all verdicts, and knows no document.
fn from_a_mirror(folder: &Path, unpacked: &Path, keys: &[&str; 2], peer: &str) {
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(unpacked.join("manifest.json")).expect("a manifest")).expect("JSON");
    let case = manifest["case"].as_str().expect("a case");
    let place = |name: &str| folder.join(name).display().to_string();
    let (good, data, bundle) = (place("good"), place("gw-440305/data"), place("mirrored.asice"));
    let line =
        ["audit", "export", case, "--from", &good, "--key", keys[0], "--key", keys[1], "--peer", peer, "-o", &bundle];
    for (what, more, exit) in [("alone", vec![], 2), ("with the rules", vec!["--decisions", &*data], 0)] {
        let done = tongban(&[&line[..], &more].concat());
        assert!(done.status.success(), "{what}: {}", text(&done));
        let judged = tongban(&["audit", "verify", &bundle, "--key", keys[0], "--key", keys[1], "--json"]);
        assert_eq!(judged.status.code(), Some(exit), "{what}: {}", text(&judged));
        let report: Value = serde_json::from_slice(&judged.stdout).expect("a report");
        for question in ["integrity", "complete", "content"] {
            assert_eq!(report["verdicts"][question], "proven", "{what}: {report:#}");
        }
        assert!(report["notes"].to_string().contains("0 in the bundle"), "{what}: {report:#}");
    }
    let stranger = "0".repeat(32);
    let nothing = tongban(&["audit", "export", &stranger, "--from", &good, "--key", keys[0], "-o", &place("no.asice")]);
    assert!(!nothing.status.success() && text(&nothing).contains("no entry of this case"), "{}", text(&nothing));
    let by_number = tongban(&[
        "audit",
        "export",
        manifest["case_no"].as_str().expect("a number"),
        "--from",
        &good,
        "--key",
        keys[0],
        "-o",
        &bundle,
    ]);
    assert!(!by_number.status.success() && text(&by_number).contains("pseudonym"), "{}", text(&by_number));
}

/// What the lines of the case tell of people, with the key that the bundle carries and without.
fn told_with_the_key(folder: &Path, unpacked: &Path, key: &str) {
    let file = tools::files(&unpacked.join("keys")).remove(0).display().to_string();
    let case: Value = serde_json::from_slice(&std::fs::read(&file).expect("a key")).expect("JSON");
    let (case, good) = (case["case"].as_str().expect("a case"), folder.join("good").display().to_string());
    let verified = tongban(&["audit", "verify", &good, "--key", key, "--case-key", &file]);
    assert!(verified.status.success() && text(&verified).contains("sealed parts open: 已证明"), "{}", text(&verified));
    let search = ["audit", "search", &good, "--key", key, "--case", case, "--kind", "case.event", "--json"];
    let (closed, open) = (tongban(&search), tongban(&[&search[..], &["--case-key", &file]].concat()));
    assert!(!text(&closed).contains("990101199202290010"), "{}", text(&closed));
    let lines = String::from_utf8_lossy(&open.stdout).into_owned();
    let lines: Vec<Value> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let said: Vec<&Value> = lines.iter().map(|line| &line["sealed"]).filter(|said| !said.is_null()).collect();
    assert_eq!(said[0]["applicant"]["number"], "990101199202290010", "{said:?}");
    assert!(said.iter().any(|said| said["note"].is_string()), "what the owner wrote came along: {said:?}");
    let other = folder.join("other.json");
    std::fs::write(&other, "{}").expect("written");
    let wrong = tongban(&["audit", "verify", &good, "--key", key, "--case-key", &other.display().to_string()]);
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong));
}

/// What was found in a log stays found, whatever else is asked, or stands beside it.
fn verdicts_that_stand(folder: &Path, key: &str) {
    let place = |name: &str| folder.join(name).display().to_string();
    let data = place("gw-440305/data");
    for name in ["good", "bent"] {
        let done = tongban(&["audit", "mirror", &data, &place(name), "--key", key]);
        assert!(done.status.success(), "{}", text(&done));
    }
    let bundle = tools::files(&folder.join("bent/tile/entries")).remove(0);
    let mut octets = std::fs::read(&bundle).expect("a bundle");
    octets[900] ^= 1;
    std::fs::write(&bundle, octets).expect("written");
    let endless = ["--old", "/dev/zero"];
    for (what, logs, more, exit, says) in [
        ("decisions of a good copy", vec!["good"], vec!["--decisions", &*data], 0, "决定复核"),
        ("decisions of a bent one", vec!["bent"], vec!["--decisions", &*data], 1, "DISPROVEN"),
        ("a missing log beside a good one", vec!["good", "missing"], vec![], 2, "undecided"),
        ("a missing log beside a bent one", vec!["missing", "bent"], vec![], 1, "DISPROVEN"),
        ("a checkpoint without end", vec!["good"], endless.to_vec(), 2, "too long"),
    ] {
        let logs: Vec<String> = logs.iter().map(|name| place(name)).collect();
        let logs: Vec<&str> = logs.iter().map(String::as_str).collect();
        let judged = tongban(&[&["audit", "verify"][..], &logs, &["--key", key], &more].concat());
        assert_eq!(judged.status.code(), Some(exit), "{what}: {}", text(&judged));
        assert!(text(&judged).contains(says), "{what}: {}", text(&judged));
    }
}

/// The seal by OpenSSL, proofs by an independent client, policies as plain files.
fn parts(unpacked: &Path, key: &str) {
    let meta = unpacked.join("META-INF");
    let signature = tools::files(&meta).into_iter().find(|file| file.extension().is_some_and(|e| e == "p7s"));
    let signature = signature.expect("a signature").display().to_string();
    let manifest = tools::files(&meta).into_iter().find(|file| file.to_string_lossy().contains("ASiCManifest"));
    let manifest = manifest.expect("a manifest").display().to_string();
    let line = [
        "cms",
        "-verify",
        "-inform",
        "DER",
        "-in",
        &signature,
        "-content",
        &manifest,
        "-binary",
        "-noverify",
        "-out",
        "/dev/null",
    ];
    let done = run("openssl", &line, unpacked);
    assert!(done.status.success(), "{}", text(&done));
    for certificate in tools::files(&unpacked.join("certificates")) {
        let done = run("openssl", &["x509", "-noout", "-subject", "-in", &certificate.display().to_string()], unpacked);
        assert!(done.status.success(), "{}", text(&done));
    }
    assert!(unpacked.join("policy/asked").is_dir(), "the questions that were asked");
    // Sealed papers of the case: another reader opens them, and OpenSSL finds signer's and maker's signatures good.
    let papers: Vec<_> =
        tools::files(unpacked).into_iter().filter(|file| file.extension() == Some("ofd".as_ref())).collect();
    assert!(papers.len() >= 2, "the licence and the receipt: {papers:?}");
    for paper in &papers {
        assert_eq!(tools::sealed::verified_by_openssl(paper), ["Seal"], "{}", paper.display());
    }
    let papers: Vec<&Path> = papers.iter().map(|paper| paper.as_path()).collect();
    for found in tools::sealed::read_elsewhere(&papers) {
        tools::sealed::assert_seal_is_drawn(&found);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/tlog/proof.py").display().to_string();
    let line = ["-B", &script, "logs/0", "--key", key];
    let done = run("python3", &line, unpacked);
    assert!(done.status.success(), "{}", text(&done));
    let entry = tools::files(&unpacked.join("logs/0/entries")).remove(0);
    let octets = std::fs::read_to_string(&entry).expect("an entry");
    std::fs::write(&entry, octets.replacen("\"kind\":\"", "\"kind\":\"x", 1)).expect("written");
    let bent = run("python3", &line, unpacked);
    assert!(text(&bent).contains("DISPROVEN"), "{}", text(&bent));
}
