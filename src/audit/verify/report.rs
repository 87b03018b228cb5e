//! What a verification found, for machines and for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::audit::entry::{Opened, Pseudonym};
use crate::terms::{Digest, UnixMillis};

/// Most faults listed; more are counted.
const MAX_FAULTS: usize = 100;

/// One question, one answer. Kept apart on purpose: one green light for all of them misleads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Proven,
    /// Holds for every entry of the sample that was asked for; the others were not read.
    Sampled,
    Disproven,
    /// Holds for every entry that is kept; earlier ones were pruned on record, as the auditor's policy allows.
    Kept,
    /// Something needed for an answer is missing or unknown.
    Undecided,
    /// Nothing was given to judge it by.
    NotAsked,
}

impl Verdict {
    /// Mark, (zh, en)
    pub(super) fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Proven => ("✔", "已证明", "proven"),
            Self::Sampled => ("✔", "抽样未见异常", "held in the sample"),
            Self::Kept => ("✔", "留存部分成立", "holds in what is kept"),
            Self::Disproven => ("✘", "已证伪", "DISPROVEN"),
            Self::Undecided => ("?", "无法判定", "undecided"),
            Self::NotAsked => ("-", "未要求", "not asked"),
        }
    }
}

/// The questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Every byte is what the log's signed root says.
    Integrity,
    /// Nothing that an older checkpoint covers was changed or taken away.
    AppendOnly,
    /// The quorum of the pinned policy cosigned.
    Witnessed,
    /// Time-stamped by an authority.
    Anchored,
    /// Case chains without gaps, every intent closed.
    Complete,
    /// Every entry is well-formed and of a known kind.
    Content,
    /// Every receipt names a leaf that is in the peer's log.
    Receipts,
    /// Every decision is what the archived rules say to the question that was kept.
    Decisions,
    /// The verdict on every licence is what anchors, certificates and status of then give.
    Seals,
    /// Every sealed part of the cases whose keys were given opens, and says something.
    Opened,
    /// Signed with SM2, and every SM3 root agrees with the entries.
    Commercial,
}

impl Question {
    pub const ALL: [Question; 11] = [
        Self::Integrity,
        Self::AppendOnly,
        Self::Witnessed,
        Self::Anchored,
        Self::Complete,
        Self::Content,
        Self::Receipts,
        Self::Decisions,
        Self::Seals,
        Self::Opened,
        Self::Commercial,
    ];

    /// (zh, en)
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Integrity => ("完整性（未被篡改）", "integrity"),
            Self::AppendOnly => ("只增不改", "append-only"),
            Self::Witnessed => ("见证", "witnessed"),
            Self::Anchored => ("时间锚定", "anchored in time"),
            Self::Complete => ("办件链完备", "complete"),
            Self::Content => ("记录内容", "content"),
            Self::Receipts => ("对端回执", "peers' receipts"),
            Self::Decisions => ("决定复核", "decisions replayed"),
            Self::Seals => ("印章重验", "seals examined again"),
            Self::Opened => ("加密内容可解", "sealed parts open"),
            Self::Commercial => ("商用密码（SM2/SM3）", "commercial cryptography"),
        }
    }
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub question: Question,
    /// `disproven` or `undecided`.
    pub verdict: Verdict,
    /// Path within the log.
    pub file: String,
    /// Byte in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Entry in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    pub what: String,
}

/// Entries that are not there any more, and by which entry on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Entries below this index are not there; their hashes are, and lead to the signed root.
    pub minimum: u64,
    /// How many of them.
    pub entries: u64,
    /// Index of the entry that announced it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<u64>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The whole result.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub origin: String,
    /// Of evidence: whose entries these are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<Pseudonym>,
    /// Entries that the checkpoint covers.
    pub size: u64,
    pub root: Option<Digest>,
    /// Entries read.
    pub entries: u64,
    /// Size of the checkpoint that was verified before; entries below it were not read again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Entries at the log's beginning that are not there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pruned: Option<Pruned>,
    pub verdicts: BTreeMap<Question, Verdict>,
    pub faults: Vec<Fault>,
    pub faults_not_listed: u64,
    /// Entries by kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Receipts of peer logs by origin.
    pub peers: BTreeMap<String, u64>,
    /// Those of them whose peer's log was not at hand.
    pub receipts_unjudged: u64,
    /// Witnesses whose cosignatures hold, with Unix seconds.
    pub witnesses: BTreeMap<String, u64>,
    /// Time of the newest time-stamp that holds, and the size of the checkpoint it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchored: Option<(UnixMillis, u64)>,
    /// Entries that the newest SM3 root that holds is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gm_root: Option<u64>,
    /// Sealed parts that were opened.
    #[serde(skip_serializing_if = "is_zero")]
    pub opened: u64,
    /// What a reader should know, and no fault.
    pub notes: Vec<String>,
    /// What it says of the log set it belongs to.
    #[serde(skip)]
    pub sets: super::Sets,
    /// What the next verification can begin with, when everything asked was proven.
    #[serde(skip)]
    pub state: Option<super::State>,
}

