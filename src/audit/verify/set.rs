//! Several logs judged as one set: what each says of the others holds, and none that is listed is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Serialize;

use super::judge::{Judge, Place};
use super::report::{Fault, Question, Report, Verdict};
use super::{Fetch, Sparse, SparseError};
use crate::audit::checkpoint;
use crate::audit::logset::{Head, LogSet};
use crate::audit::note::VerifierKey;
use crate::terms::Digest;

/// Heads of other logs kept for a comparison at most, about 200 bytes each: years of hourly sets.
const MAX_HEADS: usize = 100_000;
/// How long a log may take to learn of a new one, in milliseconds.
const LEARN_MS: i64 = 3_600_000;

/// What a log says of the set it belongs to.
#[derive(Clone, Debug, Default)]
pub struct Sets {
    /// Time of its first `logset` entry.
    pub(super) first_ts: Option<i64>,
    /// Its newest one: index, time and set.
    pub(super) newest: Option<(u64, i64, LogSet)>,
    /// Every head it names, with the entry that does.
    named: Vec<(u64, Head)>,
    skipped: u64,
}

impl Judge<'_> {
    /// A `logset` entry.
    pub(super) fn log_set(&mut self, bytes: &[u8], index: u64, ts: i64, place: Place<'_>) {
        let Some(set) = LogSet::read(bytes) else {
            let what = "a log set without its logs";
            return self.fault_at(Question::Content, Verdict::Disproven, place, Some(index), what);
        };
        if !set.lists(self.options.origin()) {
            let what = "a log set that does not list its own log";
            self.fault_at(Question::Content, Verdict::Disproven, place, Some(index), what);
        }
        let sets = &mut self.report.sets;
        let shrunk = sets.newest.as_ref().is_some_and(|(.., before)| !set.keeps(before));
        sets.take(index, ts, set);
        if shrunk {
            let what = "the log set leaves out a log that an earlier one listed";
            self.fault_at(Question::Complete, Verdict::Disproven, place, Some(index), what);
        }
    }
}

impl Report {
    /// The other logs that this log's newest set lists.
    pub fn others(&self) -> impl Iterator<Item = &str> {
        let newest = self.sets.newest.iter().flat_map(|(.., set)| set.heads());
        newest.map(Head::origin).filter(|origin| *origin != self.origin)
    }
}

impl Sets {
    /// As a set says it, in the entry at `index`.
    fn take(&mut self, index: u64, ts: i64, set: LogSet) {
        self.first_ts.get_or_insert(ts);
        for head in set.heads() {
            match self.named.len() < MAX_HEADS {
                true => self.named.push((index, head.clone())),
                false => self.skipped += 1,
            }
        }
        self.newest = Some((index, ts, set));
    }

    /// Of `logset` entries whose places in the log are proven: index, time and bytes.
    pub fn of<'a>(entries: impl Iterator<Item = (u64, i64, &'a [u8])>) -> Self {
        let mut sets = Self::default();
        for (index, ts, bytes) in entries {
            if let Some(set) = LogSet::read(bytes) {
                sets.take(index, ts, set);
            }
        }
        sets
    }
}

/// A log of a set: its keys, itself, and what was found in it alone.
pub struct Member<'a> {
    /// The one that signs first; a log that changes its key has two for a while.
    pub keys: &'a [VerifierKey],
    pub log: &'a dyn Fetch,
    pub report: Report,
}

/// What was found in all of them.
#[derive(Debug, Serialize)]
pub struct SetReport {
    pub logs: Vec<Report>,
    /// Whether the logs are all there are, and agree with what they say of each other.
    pub set: Verdict,
    pub faults: Vec<Fault>,
}

/// Judges logs that were verified one by one as a set. `unusable` are logs that were to be in it and could not be read, with
/// the reasons.
pub fn verify_set(members: Vec<Member<'_>>, unusable: &[(String, String)]) -> SetReport {
    let mut found = Report::default();
    found.answer(Question::Complete, Verdict::Proven);
    for (log, why) in unusable {
        let (question, verdict, file) = (Question::Complete, Verdict::Undecided, log.clone());
        found.fault(Fault { question, verdict, file, offset: None, index: None, what: why.clone() });
    }
    let trees: BTreeMap<&str, Result<Sparse<'_>, (Verdict, String)>> =
        members.iter().map(|member| (member.report.origin.as_str(), now(member))).collect();
    for member in &members {
        knows_the_others(member, &members, &mut found);
        agrees(member, &trees, &mut found);
    }
    drop(trees);
    let set = found.verdict(Question::Complete);
    SetReport { logs: members.into_iter().map(|member| member.report).collect(), set, faults: found.faults }
}

