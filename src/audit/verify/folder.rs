//! Verifies the data folder of a stopped gateway: segments, footers, level files, checkpoint and key, each byte.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::judge::{Judge, Place};
use super::report::{Question, Report, Verdict};
use super::{Options, Progress};
use crate::audit::anchor::MAX_ANCHOR;
use crate::audit::checkpoint::MAP;
use crate::audit::gm::GmKey;
use crate::audit::log::base::{Base, PRUNED};
use crate::audit::log::segment::{self, Chain, Fault, MAX_SEGMENT, SEGMENT_ENTRIES, Tail, Visitor};
use crate::audit::log::{self, disk::DiskFile};
use crate::audit::log::{COSIGNERS, GM_KEY};
use crate::audit::note::{Note, NoteError, SignatureLine, VerifierKey};
use crate::audit::plain;
use crate::terms::Digest;

/// Hashes compared with a level file at a time, in bytes.
const COMPARE: usize = 64 * 1024;
/// Longest level file beyond its hashes, in bytes: a log takes 256 KiB in advance.
const MAX_SPARE: u64 = 64 << 20;
/// Levels of a log of 2^64 entries.
const LEVELS: usize = 8;

/// How often, and how long apart, a log that is being written is read again where it looks damaged.
const LOOKS: u32 = 10;
const PATIENCE: Duration = Duration::from_millis(50);

