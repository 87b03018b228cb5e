//! Logs in tlog-tiles layout: honest, mutated, forged.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use super::*;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::entry::tests::{full, word};
use crate::audit::entry::{Entry, Kind, PeerReceipt, Pseudonym, Upstream};
use crate::audit::merkle::{self, Frontier, leaf_hash};
use crate::audit::note::{KeyKind, Signer};
use crate::audit::tile::{HEIGHT, Level, tiles_at};
use crate::audit::{AuditError, Log, OpenOptions, bundle};
use crate::terms::{Digest, UnixMillis};

const ORIGIN: &str = "gov.example/gw/1";

fn signer() -> Signer {
    Signer::from_seed(ORIGIN, &[7; 32]).unwrap()
}

fn options() -> Options {
    Options::new(signer().verifier(KeyKind::Ed25519))
}

impl Fetch for BTreeMap<String, Vec<u8>> {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(BTreeMap::get(self, path).cloned())
    }
    fn list(&self) -> io::Result<Option<Vec<String>>> {
        Ok(Some(self.keys().filter(|path| path.starts_with("tile/")).cloned().collect()))
    }
}

impl Fetch for Log {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match self.read(path) {
            Ok(resource) => Ok(Some(resource.bytes)),
            Err(AuditError::NotFound) => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

/// What a log with these entries serves, made without the log.
fn served(entries: &[Vec<u8>]) -> BTreeMap<String, Vec<u8>> {
    let (mut frontier, mut levels) = (Frontier::new(), vec![Vec::new(); 8]);
    for entry in entries {
        frontier.push_with(leaf_hash(entry), |height, hash| {
            if height.is_multiple_of(HEIGHT) {
                levels[(height / HEIGHT) as usize].extend_from_slice(&hash.0);
            }
        });
    }
    let size = entries.len() as u64;
    let text = Checkpoint::new(ORIGIN, size, frontier.root()).to_string();
    let mut out = BTreeMap::from([("checkpoint".to_owned(), signer().sign(&text).into_bytes())]);
    for (level, hashes) in levels.iter().enumerate() {
        for tile in tiles_at(Level::Hashes(level as u8), size) {
            let start = tile.index as usize * 8192;
            out.insert(tile.to_string(), hashes[start..start + usize::from(tile.width) * 32].to_vec());
        }
    }
    for tile in tiles_at(Level::Entries, size) {
        let mut bytes = Vec::new();
        let start = tile.index as usize * 256;
        entries[start..start + usize::from(tile.width)].iter().for_each(|e| assert!(bundle::push(&mut bytes, e)));
        out.insert(tile.to_string(), bytes);
    }
    out
}

fn entries(count: usize) -> Vec<Vec<u8>> {
    let bytes = |n: usize| {
        let mut bytes = Vec::new();
        let entry = Entry::new(Kind::Deny, UnixMillis(n as i64)).trace(word(&format!("t{n}")));
        entry.encode().unwrap().link(0, None, &mut bytes);
        bytes
    };
    (0..count).map(bytes).collect()
}

#[test]
fn a_served_log_verifies_as_a_stranger_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), OpenOptions::new(signer())).unwrap();
    for n in 0..290u64 {
        log.append_blocking(&full(Kind::DataRead).case(Pseudonym([(n % 5) as u8; 16]))).unwrap();
    }
    log.publish();
    let mut seen = 0;
    let report = verify_tree(&log, &options(), &mut |n, _| seen = n);
    assert_eq!((report.exit_code(), report.size, seen), (0, log.size(), log.size()), "{}", report.text());
    assert_eq!(report.peers.get("peer"), Some(&log.size()));
    assert_eq!(report.json()["verdicts"]["integrity"], "proven");
}

