//! Bundles as they are made, and as somebody with every key would like them to be.

mod replicas;
mod rides;

use std::io;

use super::*;
use crate::audit::anchor::tests::Authority;
use crate::audit::anchor::{Anchor, stamped};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::entry::{CaseKeys, Entry, Evidence, LogKey, PeerReceipt, Personal, Upstream, Word};
use crate::audit::logset::{Head, LogSet};
use crate::audit::note::{KeyKind, Signer, VerifierKey};
use crate::audit::verify::{Fetch, Pinned, Question, Report, SegmentFolder, Verdict};
use crate::audit::{Committed, Kind, Log, OpenOptions, Pseudonym};
use crate::terms::UnixMillis;
use crate::trust::asic::{self, Part};
use crate::trust::certificate::Certificate;
use crate::trust::issue::{self, Issuer, Subject, Use};
use crate::trust::pem;
use crate::trust::suite::{SignatureAlgorithm, Signer as _, SigningKey};

const CASE: Pseudonym = Pseudonym([7; 16]);
/// Unix milliseconds of the map of cases.
const MAP: i64 = 1_771_000_000_010;
const PAPER: &[u8] = b"a receipt";

fn signer(name: &str) -> Signer {
    Signer::from_seed(name, &[7; 32]).unwrap()
}

fn key(name: &str) -> VerifierKey {
    signer(name).verifier(KeyKind::Ed25519)
}

fn log_key() -> LogKey {
    LogKey::of_case(&[9; 32])
}

fn open(dir: &std::path::Path, name: &str) -> Log {
    Log::open(dir, OpenOptions::new(signer(name))).unwrap()
}

fn event(n: i64) -> Entry {
    Entry::new(Kind::CaseEvent, UnixMillis(1_771_000_000_000 + n))
}

/// A log in which our case has five entries among those of others, and the peer's log that one of them names.
fn world() -> (tempfile::TempDir, tempfile::TempDir, Log) {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let peer = open(theirs.path(), "peer.example/gw");
    let mirrored: Vec<Committed> = (0..5).map(|n| peer.append_blocking(&event(n)).unwrap()).collect();
    peer.publish();
    let log = open(ours.path(), "own.example/gw");
    let word = |text: &str| Word::new(text).unwrap();
    let others = |n: i64| {
        for k in 0..70 {
            log.append_blocking(&event(n).case(Pseudonym([100 + (k % 9) as u8; 16]))).unwrap();
        }
    };
    others(1);
    let paper = Evidence { digest: Some(Digest::of(PAPER)), ..Evidence::default() };
    log.append_blocking(&event(2).case(CASE).evidence(paper)).unwrap();
    others(3);
    let intent = log.append_blocking(&Entry::new(Kind::CaseIntent, UnixMillis(5)).case(CASE)).unwrap();
    let receipt = PeerReceipt {
        origin: Some(word("peer.example/gw")),
        index: Some(mirrored[3].index),
        leaf: Some(mirrored[3].leaf),
    };
    let up = Upstream { receipt: Some(receipt), ..Upstream::default() };
    let outcome = Entry::new(Kind::CaseOutcome, UnixMillis(6)).case(CASE).of(intent.leaf).up(up);
    log.append_blocking(&outcome).unwrap();
    log.append_blocking(&event(7).case(CASE)).unwrap();
    others(8);
    let said = Personal { note: Some("材料齐全".into()), ..Personal::default() };
    let sealed = said.seal(&log_key(), &CASE).unwrap().unwrap();
    log.append_blocking(&event(9).case(CASE).enc(sealed)).unwrap();
    write_map(&log, MAP);
    others(11);
    log.publish();
    (ours, theirs, peer)
}

fn write_map(log: &Log, at: i64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(log.append_index(Entry::new(Kind::Index, UnixMillis(at)))).unwrap();
}

impl Fetch for &Log {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.read(path).ok().map(|resource| resource.bytes))
    }
}

fn gathered(dir: &std::path::Path, name: &str, case: &Pseudonym) -> Result<Half, EvidenceError> {
    gather(&SegmentFolder::new(dir.to_owned()), Some(dir), &key(name), case)
}

fn halves(ours: &std::path::Path, peer: &Log) -> Vec<Half> {
    let own = gathered(ours, "own.example/gw", &CASE).unwrap();
    let theirs = named_by_peers(&peer, &key("peer.example/gw"), &own.receipts()).unwrap().unwrap();
    vec![own, theirs]
}

