//! A gateway of two replicas, each with a log of its own: a bundle shows both, or says that it does not.

use super::*;
use crate::audit::checkpoint;

const LOGS: [&str; 2] = ["own.example/gw", "own.example/gw/2"];

/// A log with so many entries of our case among those of others, its map of cases naming both logs with how far they had come.
fn grow(dir: &std::path::Path, log: usize, of_case: i64, sizes: [u64; 2]) -> Half {
    // Sizes that no log here has: their roots are not compared.
    grow_with(dir, log, of_case, sizes.map(|size| (size, Digest::of(b""))))
}

fn grow_with(dir: &std::path::Path, log: usize, of_case: i64, heads: [(u64, Digest); 2]) -> Half {
    let log_of = open(dir, LOGS[log]);
    let of = |n: i64, case: u8| {
        log_of.append_blocking(&event(n).case(Pseudonym([case; 16]))).unwrap();
    };
    (0..9).for_each(|n| of(n, [5, 6, 9][n as usize % 3]));
    (10..10 + of_case).for_each(|n| of(n, 7));
    let heads = LOGS.iter().zip(heads).map(|(name, (size, root))| Head { key: key(name), size, root });
    let set = LogSet::new(heads.collect()).unwrap();
    let index = set.write(Entry::new(Kind::Index, UnixMillis(1_771_000_001_000))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(log_of.append_index(index)).unwrap();
    log_of.publish();
    drop(log_of);
    gathered(dir, LOGS[log], &CASE).unwrap()
}

/// The halves of two replicas with so many entries of the case in each.
fn two(of_case: [i64; 2]) -> Vec<Half> {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let other = grow(folders[1].path(), 1, of_case[1], [0, 0]);
    vec![grow(folders[0].path(), 0, of_case[0], [0, other.part.size - 1]), other]
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
            let elsewhere = grow(folder.path(), 1, 0, [0, 0]).part.index.unwrap().shown;
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

/// Forked by who holds its key, as long as it was: another log says what its root was.
#[test]
fn a_replicas_log_is_the_one_that_another_log_knows() {
    let (theirs, ours, fork) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let other = grow(theirs.path(), 1, 3, [0, 0]);
    let root = checkpoint::open(other.checkpoint.as_bytes(), &key(LOGS[1]), None).unwrap().root();
    let forked = grow(fork.path(), 1, 3, [0, 1]);
    assert_eq!(forked.part.size, other.part.size);
    let own = grow_with(ours.path(), 0, 2, [(0, Digest::of(b"")), (other.part.size, root)]);
    for (what, half, want) in [("it", other, Verdict::Proven), ("its fork", forked, Verdict::Disproven)] {
        let report = judge_both(&[own.clone(), half]);
        assert_eq!(report.verdict(Question::Integrity), want, "{what}: {}", report.text());
    }
}

/// An older copy of the replica's log is true in itself, and hides what came later.
#[test]
fn a_replicas_log_ends_no_earlier_than_another_one_says() {
    let theirs = tempfile::tempdir().unwrap();
    let older = grow(theirs.path(), 1, 1, [0, 0]);
    let newer = grow(theirs.path(), 1, 2, [0, 0]);
    let (was, is) = (older.part.size, newer.part.size);
    for (what, size, other, want) in [
        ("older than is said", is, &older, Verdict::Undecided),
        ("no older than is said", was - 1, &older, Verdict::Proven),
        ("newer than is said", was, &newer, Verdict::Proven),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let own = grow(folder.path(), 0, 2, [0, size]);
        let report = judge_both(&[own, other.clone()]);
        assert_eq!(report.verdict(Question::Complete), want, "{what}: {}", report.text());
    }
}

#[test]
fn each_log_with_entries_of_the_case_wants_its_time_stamp() {
    let authority = Authority::new();
    let stamp = |half: &mut Half, at: i64| {
        let octets = authority.stamp(&half.checkpoint, UnixMillis(at)).to_string().into_bytes();
        half.part.anchor = Some(AnchorPart { size: half.part.size, proof: Vec::new() });
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
