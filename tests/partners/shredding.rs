//! The end of a case's personal data: two persons order it, a hold forbids it, and afterwards neither the number nor the
//! key is anywhere below the data folder, at the window's gateway and at the owner's. What opened before, in the log and in the vault,
//! opens no more with anything that is left, in copies that were made before either; the log verifies as before.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use memchr::memmem;
use sqlx::{Connection, Row};
use tongban::audit::entry::{CaseKeys, LogKey, Opened, is_sealed};
use tongban::exchange::message::Stored;
use tongban::exchange::{Key, Vault};

use super::federation::{Federation, Headers};
use super::{Operator, code, tools};

/// The demonstration's applicant.
const NUMBER: &str = "990101199202290010";

/// Files below the data folder that hold these octets.
fn holding(operator: &Operator<'_>, what: &[u8]) -> Vec<PathBuf> {
    let holds = |file: &PathBuf| fs::read(file).is_ok_and(|bytes| memmem::find(&bytes, what).is_some());
    tools::files(&operator.home.join("data")).into_iter().filter(holds).collect()
}

fn vault(operator: &Operator<'_>) -> usize {
    tools::files(&operator.home.join("data/vault")).len()
}

/// Two octet columns of the store beside a running gateway.
async fn rows(operator: &Operator<'_>, sql: &'static str) -> Vec<(String, Vec<u8>)> {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite:{}", operator.home.join("data/store.db").display());
    let mut store = sqlx::AnyConnection::connect(&url).await.expect("the store opens beside the gateway");
    let rows = sqlx::query(sql).fetch_all(&mut store).await.expect("rows");
    let rows = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    store.close().await.expect("closed");
    rows
}

/// The keys of cases as they lie in the store, wrapped, by case.
async fn wrapped(operator: &Operator<'_>) -> Vec<(String, Vec<u8>)> {
    rows(operator, "SELECT no, wrapped FROM case_key WHERE wrapped IS NOT NULL").await
}

/// What a gateway keeps of a case under its key, copied before the key was destroyed, as mirrors and backups have it.
struct Copies {
    /// Lines of the log with a sealed part.
    lines: Vec<Vec<u8>>,
    /// What the store says of files in the vault, by path.
    files: Vec<(String, Vec<u8>)>,
    vault: tempfile::TempDir,
}

impl Copies {
    async fn of(operator: &Operator<'_>, key: &Key) -> Self {
        let shown = tools::tongban(&["audit", "show", &operator.home.join("data/log").display().to_string()]);
        let lines = shown.stdout.split(|octet| *octet == b'\n').filter(|line| opens(line, key).is_some());
        let files = rows(operator, "SELECT path, sealed FROM case_file").await;
        let mine = |(path, sealed): &(String, Vec<u8>)| stored(path, sealed, key).is_some();
        let (lines, files) = (lines.map(<[u8]>::to_vec).collect(), files.into_iter().filter(mine).collect());
        let (vault, from) = (tempfile::tempdir().expect("a folder"), operator.home.join("data/vault"));
        for file in tools::files(&from) {
            let to = vault.path().join(file.strip_prefix(&from).expect("below"));
            fs::create_dir_all(to.parent().expect("a folder")).expect("made");
            fs::copy(&file, to).expect("copied");
        }
        Self { lines, files, vault }
    }

    /// How many of the lines and how many of the files open with whatever key the gateway can still unwrap.
    async fn open(&self, operator: &Operator<'_>) -> (usize, usize) {
        let master = Key::read(&operator.home.join("data/master.key")).expect("the master key");
        let keys = wrapped(operator).await;
        let keys: Vec<Key> = keys.iter().map(|(no, wrapped)| master.unwrap(no, wrapped).expect("a key")).collect();
        let vault = Vault::open(self.vault.path()).expect("a vault");
        let reads = |path: &str, sealed: &[u8], key: &Key| {
            let kept = stored(path, sealed, key)?.kept;
            vault.read(key, &kept).ok()?.whole(64 << 20).ok()
        };
        let lines = self.lines.iter().filter(|line| keys.iter().any(|key| opens(line, key).is_some()));
        let files =
            self.files.iter().filter(|(path, sealed)| keys.iter().any(|key| reads(path, sealed, key).is_some()));
        (lines.count(), files.count())
    }
}

