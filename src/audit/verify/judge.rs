//! Judges a log entry by entry, in order, in bounded memory.

use std::collections::BTreeMap;

use super::clocks::Clocks;
use super::commercial::Commercial;
use super::peers::Peers;
use super::pruned::Gap;
use super::report::{Fault, Question, Report, Verdict};
use super::state::{Half, State, half};
use super::{ANOTHER_KEY, Options};
use crate::audit::FastMap;
use crate::audit::anchor;
use crate::audit::checkpoint::{CheckpointError, MAP, SignedCheckpoint};
use crate::audit::entry::{CaseLink, EntryHead, Kind, Pseudonym, Role, Unjudged};
use crate::audit::evidence::index::{self, Map};
use crate::audit::logset::LogSet;
use crate::audit::merkle::Frontier;
use crate::audit::note::NoteError;
use crate::audit::tile::HEIGHT;
use crate::terms::Digest;

/// Intents younger than this at the log's end may still be in flight, in milliseconds.
const IN_FLIGHT_MS: i64 = 600_000;
/// Open intents followed at most: a log with more is not one of ours, and memory stays bounded.
const MAX_INTENTS: usize = 1_000_000;

/// Where an entry was read from, for the report.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub file: &'a str,
    pub offset: Option<u64>,
}

pub struct Judge<'o> {
    pub(super) options: &'o Options,
    pub(super) commercial: Commercial,
    pub(super) peers: Peers<'o>,
    pub(super) clocks: Clocks,
    pub report: Report,
    pub frontier: Frontier,
    /// Roots promised for sizes still to come: (who promised, root, which question it answers).
    pub(super) promises: BTreeMap<u64, Vec<(String, Digest, Question)>>,
    /// `seq`, leaf and index of each case's last entry.
    cases: FastMap<Pseudonym, (u32, Half, u64)>,
    /// The entry that the log's checkpoint of a map ends with.
    pub(super) map_at: Option<u64>,
    /// Which key made the pseudonyms, as the last map says.
    pseudonyms: Option<Pseudonym>,
    /// Leaves hashed for maps so far, and maps that were not computed again.
    map_work: u64,
    maps_skipped: u64,
    cases_full: bool,
    intents: FastMap<Digest, (u64, i64)>,
    intents_full: bool,
    last_ts: i64,
    kinds: FastMap<Kind, u64>,
    note: Option<Vec<u8>>,
    /// Entries that are not there, and what the log has on record of it.
    pub(super) gap: Gap,
    /// Whether entries were read, and not only hashes or a sample.
    pub(super) entries_seen: bool,
    /// Chains that began below the place where this walk began, when nothing is known of them.
    pub(super) begun_before: Option<u64>,
    /// Reading ended early, because something could not be read.
    pub(super) stopped: bool,
}