#[test]
fn every_changed_byte_of_a_served_log_is_found() {
    let mut log = served(&entries(258));
    log.insert("tile/0/000.p/9".into(), log["tile/0/000"][..9 * 32].to_vec()); // left over
    log.insert("key".into(), format!("{}\n", options().key).into_bytes()); // as a mirror has it
    assert_eq!(verify_tree(&log, &options(), &mut |_, _| {}).exit_code(), 0);
    for (path, bytes) in log.clone() {
        for at in (0..bytes.len()).step_by(if bytes.len() > 1000 { 101 } else { 1 }) {
            log.get_mut(&path).unwrap()[at] ^= 4;
            let report = verify_tree(&log, &options(), &mut |_, _| {});
            assert_eq!(report.exit_code(), 1, "{path} byte {at}");
            log.get_mut(&path).unwrap()[at] ^= 4;
        }
        let whole = log.remove(&path).unwrap();
        let missing = verify_tree(&log, &options(), &mut |_, _| {}).exit_code();
        assert_eq!(missing != 0, !["tile/0/000.p/9", "key"].contains(&&*path), "{path} is missing");
        for cut in [whole[..whole.len() - 1].to_vec(), [&whole[..], b"x"].concat()] {
            log.insert(path.clone(), cut);
            assert_ne!(verify_tree(&log, &options(), &mut |_, _| {}).exit_code(), 0, "{path} of another length");
        }
        log.insert(path, whole);
    }
    // What a copy holds beyond its checkpoint, because it was broken off, goes on from what is there.
    let (more, key) = (served(&entries(258 + 30)), "tile/0/001.p/32");
    for (path, bytes, want) in [
        (key, more[key].clone(), 1), // of another log: these entries are made by chance
        (key, [&log["tile/0/001.p/2"][..], &[7; 30 * 32]].concat(), 0),
        (key, [&log["tile/0/001.p/2"][..], &[7; 30 * 32 - 1]].concat(), 1),
        ("tile/0/001", log["tile/0/001.p/2"].clone(), 1), // short where a full one is looked for
        ("tile/entries/001.p/3", [&log["tile/entries/001.p/2"][..], &[0, 1, b'x']].concat(), 0),
        ("tile/entries/001.p/3", [&[0, 1, b'x'], &log["tile/entries/001.p/2"][..]].concat(), 1),
        ("tile/entries/001.p/3", log["tile/entries/001.p/2"].clone(), 1),
        ("tile/0/002", vec![7; 9], 0), // nothing of it is known
    ] {
        log.insert(path.into(), bytes);
        assert_eq!(verify_tree(&log, &options(), &mut |_, _| {}).exit_code(), want, "{path}");
        log.remove(path);
    }
}

#[test]
fn gaps_and_left_out_entries_show_in_the_chains() {
    let case = Pseudonym([1; 16]);
    let mut all: Vec<Vec<u8>> = Vec::new();
    for seq in 1..=4 {
        let (mut bytes, prev) = (Vec::new(), all.last().map(|entry| leaf_hash(entry)));
        full(Kind::CaseEvent).case(case).encode().unwrap().link(seq, prev.as_ref(), &mut bytes);
        all.push(bytes);
    }
    let verdict = |entries: &[Vec<u8>]| verify_tree(&served(entries), &options(), &mut |_, _| {});
    assert_eq!(verdict(&all).verdict(Question::Complete), Verdict::Proven);
    for gone in 0..3 {
        let mut fewer = all.clone();
        fewer.remove(gone);
        let report = verdict(&fewer);
        assert_eq!(report.verdict(Question::Integrity), Verdict::Proven, "re-signed by who holds the key");
        assert_eq!(report.verdict(Question::Complete), Verdict::Disproven, "without entry {gone}");
    }
    let unknown = [all[0].clone(), br#"{"kind":"new","v":1}"#.to_vec()];
    assert_eq!(verdict(&unknown).exit_code(), 2);
    assert_eq!(verdict(&[b"hello".to_vec()]).verdict(Question::Content), Verdict::Disproven);
}

#[test]
fn a_rewritten_log_contradicts_an_old_checkpoint() {
    let honest = entries(40);
    let mut rewritten = honest.clone();
    rewritten[7] = entries(1).remove(0);
    let mut asked = options();
    asked.old = vec![served(&honest[..20])["checkpoint"].clone()];
    assert_eq!(verify_tree(&served(&honest), &asked, &mut |_, _| {}).exit_code(), 0);
    let report = verify_tree(&served(&rewritten), &asked, &mut |_, _| {});
    assert_eq!(report.verdict(Question::Integrity), Verdict::Proven);
    assert_eq!(report.verdict(Question::AppendOnly), Verdict::Disproven);
}

#[test]
fn a_forged_tile_is_never_used() {
    let all = entries(256 * 3 + 5);
    let mut log = served(&all);
    let mut frontier = Frontier::new();
    all.iter().for_each(|entry| frontier.push(leaf_hash(entry)));
    let checkpoint = Checkpoint::new(ORIGIN, all.len() as u64, frontier.root());
    let sparse = Sparse::new(&log, &checkpoint).unwrap();
    for index in [0, 255, 256, 700, 772] {
        let (leaf, proof) = (leaf_hash(&all[index as usize]), sparse.inclusion(index).unwrap());
        assert_eq!(sparse.leaf(index).unwrap(), leaf);
        let proven = merkle::check_inclusion(&leaf, index, checkpoint.size, &checkpoint.root, &proof);
        assert_eq!(proven, Ok(()));
    }
    assert!(sparse.inclusion(773).is_err());
    // Each full tile forged in turn, whole, in a way that fits itself but not its parent.
    for tile in ["tile/0/000", "tile/0/001", "tile/0/002", "tile/0/003.p/5", "tile/1/000.p/3"] {
        let honest = log[tile].clone();
        let forged: Vec<u8> = honest.chunks(32).flat_map(|hash| Digest::of(hash).0).collect();
        log.insert(tile.into(), forged);
        let mut refused = 0;
        for index in [3, 300, 600, 770] {
            let leaf = Sparse::new(&log, &checkpoint).and_then(|sparse| sparse.leaf(index));
            match leaf {
                Err(_) => refused += 1,
                Ok(leaf) => assert_eq!(leaf, leaf_hash(&all[index as usize]), "{tile}"),
            }
        }
        assert!(refused > 0, "{tile}");
        log.insert(tile.into(), honest);
    }
}

#[test]
fn an_empty_log_verifies() {
    assert_eq!(verify_tree(&served(&[]), &options(), &mut |_, _| {}).exit_code(), 0);
    let none = verify_tree(&BTreeMap::new(), &options(), &mut |_, _| {});
    assert_eq!((none.exit_code(), none.verdict(Question::Complete)), (2, Verdict::Undecided));
    let mut stranger = served(&[]);
    stranger
        .insert("checkpoint".into(), Signer::from_seed("other", &[1; 32]).unwrap().sign("other\n0\n\n").into_bytes());
    let report = verify_tree(&stranger, &options(), &mut |_, _| {});
    assert_eq!((report.exit_code(), report.verdict(Question::Content)), (1, Verdict::Undecided));
}

/// Chained entries: every fifth entry belongs to the same case.
fn chained(count: usize) -> Vec<Vec<u8>> {
    let mut last: BTreeMap<u8, (u32, Digest)> = BTreeMap::new();
    let one = |n: usize| {
        let (case, mut bytes) = ((n % 5) as u8, Vec::new());
        let (seq, prev) = last.get(&case).map_or((1, None), |(seq, leaf)| (seq + 1, Some(*leaf)));
        let entry = Entry::new(Kind::CaseEvent, UnixMillis(n as i64)).case(Pseudonym([case; 16]));
        entry.encode().unwrap().link(seq, prev.as_ref(), &mut bytes);
        last.insert(case, (seq, leaf_hash(&bytes)));
        bytes
    };
    (0..count).map(one).collect()
}

/// A log that counts what is read, and refuses its entries when told so.
struct Watched(BTreeMap<String, Vec<u8>>, std::cell::RefCell<Vec<String>>, bool);

impl Watched {
    fn new(log: BTreeMap<String, Vec<u8>>, refuses: bool) -> Self {
        Self(log, std::cell::RefCell::default(), refuses)
    }
    fn bundles_read(&self) -> usize {
        self.1.borrow().iter().filter(|path| path.starts_with("tile/entries/")).count()
    }
}

impl Fetch for Watched {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.1.borrow_mut().push(path.to_owned());
        if self.2 && path.starts_with("tile/entries/") {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "not for us"));
        }
        Ok(self.0.get(path).cloned())
    }
}