impl Report {
    pub fn answer(&mut self, question: Question, verdict: Verdict) {
        // Disproven beats undecided beats proven, whatever the order of findings.
        let rank = |v: Verdict| match v {
            Verdict::NotAsked => 0,
            Verdict::Proven => 1,
            Verdict::Sampled => 2,
            Verdict::Kept => 3,
            Verdict::Undecided => 4,
            Verdict::Disproven => 5,
        };
        let now = self.verdicts.entry(question).or_insert(Verdict::NotAsked);
        if rank(verdict) > rank(*now) {
            *now = verdict;
        }
    }

    pub fn fault(&mut self, fault: Fault) {
        self.answer(fault.question, fault.verdict);
        if self.faults.len() < MAX_FAULTS { self.faults.push(fault) } else { self.faults_not_listed += 1 }
    }

    /// Takes what a sealed part says; gives what is wrong with it.
    pub(in crate::audit) fn opened(&mut self, said: &Opened) -> Option<(Verdict, &'static str)> {
        match said {
            Opened::Plain(_) => {
                self.opened += 1;
                self.answer(Question::Opened, Verdict::Proven);
                None
            }
            Opened::OtherKey => Some((Verdict::Undecided, "sealed under another key than the one given for its case")),
            Opened::Broken => {
                Some((Verdict::Disproven, "its sealed part names the key given and does not open under it"))
            }
        }
    }

    pub fn verdict(&self, question: Question) -> Verdict {
        self.verdicts.get(&question).copied().unwrap_or(Verdict::NotAsked)
    }

    /// 0 proven (or held in the sample that was asked for), 1 disproven, 2 undecidable; what was not asked does not count.
    pub fn exit_code(&self) -> u8 {
        match () {
            () if self.verdicts.values().any(|v| *v == Verdict::Disproven) => 1,
            () if self.verdicts.values().any(|v| *v == Verdict::Undecided) => 2,
            () if matches!(self.verdict(Question::Integrity), Verdict::Proven | Verdict::Sampled) => 0,
            () => 2,
        }
    }

    /// For people: Chinese first, English beside it.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "日志 log: {}  条目 entries: {}", self.origin, self.size);
        if let Some(case) = self.case {
            let _ = writeln!(out, "办件（假名） case, by its pseudonym: {case}");
        }
        if let Some(since) = self.since {
            let _ = writeln!(out, "自此检查点起核验 verified since: {since}");
        }
        if let Some(root) = self.root {
            let _ = writeln!(out, "根哈希 root: {root}");
        }
        if let Some(Pruned { minimum, entries, told }) = self.pruned {
            let told = told.map_or("无记录 no entry says so".to_owned(), |at| format!("见条目 by entry {at}"));
            let _ = writeln!(out, "已清除 pruned: {entries} 条 entries below {minimum}, {told}");
        }
        for question in Question::ALL {
            let ((zh, en), (mark, vzh, ven)) = (question.words(), self.verdict(question).words());
            let _ = writeln!(out, "{mark} {zh} {en}: {vzh} {ven}");
        }
        for (name, time) in &self.witnesses {
            let _ =
                writeln!(out, "  见证方 witness {name} at {}", crate::terms::UnixMillis::from_seconds(*time as i64));
        }
        if let Some((at, size)) = self.anchored {
            let _ = writeln!(out, "  时间戳 time-stamp of {at} over {size} entries");
        }
        if let Some(size) = self.gm_root {
            let _ = writeln!(out, "  SM3 根 SM3 root over {size} entries");
        }
        if self.opened > 0 {
            let _ = writeln!(out, "  已解加密内容 sealed parts opened: {}", self.opened);
        }
        for (origin, count) in &self.peers {
            let _ = writeln!(out, "  对端回执 receipts of {origin}: {count}");
        }
        for fault in &self.faults {
            let index = fault.index.map_or(String::new(), |n| format!(" 条目 entry {n}"));
            let offset = fault.offset.map_or(String::new(), |n| format!(" 字节 byte {n}"));
            let _ = writeln!(out, "! {}{offset}{index}: {}", fault.file, fault.what);
        }
        if self.faults_not_listed > 0 {
            let _ = writeln!(out, "! 另有 and {} more", self.faults_not_listed);
        }
        for note in &self.notes {
            let _ = writeln!(out, "· {note}");
        }
        out
    }

    /// For machines.
    pub fn json(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(map) = value.as_object_mut() {
            map.insert("exit_code".into(), self.exit_code().into());
        }
        value
    }
}