fn sealed(halves: &[Half], documents: &[(&str, &[u8])]) -> Vec<u8> {
    // Documents come with the key of their case.
    sealed_with(halves, documents, (!documents.is_empty()).then(|| CaseKeys::file(&CASE, &log_key())))
}

fn sealed_with(halves: &[Half], documents: &[(&str, &[u8])], key: Option<Vec<u8>>) -> Vec<u8> {
    let part = |(path, bytes): &(&str, &[u8])| DocumentPart {
        path: format!("documents/{path}"),
        media: "text/plain".into(),
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
    };
    let manifest = Manifest {
        v: VERSION,
        case: CASE.to_string(),
        case_no: None,
        logs: halves.iter().map(|half| half.part.clone()).collect(),
        policies: Vec::new(),
        trust: Vec::new(),
        keys: key.iter().map(|_| key_path(&CASE)).collect(),
        documents: documents.iter().map(part).collect(),
        certificates: Vec::new(),
    };
    let mut files = vec![(MANIFEST.to_owned(), serde_json::to_vec(&manifest).unwrap())];
    files.extend(halves.iter().enumerate().flat_map(|(log, half)| half.files(log)));
    files.extend(documents.iter().map(|(path, bytes)| (format!("documents/{path}"), bytes.to_vec())));
    files.extend(key.map(|file| (key_path(&CASE), file)));
    seal(&files)
}

fn seal(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
    let key = SigningKey::Ed25519(pair);
    assert_eq!(key.algorithm(), SignatureAlgorithm::Ed25519);
    let (subject, spki) = (Subject::named("exporter", "test"), key.public_key().to_spki());
    let span = (UnixMillis(0), UnixMillis(4_000_000_000_000));
    let der = issue::numbered([1; 16], &Issuer::root(&key, &subject), &subject, &spki, Use::Signer, span).unwrap();
    let chain = [Certificate::parse(&der).unwrap()];
    let parts = files.iter().map(|(name, bytes)| Part::whole(name, "text/plain", bytes)).collect();
    asic::seal(Vec::new(), parts, &key, &chain, UnixMillis(1_771_000_000_000)).unwrap()
}

fn judged(bundle: Vec<u8>, keys: &[VerifierKey], policy: Option<&Pinned>) -> Report {
    verify(bundle, &Auditor { keys, policy, ..Auditor::default() }).report
}

fn judge(bundle: Vec<u8>) -> Report {
    judged(bundle, &[key("own.example/gw"), key("peer.example/gw")], None)
}

#[test]
fn a_case_is_proven_from_one_file_and_two_exports_are_the_same() {
    let (ours, _theirs, peer) = world();
    let first = sealed(&halves(ours.path(), &peer), &[("receipt.txt", PAPER)]);
    assert_eq!(first, sealed(&halves(ours.path(), &peer), &[("receipt.txt", PAPER)]));
    let report = judge(first.clone());
    assert_eq!(report.exit_code(), 0, "{}", report.text());
    for question in [Question::Integrity, Question::Complete, Question::Content] {
        assert_eq!(report.verdict(question), Verdict::Proven, "{question:?}");
    }
    assert_eq!((report.entries, report.peers.get("peer.example/gw")), (6, Some(&1)));
    // A log that changes its key has two: either may be the one that signed, wherever it stands.
    let next = Signer::from_seed("own.example/gw", &[8; 32]).unwrap().verifier(KeyKind::Ed25519);
    let both = judged(first.clone(), &[next.clone(), key("peer.example/gw"), key("own.example/gw")], None);
    assert_eq!(both.exit_code(), 0, "{}", both.text());
    assert_eq!(judged(first.clone(), &[next, key("peer.example/gw")], None).exit_code(), 1);
    // A key that nobody pinned proves nothing.
    let strangers = judged(first.clone(), &[key("peer.example/gw")], None);
    assert_eq!(strangers.exit_code(), 2);
    let half = judged(first.clone(), &[key("own.example/gw")], None);
    assert_eq!(
        (half.verdict(Question::Integrity), half.verdict(Question::Complete)),
        (Verdict::Proven, Verdict::Undecided)
    );
    let strict = Pinned::parse(&format!("witness w {}\nquorum w\n", signer("w").verifier(KeyKind::Cosignature)));
    let unwitnessed = judged(first, &[key("own.example/gw")], strict.ok().as_ref());
    assert_eq!(unwitnessed.verdict(Question::Witnessed), Verdict::Disproven);
}