impl<'o> Judge<'o> {
    /// Takes the log's checkpoint, or why there is none, and the older ones; `None` when the log's own is no good.
    pub fn new(options: &'o Options, note: Result<&[u8], &str>) -> (Self, Option<SignedCheckpoint>) {
        let mut judge = Self {
            options,
            commercial: Commercial::asked(!options.gm.is_empty() && options.entries_are_ours),
            peers: Peers::open(options),
            clocks: Clocks::default(),
            report: Report { origin: options.origin().to_owned(), ..Report::default() },
            frontier: Frontier::new(),
            promises: BTreeMap::new(),
            cases: FastMap::default(),
            map_at: None,
            pseudonyms: None,
            map_work: 0,
            maps_skipped: 0,
            cases_full: false,
            intents: FastMap::default(),
            intents_full: false,
            last_ts: i64::MIN,
            kinds: FastMap::default(),
            note: None,
            gap: Gap::default(),
            entries_seen: true,
            begun_before: None,
            stopped: false,
        };
        judge.report.answer(Question::Integrity, Verdict::Proven);
        if options.entries_are_ours {
            judge.report.answer(Question::Complete, Verdict::Proven);
            judge.report.answer(Question::Content, Verdict::Proven);
        }
        let note = match note {
            Ok(note) => note,
            Err(why) => {
                judge.fault(Question::Integrity, Verdict::Undecided, "checkpoint", None, why);
                return (judge, None);
            }
        };
        let signed = match options.open(note) {
            Ok(signed) => signed,
            Err(error) => {
                judge.fault(Question::Integrity, Verdict::Disproven, "checkpoint", None, &error.to_string());
                if matches!(error, CheckpointError::Note(NoteError::Unsigned)) {
                    judge.report.notes.push(ANOTHER_KEY.to_owned());
                }
                return (judge, None);
            }
        };
        judge.note = options.keep_state.then(|| note.to_vec());
        judge.report.size = signed.size();
        judge.report.root = Some(signed.root());
        if let Some(now) = options.now {
            judge.clocks.seen(u64::MAX, now.0);
        }
        if let Some(at) = judge.cosigned_at(note) {
            judge.clocks.seen(signed.size(), at);
        }
        judge.promise("checkpoint", &signed, Question::Integrity);
        judge.witnesses(&signed);
        judge.gm_line(&signed);
        for (n, note) in options.old.iter().chain(&options.since).enumerate() {
            judge.old(n, note, &signed);
        }
        options.anchors.iter().for_each(|bytes| judge.stamped(bytes, true));
        judge.keep_promises("checkpoint");
        (judge, Some(signed))
    }

    /// Something could not be read, and reading ends there: nobody is convicted by a bad network, or a disk that refuses.
    pub(super) fn unread(&mut self, question: Question, file: &str, what: &str) {
        self.stopped = true;
        self.fault(question, Verdict::Undecided, file, None, what);
    }

    pub fn fault(&mut self, question: Question, verdict: Verdict, file: &str, index: Option<u64>, what: &str) {
        self.fault_at(question, verdict, Place { file, offset: None }, index, what);
    }

    pub fn fault_at(&mut self, question: Question, verdict: Verdict, place: Place<'_>, index: Option<u64>, what: &str) {
        let (file, what) = (place.file.to_owned(), what.to_owned());
        self.report.fault(Fault { question, verdict, file, offset: place.offset, index, what });
    }

    /// Begins after the entries of an older checkpoint, whose right edge is tied to the present root. `state` is what
    /// an earlier verification remembers of its chains.
    pub fn resume(&mut self, since: Frontier, state: Option<State>) {
        self.report.since = Some(since.size());
        if since.size() > 0 {
            self.gm_unread("checkpoint");
        }
        match state {
            Some(state) => {
                self.clocks.resume(state.last_ts, state.stamped);
                (self.cases, self.intents, self.last_ts) = (state.cases, state.intents, state.last_ts);
                (self.pseudonyms, self.report.sets.newest) = (state.pseudonyms, state.set);
            }
            None => self.begun_before = Some(0),
        }
        self.frontier = since;
        self.keep_promises("checkpoint");
    }

    /// The entries were not read, and what they would have told stays open.
    pub fn entries_unread(&mut self, file: &str, what: &str) {
        if self.options.entries_are_ours {
            self.fault(Question::Content, Verdict::Undecided, file, None, what);
            self.fault(Question::Complete, Verdict::Undecided, file, None, what);
        } else {
            self.report.notes.push(format!("{file}: {what}"));
        }
        self.gm_unread(file);
        self.entries_seen = false;
    }

    /// Only a sample was read: where it holds, no more than that is said.
    pub fn only_sampled(&mut self) {
        self.report.answer(Question::Integrity, Verdict::Sampled);
        if self.options.entries_are_ours {
            self.report.answer(Question::Content, Verdict::Sampled);
        }
        self.report.verdicts.remove(&Question::Complete);
        self.gm_unread("checkpoint");
        self.entries_seen = false;
    }