/// What logs say of each other that does not hold, of those at hand: some were cut off or rewritten. Whether they are all
/// there is, or belong together at all, is not asked.
pub fn disagreements(members: &[Member<'_>]) -> Vec<Fault> {
    let mut found = Report::default();
    let trees = members.iter().map(|member| (member.report.origin.as_str(), now(member))).collect();
    members.iter().for_each(|member| agrees(member, &trees, &mut found));
    found.faults
}

fn fault(found: &mut Report, verdict: Verdict, of: &Report, index: Option<u64>, what: String) {
    let (question, file) = (Question::Complete, of.origin.clone());
    found.fault(Fault { question, verdict, file, offset: None, index, what });
}

/// The log as it stands now: it may have grown since it was verified.
fn now<'a>(member: &Member<'a>) -> Result<Sparse<'a>, (Verdict, String)> {
    let undecided = |why: String| (Verdict::Undecided, why);
    let note = member.log.get("checkpoint").map_err(|e| undecided(e.to_string()))?;
    let note = note.ok_or_else(|| undecided("no checkpoint".into()))?;
    let opened = member.keys.iter().map(|key| checkpoint::open(&note, key, None));
    let signed =
        opened.reduce(|found, other| found.or(other)).ok_or_else(|| undecided("no key of it is pinned".into()))?;
    let signed = signed.map_err(|e| undecided(e.to_string()))?;
    let sparse = Sparse::new(member.log, signed.checkpoint()).map_err(|e| undecided(e.to_string()))?;
    match (member.report.root, sparse.root_at(member.report.size)) {
        (Some(root), Ok(then)) if root == then => Ok(sparse),
        (None, _) => Err(undecided("it was not verified".into())),
        (_, Err(error)) => Err(undecided(error.to_string())),
        (_, Ok(_)) => Err((Verdict::Disproven, "rewritten while it was verified".into())),
    }
}

/// Every log that this one lists is at hand, and every log at hand that lists this one is listed.
fn knows_the_others(member: &Member<'_>, members: &[Member<'_>], found: &mut Report) {
    let report = &member.report;
    let Some((index, ts, set)) = &report.sets.newest else {
        return fault(found, Verdict::Undecided, report, None, "no log set was read in it".into());
    };
    if report.sets.skipped > 0 {
        let what = format!("{} heads in its sets were not compared", report.sets.skipped);
        fault(found, Verdict::Undecided, report, None, what);
    }
    for head in set.heads() {
        match members.iter().find(|other| other.report.origin == head.origin()) {
            None => {
                let what = format!("lists {}, which is not at hand", head.origin());
                fault(found, Verdict::Undecided, report, Some(*index), what);
            }
            Some(other) if !other.keys.contains(&head.key) => {
                let what = format!("lists {} with a key that nobody pinned", head.origin());
                fault(found, Verdict::Undecided, report, Some(*index), what);
            }
            Some(_) => {}
        }
    }
    for other in members.iter().filter(|other| !set.lists(&other.report.origin)) {
        let lists_us = other.report.others().any(|origin| origin == report.origin);
        let since = other.report.sets.first_ts.filter(|_| lists_us);
        let (verdict, what) = match since {
            None => (Verdict::Undecided, "does not list it, nor the other way round: no logs of one set"),
            Some(since) if ts.saturating_sub(since) > LEARN_MS => (Verdict::Disproven, "leaves it out of its set"),
            Some(_) => (Verdict::Undecided, "does not list it yet"),
        };
        fault(found, verdict, report, Some(*index), format!("{}: {what}", other.report.origin));
    }
}