#[test]
fn a_log_that_keeps_its_entries_to_itself_is_judged_by_hashes() {
    let all = chained(256 * 2 + 7);
    let mut asked = options();
    asked.old = vec![served(&all[..300])["checkpoint"].clone()];
    let report = verify_tree(&Watched::new(served(&all), true), &asked, &mut |_, _| {});
    assert_eq!(report.exit_code(), 2, "{}", report.text());
    for (question, want) in [
        (Question::Integrity, Verdict::Proven),
        (Question::AppendOnly, Verdict::Proven),
        (Question::Complete, Verdict::Undecided),
        (Question::Content, Verdict::Undecided),
    ] {
        assert_eq!(report.verdict(question), want, "{question:?}");
    }
    asked.entries_are_ours = false; // whoever asks for hashes only is told about hashes only
    assert_eq!(verify_tree(&Watched::new(served(&all), true), &asked, &mut |_, _| {}).exit_code(), 0);
    for path in served(&all).keys().filter(|path| path.starts_with("tile/") && !path.contains("entries")) {
        let mut log = served(&all);
        log.get_mut(path).unwrap()[40] ^= 1;
        let report = verify_tree(&Watched::new(log, true), &asked, &mut |_, _| {});
        assert_eq!(report.verdict(Question::Integrity), Verdict::Disproven, "{path}");
    }
}