    /// One entry of a sample: its content only.
    pub fn sampled(&mut self, bytes: &[u8], index: u64, place: Place<'_>) {
        if !self.options.entries_are_ours {
            return;
        }
        match EntryHead::parse(bytes) {
            Ok(head) => {
                *self.kinds.entry(head.kind).or_default() += 1;
                if let Some(what) = self.clocks.against_others(index, head.ts) {
                    self.fault_at(Question::Content, Verdict::Disproven, place, Some(index), &what);
                }
                if let Some(link) = head.case {
                    self.sealed(&link, bytes, index, place);
                }
            }
            Err(error) => self.unjudged(&error, index, place),
        }
    }

    /// The next entry and its leaf hash. `hash` hears of every tile hash that is now known.
    pub fn entry(&mut self, bytes: &[u8], leaf: Digest, place: Place<'_>, hash: impl FnMut(u8, &Digest)) {
        let index = self.frontier.size();
        self.leaf(leaf, place.file, hash);
        if self.options.entries_are_ours {
            self.content(bytes, index, leaf, place);
            self.commercial.push(bytes);
        }
    }

    /// The next leaf hash, of an entry that is not seen.
    pub fn leaf(&mut self, leaf: Digest, file: &str, mut hash: impl FnMut(u8, &Digest)) {
        self.named(leaf, file);
        self.frontier.push_with(leaf, |height, node| {
            if height.is_multiple_of(HEIGHT) {
                hash((height / HEIGHT) as u8, node);
            }
        });
        self.keep_promises(file);
    }

    fn content(&mut self, bytes: &[u8], index: u64, leaf: Digest, place: Place<'_>) {
        if self.map_at == Some(index) && index::read(bytes).is_none() {
            self.fault(Question::Integrity, Verdict::Disproven, MAP, Some(index), "it ends with no map of cases");
        }
        let head = match EntryHead::parse(bytes) {
            Ok(head) => head,
            Err(error) => return self.unjudged(&error, index, place),
        };
        *self.kinds.entry(head.kind).or_default() += 1;
        self.last_ts = self.last_ts.max(head.ts);
        let token = (head.kind == Kind::Anchor).then(|| anchor::token_of(bytes)).flatten();
        if let Some(what) = self.clocks.next(index, head.ts, token) {
            self.fault_at(Question::Content, Verdict::Disproven, place, Some(index), &what);
        }
        if let Some(receipt) = &head.receipt {
            self.receipt(receipt, index, place);
        }
        if head.kind == Kind::Index {
            self.index(bytes, index, place);
        }
        if head.kind == Kind::GmRoot {
            self.gm_root(bytes, index, place);
        }
        if head.kind == Kind::Lifecycle {
            self.lifecycle(bytes, index, head.ts, place);
        }
        if head.kind == Kind::LogSet || head.kind == Kind::Index && LogSet::read(bytes).is_some() {
            self.log_set(bytes, index, head.ts, place);
        }
        if let Some(link) = head.case {
            self.sealed(&link, bytes, index, place);
            self.case(link, index, leaf, place);
        }
        match (head.kind.role(), head.of) {
            (Role::Intent, None) if self.intents.len() < MAX_INTENTS => {
                self.intents.insert(leaf, (index, head.ts));
            }
            (Role::Intent, None) => {
                if !std::mem::replace(&mut self.intents_full, true) {
                    let what = "too many open intents: later ones were not followed";
                    self.fault_at(Question::Complete, Verdict::Undecided, place, Some(index), what);
                }
            }
            (Role::Closing, Some(of)) => {
                let unknown = self.intents.remove(&of).is_none() && !self.intents_full;
                if let Some(before) = &mut self.begun_before
                    && unknown
                {
                    *before += 1;
                } else if unknown {
                    let what = "closes an intent that is not open";
                    self.fault_at(Question::Complete, Verdict::Disproven, place, Some(index), what);
                }
            }
            (Role::Plain, None) => {}
            _ => {
                let what = "`of` stands in closing entries and in no others";
                self.fault_at(Question::Content, Verdict::Disproven, place, Some(index), what);
            }
        }
    }

