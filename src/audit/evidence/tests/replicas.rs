//! A gateway of two replicas, each with a log of its own: a bundle shows both, or says that it does not.

use super::*;
use std::path::Path;

use crate::audit::verify::Sparse;
use crate::audit::{checkpoint, merkle};

const LOGS: [&str; 2] = ["own.example/gw", "own.example/gw/2"];
/// Unix milliseconds of the maps.
const WRITTEN: i64 = 1_771_000_001_000;

/// Head of a log without entries.
fn nothing() -> (u64, Digest) {
    (0, merkle::empty_root())
}

/// A log with so many entries of our case among those of others, its map of cases naming that head of the other one.
fn grow(dir: &Path, log: usize, of_case: i64, other: (u64, Digest)) -> Half {
    grow_with(dir, log, of_case, other, (WRITTEN, None))
}

/// When its map is written, and under which key of pseudonyms.
fn grow_with(dir: &Path, log: usize, of_case: i64, other: (u64, Digest), (at, print): (i64, Option<Word>)) -> Half {
    let log_of = open(dir, LOGS[log]);
    let of = |n: i64, case: u8| {
        log_of.append_blocking(&event(n).case(Pseudonym([case; 16]))).unwrap();
    };
    (0..9).for_each(|n| of(n, [5, 6, 9][n as usize % 3]));
    (10..10 + of_case).for_each(|n| of(n, 7));
    let mut heads = [nothing(), nothing()];
    heads[1 - log] = other;
    let heads = LOGS.iter().zip(heads).map(|(name, (size, root))| Head { key: key(name), size, root });
    let set = LogSet::new(heads.collect()).unwrap();
    let index = set.write(Entry::new(Kind::Index, UnixMillis(at))).unwrap();
    let index = print.into_iter().fold(index, |index, print| index.fact(Word::new(index::PSEUDONYMS).unwrap(), print));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(log_of.append_index(index)).unwrap();
    log_of.publish();
    drop(log_of);
    gathered(dir, LOGS[log], &CASE).unwrap()
}

/// What it had at `size` entries.
fn head(dir: &Path, log: usize, size: u64) -> (u64, Digest) {
    let folder = SegmentFolder::new(dir.to_owned());
    let signed = checkpoint::open(&folder.get("checkpoint").unwrap().unwrap(), &key(LOGS[log]), None).unwrap();
    (size, Sparse::new(&folder, signed.checkpoint()).unwrap().root_at(size).unwrap())
}

/// Our half and the replica's, with the proof that this one only grew since ours named it.
fn with_proof(own: Half, mut other: Half, other_dir: &Path) -> Vec<Half> {
    other.same_log(&SegmentFolder::new(other_dir.to_owned()), &key(LOGS[1]), &own.named()).unwrap();
    vec![own, other]
}

/// The halves of two replicas with so many entries of the case in each.
fn two(of_case: [i64; 2]) -> Vec<Half> {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let dirs = folders.each_ref().map(tempfile::TempDir::path);
    let other = grow(dirs[1], 1, of_case[1], nothing());
    let own = grow(dirs[0], 0, of_case[0], head(dirs[1], 1, other.part.size - 1));
    with_proof(own, other, dirs[1])
}

fn judge_both(halves: &[Half]) -> Report {
    judged(sealed(halves, &[]), &LOGS.map(key), None)
}

#[test]
fn a_case_is_proven_wherever_its_entries_lie() {
    for of_case in [[2, 3], [2, 0], [0, 3], [1, 1]] {
        let halves = two(of_case);
        let report = judge_both(&halves);
        assert_eq!(report.exit_code(), 0, "{of_case:?}: {}", report.text());
        let entries = of_case[0] + of_case[1];
        assert_eq!(report.kinds.get("case.event"), Some(&(entries as u64)), "{of_case:?}");
        assert_eq!(report.entries, entries as u64 + 2, "{of_case:?}: and a map in each log");
        let says_none = report.text().contains("no entry of the case was there");
        assert_eq!(says_none, of_case.contains(&0), "{of_case:?}: {}", report.text());
    }
    let none = judge_both(&two([0, 0]));
    assert_eq!(none.verdict(Question::Complete), Verdict::Disproven, "{}", none.text());
}