#[test]
fn what_was_verified_before_is_not_read_again() {
    let all = chained(256 * 6 + 9);
    for since in [1, 255, 256, 700, 256 * 5, 256 * 6 + 9] {
        let before = served(&all[..since]);
        let mut first = options();
        first.keep_state = true;
        let state = verify_tree(&before, &first, &mut |_, _| {}).state.expect("all was proven");
        let state = State::decode(&state.encode()).expect("a state reads as it was kept");
        let now = Watched::new(served(&all), false);
        let mut asked = options();
        asked.since = Some(state.note.clone());
        asked.state = Some(state);
        let report = verify_tree(&now, &asked, &mut |_, _| {});
        assert_eq!((report.exit_code(), report.since), (0, Some(since as u64)), "{}", report.text());
        assert_eq!(report.entries, all.len() as u64);
        assert_eq!(now.bundles_read(), 7 - since / 256, "since {since}");
        // Without the state, links to what came before stay open; with all entries behind, none are there.
        asked.state = None;
        let want = if since == all.len() { Verdict::Proven } else { Verdict::Undecided };
        assert_eq!(verify_tree(&now, &asked, &mut |_, _| {}).verdict(Question::Complete), want, "since {since}");
    }
}

#[test]
fn a_log_rewritten_below_the_older_checkpoint_is_found_without_reading_it() {
    let all = chained(600);
    let mut asked = options();
    asked.since = Some(served(&all[..500])["checkpoint"].clone());
    let mut other = all.clone();
    other[3] = entries(1).remove(0);
    let report = verify_tree(&served(&other), &asked, &mut |_, _| {});
    assert_eq!(report.verdict(Question::AppendOnly), Verdict::Disproven, "{}", report.text());
    let cut = verify_tree(&served(&all[..400]), &asked, &mut |_, _| {});
    assert_eq!(cut.verdict(Question::AppendOnly), Verdict::Disproven, "{}", cut.text());
    // A gap right after the checkpoint shows against the kept state.
    let mut first = options();
    first.keep_state = true;
    let state = verify_tree(&served(&all[..500]), &first, &mut |_, _| {}).state;
    let mut gap = all.clone();
    gap.remove(501);
    asked.state = state;
    let report = verify_tree(&served(&gap), &asked, &mut |_, _| {});
    assert_eq!(report.verdict(Question::AppendOnly), Verdict::Proven);
    assert_eq!(report.verdict(Question::Complete), Verdict::Disproven, "{}", report.text());
}

#[test]
fn a_sample_says_no_more_than_it_saw() {
    let all = chained(256 * 4 + 30);
    let mut asked = options();
    asked.sample = Some((40, [3; 32]));
    asked.old = vec![served(&all[..77])["checkpoint"].clone()];
    let report = verify_tree(&served(&all), &asked, &mut |_, _| {});
    assert_eq!(report.exit_code(), 0, "{}", report.text());
    assert_eq!(report.verdict(Question::Integrity), Verdict::Sampled);
    assert_eq!(report.verdict(Question::AppendOnly), Verdict::Proven);
    assert_eq!(report.verdict(Question::Complete), Verdict::NotAsked);
    asked.sample = Some((20_000, [3; 32])); // as good as everything
    for path in served(&all).keys().filter(|path| path.starts_with("tile/entries")) {
        let mut log = served(&all);
        log.get_mut(path).unwrap()[40] ^= 1;
        assert_eq!(verify_tree(&log, &asked, &mut |_, _| {}).exit_code(), 1, "{path}");
    }
    asked.old.clear();
    assert_eq!(verify_tree(&served(&[]), &asked, &mut |_, _| {}).exit_code(), 0);
}

#[test]
fn cosignatures_must_be_enough_and_young_enough() {
    let witness = Signer::from_seed("w.example", &[9; 32]).unwrap();
    let mut log = served(&entries(3));
    let note = String::from_utf8(log["checkpoint"].clone()).unwrap();
    let text = note.split_once("\n\n").unwrap().0.to_owned() + "\n";
    log.insert("checkpoint".into(), format!("{note}{}", witness.cosign(&text, 1_000_000)).into_bytes());
    let key = witness.verifier(KeyKind::Cosignature);
    for (policy, now_s, want) in [
        (format!("witness w {key}\nquorum w\n"), 9_000_000, Verdict::Proven),
        (format!("witness w {key}\nquorum w\n#tongban max-checkpoint-age 600\n"), 1_000_600, Verdict::Proven),
        (format!("witness w {key}\nquorum w\n#tongban max-checkpoint-age 600\n"), 1_000_601, Verdict::Undecided),
        (format!("witness w {key}\nquorum w\n#tongban max-checkpoint-age 600\n"), 999_000, Verdict::Undecided),
        (format!("witness w {key}\nquorum none\n#tongban max-checkpoint-age 600\n"), 1_000_601, Verdict::Undecided),
        ("quorum none\n#tongban max-checkpoint-age 600\n".into(), 1_000_000, Verdict::Undecided),
    ] {
        let mut asked = options();
        asked.policy = Some(Pinned::parse(&policy).unwrap());
        asked.now = Some(UnixMillis(now_s * 1000));
        assert_eq!(verify_tree(&log, &asked, &mut |_, _| {}).verdict(Question::Witnessed), want, "{policy} at {now_s}");
    }
}

