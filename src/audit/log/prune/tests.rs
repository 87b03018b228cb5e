//! A log of more than two segments, pruned, broken and verified.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::audit::anchor::tests::Authority;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::entry::Kind;
use crate::audit::evidence::index;
use crate::audit::log::rebuild::{RebuildError, Source};
use crate::audit::merkle::{self, leaf_hash};
use crate::audit::mirror;
use crate::audit::note::{KeyKind, Signer};
use crate::audit::retention::RETENTION;
use crate::audit::verify::{
    self, Fetch, Options, Pinned, Pruned, Question, Report, SegmentFolder, TileFolder, Verdict,
};
use crate::audit::{Entry, OpenOptions};

const ORIGIN: &str = "gov.example/gw/1";
const DAY_MS: i64 = 86_400_000;
const HELD: Pseudonym = Pseudonym([200; 16]);

fn options() -> OpenOptions {
    let signer = Signer::from_seed(ORIGIN, &[7; 32]).unwrap();
    OpenOptions { interval: Duration::from_secs(3600), ..OpenOptions::new(signer) }
}

fn open(dir: &Path) -> Log {
    Log::open(dir, options()).unwrap()
}

fn entry(kind: Kind, day: i64) -> Entry {
    Entry::new(kind, UnixMillis(day * DAY_MS))
}

/// Appends side by side, so that there are few batches.
fn fill(log: &Log, count: u64, each: impl Fn(u64) -> Entry) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for start in (0..count).step_by(8_000) {
            let all: Vec<Entry> = (start..count.min(start + 8_000)).map(&each).collect();
            let done = futures_util::future::join_all(all.iter().map(|entry| log.append(entry))).await;
            assert!(done.iter().all(Result::is_ok));
        }
    });
}

/// Two whole segments and a half: day 1, day 2, day 3. One case goes through all of them, one through the first two.
fn log_of_three(dir: &Path) -> Log {
    let log = open(dir);
    fill(&log, 2 * SEGMENT_ENTRIES + 700, |n| {
        let day = 1 + (n / SEGMENT_ENTRIES) as i64;
        match n % 10_000 {
            0 => entry(Kind::CaseEvent, day).case(Pseudonym([1; 16])),
            1 if n > SEGMENT_ENTRIES && n < 2 * SEGMENT_ENTRIES => entry(Kind::CaseEvent, day).case(HELD),
            2 => entry(Kind::CaseEvent, day).case(Pseudonym([(n / 10_000) as u8 + 10; 16])),
            _ => entry(Kind::Deny, day),
        }
    });
    log.publish();
    log
}

fn nobody() -> HashSet<Pseudonym> {
    HashSet::new()
}

fn plan(log: &Log, before: i64, upto: u64, held: &HashSet<Pseudonym>) -> Result<Plan, Stays> {
    log.prunable(Bounds { before: UnixMillis(before * DAY_MS), upto, held }).unwrap()
}

/// As the job does it.
fn prune(log: &Log, before: i64, upto: u64) -> u64 {
    let plan = plan(log, before, upto, &nobody()).unwrap();
    let told = log.append_blocking(&plan.pruning(365).write(entry(Kind::Lifecycle, 400))).unwrap();
    let early = log.prune(plan.clone(), &told);
    assert!(matches!(early, Err(AuditError::NotFound)), "not published yet: {early:?}");
    log.publish();
    log.prune(plan, &told).unwrap();
    told.index
}

fn judge(dir: &Path, policy: Option<u32>, seen: &[u8]) -> Report {
    verify::verify(dir, &judged_by(policy, seen), &mut |_, _| {})
}

/// `seen`: an older checkpoint at hand.
fn judged_by(policy: Option<u32>, seen: &[u8]) -> Options {
    let witness = witness().verifier(KeyKind::Cosignature);
    let text = |days| format!("witness w {witness}\nquorum none\n#tongban retention {days}\n");
    let policy = policy.map(|days| Pinned::parse(&text(days)).unwrap());
    let key = Signer::from_seed(ORIGIN, &[7; 32]).unwrap().verifier(KeyKind::Ed25519);
    Options { policy, old: vec![seen.to_vec()], ..Options::new(key) }
}