    /// With the key of its case, the sealed part of an entry opens.
    fn sealed(&mut self, link: &CaseLink, bytes: &[u8], index: u64, place: Place<'_>) {
        let keys = &self.options.case_keys;
        if keys.is_empty() || !keys.has(&link.id) {
            return;
        }
        let said = keys.open(bytes);
        if let Some((verdict, what)) = said.and_then(|said| self.report.opened(&said)) {
            self.fault_at(Question::Opened, verdict, place, Some(index), what);
        }
    }

    /// The map of all cases is the one that the entries before it give.
    fn index(&mut self, bytes: &[u8], index: u64, place: Place<'_>) {
        let Some(Map { cases, root, pseudonyms }) = index::read(bytes) else {
            return self.fault_at(Question::Content, Verdict::Disproven, place, Some(index), "an index without a map");
        };
        match (self.pseudonyms, pseudonyms) {
            (Some(before), Some(now)) if before != now => {
                let what = "the key of the pseudonyms is another one: cases go on under names that nobody can link";
                self.fault_at(Question::Complete, Verdict::Disproven, place, Some(index), what);
            }
            // As a version of before writes it.
            (Some(_), None) => {
                let what = "this map does not name the key of the pseudonyms, as one before it does";
                self.fault_at(Question::Complete, Verdict::Undecided, place, Some(index), what);
            }
            _ => {}
        }
        self.pseudonyms = pseudonyms.or(self.pseudonyms);
        self.map_work += self.cases.len() as u64;
        if self.cases_full || self.begun_before.is_some() || self.map_work > self.options.max_map_work {
            self.maps_skipped += 1;
            return;
        }
        let all = self.cases.iter();
        let all = all.map(|(case, (seq, _, index))| index::Last { case: *case, seq: *seq, index: *index });
        if cases != self.cases.len() as u64 || index::root(all.collect()) != root {
            let what = "not the map of the cases before it";
            self.fault_at(Question::Complete, Verdict::Disproven, place, Some(index), what);
        }
    }

    fn unjudged(&mut self, error: &Unjudged, index: u64, place: Place<'_>) {
        let verdict = match error {
            Unjudged::Unknown => Verdict::Undecided,
            Unjudged::Malformed(_) => Verdict::Disproven,
        };
        self.fault_at(Question::Content, verdict, place, Some(index), &error.to_string());
    }

    fn case(&mut self, link: CaseLink, index: u64, leaf: Digest, place: Place<'_>) {
        let before = self.cases.get(&link.id).copied();
        if before.is_none() && self.cases.len() >= self.options.max_cases {
            if !self.cases_full {
                self.cases_full = true;
                let what = format!("more than {} cases: later ones were not followed", self.options.max_cases);
                self.fault_at(Question::Complete, Verdict::Undecided, place, Some(index), &what);
            }
            return;
        }
        let follows = match (before, &mut self.begun_before) {
            (None, Some(unknown)) if link.seq > 1 && link.prev.is_some() => {
                *unknown += 1;
                true
            }
            (None, _) => link.seq == 1 && link.prev.is_none(),
            (Some((seq, prev, _)), _) => {
                link.seq == seq.saturating_add(1) && link.prev.as_ref().map(half) == Some(prev)
            }
        };
        if !follows && !self.cases_full {
            let want = before.map_or(1, |(seq, ..)| seq.saturating_add(1));
            let what = format!("case {}: seq {} where {want} is due, or another `prev`", link.id, link.seq);
            self.fault_at(Question::Complete, Verdict::Disproven, place, Some(index), &what);
        }
        self.cases.insert(link.id, (link.seq, half(&leaf), index));
    }