#[test]
fn a_time_stamp_holds_for_its_own_past_only() {
    use crate::audit::anchor::tests::Authority;
    let (tsa, honest) = (Authority::new(), entries(40));
    let at = UnixMillis(1_771_000_000_000);
    let note = |entries: &[Vec<u8>]| String::from_utf8(served(entries)["checkpoint"].clone()).unwrap();
    let mut rewritten = honest.clone();
    rewritten[3] = entries(1).remove(0);
    let mut asked = options();
    asked.time_authorities = vec![tsa.root.clone()];
    let anchored = |log: &[Vec<u8>], anchor: Option<String>, asked: &Options| {
        let mut log = served(log);
        log.extend(anchor.map(|anchor| ("anchor".to_owned(), anchor.into_bytes())));
        let report = verify_tree(&log, asked, &mut |_, _| {});
        (report.verdict(Question::Anchored), report.verdict(Question::AppendOnly), report.anchored)
    };
    let stamp = tsa.stamp(&note(&honest[..20]), at).to_string();
    let (not_asked, good) = (Verdict::NotAsked, Some((at, 20)));
    assert_eq!(anchored(&honest, Some(stamp.clone()), &asked), (Verdict::Proven, not_asked, good));
    assert_eq!(anchored(&rewritten, Some(stamp.clone()), &asked).0, Verdict::Disproven);
    assert_eq!(anchored(&honest[..10], Some(stamp.clone()), &asked).1, Verdict::Disproven, "rolled back");
    assert_eq!(anchored(&honest, None, &asked).0, Verdict::Undecided);
    assert_eq!(anchored(&honest, Some("rubbish".into()), &asked).0, Verdict::Disproven);
    let other = Authority::new().stamp(&note(&honest[..20]), at).to_string();
    assert_eq!(anchored(&honest, Some(other), &asked).0, Verdict::Undecided);
    asked.policy = Some(Pinned::parse("quorum none\n#tongban max-anchor-age 60\n").unwrap());
    for (later_s, want) in [(60, Verdict::Proven), (61, Verdict::Undecided)] {
        asked.now = Some(UnixMillis(at.0 + later_s * 1000));
        assert_eq!(anchored(&honest, Some(stamp.clone()), &asked).0, want);
    }
    // A policy that wants young ones is not met because nobody said whose count.
    asked.time_authorities.clear();
    assert_eq!(anchored(&honest, Some(stamp.clone()), &asked).0, Verdict::Undecided);
    assert_eq!(anchored(&honest, Some(stamp), &options()), (not_asked, not_asked, None));
}

/// What an earlier verification saw counts for what comes after it: whose pseudonyms, which logs, which time-stamp.
#[test]
fn a_verification_that_goes_on_remembers_what_it_saw() {
    use crate::audit::anchor::tests::Authority;
    use crate::audit::entry::Evidence;
    use crate::audit::logset::{Head, LogSet};
    let hour = 3_600_000;
    let print = |n: u8| (word("pseudonyms"), word(&Pseudonym([n; 16]).to_string()));
    let map = |n: u8| Entry::new(Kind::Index, UnixMillis(9 * hour)).fact(print(n).0, print(n).1);
    let head = |origin: &str| {
        let key = Signer::from_seed(origin, &[7; 32]).unwrap().verifier(KeyKind::Ed25519);
        Head { key, size: 0, root: merkle::empty_root() }
    };
    let set = |all: &[&str]| {
        let set = LogSet::new(all.iter().map(|origin| head(origin)).collect()).unwrap();
        set.write(Entry::new(Kind::LogSet, UnixMillis(9 * hour))).unwrap()
    };
    let (tsa, text) = (Authority::new(), Checkpoint::new(ORIGIN, 0, merkle::empty_root()).to_string());
    let stamp = tsa.stamp(&signer().sign(&text), UnixMillis(9 * hour));
    let token = Evidence { digest: Some(Digest::of(&stamp.token)), ..Evidence::default() };
    let named = Entry::new(Kind::Anchor, UnixMillis(9 * hour)).evidence(token);
    let plain = |at: i64| Entry::new(Kind::Deny, UnixMillis(at));
    for (what, before, after, want) in [
        ("one key", map(1), map(1), 0),
        ("another key", map(1), map(2), 1),
        ("the same set", set(&[ORIGIN, "gw/2"]), set(&[ORIGIN, "gw/2"]), 0),
        ("a smaller set", set(&[ORIGIN, "gw/2"]), set(&[ORIGIN]), 1),
        ("after the time-stamp", named.clone(), plain(9 * hour), 0),
        ("before the time-stamp", named, plain(7 * hour), 1),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), OpenOptions::new(signer())).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let write = |entry: Entry| match entry.kind() {
            Kind::Index => runtime.block_on(log.append_index(entry)).unwrap(),
            _ => log.append_blocking(&entry).unwrap(),
        };
        let mut asked = Options { keep_state: true, time_authorities: vec![tsa.root.clone()], ..options() };
        asked.anchors = vec![stamp.to_string().into_bytes()];
        write(before);
        log.publish();
        let first = verify_tree(&log, &asked, &mut |_, _| {});
        let state = first.state.clone().unwrap_or_else(|| panic!("{what}: {}", first.text()));
        write(after);
        log.publish();
        for is_new in [true, false] {
            asked.since = (!is_new).then(|| state.note.clone());
            asked.state = (!is_new).then(|| State::decode(&state.encode()).unwrap());
            let report = verify_tree(&log, &asked, &mut |_, _| {});
            assert_eq!(report.exit_code(), want, "{what}, anew {is_new}: {}", report.text());
        }
    }
}