fn witness() -> Signer {
    Signer::from_seed("w.example", &[9; 32]).unwrap()
}

/// The log's checkpoint of now, as a witness saw it on that day.
fn seen(log: &Log, day: i64) -> Vec<u8> {
    let note = log.checkpoint().note.clone();
    let text = note.split_inclusive("\n\n").next().unwrap().strip_suffix('\n').unwrap();
    format!("{note}{}", witness().cosign(text, u64::try_from(day * DAY_MS / 1000).unwrap())).into_bytes()
}

/// (exit code, integrity, complete)
fn verdicts(report: &Report) -> (u8, Verdict, Verdict) {
    (report.exit_code(), report.verdict(Question::Integrity), report.verdict(Question::Complete))
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for folder in ["", "segments", "levels"] {
        std::fs::create_dir_all(to.path().join(folder)).unwrap();
        for item in std::fs::read_dir(from.join(folder)).unwrap().map(|item| item.unwrap().path()) {
            if item.is_file() {
                std::fs::copy(&item, to.path().join(folder).join(item.file_name().unwrap())).unwrap();
            }
        }
    }
    to
}

fn segments(dir: &Path) -> Vec<String> {
    let items = std::fs::read_dir(dir.join("segments")).unwrap();
    let mut names: Vec<_> = items.map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// What the log's address shows, to a reader of everything.
struct Served<'a>(&'a Log);

impl Fetch for Served<'_> {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match self.0.read(path) {
            _ if path == RETENTION => Ok(Some(self.0.retention(Some(365)).to_string().into_bytes())),
            Ok(resource) => Ok(Some(resource.bytes)),
            Err(AuditError::NotFound | AuditError::Pruned { .. }) => Ok(None),
            Err(error) => Err(io::Error::other(error.to_string())),
        }
    }
}