/// Each head that this log names is the past of the log it names.
fn agrees(member: &Member<'_>, trees: &BTreeMap<&str, Result<Sparse<'_>, (Verdict, String)>>, found: &mut Report) {
    let mut judged: BTreeSet<(&str, u64, Digest)> = BTreeSet::new();
    for (index, head) in &member.report.sets.named {
        let Some(tree) = trees.get(head.origin()) else { continue };
        if !judged.insert((head.origin(), head.size, head.root)) {
            continue;
        }
        let (origin, size) = (head.origin(), head.size);
        let (verdict, what) = match tree.as_ref().map(|tree| (tree.size(), tree.root_at(size))) {
            Ok((_, Ok(root))) if root == head.root => continue,
            Ok((_, Ok(_))) => (Verdict::Disproven, format!("another root for {size} entries: {origin} was rewritten")),
            Ok((has, Err(_))) if has < size => {
                (Verdict::Disproven, format!("{size} entries of {origin} were signed, it shows {has}: cut off"))
            }
            Ok((_, Err(error @ SparseError::Forged(_)))) => (Verdict::Disproven, format!("{origin}: {error}")),
            Ok((_, Err(error))) => (Verdict::Undecided, format!("{origin}: {error}")),
            Err((verdict, why)) => (*verdict, format!("{origin}: {why}")),
        };
        fault(found, verdict, &member.report, Some(*index), what);
    }
}

impl SetReport {
    /// The worst of all: 1 when anything is disproven, 2 when anything is undecided, 0 when all is proven.
    pub fn exit_code(&self) -> u8 {
        let of_set = match self.set {
            Verdict::Disproven => 1,
            Verdict::Undecided | Verdict::NotAsked => 2,
            Verdict::Proven | Verdict::Sampled | Verdict::Kept => 0,
        };
        let all = self.logs.iter().map(Report::exit_code).chain([of_set]);
        all.min_by_key(|code| (*code != 1, *code == 0)).unwrap_or(2)
    }

    /// For people: each log, then the set.
    pub fn text(&self) -> String {
        let mut out: String = self.logs.iter().map(|report| report.text() + "\n").collect();
        let (mark, zh, en) = self.set.words();
        let count = self.logs.len();
        let _ = writeln!(out, "{mark} 日志集合（{count} 个日志）set of {count} logs: {zh} {en}");
        for fault in &self.faults {
            let index = fault.index.map_or(String::new(), |n| format!(" 条目 entry {n}"));
            let _ = writeln!(out, "! {}{index}: {}", fault.file, fault.what);
        }
        out
    }

