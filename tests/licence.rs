//! `tongban licence make` through the real binary: every file gets the verdict that its manifest says, by `tongban verify`.

mod tools;

use std::collections::BTreeMap;

use serde_json::Value;
use tools::{text, tongban};

fn lines(output: &std::process::Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

#[test]
fn every_variation_gets_the_verdict_that_its_manifest_says() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("material");
    let done =
        tongban(&["licence", "make", "--out", &out.display().to_string(), "--variation", "all", "--holder", "张三"]);
    assert!(done.status.success(), "{}", text(&done));
    let manifest: Value = serde_json::from_slice(&std::fs::read(out.join("manifest.json")).unwrap()).unwrap();
    let files = manifest["files"].as_array().unwrap();
    assert!(files.len() >= 70, "{} files", files.len());
    let mut want: BTreeMap<String, &Value> = BTreeMap::new();
    for file in files {
        want.insert(out.join(file["file"].as_str().unwrap()).display().to_string(), &file["expect"]);
    }
    let policy = out.join("policy.toml").display().to_string();
    let paths: Vec<&str> = want.keys().map(String::as_str).collect();
    let judged = tongban(&[&["verify", "--json", "--policy", &policy][..], &paths].concat());
    let judged = lines(&judged);
    assert_eq!(judged.len(), want.len());
    let mut wrong = Vec::new();
    for report in &judged {
        let expect = want[report["file"].as_str().unwrap()];
        for member in ["indication", "sub_indication", "code"] {
            if report[member] != expect[member] {
                wrong.push(format!("{}: {member} {} where {} is due", report["file"], report[member], expect[member]));
            }
        }
        // Nothing of it can be taken for real.
        let holder = report["licence"].as_array().into_iter().flatten().find(|d| d["name"] == "certificateHolderName");
        assert!(holder.is_none_or(|d| d["value"].as_str().unwrap().starts_with("测试")), "{report:#}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(out.join("pki/root.key")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    // Nobody trusts any of it by default.
    let plain = tongban(&["verify", &out.join("ofd/good.ofd").display().to_string()]);
    assert_ne!(plain.status.code(), Some(0), "{}", text(&plain));
}

#[test]
fn one_of_a_kind_and_what_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    let made = tongban(&["licence", "make", "--out", &place("one"), "--format", "ofd", "--at", "2026-06-01T00:00:00Z"]);
    assert!(made.status.success(), "{}", text(&made));
    assert_eq!(std::fs::read_dir(folder.path().join("one/ofd")).unwrap().count(), 1);
    for (what, args, why) in [
        ("a folder that is in use", &["--out", &place("one")][..], "nothing is overwritten"),
        ("a strange type", &["--out", &place("two"), "--type", "LT-NONE"], "no such type"),
        ("a strange variation", &["--out", &place("two"), "--variation", "gooood"], "no such variation"),
        ("no time", &["--out", &place("two"), "--at", "tomorrow"], "not an RFC 3339 time"),
        ("no place", &[], "--out"),
    ] {
        let refused = tongban(&[&["licence", "make"][..], args].concat());
        assert!(!refused.status.success() && text(&refused).contains(why), "{what}: {}", text(&refused));
    }
    assert!(!folder.path().join("two").exists());
    let listed = tongban(&["licence", "make", "--list"]);
    assert!(listed.status.success() && text(&listed).lines().count() >= 70, "{}", text(&listed));
}

/// Minimum strengths are the verifier's: by the policy file and by options, both ways.
#[test]
fn what_is_strong_enough_is_policy() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    let made = tongban(&["licence", "make", "--out", &place("m"), "--at", "2026-06-01T00:00:00Z"]);
    assert!(made.status.success(), "{}", text(&made));
    let (seal, pdf) = (place("m/ofd/good.ofd"), place("m/pdf/good.pdf"));
    let whole = std::fs::read_to_string(place("m/policy.toml")).unwrap();
    let (weak, no_poe) = ("CRYPTO_CONSTRAINTS_FAILURE", "CRYPTO_CONSTRAINTS_FAILURE_NO_POE");
    for (file, line, options, want) in [
        (&seal, "", &[][..], None),
        (&seal, "digest = [\"sm3\"]", &[], None),
        (&seal, "digest = [\"sha256\"]", &[], Some(weak)),
        (&seal, "digest = [\"sha256\"]", &["--digest", "sm3"], None), // options count more
        (&seal, "", &["--curve", "p256"], Some(weak)),
        (&seal, "curve = [\"p256\", \"sm2\"]", &[], None),
        (&seal, "", &["--digest", "sm3 until 2026-06-30", "--time-basis", "now", "--at", "2026-06-15T00:00:00Z"], None),
        (
            &seal,
            "",
            &["--digest", "sm3 until 2026-06-30", "--time-basis", "now", "--at", "2026-07-01T00:00:00Z"],
            Some(no_poe),
        ),
        (&pdf, "", &[], None),
        (&pdf, "digest = [\"md5\"]", &[], Some("error")),
        (&pdf, "rsa = [\"1024\"]", &[], Some("error")),
        (&pdf, "", &["--digest", "sha1"], Some("error")),
    ] {
        std::fs::write(place("m/narrow.toml"), format!("{line}\n{whole}")).unwrap();
        let narrow = place("m/narrow.toml");
        let done = tongban(&[&["verify", "--json", "--policy", &narrow, file][..], options].concat());
        if want == Some("error") {
            assert!(done.status.code() == Some(2) && done.stdout.is_empty(), "{line} {options:?}: {}", text(&done));
            assert!(text(&done).contains("is no name of what can be taken here"), "{}", text(&done));
            continue;
        }
        let report = &lines(&done)[0];
        assert_eq!(report["sub_indication"].as_str(), want, "{line} {options:?}: {report:#}");
        assert_eq!(done.status.code(), Some(if want.is_none() { 0 } else { 2 }), "{line} {options:?}");
    }
}