#[test]
fn an_entry_left_out_is_found_wherever_it_stood() {
    let (ours, _theirs, peer) = world();
    let whole = halves(ours.path(), &peer).remove(0).entries.len();
    for gone in 0..whole {
        let mut all = halves(ours.path(), &peer);
        let index = all[0].entries.remove(gone).0;
        all[0].part.entries.retain(|at| *at != index);
        let report = judge(sealed(&all, &[]));
        assert_eq!(report.verdict(Question::Integrity), Verdict::Proven, "sealed again by who made it");
        assert_eq!(report.verdict(Question::Complete), Verdict::Disproven, "{gone}: {}", report.text());
    }
    // Without the index entry, the end is open.
    let mut all = halves(ours.path(), &peer);
    all[0].part.index = None;
    assert_eq!(judge(sealed(&all, &[])).verdict(Question::Complete), Verdict::Undecided);
    // Without the peer's half, its side is.
    let mut all = halves(ours.path(), &peer);
    all.pop();
    assert_eq!(judge(sealed(&all, &[])).verdict(Question::Complete), Verdict::Undecided);
}

#[test]
fn what_the_exporter_changes_is_found() {
    let (ours, _theirs, peer) = world();
    let bundle = sealed(&halves(ours.path(), &peer), &[]);
    for at in (0..bundle.len()).step_by(7) {
        let mut bent = bundle.clone();
        bent[at] ^= 1 << (at % 8);
        assert_ne!(judge(bent).exit_code(), 0, "byte {at}");
    }
    for (what, added) in [("behind", [&bundle[..], b"x"].concat()), ("before", [b"x", &bundle[..]].concat())] {
        assert_eq!(judge(added).verdict(Question::Integrity), Verdict::Disproven, "an octet {what}");
    }
    // Changed, and sealed again by who holds the sealing key: the log's own proofs do not hold any more.
    let changes: [fn(&mut Vec<Half>); 4] = [
        |all| all[0].entries[0].1[60] ^= 1,
        |all| all[0].entries[1].2.hashes[0].0[3] ^= 1,
        |all| all[1].entries[0].1[60] ^= 1,
        |all| {
            let forged = Checkpoint::new("own.example/gw", all[0].part.size, Digest::of(b"other"));
            all[0].checkpoint = Signer::from_seed("own.example/gw", &[8; 32]).unwrap().sign(&forged.to_string());
        },
    ];
    for (n, change) in changes.iter().enumerate() {
        let mut all = halves(ours.path(), &peer);
        change(&mut all);
        assert_eq!(judge(sealed(&all, &[])).verdict(Question::Integrity), Verdict::Disproven, "change {n}");
    }
    let mut files = vec![(MANIFEST.to_owned(), b"{}".to_vec())];
    assert_eq!(judge(seal(&files)).exit_code(), 1);
    files.clear();
    assert_eq!(judge(seal(&files)).exit_code(), 1);
    assert_eq!(judge(b"not a bundle".to_vec()).exit_code(), 1);
}

#[test]
fn a_case_that_is_not_there_has_no_bundle() {
    let (ours, _theirs, _peer) = world();
    let stranger = gathered(ours.path(), "own.example/gw", &Pseudonym([8; 16])).unwrap();
    assert!(!stranger.has_case);
    assert!(matches!(gathered(ours.path(), "peer.example/gw", &CASE), Err(EvidenceError::Checkpoint(_))));
}