fn flip(file: PathBuf, at: usize) {
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_log_is_pruned_and_everything_else_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_of_three(dir.path());
    let then = seen(&log, 3);
    let (one, two, all) = (SEGMENT_ENTRIES, 2 * SEGMENT_ENTRIES, u64::MAX);
    let held = HashSet::from([HELD]);
    for (before, upto, held, want) in [
        (1, all, &nobody(), Err(Stays::Young(DAY_MS))), // entries of day 1 are not older than day 1
        (9, one - 1, &nobody(), Err(Stays::Bound)),
        (9, 0, &nobody(), Err(Stays::Bound)),
        (2, all, &nobody(), Ok((one, Stays::Young(2 * DAY_MS)))),
        (9, two - 1, &nobody(), Ok((one, Stays::Bound))),
        (9, all, &held, Ok((one, Stays::Held(HELD)))), // the hold keeps the second segment
        (9, all, &nobody(), Ok((two, Stays::Bound))),
    ] {
        let got = plan(&log, before, upto, held).map(|plan| (plan.base.minimum, plan.stays));
        assert_eq!(got, want, "before day {before}, up to {upto}");
    }

    let mirrored = tempfile::tempdir().unwrap();
    let whole = tempfile::tempdir().unwrap();
    let key = log.key().clone();
    mirror::run(&Served(&log), whole.path(), std::slice::from_ref(&key), &mut |_, _| {}).unwrap();
    let untouched = copy(dir.path());
    let (leaf, old) = (leaf_hash(&log.entry(5).unwrap()), log.checkpoint());
    let told = prune(&log, 9, one);
    assert_eq!((log.minimum(), segments(dir.path()).len()), (one, 2));
    for path in ["tile/entries/000", "tile/entries/255"] {
        assert!(matches!(log.read(path), Err(AuditError::Pruned { minimum }) if minimum == one), "{path}");
    }
    assert!(log.read("tile/entries/256").is_ok() && log.read("tile/0/000").is_ok());
    assert!(matches!(log.entry(5), Err(AuditError::Pruned { .. })));
    assert_eq!(log.entries(5, 10, |_, _| ()).unwrap(), one, "a reader goes on where the entries do");
    let (proof, now) = (log.proof(5).unwrap(), log.checkpoint());
    merkle::check_inclusion(&leaf, 5, now.size, &now.root, &proof.hashes).unwrap();
    let proof = log.consistency(old.size, now.size).unwrap();
    merkle::check_consistency((old.size, &old.root), (now.size, &now.root), &proof).unwrap();

    // What verifiers say: of the folder, of the address, of a mirror begun before and of one begun after.
    let pruned = Some(Pruned { minimum: one, entries: one, told: Some(told) });
    mirror::run(&Served(&log), whole.path(), std::slice::from_ref(&key), &mut |_, _| {}).unwrap();
    let copied = mirror::run(&Served(&log), mirrored.path(), std::slice::from_ref(&key), &mut |_, _| {}).unwrap();
    assert_eq!(copied.pruned, one);
    let again = mirror::run(&Served(&log), mirrored.path(), std::slice::from_ref(&key), &mut |_, _| {}).unwrap();
    assert_eq!((again.written, again.pruned), (0, one));
    for (policy, want) in [
        (None, (2, Verdict::Proven, Verdict::Undecided)),
        (Some(365), (0, Verdict::Proven, Verdict::Kept)),
        (Some(500), (1, Verdict::Proven, Verdict::Disproven)), // pruned after 399 days
    ] {
        let options = judged_by(policy, &then);
        let served = verify::verify_tree(&Served(&log), &options, &mut |_, _| {});
        for report in [judge(dir.path(), policy, &then), served, judge(mirrored.path(), policy, &then)] {
            assert_eq!((verdicts(&report), report.pruned), (want, pruned), "{}", report.text());
        }
    }
    let report = judge(whole.path(), None, &then);
    assert_eq!((verdicts(&report).0, report.pruned), (0, None), "{}", report.text());
    // An auditor who verified the log before goes on without the old entries.
    let mut first = judged_by(None, &then);
    first.keep_state = true;
    let state = verify::verify(untouched.path(), &first, &mut |_, _| {}).state.unwrap();
    let since = Options { since: Some(state.note.clone()), state: Some(state), ..judged_by(None, &then) };
    let report = verify::verify_tree(&Served(&log), &since, &mut |_, _| {});
    assert_eq!(verdicts(&report), (0, Verdict::Proven, Verdict::Proven), "{}", report.text());
    let sampled = Options { sample: Some((400, [4; 32])), ..judged_by(None, &then) };
    assert_eq!(verify::verify_tree(&Served(&log), &sampled, &mut |_, _| {}).exit_code(), 2);

    // The next life, and the next pruning.
    drop(log);
    let log = open(dir.path());
    assert_eq!(log.minimum(), one);
    let same = open(untouched.path());
    fill(&same, 1, |_| entry(Kind::Lifecycle, 400)); // as many entries as the pruned log has
    let mut tree = Sm3Tree::default();
    same.entries(0, one, |_, bytes| tree.push(bytes)).unwrap();
    assert_eq!(log.pruned_sm3().unwrap().as_ref(), Some(tree.edge()), "SM3 roots go on over all entries");
    let map = |log: &Log| {
        let at = log.append_blocking(&entry(Kind::CaseEvent, 401).case(Pseudonym([1; 16]))).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let index = runtime.block_on(log.append_index(entry(Kind::Index, 401))).unwrap();
        let link = EntryHead::parse(&log.entry(at.index).unwrap()).unwrap().case.unwrap().seq;
        (link, index::read(&log.entry(index.index).unwrap()).unwrap())
    };
    assert_eq!(map(&log), map(&same), "chains and the map of all cases go on as if nothing had gone");
    log.publish();
    let told = prune(&log, 9, two);
    let report = judge(dir.path(), Some(365), &then);
    let pruned = Some(Pruned { minimum: two, entries: two, told: Some(told) });
    assert_eq!((verdicts(&report).0, report.pruned), (0, pruned), "{}", report.text());
    assert_eq!(plan(&log, 999, all, &nobody()).unwrap_err(), Stays::Bound);

    // Lost, and made anew from a mirror: with what the old folder kept, and not without.
    let mirrored = tempfile::tempdir().unwrap();
    mirror::run(&Served(&log), mirrored.path(), std::slice::from_ref(&key), &mut |_, _| {}).unwrap();
    let (tiles, size) = (TileFolder(mirrored.path().to_owned()), log.size());
    drop(log);
    let (known, built) =
        ([("the old folder", Checkpoint::new(ORIGIN, old.size, old.root))], tempfile::tempdir().unwrap());
    let source = Source::open(&tiles, &key, &known).unwrap();
    let nothing = source.rebuild(built.path(), mirrored.path(), &mut |_, _| {});
    assert!(matches!(nothing, Err(RebuildError::Pruned(_))), "{nothing:?}");
    let built = tempfile::tempdir().unwrap();
    source.rebuild(built.path(), dir.path(), &mut |_, _| {}).unwrap();
    let again = open(built.path());
    assert_eq!((again.size(), again.minimum()), (size, two));
    let report = judge(built.path(), Some(365), &then);
    assert_eq!((verdicts(&report).0, report.pruned), (0, pruned), "{}", report.text());
    let of_another = [("the store", Checkpoint::new(ORIGIN, old.size, now.root))];
    assert!(matches!(Source::open(&tiles, &key, &of_another), Err(RebuildError::Contradiction { .. })));
    let longer = [("the store", Checkpoint::new(ORIGIN, size + 1, now.root))];
    assert!(matches!(Source::open(&tiles, &key, &longer), Err(RebuildError::Short { .. })));
}