pub(super) fn verify(dir: &Path, options: &Options, progress: Progress<'_>) -> Report {
    // In this order: what the first one promises, the second one has.
    let mapped = small_file(&dir.join(MAP));
    let note = small_file(&dir.join("checkpoint")).map_err(|error| error.to_string());
    let (mut judge, signed) = Judge::new(options, note.as_deref().map_err(String::as_str));
    small_files(dir, options, &mut judge);
    let signers = Signers::of(dir, options, &mut judge);
    if let Ok(note) = &note {
        signers.check("checkpoint", note, &mut judge);
    }
    match mapped {
        Ok(mapped) => {
            signers.check(MAP, &mapped, &mut judge);
            if signed.is_some() {
                judge.mapped(&mapped);
                judge.keep_promises("checkpoint");
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => judge.fault(Question::Integrity, Verdict::Undecided, MAP, None, &error.to_string()),
    }
    let segments = match listing(&dir.join("segments")) {
        Ok(names) => names,
        Err(error) => {
            judge.unread(Question::Integrity, "segments", &error.to_string());
            return judge.finish();
        }
    };
    let mut chain = Chain::start(options.origin());
    let mut each = Each { judge, levels: Levels::open(dir), file: String::new(), progress };
    let mut segments = segments;
    let first = match Base::read(dir) {
        Ok(None) => 0,
        Ok(Some(base)) => {
            let all = segments.len();
            let number = |name: &str| name.strip_suffix(".seg").and_then(|digits| digits.parse::<u64>().ok());
            segments.retain(|name| number(name).is_none_or(|n| n >= base.segment() || segment::name(n) != *name));
            if segments.len() < all {
                let left = all - segments.len();
                each.judge.report.notes.push(format!("{left} 个待清除段 segments that the next start removes"));
            }
            each.below(&base, &mut chain)
        }
        Err(error) => {
            each.file = PRUNED.into();
            each.unread(&error);
            return each.judge.finish();
        }
    };
    if each.judge.stopped {
        return each.judge.finish();
    }
    if first > 0 && segments.is_empty() {
        each.disproven(None, "the segment after those that were pruned is missing");
    }
    let count = segments.len();
    for (number, name) in segments.iter().enumerate() {
        let (number, is_last) = (first + number as u64, number + 1 == count);
        each.file = format!("segments/{name}");
        if *name != segment::name(number) {
            let what = format!("{} is missing, or this file is no segment", segment::name(number));
            each.disproven(None, &what);
            break;
        }
        let file = match open(&dir.join(&each.file)) {
            Ok(file) => file,
            Err(error) => {
                each.unread(&error);
                break;
            }
        };
        if file.size().is_ok_and(|size| size > MAX_SEGMENT) {
            each.disproven(None, "longer than a segment can be");
            break;
        }
        match segment::walk(&*file, number, options.origin(), &mut chain, &mut each) {
            Err(error) => each.unread(&error),
            Ok(walked) => match walked.fault {
                Some(fault) if is_last => {
                    let tail = settled(dir, &*file, walked.end, &chain);
                    each.tail(tail, walked.end, &fault, &chain);
                }
                Some(fault) => each.disproven(Some(fault.offset), fault.what),
                None if !is_last && chain.frontier.size() != (number + 1) * SEGMENT_ENTRIES => {
                    each.disproven(Some(walked.end), "entries are missing at the end of this segment");
                }
                None => continue,
            },
        }
        break;
    }
    let Each { mut judge, levels, .. } = each;
    levels.finish(&mut judge, chain.frontier.size(), log::is_open(dir));
    let unsigned = chain.frontier.size().saturating_sub(judge.report.size);
    if unsigned > 0 {
        judge
            .report
            .notes
            .push(format!("检查点之后另有 {unsigned} 条 entries after the checkpoint: no signature covers them yet"));
    }
    judge.finish()
}

/// What follows the last whole batch; `None` when it has become a whole batch meanwhile: it was written while it was read.
fn settled(dir: &Path, file: &dyn DiskFile, end: u64, chain: &Chain) -> io::Result<Option<(Tail, u64)>> {
    let mut tail = log::tail(file, end, chain)?;
    for _ in 0..LOOKS {
        if tail.0 == Tail::Cut || !log::is_open(dir) {
            break;
        }
        std::thread::sleep(PATIENCE);
        if segment::goes_on(file, end, chain)? {
            return Ok(None);
        }
        tail = log::tail(file, end, chain)?;
    }
    Ok(Some(tail))
}

fn open(path: &Path) -> io::Result<Arc<dyn DiskFile>> {
    Ok(Arc::new(plain::open(path)?))
}

fn listing(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for item in std::fs::read_dir(dir)? {
        names.push(item?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| !name.ends_with(".new")); // a write to beside its file, broken off: it replaced nothing
    names.sort_unstable();
    Ok(names)
}

/// A file of at most [`MAX_ANCHOR`] bytes.
fn small_file(path: &Path) -> io::Result<Vec<u8>> {
    plain::read(path, MAX_ANCHOR as u64)
}

fn small_files(dir: &Path, options: &Options, judge: &mut Judge<'_>) {
    let wrong = |judge: &mut Judge<'_>, file: &str, what: &str| {
        judge.fault(Question::Integrity, Verdict::Disproven, file, None, what);
    };
    match small_file(&dir.join("key")) {
        Ok(text) => match keys_in(&text) {
            Some(keys) if keys.contains(&options.key) && keys.iter().all(|key| key.name() == options.key.name()) => {}
            _ => wrong(judge, "key", "not the key that was given"),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => wrong(judge, "key", "there is no such file"),
        Err(error) => judge.fault(Question::Integrity, Verdict::Undecided, "key", None, &error.to_string()),
    }
    if std::fs::metadata(dir.join("lock")).is_ok_and(|meta| meta.len() > 0) {
        wrong(judge, "lock", "the lock file is not empty");
    }
    anchors(dir, options, judge);
    let known = ["anchors", "checkpoint", "cosigners", "gm-key", "key", "levels", "lock", MAP, PRUNED, "segments"];
    for name in listing(dir).unwrap_or_default() {
        if !known.contains(&name.as_str()) {
            judge.fault(Question::Integrity, Verdict::Undecided, &name, None, "a file that does not belong here");
        }
    }
}

/// The log's keys: one a line, the one in use first.
pub(super) fn keys_in(text: &[u8]) -> Option<Vec<VerifierKey>> {
    let keys: Vec<VerifierKey> = std::str::from_utf8(text).ok()?.lines().filter_map(|line| line.parse().ok()).collect();
    let same = keys.iter().map(|key| format!("{key}\n")).collect::<String>().as_bytes() == text;
    (same && (1..=2).contains(&keys.len())).then_some(keys)
}

/// Whose keys lie in the folder.
struct Signers {
    /// The log's, and those of witnesses.
    keys: Vec<VerifierKey>,
    gm: Option<GmKey>,
}

impl Signers {
    fn of(dir: &Path, options: &Options, judge: &mut Judge<'_>) -> Self {
        let text = match small_file(&dir.join(COSIGNERS)) {
            Ok(text) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                judge.fault(Question::Integrity, Verdict::Undecided, COSIGNERS, None, &error.to_string());
                String::new()
            }
        };
        let keys: Vec<VerifierKey> = text.lines().filter_map(|line| line.parse().ok()).collect();
        if keys.iter().map(|key| format!("{key}\n")).collect::<String>() != text {
            judge.fault(Question::Integrity, Verdict::Disproven, COSIGNERS, None, "not a list of verifier keys");
        }
        // The log's other key signs as well while it changes; what was said of the file is said already.
        let own = small_file(&dir.join("key")).ok().and_then(|text| keys_in(&text)).unwrap_or_default();
        let keys = std::iter::once(options.key.clone()).chain(keys).chain(own).collect();
        Self { keys, gm: gm_key(dir, judge) }
    }

    /// Every line beside the log's own is of a witness whose key lies in the folder, and verifies. Whether those witnesses
    /// count is for the auditor's own policy.
    fn check(&self, file: &str, note: &[u8], judge: &mut Judge<'_>) {
        let Ok(note) = Note::parse(note) else { return }; // said elsewhere
        if self.gm.as_ref().and_then(|key| key.signed(&note)) == Some(false) {
            let what = "the SM2 signature does not verify";
            judge.fault(Question::Integrity, Verdict::Disproven, file, None, what);
        }
        let known = |line: &&SignatureLine<'_>| {
            self.keys.iter().any(|key| key.name() == line.name && key.id() == line.key_id)
                || self.gm.as_ref().is_some_and(|key| key.is_of(line.name, line.key_id))
        };
        if let Some(line) = note.signatures().iter().find(|line| !known(line)) {
            let what = format!("a signature line of nobody whose key is here: {}", line.name);
            judge.fault(Question::Integrity, Verdict::Undecided, file, None, &what);
        }
        if let Err(error @ NoteError::Signature(_)) = note.verify(&self.keys) {
            judge.fault(Question::Integrity, Verdict::Disproven, file, None, &error.to_string());
        }
    }
}

/// The SM2 key that lies in the folder. Whether it is the log's is asked with `--gm`.
fn gm_key(dir: &Path, judge: &mut Judge<'_>) -> Option<GmKey> {
    let text = small_file(&dir.join(GM_KEY)).ok()?;
    let key = String::from_utf8_lossy(&text).trim_end().parse::<GmKey>().ok();
    if key.as_ref().is_none_or(|key| format!("{key}\n").as_bytes() != text) {
        judge.fault(Question::Integrity, Verdict::Disproven, GM_KEY, None, "not an SM2 note verifier key");
    }
    key
}

fn anchors(dir: &Path, options: &Options, judge: &mut Judge<'_>) {
    if options.time_authorities.is_empty() {
        return;
    }
    for name in listing(&dir.join("anchors")).unwrap_or_default() {
        match small_file(&dir.join("anchors").join(&name)) {
            Ok(bytes) => judge.anchor(&bytes),
            Err(error) => {
                let file = format!("anchors/{name}");
                judge.fault(Question::Anchored, Verdict::Undecided, &file, None, &error.to_string());
            }
        }
    }
}

/// Hears of every entry of every segment.
struct Each<'a, 'p> {
    judge: Judge<'a>,
    levels: Levels,
    file: String,
    progress: Progress<'p>,
}

impl Each<'_, '_> {
    /// The hashes of the entries that were pruned, in the entries' place; gives the number of the first segment.
    fn below(&mut self, base: &Base, chain: &mut Chain) -> u64 {
        let name = "levels/0".to_owned();
        let file = self.levels.files.first().and_then(|(_, file)| file.clone());
        let (mut at, mut buffer) = (0, vec![0; COMPARE]);
        if let Some((_, error)) = self.levels.refused.iter().find(|(level, _)| *level == name) {
            self.judge.unread(Question::Integrity, &name, error);
            return base.segment();
        }
        while at < base.minimum {
            let got = match file.as_ref().map_or(Ok(0), |file| file.read_at(&mut buffer, at * 32)) {
                Ok(got) => got,
                Err(error) => {
                    self.file = name;
                    self.unread(&error);
                    return base.segment();
                }
            };
            if got < COMPARE {
                self.file = name;
                self.disproven(Some(at * 32), "hashes of entries that were pruned are missing");
                break;
            }
            for leaf in buffer.as_chunks::<32>().0 {
                let levels = &mut self.levels;
                self.judge.leaf(Digest(*leaf), &name, |level, hash| levels.push(level, hash));
            }
            self.levels.compare(&mut self.judge, 1);
            at += (COMPARE / 32) as u64;
            self.judge.not_kept((COMPARE / 32) as u64, PRUNED);
            (self.progress)(at, self.judge.report.size);
        }
        if self.judge.frontier.root() != base.root {
            self.file = PRUNED.into();
            self.disproven(None, "not the root of the hashes that were kept");
        }
        *chain = Chain { frontier: self.judge.frontier.clone(), last_footer: base.last_footer };
        base.segment()
    }

    fn disproven(&mut self, offset: Option<u64>, what: &str) {
        let index = Some(self.judge.frontier.size());
        let place = Place { file: &self.file, offset };
        self.judge.fault_at(Question::Integrity, Verdict::Disproven, place, index, what);
    }

    /// What could not be read convicts nobody; what was read and is no file of a log does.
    fn unread(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::InvalidData {
            return self.disproven(None, &error.to_string());
        }
        self.judge.unread(Question::Integrity, &self.file, &error.to_string());
    }

    /// What stands after the last batch that holds. Every signed entry is before it, or the signature says so.
    fn tail(&mut self, tail: io::Result<Option<(Tail, u64)>>, end: u64, fault: &Fault, chain: &Chain) {
        let is_signed = chain.frontier.size() < self.judge.report.size;
        let (tail, used) = match tail {
            _ if is_signed => return self.disproven(Some(fault.offset), fault.what),
            Ok(Some(found)) => found,
            Ok(None) => {
                let note = format!("正在写入 written while it was read: {} 字节 byte {end}", self.file);
                return self.judge.report.notes.push(note);
            }
            Err(error) => return self.unread(&error),
        };
        let note = match tail {
            Tail::Cut => "未写完的一批（无人得到答复） a batch not written to its end, of which nobody was told: ",
            Tail::Torn => {
                let place = Place { file: &self.file, offset: Some(fault.offset) };
                let what = "what follows the last whole batch may be torn by a crash; opening the log decides";
                return self.judge.fault_at(Question::Integrity, Verdict::Undecided, place, None, what);
            }
            Tail::Damaged => return self.disproven(Some(fault.offset), fault.what),
        };
        self.judge.report.notes.push(format!("{note}{} 字节 byte {end}, {used} bytes", self.file));
    }
}

impl Visitor for Each<'_, '_> {
    fn entry(&mut self, _: u64, offset: u64, leaf: &Digest, bytes: &[u8]) {
        let place = Place { file: &self.file, offset: Some(offset) };
        let levels = &mut self.levels;
        self.judge.entry(bytes, *leaf, place, |level, hash| levels.push(level, hash));
    }

    fn hash(&mut self, _: u8, _: &Digest) {}

    fn batch(&mut self, chain: &Chain) {
        self.levels.compare(&mut self.judge, COMPARE);
        (self.progress)(chain.frontier.size(), self.judge.report.size);
    }
}

/// Level files compared with the hashes that the entries give.
struct Levels {
    files: Vec<(String, Option<Arc<dyn DiskFile>>)>,
    /// Bytes compared so far, and bytes still to compare.
    pending: Vec<(u64, Vec<u8>)>,
    unknown: Vec<String>,
    /// Those that are there and could not be opened, and why.
    refused: Vec<(String, String)>,
}

impl Levels {
    fn open(dir: &Path) -> Self {
        let names = listing(&dir.join("levels")).unwrap_or_default();
        let is_level = |name: &&String| name.parse::<usize>().is_ok_and(|n| n < LEVELS && n.to_string() == **name);
        let unknown = names.iter().filter(|name| !is_level(name)).map(|name| format!("levels/{name}")).collect();
        let (mut files, mut refused) = (Vec::new(), Vec::new());
        for name in (0..LEVELS).map(|n| format!("levels/{n}")) {
            let file = match open(&dir.join(&name)) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => {
                    refused.push((name.clone(), error.to_string()));
                    None
                }
            };
            files.push((name, file));
        }
        Self { files, pending: vec![(0, Vec::new()); LEVELS], unknown, refused }
    }

    fn push(&mut self, level: u8, hash: &Digest) {
        if let Some((_, pending)) = self.pending.get_mut(usize::from(level)) {
            pending.extend_from_slice(&hash.0);
        }
    }

    /// Compares where at least `least` bytes wait.
    fn compare(&mut self, judge: &mut Judge<'_>, least: usize) {
        for (level, ((name, file), (done, want))) in self.files.iter().zip(&mut self.pending).enumerate() {
            if want.is_empty() || want.len() < least {
                continue;
            }
            let mut stored = vec![0; want.len()];
            if let Some(file) = file
                && let Err(error) = file.read_at(&mut stored, *done)
            {
                judge.fault(Question::Integrity, Verdict::Undecided, name, None, &error.to_string());
            }
            for (n, (a, b)) in stored.chunks(32).zip(want.chunks(32)).enumerate().filter(|(_, (a, b))| a != b) {
                let start = *done + n as u64 * 32;
                let offset = start + a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(0) as u64;
                // What a crash kept from being written is rebuilt when the log is opened next; where no signature
                // covers the hash yet, that leaves nothing to doubt.
                let missing = a.iter().all(|byte| *byte == 0);
                if missing && start / 32 >= judge.report.size >> (8 * level) {
                    continue;
                }
                let (verdict, what) = match missing {
                    true => (Verdict::Undecided, "a hash was not written; opening the log writes it"),
                    false => (Verdict::Disproven, "not the hash of the entries below it"),
                };
                judge.fault_at(Question::Integrity, verdict, Place { file: name, offset: Some(offset) }, None, what);
            }
            *done += want.len() as u64;
            want.clear();
        }
    }

    /// After the last entry: the rest of the files must be zeros, but for what a log `is_open` writes meanwhile.
    fn finish(mut self, judge: &mut Judge<'_>, size: u64, is_open: bool) {
        self.compare(judge, 1);
        for (name, why) in &self.refused {
            judge.fault(Question::Integrity, Verdict::Undecided, name, None, why);
        }
        for name in &self.unknown {
            judge.fault(Question::Integrity, Verdict::Undecided, name, None, "a file that does not belong here");
        }
        if judge.stopped {
            return; // what follows is of entries that were not read
        }
        for (level, (name, file)) in self.files.iter().enumerate() {
            let Some(file) = file else { continue };
            let first = (size >> (8 * level)) * 32;
            let mut at = first;
            let mut buffer = vec![0; COMPARE];
            if file.size().is_ok_and(|size| size > first + MAX_SPARE) {
                let what = "far longer than its hashes; the rest of it was not read";
                judge.fault(Question::Integrity, Verdict::Undecided, name, None, what);
                continue;
            }
            loop {
                match file.read_at(&mut buffer, at) {
                    Ok(0) => break,
                    Ok(n) => {
                        if let Some(found) = buffer[..n].iter().position(|byte| *byte != 0) {
                            if is_open && at == first && found < 32 {
                                break;
                            }
                            let place = Place { file: name, offset: Some(at + found as u64) };
                            let what = "bytes that are not zero after the last hash";
                            judge.fault_at(Question::Integrity, Verdict::Disproven, place, None, what);
                            break;
                        }
                        at += n as u64;
                    }
                    Err(error) => {
                        judge.fault(Question::Integrity, Verdict::Undecided, name, None, &error.to_string());
                        break;
                    }
                }
            }
        }
    }
}