#[test]
fn a_time_stamp_that_covers_the_case_goes_along() {
    let (ours, _theirs, peer) = world();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let note = std::fs::read_to_string(ours.path().join("checkpoint")).unwrap();
    let at = UnixMillis(1_771_000_100_000);
    std::fs::create_dir(ours.path().join("anchors")).unwrap();
    let keep = |size: u64, octets: &str| {
        std::fs::write(ours.path().join("anchors").join(format!("{size:020}")), octets).unwrap();
    };
    let size: u64 = note.lines().nth(1).unwrap().parse().unwrap();
    keep(size, &authority.stamp(&note, at).to_string());
    keep(9, "an older one, which does not cover the case");
    let log = open(ours.path(), "own.example/gw");
    for n in 0..300 {
        log.append_blocking(&event(1_000 + n)).unwrap();
    }
    // The line of the export itself is later than any stamp, and needs none.
    log.append_blocking(&Entry::new(Kind::AuditExport, UnixMillis(1_771_000_002_000)).case(CASE)).unwrap();
    log.publish();
    drop(log);
    let halves = halves(ours.path(), &peer);
    let bundle = sealed(&halves, &[]);
    let keys = [key("own.example/gw"), key("peer.example/gw")];
    let by = |authority: &Authority| {
        let chain = [authority.root.clone()];
        verify(bundle.clone(), &Auditor { keys: &keys, time_authorities: &chain, ..Auditor::default() }).report
    };
    let report = by(&authority);
    assert_eq!(
        (report.verdict(Question::Anchored), report.anchored),
        (Verdict::Proven, Some((at, size))),
        "{}",
        report.text()
    );
    assert_eq!(by(&stranger).verdict(Question::Anchored), Verdict::Undecided);
    let next = Signer::from_seed("own.example/gw", &[8; 32]).unwrap().verifier(KeyKind::Ed25519);
    let (both, chain) = ([next, keys[0].clone(), keys[1].clone()], [authority.root.clone()]);
    let report =
        verify(bundle.clone(), &Auditor { keys: &both, time_authorities: &chain, ..Auditor::default() }).report;
    assert_eq!(report.verdict(Question::Anchored), Verdict::Proven, "{}", report.text());
    assert_eq!(judge(bundle.clone()).verdict(Question::Anchored), Verdict::NotAsked);

    // Others read it as well.
    let place = |name: &str, octets: &[u8]| {
        let file = ours.path().join(name);
        std::fs::write(&file, octets).unwrap();
        file.display().to_string()
    };
    let anchor = Anchor::parse(halves[0].anchor.as_ref().unwrap()).unwrap();
    let (token, text) = (place("token", &anchor.token), place("text", stamped(&anchor.note).as_bytes()));
    let root = place("root.pem", pem::encode("CERTIFICATE", authority.root.der()).as_bytes());
    let line = ["ts", "-verify", "-token_in", "-in", &token, "-data", &text, "-CAfile", &root];
    let done = crate::terms::testing::other("openssl", line);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    // Another time-stamp, or none; and a checkpoint that is no past of ours.
    let mut bent = halves;
    bent[0].anchor.as_mut().unwrap()[30] ^= 1;
    let chain = [authority.root.clone()];
    let judge = |halves: &[Half]| {
        let by = Auditor { keys: &keys, time_authorities: &chain, ..Auditor::default() };
        verify(sealed(halves, &[]), &by).report.verdict(Question::Anchored)
    };
    assert_eq!(judge(&bent), Verdict::Disproven);
    bent[0].anchor.as_mut().unwrap()[30] ^= 1;
    assert_eq!(judge(&bent), Verdict::Proven);
    bent[0].part.anchor.as_mut().unwrap().proof[0].0[0] ^= 1;
    assert_eq!(judge(&bent), Verdict::Disproven);
    bent[0].part.anchor = None;
    bent[0].anchor = None;
    assert_eq!(judge(&bent), Verdict::Undecided);
}

/// Of a log that shows but its newest time-stamp, that one is later than the checkpoint that ends with the map.
#[test]
fn a_time_stamp_may_be_later_than_the_checkpoint() {
    let (ours, _theirs, peer) = world();
    let authority = Authority::new();
    let note = std::fs::read_to_string(ours.path().join("checkpoint")).unwrap();
    let (size, at) = (note.lines().nth(1).unwrap().parse::<u64>().unwrap(), UnixMillis(1_771_000_100_000));
    std::fs::create_dir(ours.path().join("anchors")).unwrap();
    let file = ours.path().join("anchors").join(format!("{size:020}"));
    std::fs::write(file, authority.stamp(&note, at).to_string()).unwrap();
    let (keys, chain) = ([key("own.example/gw"), key("peer.example/gw")], [authority.root.clone()]);
    for folder in [Some(ours.path()), None] {
        let own = gather(&SegmentFolder::new(ours.path().into()), folder, &keys[0], &CASE).unwrap();
        assert!(own.part.size < size, "{} of {size}", own.part.size);
        let theirs = named_by_peers(&peer, &keys[1], &own.receipts()).unwrap().unwrap();
        let mut all = vec![own, theirs];
        let judge = |all: &[Half]| {
            let by = Auditor { keys: &keys, time_authorities: &chain, ..Auditor::default() };
            verify(sealed(all, &[]), &by).report
        };
        let report = judge(&all);
        assert_eq!(report.anchored, Some((at, size)), "{}", report.text());
        assert_eq!((report.exit_code(), report.verdict(Question::Anchored)), (0, Verdict::Proven), "{}", report.text());
        all[0].part.anchor.as_mut().unwrap().proof[0].0[0] ^= 1;
        assert_eq!(judge(&all).verdict(Question::Anchored), Verdict::Disproven, "of another log");
    }
}