    /// For machines.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "logs": self.logs.iter().map(Report::json).collect::<Vec<_>>(),
            "set": self.set,
            "faults": self.faults,
            "exit_code": self.exit_code(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::merkle;
    use crate::audit::note::{KeyKind, Signer};
    use crate::audit::verify::{Options, verify_tree};
    use crate::audit::{Entry, Kind, Log, OpenOptions};
    use crate::terms::UnixMillis;

    const HOUR: i64 = LEARN_MS;

    fn key(origin: &str) -> VerifierKey {
        signer(origin).verifier(KeyKind::Ed25519)
    }

    fn signer(origin: &str) -> Signer {
        Signer::from_seed(origin, &[7; 32]).unwrap()
    }

    /// A log in a folder that lasts as long as the test.
    struct TestLog {
        log: Log,
        _dir: tempfile::TempDir,
    }

    impl TestLog {
        fn new(origin: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            Self { log: Log::open(dir.path(), OpenOptions::new(signer(origin))).unwrap(), _dir: dir }
        }

        fn grow(&self, count: i64, first: i64) -> &Self {
            for n in first..first + count {
                self.log.append_blocking(&Entry::new(Kind::Deny, UnixMillis(n))).unwrap();
            }
            self.log.publish();
            self
        }

        fn head(&self) -> Head {
            let newest = self.log.checkpoint();
            Head { key: self.log.key().clone(), size: newest.size, root: newest.root }
        }

        fn names(&self, heads: &[Head], ts: i64) -> &Self {
            let set = LogSet::new(heads.to_vec()).unwrap();
            self.log.append_blocking(&set.write(Entry::new(Kind::LogSet, UnixMillis(ts))).unwrap()).unwrap();
            self.log.publish();
            self
        }
    }

    fn judge(logs: &[(&str, &TestLog)]) -> (Verdict, Vec<String>, u8) {
        let members = logs.iter().map(|(origin, _)| [key(origin)]).zip(logs).collect::<Vec<_>>();
        let members = members.iter().map(|(keys, (_, log))| {
            let report = verify_tree(&log.log, &Options::new(keys[0].clone()), &mut |_, _| {});
            Member { keys, log: &log.log, report }
        });
        let judged = verify_set(members.collect(), &[]);
        let all = judged.logs.iter().flat_map(|log| &log.faults).chain(&judged.faults);
        (judged.set, all.map(|fault| fault.what.clone()).collect(), judged.exit_code())
    }

    /// What an honest pair, and attackers with one log's disk and key, look like.
    #[test]
    fn what_one_log_says_of_the_other_holds_or_is_found_out() {
        let (one, two) = (TestLog::new("gw/1"), TestLog::new("gw/2"));
        one.grow(5, 0).names(&[one.grow(300, 5).head(), two.grow(700, 0).head()], 1);
        two.names(&[two.head(), one.head()], 1).grow(3, 2);
        let cut = TestLog::new("gw/2");
        cut.grow(600, 0).names(&[cut.head(), one.head()], 1);
        let rewritten = TestLog::new("gw/2");
        rewritten.grow(300, 9).grow(500, 0).names(&[rewritten.head(), one.head()], 1);
        let alone = TestLog::new("gw/2");
        alone.grow(800, 0);
        let early = TestLog::new("gw/1");
        early.grow(4, 0).names(&[early.head()], HOUR - 9);
        let silent = TestLog::new("gw/1");
        silent.grow(4, 0).names(&[silent.head()], 1).names(&[silent.head()], HOUR + 2);
        let late = TestLog::new("gw/2");
        late.grow(2, 0).names(&[late.head(), Head { size: 0, root: merkle::empty_root(), ..early.head() }], 1);
        let shrinks = TestLog::new("gw/1");
        shrinks.grow(4, 0).names(&[shrinks.head(), two.head()], 1).names(&[shrinks.head()], 2);
        let other = TestLog::new("other");
        other.grow(1, 0).names(&[other.head()], 1);
        let stranger = TestLog::new("gw/1");
        stranger.grow(1, 0).names(&[two.head()], 1);
        let ahead = TestLog::new("gw/1");
        ahead.grow(1, 0).names(&[Head { size: 9, ..ahead.head() }, two.head()], 1);

        for (logs, verdict, exit, fault) in [
            (&[("gw/1", &one), ("gw/2", &two)][..], Verdict::Proven, 0, None),
            (&[("gw/2", &two), ("gw/1", &one)], Verdict::Proven, 0, None),
            (&[("gw/1", &one)], Verdict::Undecided, 2, Some("lists gw/2, which is not at hand")),
            (
                &[("gw/1", &one), ("gw/2", &cut)],
                Verdict::Disproven,
                1,
                Some("700 entries of gw/2 were signed, it shows 601: cut off"),
            ),
            (
                &[("gw/1", &one), ("gw/2", &rewritten)],
                Verdict::Disproven,
                1,
                Some("another root for 700 entries: gw/2 was rewritten"),
            ),
            (&[("gw/1", &one), ("gw/2", &alone)], Verdict::Disproven, 1, Some("no log set was read in it")),
            (&[("gw/1", &early), ("gw/2", &late)], Verdict::Undecided, 2, Some("gw/2: does not list it yet")),
            (&[("gw/1", &silent), ("gw/2", &late)], Verdict::Disproven, 1, Some("gw/2: leaves it out of its set")),
            (
                &[("gw/1", &shrinks), ("gw/2", &two)],
                Verdict::Disproven,
                1,
                Some("the log set leaves out a log that an earlier one listed"),
            ),
            (
                &[("gw/1", &one), ("gw/2", &two), ("other", &other)],
                Verdict::Undecided,
                2,
                Some("other: does not list it, nor the other way round: no logs of one set"),
            ),
            (
                &[("gw/1", &stranger), ("gw/2", &two)],
                Verdict::Disproven,
                1,
                Some("a log set that does not list its own log"),
            ),
            (
                &[("gw/1", &ahead), ("gw/2", &two)],
                Verdict::Disproven,
                1,
                Some("9 entries of gw/1 were signed, it shows 2: cut off"),
            ),
        ] {
            let (got, faults, code) = judge(logs);
            let names: Vec<_> = logs.iter().map(|(name, _)| name).collect();
            assert_eq!((got, code), (verdict, exit), "{names:?}: {faults:?}");
            assert!(fault.is_none_or(|want| faults.iter().any(|what| what == want)), "{names:?} {fault:?}: {faults:?}");
            assert!(fault.is_some() || faults.is_empty(), "{names:?}: {faults:?}");
        }
    }
}