#[test]
fn whatever_a_crash_leaves_behind_the_next_start_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_of_three(dir.path());
    let then = seen(&log, 3);
    let minimum = 2 * SEGMENT_ENTRIES;
    let plan = plan(&log, 9, minimum, &nobody()).unwrap();
    let base = plan.base.clone();
    drop(log);
    let unannounced = copy(dir.path());
    let log = open(dir.path());
    let told = log.append_blocking(&plan.pruning(365).write(entry(Kind::Lifecycle, 400))).unwrap();
    drop(log);
    let base = Base { told: told.index, ..base };

    let report = judge(dir.path(), None, &then);
    assert_eq!((verdicts(&report).0, report.pruned), (0, None), "announced, and all are there: {}", report.text());
    for removed in 0..=2 {
        let crashed = copy(dir.path());
        std::fs::write(crashed.path().join(PRUNED), base.encode()).unwrap();
        for number in 0..removed {
            std::fs::remove_file(crashed.path().join("segments").join(segment::name(number))).unwrap();
        }
        let report = judge(crashed.path(), Some(365), &then);
        assert_eq!(verdicts(&report), (0, Verdict::Proven, Verdict::Kept), "{removed} removed: {}", report.text());
        let log = open(crashed.path());
        assert_eq!((log.minimum(), log.size()), (minimum, told.index + 1));
        assert_eq!(segments(crashed.path()), ["000002.seg"]);
    }
    // Broken, or gone without a word: refused at the start where it can be told, and disproven by the verifier.
    let broken = |from: &Path, what: &dyn Fn(&Path)| {
        let broken = copy(from);
        std::fs::write(broken.path().join(PRUNED), base.encode()).unwrap();
        remove_below(&crate::audit::log::disk::RealDisk, &broken.path().join("segments"), 2).unwrap();
        what(broken.path());
        (judge(broken.path(), Some(365), &then).exit_code(), Log::open(broken.path(), options()).is_ok())
    };
    for (name, from, what, opens) in [
        ("nothing", dir.path(), &(|_: &Path| ()) as &dyn Fn(&Path), true),
        ("no announcement", unannounced.path(), &|_| (), true),
        ("the base", dir.path(), &|dir| flip(dir.join(PRUNED), 70), false),
        ("no base", dir.path(), &|dir| std::fs::remove_file(dir.join(PRUNED)).unwrap(), false),
        ("a leaf hash", dir.path(), &|dir| flip(dir.join("levels/0"), 32 * 70_000), false),
        ("a hash above", dir.path(), &|dir| flip(dir.join("levels/1"), 32 * 300), false),
        ("no segment", dir.path(), &|dir| std::fs::remove_file(dir.join("segments/000002.seg")).unwrap(), false),
    ] {
        assert_eq!(broken(from, what), (u8::from(name != "nothing"), opens), "{name}");
    }
    let copied = TileFolder(dir.path().to_owned());
    assert_eq!(
        verify::claimed_minimum(&copied, ORIGIN, 1 << 40).unwrap(),
        0,
        "a folder that says nothing claims nothing"
    );
}