    /// What the next verification can begin with; `None` unless everything asked was proven here.
    fn state(&self, note: Option<&[u8]>) -> Option<State> {
        let is_proven = self.report.verdict(Question::Integrity) == Verdict::Proven && self.report.exit_code() == 0;
        let covered = self.entries_seen && self.gap.entries == 0 && self.frontier.size() == self.report.size;
        let note = note.filter(|_| is_proven && covered && self.options.keep_state)?;
        let (cases, intents) = (self.cases.clone(), self.intents.clone());
        let (stamped, set) = (self.clocks.stamped(), self.report.sets.newest.clone());
        let (last_ts, pseudonyms) = (self.last_ts, self.pseudonyms);
        Some(State { note: note.to_vec(), last_ts, pseudonyms, stamped, set, cases, intents })
    }

    /// After the last entry: the report, and what the next verification can begin with.
    pub fn finish(mut self) -> Report {
        let size = self.frontier.size();
        self.report.entries = size - self.gap.entries;
        self.pruned();
        if self.options.entries_are_ours && self.entries_seen && (self.report.root.is_none() || size < self.report.size)
        {
            // Nothing is said about entries that were not read, or that nobody signed.
            self.report.answer(Question::Complete, Verdict::Undecided);
            self.report.answer(Question::Content, Verdict::Undecided);
        }
        if let Some(unknown) = self.begun_before.filter(|n| *n > 0 && self.gap.entries == 0) {
            let what = format!("{unknown} links to entries before the checkpoint; a kept state would prove them");
            self.fault(Question::Complete, Verdict::Undecided, "entries", self.report.since, &what);
        }
        for (at, promises) in std::mem::take(&mut self.promises) {
            for (who, _, question) in promises {
                // Where reading was cut short, the rest may well be there: nobody is convicted by a bad network.
                let (verdict, are) = match self.stopped {
                    true => (Verdict::Undecided, "could be read"),
                    false => (Verdict::Disproven, "are there"),
                };
                let what = format!("{who} covers {at} entries, {size} {are}");
                self.fault(question, verdict, "entries", Some(size), &what);
            }
        }
        let mut open: Vec<(u64, i64)> = self.intents.values().copied().collect();
        open.sort_unstable();
        for (index, ts) in open {
            if self.last_ts.saturating_sub(ts) >= IN_FLIGHT_MS {
                let what = "an intent without outcome: the result is not known";
                self.fault(Question::Complete, Verdict::Undecided, "entries", Some(index), what);
            } else {
                self.report.notes.push(format!("条目 entry {index}: 尚无结果 intent without outcome yet"));
            }
        }
        if self.maps_skipped > 0 {
            let count = self.maps_skipped;
            self.report.notes.push(format!("{count} 个索引未重算 index entries were not computed again"));
            // Where the beginning was pruned on record, nobody can compute them any more.
            if self.gap.entries == 0 {
                let what = "maps of all cases were not computed again: see --all-maps, or go on from a kept --state";
                self.fault(Question::Complete, Verdict::Undecided, "entries", None, what);
            }
        }
        self.report.notes.extend(self.clocks.note());
        self.unnamed();
        if !self.options.case_keys.is_empty() && self.report.verdict(Question::Opened) == Verdict::NotAsked {
            let what = "no sealed part of the cases whose keys were given was read";
            self.fault(Question::Opened, Verdict::Undecided, "entries", None, what);
        }
        self.anchored();
        let anchors = self.kinds.get(&Kind::Anchor).copied().unwrap_or(0);
        if anchors > 0 && self.options.time_authorities.is_empty() {
            self.report.notes.push(format!("{anchors} 个时间戳未核验 time-stamps in the log were not judged here"));
        }
        if self.report.receipts_unjudged > 0 {
            let count = self.report.receipts_unjudged;
            let note =
                "张对端回执未在对端日志中核对（见 --peer） receipts were not looked up in the peers' logs (see --peer)";
            self.report.notes.push(format!("{count} {note}"));
        }
        self.report.state = self.state(self.note.as_deref());
        self.report.kinds = self.kinds.iter().map(|(kind, count)| (kind.word(), *count)).collect();
        self.report
    }
}