/// A manifest that says a thing twice makes the verifier work twice, and what it says is printed.
#[test]
fn a_manifest_says_nothing_twice_and_nothing_strange() {
    type Change = fn(&mut serde_json::Value);
    let (ours, _theirs, peer) = world();
    let halves = halves(ours.path(), &peer);
    let manifest = |change: Change| {
        let logs: Vec<_> = halves.iter().map(|half| half.part.clone()).collect();
        let mut told = serde_json::json!({"v": VERSION, "case": CASE.to_string(), "logs": logs, "documents": [], "certificates": []});
        change(&mut told);
        let mut files = vec![(MANIFEST.to_owned(), told.to_string().into_bytes())];
        files.extend(halves.iter().enumerate().flat_map(|(log, half)| half.files(log)));
        judge(seal(&files))
    };
    let changes: [(&str, Change, u8); 8] = [
        ("as it is", |_| {}, 0),
        ("more entries than files", |told| told["logs"][0]["entries"] = (0..99).collect(), 1),
        (
            "more logs than there are",
            |told| {
                let first = told["logs"][0].clone();
                told["logs"] = vec![first; 1_000].into();
            },
            1,
        ),
        (
            "an entry twice",
            |told| {
                let first = told["logs"][0]["entries"][0].clone();
                told["logs"][0]["entries"].as_array_mut().unwrap().insert(0, first);
            },
            1,
        ),
        (
            "a log twice",
            |told| {
                let first = told["logs"][0].clone();
                told["logs"].as_array_mut().unwrap().push(first);
            },
            1,
        ),
        ("a key twice", |told| told["keys"] = serde_json::json!(["keys/a.json", "keys/a.json"]), 1),
        ("a number that is none", |told| told["case_no"] = "\u{1b}[2J".into(), 1),
        ("a number", |told| told["case_no"] = "4190010000002026021300000017S".into(), 0),
    ];
    for (what, change, want) in changes {
        let report = manifest(change);
        assert_eq!(report.exit_code(), want, "{what}: {}", report.text());
        assert!(!report.text().contains('\u{1b}'), "{what}");
    }
}

/// As many entries as a bundle may hold, and one more: what is exported can be verified.
#[test]
fn the_longest_case_that_is_exported_is_verified() {
    let ours = tempfile::tempdir().unwrap();
    let log = std::sync::Arc::new(open(ours.path(), "own.example/gw"));
    let write = |count: usize| {
        let log = log.clone();
        std::thread::spawn(move || {
            for _ in 0..count {
                log.append_blocking(&event(1).case(CASE)).unwrap();
            }
        })
    };
    // Many at once: one sync each would take long.
    const WRITERS: usize = 50;
    let writers: Vec<_> = (0..WRITERS).map(|_| write(MAX_ENTRIES / WRITERS)).collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    write_map(&log, MAP);
    log.publish();
    let own = gathered(ours.path(), "own.example/gw", &CASE).unwrap();
    let report = judge(sealed(&[own], &[]));
    assert_eq!((report.exit_code(), report.entries), (0, MAX_ENTRIES as u64 + 1), "{}", report.text());
    log.append_blocking(&event(2).case(CASE)).unwrap();
    log.publish();
    let longer = gathered(ours.path(), "own.example/gw", &CASE);
    assert!(matches!(longer, Err(EvidenceError::TooMany)));
}