/// A log whose entries have receipts for these leaves.
fn naming(named: &[(u64, Digest)]) -> BTreeMap<String, Vec<u8>> {
    let bytes = |(index, leaf): &(u64, Digest)| {
        let receipt = PeerReceipt { index: Some(*index), leaf: Some(*leaf), origin: Some(word(ORIGIN)) };
        let up = Upstream { receipt: Some(receipt), ..Upstream::default() };
        let mut bytes = Vec::new();
        Entry::new(Kind::DataRead, UnixMillis(1)).up(up).encode().unwrap().link(0, None, &mut bytes);
        bytes
    };
    served(&named.iter().map(bytes).collect::<Vec<_>>())
}

#[test]
fn a_receipt_is_looked_up_in_the_peers_log() {
    let theirs: Vec<Vec<u8>> = entries(300);
    let peer = Signer::from_seed(ORIGIN, &[7; 32]).unwrap(); // `served` signs with it
    let other = |size: usize| Rc::new(served(&theirs[..size])) as Rc<dyn Fetch>;
    let leaf = |index: usize| leaf_hash(&theirs[index]);
    let mut forged = served(&theirs);
    forged.get_mut("tile/0/000").unwrap()[40] ^= 1;
    for (what, named, log, want) in [
        ("two leaves that are there", vec![(0, leaf(0)), (299, leaf(299))], Some(other(300)), Verdict::Proven),
        ("another leaf", vec![(0, leaf(0)), (1, leaf(0))], Some(other(300)), Verdict::Disproven),
        ("a peer whose tail is cut", vec![(299, leaf(299))], Some(other(299)), Verdict::Undecided),
        ("a peer whose tiles are forged", vec![(5, leaf(5))], Some(Rc::new(forged)), Verdict::Undecided),
        ("a peer's log that is empty", vec![(5, leaf(5))], Some(Rc::new(BTreeMap::new())), Verdict::Undecided),
        ("no log at hand", vec![(5, leaf(5))], None, Verdict::NotAsked),
    ] {
        let mut asked = options();
        asked.peers = log.map(|log| Peer { key: peer.verifier(KeyKind::Ed25519), log }).into_iter().collect();
        let report = verify_tree(&naming(&named), &asked, &mut |_, _| {});
        assert_eq!(report.verdict(Question::Receipts), want, "{what}: {}", report.text());
        assert_eq!(report.receipts_unjudged, u64::from(want == Verdict::NotAsked), "{what}");
    }
}