/// Takes out the entry of that place.
fn without(half: &mut Half, place: usize) {
    let index = half.entries.remove(place).0;
    half.part.entries.retain(|at| *at != index);
}

#[test]
fn what_is_left_out_of_a_replicas_log_is_found() {
    use Verdict::{Disproven, Undecided};
    type Change = fn(&mut Vec<Half>);
    let changes: [(&str, [i64; 2], Question, Verdict, Change); 9] = [
        ("the replica's log", [2, 3], Question::Complete, Undecided, |all| drop(all.pop())),
        ("a log without the case", [2, 0], Question::Complete, Undecided, |all| drop(all.pop())),
        ("its first entry", [2, 3], Question::Complete, Disproven, |all| without(&mut all[1], 0)),
        ("its last entry", [2, 3], Question::Complete, Disproven, |all| without(&mut all[1], 2)),
        ("its map of cases", [2, 3], Question::Complete, Disproven, |all| without(&mut all[1], 3)),
        ("its place in the map", [2, 3], Question::Complete, Undecided, |all| all[1].part.index = None),
        ("that it has none", [2, 0], Question::Complete, Disproven, |all| {
            all[1].part.index.as_mut().unwrap().shown.pop();
        }),
        ("all of its entries, and that it has none is claimed", [2, 3], Question::Complete, Disproven, |all| {
            (0..3).for_each(|_| without(&mut all[1], 0));
            // As if the case had stood between its neighbours.
            let folder = tempfile::tempdir().unwrap();
            let elsewhere = grow(folder.path(), 1, 0, nothing()).part.index.unwrap().shown;
            all[1].part.index.as_mut().unwrap().shown = elsewhere;
        }),
        ("a byte of its entry", [2, 3], Question::Integrity, Disproven, |all| all[1].entries[1].1[70] ^= 1),
    ];
    for (what, of_case, question, want, change) in changes {
        let mut all = two(of_case);
        change(&mut all);
        let report = judge_both(&all);
        assert_eq!(report.verdict(question), want, "{what}: {}", report.text());
        assert_ne!(report.exit_code(), 0, "{what}");
    }
    let unpinned = judged(sealed(&two([2, 3]), &[]), &[key(LOGS[0])], None);
    assert_eq!(unpinned.exit_code(), 2, "its key is not pinned: {}", unpinned.text());
}

/// Forked by who holds its key, with as many entries as it had or more: another log says what its root was.
#[test]
fn a_replicas_log_is_the_one_that_another_log_knows() {
    let folders = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let [ours, theirs, fork, longer] = folders.each_ref().map(tempfile::TempDir::path);
    let other = grow(theirs, 1, 3, nothing());
    let size = other.part.size;
    let forked = grow(fork, 1, 3, (1, Digest::of(b"another map")));
    assert_eq!(forked.part.size, size);
    // Another case among its first entries, then as many as the first, and more.
    open(longer, LOGS[1]).append_blocking(&event(1).case(Pseudonym([3; 16]))).unwrap();
    let forked_on = grow(longer, 1, 9, nothing());
    let of = |at: u64| head(theirs, 1, at);
    let named = |half: &Half, dir: &Path, at: u64| {
        let own = grow(tempfile::tempdir().unwrap().path(), 0, 2, of(at));
        with_proof(own, half.clone(), dir)
    };
    use Verdict::{Disproven, Proven, Undecided};
    for at in [size, size - 1, 8, 1] {
        let honest = named(&other, theirs, at);
        assert_eq!(judge_both(&honest).verdict(Question::Integrity), Proven, "{at} of {size}");
        assert_eq!(
            judge_both(&named(&forked_on, longer, at)).verdict(Question::Integrity),
            Disproven,
            "{at} and a fork"
        );
        let mut unproven = honest;
        unproven[1].part.named.clear();
        let want = if at == size { Proven } else { Undecided };
        assert_eq!(judge_both(&unproven).verdict(Question::Integrity), want, "{at} without its proof");
    }
    let own = grow(ours, 0, 2, of(size));
    let report = judge_both(&[own, forked]);
    assert_eq!(report.verdict(Question::Integrity), Disproven, "a fork as long: {}", report.text());
}