/// What a bundle cannot show is not taken for proven: a paper that no entry names, entries after the stamp, replicas' logs.
#[test]
fn what_no_entry_names_no_stamp_covers_or_another_log_may_hold_is_told() {
    let (ours, _theirs, peer) = world();
    let before = halves(ours.path(), &peer);
    for (what, documents, want) in [
        ("the case's paper", &[("receipt", PAPER)][..], 0),
        ("another's beside it", &[("receipt", PAPER), ("forged", b"refused")][..], 2),
        ("another's in its place", &[("forged", &b"refused"[..])][..], 2),
    ] {
        let report = judge(sealed(&before, documents));
        assert_eq!(report.exit_code(), want, "{what}: {}", report.text());
        assert!(report.text().contains(&CASE.to_string()), "{what}: whose it is stands in the report");
    }

    let authority = Authority::new();
    let note = std::fs::read_to_string(ours.path().join("checkpoint")).unwrap();
    let stamped = authority.stamp(&note, UnixMillis(1_771_000_100_000)).to_string().into_bytes();
    let log = open(ours.path(), "own.example/gw");
    log.append_blocking(&event(2_000).case(CASE)).unwrap();
    let head = |name: &str| Head { key: key(name), size: 0, root: Digest::of(b"") };
    let set = LogSet::new(vec![head("own.example/gw"), head("own.example/gw/2")]).unwrap();
    let index = set.write(Entry::new(Kind::Index, UnixMillis(2_001))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(log.append_index(index)).unwrap();
    log.publish();
    let mut later = halves(ours.path(), &peer);
    let (old, new) = (note.lines().nth(1).unwrap().parse().unwrap(), later[0].part.size);
    later[0].part.anchor = Some(OtherHead { size: old, proof: log.consistency(old, new).unwrap() });
    later[0].anchor = Some(stamped);
    let (keys, chain) = ([key("own.example/gw"), key("peer.example/gw")], [authority.root.clone()]);
    let by = Auditor { keys: &keys, time_authorities: &chain, ..Auditor::default() };
    let report = verify(sealed(&later, &[("receipt", PAPER)]), &by).report;
    for (question, what) in
        [(Question::Anchored, "later than the time-stamp"), (Question::Complete, "own.example/gw/2")]
    {
        assert_eq!(report.verdict(question), Verdict::Undecided, "{}", report.text());
        assert!(report.text().contains(what), "{}", report.text());
    }
}

#[test]
fn the_key_of_the_case_opens_what_its_entries_tell() {
    let (ours, _theirs, peer) = world();
    let halves = halves(ours.path(), &peer);
    let file = |key: &LogKey| CaseKeys::file(&CASE, key);
    for (what, key, want, exit) in [
        ("its key", Some(file(&log_key())), Verdict::Proven, 0),
        ("a key of something else", Some(file(&LogKey::of_case(&[1; 32]))), Verdict::Undecided, 2),
        ("no key", Some(b"{}".to_vec()), Verdict::Disproven, 1),
        ("none", None, Verdict::NotAsked, 0),
    ] {
        let is_closed = matches!(want, Verdict::NotAsked | Verdict::Disproven);
        let report = judge(sealed_with(&halves, &[], key));
        assert_eq!((report.verdict(Question::Opened), report.exit_code()), (want, exit), "{what}: {}", report.text());
        assert_eq!(report.notes.iter().any(|note| note.contains("stay closed")), is_closed, "{what}");
    }
    // An auditor who was given the key by another way.
    let mut case_keys = CaseKeys::default();
    case_keys.add(&file(&log_key())).unwrap();
    let keys = [key("own.example/gw"), key("peer.example/gw")];
    let by = Auditor { keys: &keys, case_keys, ..Auditor::default() };
    assert_eq!(verify(sealed(&halves, &[]), &by).report.opened, 1);
}

#[test]
fn a_copy_gives_the_same_evidence_and_one_without_its_beginning_says_so() {
    let (ours, _theirs, peer) = world();
    let log = SegmentFolder::new(ours.path().to_owned());
    let here = gathered(ours.path(), "own.example/gw", &CASE).unwrap();
    let copy = Copy { of: &log, missing: 0 };
    let there = gather(&copy, None, &key("own.example/gw"), &CASE).unwrap();
    assert_eq!(here.files(0), there.files(0));
    assert_eq!(here.part, there.part);
    let receipts = there.receipts();
    let other = named_by_peers(&peer, &key("peer.example/gw"), &receipts).unwrap().unwrap();
    assert_eq!(judge(sealed(&[there, other], &[])).exit_code(), 0);
    // A copy that begins later tells so: that the case has no entry, or fewer than it has, it cannot say.
    let later = Copy { of: &log, missing: 1 };
    for case in [CASE, Pseudonym([8; 16])] {
        let refused = gather(&later, None, &key("own.example/gw"), &case);
        assert!(matches!(refused, Err(EvidenceError::Pruned(256))));
    }
}

/// A copy of a log, without its first bundles.
struct Copy<'a> {
    of: &'a SegmentFolder,
    missing: u64,
}