/// What the sealed part of a line says, where this key opens it.
fn opens(line: &[u8], key: &Key) -> Option<serde_json::Value> {
    let line = Some(line).filter(|line| is_sealed(line))?;
    let told: serde_json::Value = serde_json::from_slice(line).ok()?;
    let case = told["case"]["id"].as_str()?.parse().ok()?;
    let mut keys = CaseKeys::default();
    keys.add(&CaseKeys::file(&case, &LogKey::of_case(key.octets()))).ok()?;
    match keys.open(line) {
        Some(Opened::Plain(said)) => Some(said),
        _ => None,
    }
}

fn stored(path: &str, sealed: &[u8], key: &Key) -> Option<Stored> {
    serde_json::from_slice(&key.open(&format!("file/{path}"), sealed).ok()?).ok()
}

/// The key of a case, wrapped, and what is kept under it: all of it opens.
async fn before(operator: &Operator<'_>, no: &str) -> (Vec<u8>, Copies) {
    let all = wrapped(operator).await;
    let wrapped = all.into_iter().find_map(|(case, wrapped)| (case == no).then_some(wrapped)).expect("a key");
    let master = Key::read(&operator.home.join("data/master.key")).expect("the master key");
    let key = master.unwrap(no, &wrapped).expect("a key");
    assert!(!holding(operator, &wrapped).is_empty(), "the key is there before");
    let copies = Copies::of(operator, &key).await;
    let told = copies.lines.iter().filter_map(|line| opens(line, &key));
    assert!(
        told.map(|said| said.to_string()).any(|said| said.contains(NUMBER)),
        "the lines of the case tell of the person"
    );
    assert!(copies.files.len() >= 3, "material, paper, container: {}", copies.files.len());
    assert_eq!(copies.open(operator).await, (copies.lines.len(), copies.files.len()), "all of it opens before");
    (wrapped, copies)
}

/// Nothing of it opens with what is left, and neither key nor number is anywhere.
async fn after(operator: &Operator<'_>, (wrapped, copies): (Vec<u8>, Copies)) {
    assert_eq!(copies.open(operator).await, (0, 0), "lines and files that open");
    assert_eq!(holding(operator, &wrapped), Vec::<PathBuf>::new(), "the key");
    assert_eq!(holding(operator, NUMBER.as_bytes()), Vec::<PathBuf>::new(), "the number");
}

fn two(operator: &Operator<'_>, words: &[&str]) -> (bool, String) {
    let order = operator.signed("op-1", words);
    let approval = operator.signed("op-2", &["approve", &order]);
    operator.send(&order, Some(&approval))
}