/// What a script goes by: 0 all passed, 1 something failed, 2 nothing failed and something is not confirmed.
#[test]
fn exit_codes_of_verify() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    let made = tongban(&["licence", "make", "--out", &place("m"), "--format", "ofd", "--variation", "all"]);
    assert!(made.status.success(), "{}", text(&made));
    std::fs::create_dir(place("empty")).unwrap();
    let policy = place("m/policy.toml");
    let (good, bad, gone) = (place("m/ofd/good.ofd"), place("m/ofd/data-changed.ofd"), place("none.ofd"));
    let unsigned = place("m/ofd/list-empty.ofd");
    for (files, want, lines_told) in [
        (&[&good][..], 0, 1),
        (&[&good, &good], 0, 2),
        (&[&good, &unsigned], 2, 2),
        (&[&gone], 2, 1),
        (&[&good, &gone], 2, 2),
        (&[&bad], 1, 1),
        (&[&bad, &gone], 1, 2),
        (&[&unsigned, &bad, &good], 1, 3),
        (&[&place("empty")], 2, 0),
    ] {
        let files: Vec<&str> = files.iter().map(|file| file.as_str()).collect();
        let done = tongban(&[&["verify", "--json", "--policy", &policy][..], &files].concat());
        assert_eq!(done.status.code(), Some(want), "{files:?}: {}", text(&done));
        assert_eq!(lines(&done).len(), lines_told, "{files:?}: {}", text(&done));
    }
    // Who stops reading has not been told that all is well.
    let many = place("many");
    std::fs::create_dir(&many).unwrap();
    (0..400).for_each(|n| std::fs::hard_link(&good, format!("{many}/{n:04}.ofd")).unwrap());
    let binary = std::process::Command::new(env!("CARGO_BIN_EXE_tongban"))
        .args(["verify", "--json", "--policy", &policy, &many])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn();
    let mut run = binary.unwrap();
    drop(run.stdout.take());
    assert_eq!(run.wait().unwrap().code(), Some(2));
}

/// A person reads the text alone: what no seal vouches for is marked where it stands, and a status has its age.
#[test]
fn the_text_tells_what_is_sealed_and_how_old_a_status_is() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    let made = tongban(&["licence", "make", "--out", &place("m"), "--format", "ofd", "--variation", "all"]);
    assert!(made.status.success(), "{}", text(&made));
    let marked = |name: &str| {
        let told =
            text(&tongban(&["verify", "--policy", &place("m/policy.toml"), &place(&format!("m/ofd/{name}.ofd"))]));
        let values: Vec<_> = told.lines().filter(|line| line.starts_with("  certificate")).map(str::to_owned).collect();
        assert!(values.len() > 10, "{told}");
        let marked = values.iter().filter(|line| line.contains("[未受签章保护 not sealed: ")).count();
        (told, marked, values.len())
    };
    let (told, none, _) = marked("good");
    assert!(none == 0 && told.contains("status good, 30 min old"), "{told}");
    let (told, some, all) = marked("unsigned");
    assert_eq!(some, all, "{told}");
    let (told, some, _) = marked("data-changed");
    assert!(
        some > 0 && told.contains("certificateHolderName: ") && told.contains("not sealed: Doc_0/Attachs/data."),
        "{told}"
    );
}