/// An older copy of the replica's log is true in itself, and hides what came later. Of the same minutes it hides nothing that
/// ours shows.
#[test]
fn a_replicas_log_ends_no_earlier_than_another_one_says() {
    let theirs = tempfile::tempdir().unwrap();
    let witness = signer("w.example");
    let text = format!("witness w {}\nquorum w\n", witness.verifier(KeyKind::Cosignature));
    let policy = Pinned::parse(&text).unwrap();
    let older = grow(theirs.path(), 1, 1, nothing());
    let newer = grow(theirs.path(), 1, 2, nothing());
    let (was, is) = (older.part.size, newer.part.size);
    for (what, size, later_s, other, want) in [
        ("older than is said", is, 121, &older, Verdict::Undecided),
        ("older, of the same minutes", is, 120, &older, Verdict::Proven),
        ("as old as is said", was, 121, &older, Verdict::Proven),
        ("newer than is said", was, 121, &newer, Verdict::Proven),
        ("older than is said, by a clock set back", is, -86_400, &older, Verdict::Undecided),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let own = grow_with(folder.path(), 0, 2, head(theirs.path(), 1, size), (WRITTEN + later_s * 1_000, None));
        let mut all = with_proof(own, other.clone(), theirs.path());
        // Witnesses saw ours when it was there, whatever it says.
        let seen = (WRITTEN / 1_000 + later_s.abs()) as u64;
        let signed = all[0].checkpoint.split_once("\n\n").unwrap().0.to_owned() + "\n";
        all[0].checkpoint += &witness.cosign(&signed, seen);
        let judge_both = |all: &[Half]| judged(sealed(all, &[]), &LOGS.map(key), Some(&policy));
        let report = judge_both(&all);
        assert_eq!(report.verdict(Question::Complete), want, "{what}: {}", report.text());
        assert_ne!(report.verdict(Question::Integrity), Verdict::Disproven, "{what}: {}", report.text());
        if size > other.part.size && want == Verdict::Proven {
            all[1].part.named[0].proof[0].0[0] ^= 1;
            assert_eq!(judge_both(&all).verdict(Question::Integrity), Verdict::Disproven, "{what}, and another log");
            all[1].part.named.clear();
            assert_eq!(judge_both(&all).verdict(Question::Integrity), Verdict::Undecided, "{what}, and no proof");
        }
    }
}

/// Under another key of the pseudonyms the case has another name, and no entry of it is found there.
#[test]
fn the_maps_of_all_logs_are_of_one_key() {
    for (prints, want) in [([1, 1], Verdict::Proven), ([1, 2], Verdict::Disproven)] {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let dirs = folders.each_ref().map(tempfile::TempDir::path);
        let print = |n: u8| Word::new(&Pseudonym([n; 16]).to_string()).unwrap();
        let other = grow_with(dirs[1], 1, 0, nothing(), (WRITTEN, Some(print(prints[1]))));
        let own = grow_with(dirs[0], 0, 2, head(dirs[1], 1, other.part.size), (WRITTEN, Some(print(prints[0]))));
        let report = judge_both(&with_proof(own, other, dirs[1]));
        assert_eq!(report.verdict(Question::Complete), want, "{}", report.text());
    }
}

#[test]
fn each_log_with_entries_of_the_case_wants_its_time_stamp() {
    let authority = Authority::new();
    let stamp = |half: &mut Half, at: i64| {
        let octets = authority.stamp(&half.checkpoint, UnixMillis(at)).to_string().into_bytes();
        half.part.anchor = Some(OtherHead { size: half.part.size, proof: Vec::new() });
        half.anchor = Some(octets);
    };
    let (keys, chain) = (LOGS.map(key), [authority.root.clone()]);
    for (what, of_case, stamped, want) in [
        ("both", [2, 3], [true, true], Verdict::Proven),
        ("one of two", [2, 3], [true, false], Verdict::Undecided),
        ("the one that has the case", [0, 3], [false, true], Verdict::Proven),
        ("none", [2, 0], [false, false], Verdict::Undecided),
    ] {
        let mut halves = two(of_case);
        for log in (0..2).filter(|log| stamped[*log]) {
            stamp(&mut halves[log], 1_771_000_100_000 + log as i64);
        }
        let by = Auditor { keys: &keys, time_authorities: &chain, ..Auditor::default() };
        let report = verify(sealed(&halves, &[]), &by).report;
        assert_eq!(report.verdict(Question::Anchored), want, "{what}: {}", report.text());
    }
}