pub async fn shredding(federation: &Federation) {
    let operator = Operator::new(federation);
    let window = federation.client("W-440305-01", 0);
    let both: Headers = vec![
        ("authorization", format!("Bearer {}", federation.token("C-0001"))),
        ("tongban-subject-token", federation.token("citizen")),
    ];
    let filed = federation.file(&window, &both, "419001", None).await;
    let no = filed.json["case"].as_str().unwrap_or_else(|| panic!("{}", filed.text())).to_owned();
    let two = |words: &[&str]| two(&operator, words);
    let one = |words: &[&str]| operator.send(&operator.signed("op-1", words), None);
    let (done, text) = two(&["sign", "shred", &no]);
    assert!(!done && text.contains("TB-EXC-0001"), "a case that is not over: {text}");
    federation.until_over(&window, &both, &no).await;
    let way = Some(("application/json", br#"{"way":"window"}"#.to_vec()));
    let handed = window.send("POST", &format!("/v1/cases/{no}/delivery"), &both, way).await;
    assert_eq!(handed.status, 202, "{}", handed.text());
    federation.until_delivered(&window, &both, &no).await;

    let kept = before(&operator, &no).await;
    let files = vault(&operator);
    for (what, (done, text), want) in [
        ("one person", one(&["sign", "shred", &no]), "TB-POL-0804"),
        ("no such case", two(&["sign", "shred", "4190010000002026021300000017S"]), "TB-EXC-0005"),
        ("hold", one(&["sign", "hold", &no, "FY-2026-17"]), "ok"),
        ("shred on hold", two(&["sign", "shred", &no]), "TB-EXC-0011"),
        ("one releases", one(&["sign", "release", &no]), "TB-POL-0804"),
        ("still on hold", two(&["sign", "shred", &no]), "TB-EXC-0011"),
        ("two release", two(&["sign", "release", &no]), "ok"),
        ("two shred", two(&["sign", "shred", &no]), "ok"),
        ("again", two(&["sign", "shred", &no]), "TB-EXC-0010"),
        ("hold too late", one(&["sign", "hold", &no, "late"]), "TB-EXC-0010"),
    ] {
        assert_eq!(done, want == "ok", "{what}: {text}");
        assert!(done || text.contains(want), "{what}: {text}");
    }
    // What was refused names who wanted it and the case, in its chain, like what was done.
    let of_case = |kind: &str| {
        let lines = operator.lines(kind).into_iter().filter(|line| line["case"].is_object());
        let lines = lines.filter(|line| line["actor"]["staff"] == "op-1" && line["facts"]["order"].is_string());
        let told = |line: serde_json::Value| {
            assert!(line["subj"]["pid"].is_string() && line["item"]["code"].is_string(), "{line}");
            let reason = line["dec"]["reason"].as_str().unwrap_or_default();
            format!("{} {reason}", line["facts"]["order"].as_str().unwrap_or_default())
        };
        lines.map(told).collect::<Vec<_>>()
    };
    assert_eq!(of_case("key.shred"), ["hold ", "release ", "shred "]);
    let refused = of_case("deny");
    for want in
        ["shred TB-EXC-0001", "shred TB-POL-0804", "shred TB-EXC-0011", "release TB-POL-0804", "hold TB-EXC-0010"]
    {
        assert!(refused.iter().any(|told| told == want), "{want}: {refused:?}");
    }
    assert_eq!(code(&window.get(&format!("/v1/cases/{no}"), &both).await), (410, "TB-EXC-0010"));
    assert_eq!(window.get("/v1/cases", &both).await.status, 200);
    assert!(vault(&operator) < files, "its files are gone");
    after(&operator, kept).await;
    at_the_owner(federation, &no).await;

    let lines = operator.lines("key.shred");
    let said: Vec<_> = lines.iter().map(|line| line["facts"]["order"].as_str().unwrap_or_default()).collect();
    assert_eq!(said, ["hold", "release", "shred"], "{lines:#?}");
    assert_eq!(lines[0]["facts"]["ground"], "FY-2026-17");
    let all = lines.iter().map(|line| line["case"]["id"].as_str());
    assert!(all.clone().all(|id| id.is_some() && id == all.clone().next().flatten()), "{lines:#?}");
    // What the lines told of people is noise now, in every copy; the entries and their proofs stand.
    let (bundle, config) = (operator.home.join("shredded.asice"), operator.home.join("tongban.toml"));
    let (bundle, config) = (bundle.display().to_string(), config.display().to_string());
    let line = ["audit", "export", &no, "--config", &config, "--by", "A-1", "--ground", "SJ-17", "-o", &bundle];
    let exported = tools::tongban(&line);
    assert!(exported.status.success(), "{}", tools::text(&exported));
    let key = federation.told["gateways"][0]["log_key"].as_str().expect("a key");
    let judged = tools::tongban(&["audit", "verify", &bundle, "--key", key]);
    assert!(tools::text(&judged).contains("stay closed"), "{}", tools::text(&judged));
    assert!(!tools::text(&judged).contains("DISPROVEN"), "{}", tools::text(&judged));
    let proven = tools::audit(federation.folder.path(), 0);
    assert!(proven.status.success(), "{}", tools::text(&proven));
}

/// The owner's gateway has its own copy of the case, under a key of its own, and shreds it for itself.
async fn at_the_owner(federation: &Federation, no: &str) {
    let owner = Operator::at(federation, 1);
    let kept = before(&owner, no).await;
    let files = vault(&owner);
    // That the result was handed out is on its way to the office, perhaps.
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let (done, text) = two(&owner, &["sign", "shred", no]);
        if done {
            break;
        }
        assert!(text.contains("TB-EXC-0001") && Instant::now() < until, "{text}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(vault(&owner) < files, "its files are gone");
    after(&owner, kept).await;
    let proven = tools::audit(federation.folder.path(), 1);
    assert!(proven.status.success(), "{}", tools::text(&proven));
}