impl Fetch for Copy<'_> {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        use crate::audit::retention::{RETENTION, Retention};
        use crate::audit::tile::{Level, TilePath};
        match TilePath::parse(path) {
            Some(TilePath { level: Level::Entries, index, .. }) if index < self.missing => Ok(None),
            None if path == RETENTION => {
                let origin = "own.example/gw".to_owned();
                let text = Retention { origin, minimum: self.missing * 256, days: None }.to_string();
                Ok(Some(text.into_bytes()))
            }
            _ => self.of.get(path),
        }
    }
}

/// A bundle is taken as of a checkpoint that ends with its map: what lies between the two, nobody shows.
#[test]
fn the_end_is_shown_by_a_checkpoint_that_ends_with_the_map() {
    let witness = signer("w.example");
    let text = format!("witness w {}\nquorum w\n", witness.verifier(KeyKind::Cosignature));
    let policy = Pinned::parse(&text).unwrap();
    type Change = fn(&std::path::Path, &Log);
    let rows: [(&str, Change, Verdict, usize); 6] = [
        ("others went on", |_, _| {}, Verdict::Proven, 0),
        ("the case went on", |_, log| go_on(log), Verdict::Proven, 1),
        (
            "and has its next map",
            |_, log| {
                go_on(log);
                write_map(log, MAP + 30);
                log.append_blocking(&event(40).case(Pseudonym([100; 16]))).unwrap();
            },
            Verdict::Proven,
            0,
        ),
        ("nobody signed at the map", |dir, _| std::fs::remove_file(dir.join("map")).unwrap(), Verdict::Undecided, 0),
        ("no checkpoint stands there", |dir, _| std::fs::write(dir.join("map"), "x\n").unwrap(), Verdict::Undecided, 0),
        (
            "one that ends with a line of another case",
            |dir, log| {
                let checkpoint = Checkpoint::new("own.example/gw", 80, log.root_at(80).unwrap());
                std::fs::write(dir.join("map"), signer("own.example/gw").sign(&checkpoint.to_string())).unwrap();
            },
            Verdict::Undecided,
            0,
        ),
    ];
    for (what, change, want, later) in rows {
        let (ours, _theirs, peer) = world();
        let log = open(ours.path(), "own.example/gw");
        change(ours.path(), &log);
        log.publish();
        let own = gather(&SegmentFolder::new(ours.path().into()), None, &key("own.example/gw"), &CASE).unwrap();
        assert_eq!(own.later, later, "{what}");
        drop(log);
        let theirs = named_by_peers(&peer, &key("peer.example/gw"), &own.receipts()).unwrap().unwrap();
        let mut all = vec![own, theirs];
        let is_end = all[0].part.index.as_ref().unwrap().entry + 1 == all[0].part.size;
        assert_eq!(is_end, want == Verdict::Proven, "{what}");
        // The time of the map is its writer's word; a witness that saw it earlier knows better.
        let signed = all[0].checkpoint.split_once("\n\n").unwrap().0.to_owned() + "\n";
        all[0].checkpoint += &witness.cosign(&signed, (MAP / 1_000) as u64);
        let keys = [key("own.example/gw"), key("peer.example/gw")];
        let report = judged(sealed(&all, &[]), &keys, Some(&policy));
        assert_eq!(report.verdict(Question::Complete), want, "{what}: {}", report.text());
        assert_eq!(report.verdict(Question::Content), Verdict::Proven, "{what}: {}", report.text());
        let as_of = UnixMillis(MAP / 1_000 * 1_000).to_string();
        assert!(report.text().contains(&as_of), "{what}: {}", report.text());
    }
}

fn go_on(log: &Log) {
    log.append_blocking(&event(20).case(CASE)).unwrap();
}