/// A log that says of young entries that they were old is contradicted by whoever saw it before they were written.
/// The log's word on the age of what it pruned is worth what others saw of the log then.
#[test]
fn what_others_saw_of_a_log_tells_how_old_pruned_entries_can_be() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_of_three(dir.path());
    let whole = |day: i64| seen(&log, day);
    let signer = Signer::from_seed(ORIGIN, &[7; 32]).unwrap();
    let text = Checkpoint::new(ORIGIN, 0, merkle::empty_root()).to_string();
    let empty = |day: i64| {
        let cosigned = witness().cosign(&text, u64::try_from(day * DAY_MS / 1000).unwrap());
        (signer.sign(&text) + &cosigned).into_bytes()
    };
    let (note, size) = (log.checkpoint().note.clone(), log.size());
    let (alone, authority) = (note.clone().into_bytes(), Authority::new());
    let rows = [
        ("the whole log, by its own word", alone, 2, Verdict::Undecided),
        ("the whole log, when it was young", whole(3), 0, Verdict::Kept),
        ("the whole log, 365 days before", whole(35), 0, Verdict::Kept),
        ("the whole log, too late", whole(37), 2, Verdict::Undecided),
        ("an empty log, before the entries", empty(1), 2, Verdict::Undecided),
        ("an empty log, long after the entries are said to be", empty(30), 1, Verdict::Disproven),
    ];
    prune(&log, 400, SEGMENT_ENTRIES); // of day 1, on day 400
    drop(log);
    for (what, seen, exit, complete) in rows {
        let report = judge(dir.path(), Some(365), &seen);
        assert_eq!(
            (report.exit_code(), report.verdict(Question::Complete)),
            (exit, complete),
            "{what}: {}",
            report.text()
        );
    }
    // A time-stamp of then does as well, and goes along with every copy.
    let mirrored = tempfile::tempdir().unwrap();
    for (day, exit) in [(35, 0), (37, 2)] {
        let folder = dir.path().join("anchors");
        std::fs::create_dir_all(&folder).unwrap();
        let stamp = |note: String, day: i64| authority.stamp(&note, UnixMillis(day * DAY_MS)).to_string();
        std::fs::write(folder.join(format!("{size:020}")), stamp(note.clone(), day)).unwrap();
        std::fs::write(folder.join(format!("{:020}", size + 1)), stamp(last_note(dir.path()), 400)).unwrap();
        let key = Signer::from_seed(ORIGIN, &[7; 32]).unwrap().verifier(KeyKind::Ed25519);
        let shown = SegmentFolder::new(dir.path().to_owned());
        mirror::run(&shown, mirrored.path(), &[key], &mut |_, _| {}).unwrap();
        let by =
            Options { old: Vec::new(), time_authorities: vec![authority.root.clone()], ..judged_by(Some(365), b"") };
        for place in [dir.path(), mirrored.path()] {
            let report = verify::verify(place, &by, &mut |_, _| {});
            assert_eq!(report.exit_code(), exit, "stamped on day {day}: {}", report.text());
        }
    }
}

fn last_note(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("checkpoint")).unwrap()
}