#[test]
fn sealed_parts_open_with_the_key_of_their_case() {
    use crate::audit::entry::{LogKey, SealedBox};
    let (case, other) = (Pseudonym([1; 16]), Pseudonym([2; 16]));
    let (key, another) = (LogKey::of_case(&[7; 32]), LogKey::of_case(&[8; 32]));
    let good = key.seal(&case, br#"{"note":"x"}"#).unwrap();
    let mut bytes = good.bytes.clone();
    bytes[20] ^= 1;
    let bent = SealedBox { bytes, ..good.clone() };
    let log = |case: Pseudonym, enc: Option<&SealedBox>| {
        let mut bytes = Vec::new();
        let line = Entry::new(Kind::CaseEvent, UnixMillis(1)).case(case);
        let line = enc.map_or(line.clone(), |enc| line.enc(enc.clone()));
        line.encode().unwrap().link(1, None, &mut bytes);
        served(&[bytes])
    };
    let theirs = another.seal(&case, b"{}").unwrap();
    for (what, log, with, want, opened) in [
        ("its key", log(case, Some(&good)), true, Verdict::Proven, 1),
        ("a box that was sealed otherwise", log(case, Some(&bent)), true, Verdict::Disproven, 0),
        ("another key of the case", log(case, Some(&theirs)), true, Verdict::Undecided, 0),
        ("nothing sealed", log(case, None), true, Verdict::Undecided, 0),
        ("only other cases", log(other, Some(&good)), true, Verdict::Undecided, 0),
        ("no key", log(case, Some(&bent)), false, Verdict::NotAsked, 0),
    ] {
        for sample in [None, Some((1, [0; 32]))] {
            let mut asked = Options { sample, ..options() };
            if with {
                asked.case_keys.add(&CaseKeys::file(&case, &key)).unwrap();
            }
            let report = verify_tree(&log, &asked, &mut |_, _| {});
            assert_eq!((report.verdict(Question::Opened), report.opened), (want, opened), "{what}: {}", report.text());
        }
    }
}

#[test]
fn what_a_peer_names_of_ours_must_stand_here() {
    let ours = entries(300);
    let leaf = |index: usize| leaf_hash(&ours[index]);
    let good = || naming(&[(0, leaf(0)), (299, leaf(299))]);
    let without = |prefix: &str| {
        let mut log = good();
        log.retain(|path, _| !path.starts_with(prefix));
        log
    };
    let mut bent = good();
    let bundle = bent.get_mut("tile/entries/000.p/2").unwrap();
    let place = bundle.windows(8).position(|octets| octets == b"\"index\":").unwrap() + 8;
    bundle[place] = b'1';
    for (what, log, want, note) in [
        ("two leaves that are here", good(), Verdict::Proven, None),
        ("a leaf that was changed here", naming(&[(0, leaf(0)), (1, leaf(0))]), Verdict::Disproven, None),
        ("a leaf beyond the end", naming(&[(300, leaf(0))]), Verdict::Undecided, None),
        ("a peer that keeps its entries", without("tile/entries"), Verdict::NotAsked, Some("not there")),
        ("entries that the peer did not sign", bent, Verdict::NotAsked, Some("not the one that was signed")),
    ] {
        let peer = Peer { key: signer().verifier(KeyKind::Ed25519), log: Rc::new(log) };
        let report = verify_tree(&served(&ours), &Options { peers: vec![peer], ..options() }, &mut |_, _| {});
        assert_eq!(report.verdict(Question::Receipts), want, "{what}: {}", report.text());
        let told = note.is_none_or(|note| report.notes.iter().any(|told| told.contains(note)));
        assert!(told, "{what}: {}", report.text());
    }
}

#[test]
fn no_entry_is_of_another_time_than_others_saw_it() {
    use crate::audit::anchor::tests::Authority;
    use crate::audit::entry::Evidence;
    const HOUR: i64 = 3_600_000;
    let tsa = Authority::new();
    let line = |kind: Kind, ts: i64, token: Option<Digest>| {
        let mut entry = Entry::new(kind, UnixMillis(ts));
        if token.is_some() {
            entry = entry.evidence(Evidence { digest: token, ..Evidence::default() });
        }
        let mut bytes = Vec::new();
        entry.encode().unwrap().link(0, None, &mut bytes);
        bytes
    };
    let at = 1_771_000_000_000;
    let first = vec![line(Kind::Deny, at - 1, None)];
    let note = String::from_utf8(served(&first)["checkpoint"].clone()).unwrap();
    let anchor = tsa.stamp(&note, UnixMillis(at));
    let stamped = line(Kind::Anchor, at + 1, Some(Digest::of(&anchor.token)));
    let witness = Signer::from_seed("w.example", &[9; 32]).unwrap();
    let policy = format!("witness w {}\nquorum w\n", witness.verifier(KeyKind::Cosignature));
    for (what, ts, now, cosigned, want) in [
        ("in its time", at + 2, at + 5, at + 5, Verdict::Proven),
        ("later than now", at + 2 * HOUR, at, i64::MAX, Verdict::Disproven),
        ("later than its witness saw it", at + 2 * HOUR, at + 9 * HOUR, at, Verdict::Disproven),
        ("before the time-stamp that it follows", at - 2 * HOUR, at + 9 * HOUR, at + HOUR, Verdict::Disproven),
    ] {
        let all = [first.clone(), vec![stamped.clone(), line(Kind::Deny, ts, None)]].concat();
        let mut log = served(&all);
        log.insert("anchor".into(), anchor.to_string().into_bytes());
        let mut asked = Options { now: Some(UnixMillis(now)), time_authorities: vec![tsa.root.clone()], ..options() };
        if cosigned < i64::MAX {
            let note = String::from_utf8(log["checkpoint"].clone()).unwrap();
            let text = note.split_once("\n\n").unwrap().0.to_owned() + "\n";
            let line = witness.cosign(&text, (cosigned / 1000) as u64);
            log.insert("checkpoint".into(), format!("{note}{line}").into_bytes());
            asked.policy = Some(Pinned::parse(&policy).unwrap());
        }
        let report = verify_tree(&log, &asked, &mut |_, _| {});
        assert_eq!(report.verdict(Question::Content), want, "{what}: {}", report.text());
    }
    // A clock that was set right is told, and convicts nobody.
    let back = [line(Kind::Deny, at, None), line(Kind::Deny, at - 2 * HOUR, None)];
    let report = verify_tree(&served(&back), &options(), &mut |_, _| {});
    assert_eq!(report.verdict(Question::Content), Verdict::Proven);
    assert!(report.notes.iter().any(|note| note.contains("went back")), "{}", report.text());
}

/// With another key every case goes on under another name, in a chain that begins anew.
#[test]
fn the_pseudonyms_of_a_log_are_made_with_one_key() {
    let print = |n: u8| (word("pseudonyms"), word(&Pseudonym([n; 16]).to_string()));
    for (what, prints, want) in [
        ("one key", [Some(1), Some(1)], Verdict::Proven),
        ("named from the second map on", [None, Some(1)], Verdict::Proven),
        ("another key", [Some(1), Some(2)], Verdict::Disproven),
        ("not named any more", [Some(1), None], Verdict::Undecided),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), OpenOptions::new(signer())).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for with in prints {
            let entry = Entry::new(Kind::Index, UnixMillis(10));
            let entry = with.map(print).into_iter().fold(entry, |entry, (name, value)| entry.fact(name, value));
            runtime.block_on(log.append_index(entry)).unwrap();
        }
        log.publish();
        drop(log);
        let report = verify(dir.path(), &options(), &mut |_, _| {});
        assert_eq!(report.verdict(Question::Complete), want, "{what}: {}", report.text());
        let log = Log::open(dir.path(), OpenOptions::new(signer())).unwrap();
        let last = prints.into_iter().flatten().next_back().map(|n| Pseudonym([n; 16]));
        assert_eq!(log.recovery().pseudonyms, last, "{what}");
    }
}

#[test]
fn a_map_that_was_not_computed_again_proves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), OpenOptions::new(signer())).unwrap();
    for n in 1..5u8 {
        log.append_blocking(&Entry::new(Kind::CaseEvent, UnixMillis(1)).case(Pseudonym([n; 16]))).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(log.append_index(Entry::new(Kind::Index, UnixMillis(10)))).unwrap();
    log.publish();
    drop(log);
    for (max_map_work, want) in [(4, Verdict::Proven), (3, Verdict::Undecided)] {
        let report = verify(dir.path(), &Options { max_map_work, ..options() }, &mut |_, _| {});
        assert_eq!(report.verdict(Question::Complete), want, "{}", report.text());
    }
}

#[test]
fn a_line_of_a_pinned_key_that_does_not_verify_spoils_the_checkpoint() {
    let (next, log) = (Signer::from_seed(ORIGIN, &[8; 32]).unwrap(), served(&entries(3)));
    let note = String::from_utf8(log["checkpoint"].clone()).unwrap();
    let text = note.split_once("\n\n").unwrap().0.to_owned() + "\n";
    let broken = next.sign_line(&text.replacen('3', "4", 1));
    for (line, want) in [(next.sign_line(&text), 0), (broken, 1)] {
        let mut log = log.clone();
        log.insert("checkpoint".into(), format!("{note}{line}").into_bytes());
        let asked = Options { other_keys: vec![next.verifier(KeyKind::Ed25519)], ..options() };
        assert_eq!(verify_tree(&log, &asked, &mut |_, _| {}).exit_code(), want);
    }
}

#[test]
fn a_time_stamp_under_a_key_that_was_not_given_convicts_nobody() {
    use crate::audit::anchor::tests::Authority;
    let (tsa, log) = (Authority::new(), served(&entries(3)));
    let before = Signer::from_seed(ORIGIN, &[8; 32]).unwrap();
    let note = String::from_utf8(log["checkpoint"].clone()).unwrap();
    let text = note.split_once("\n\n").unwrap().0.to_owned() + "\n";
    let stamp = |note: String| tsa.stamp(&note, UnixMillis(1_771_000_000_000)).to_string().into_bytes();
    let other = Signer::from_seed("other.example/gw", &[8; 32]).unwrap();
    let foreign = other.sign(&Checkpoint::new("other.example/gw", 3, Digest::of(b"x")).to_string());
    for (what, anchor) in [
        ("of before the key changed", stamp(before.sign(&text))),
        ("of another log", stamp(foreign)),
        ("cut off", stamp(note.clone())[..40].to_vec()),
    ] {
        let asked = Options { time_authorities: vec![tsa.root.clone()], anchors: vec![anchor], ..options() };
        let report = verify_tree(&log, &asked, &mut |_, _| {});
        assert_eq!(report.exit_code(), 2, "{what}: {}", report.text());
    }
}
