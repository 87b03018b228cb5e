//! The gateway's own logs in a bundle: its one, or that of each replica. The map of cases in each names all of them, so that
//! none can be left out.

use super::check::{Check, Proven};
use super::heads::{is_same_log, others};
use super::{LogPart, MANIFEST, Manifest, checkpoint_path, entry_path, index};
use crate::audit::Kind;
use crate::audit::checkpoint::SignedCheckpoint;
use crate::audit::logset::Head;
use crate::audit::verify::{Question, Verdict, witnessed};
use crate::formats::zip::Source;
use crate::terms::UnixMillis;
use crate::trust::asic::Open;

/// How much older than another replica's map a log of ours may be, in milliseconds: what they take to write theirs.
const NEAR_MS: i64 = 120_000;

/// A log of ours, opened.
pub(super) struct Own<'m> {
    /// Its place among [`Manifest::logs`].
    pub log: usize,
    pub part: &'m LogPart,
    pub signed: SignedCheckpoint,
    /// When the first witness of the auditor's policy cosigned.
    pub cosigned: Option<UnixMillis>,
    /// Of the case, and the map.
    pub entries: Vec<Proven>,
}

impl Own<'_> {
    /// The map of cases that the manifest points at.
    pub(super) fn map(&self) -> Option<&Proven> {
        let at = self.part.index.as_ref()?.entry;
        let entry = self.entries.iter().find(|entry| entry.index == at)?;
        entry.head.as_ref().is_some_and(|head| head.kind == Kind::Index).then_some(entry)
    }

    /// As of when it shows the case, in Unix milliseconds: whoever wrote the map may have written any time, and a witness saw it no
    /// later than it cosigned.
    pub(super) fn as_of(&self) -> Option<UnixMillis> {
        let ts = UnixMillis(self.map()?.head.as_ref()?.ts);
        Some(self.cosigned.map_or(ts, |cosigned| ts.min(cosigned)))
    }

    /// The other logs of this gateway, as its map names them; none where it keeps one log alone.
    fn others(&self) -> Vec<Head> {
        self.map().map_or(Vec::new(), |map| others(&map.bytes, &self.part.origin))
    }
}

/// Where a map stands, and by when it was there.
struct MapEntry {
    path: String,
    by: Option<i64>,
}

impl MapEntry {
    fn of(own: &Own<'_>) -> Self {
        let map = own.map();
        let path = entry_path(own.log, map.map_or(0, |map| map.index));
        // A writer's word may be too early as well; a witness that cosigned later knows better.
        let ts = map.and_then(|map| map.head.as_ref()).map(|head| head.ts);
        Self { path, by: ts.map(|ts| own.cosigned.map_or(ts, |cosigned| ts.max(cosigned.0))) }
    }
}

impl Check<'_> {
    /// Log 0, and those of all replicas that a map names, with the origins of all of them, also of those that could not be opened. Empty
    /// when nothing can be said about log 0.
    pub(super) fn owns<'m, S: Source>(
        &mut self,
        manifest: &'m Manifest,
        open: &Open<S>,
    ) -> (Vec<Own<'m>>, Vec<String>) {
        let mut owns: Vec<Own<'m>> =
            manifest.logs.first().and_then(|part| self.own(0, part, open)).into_iter().collect();
        let mut asked = vec![self.report.origin.clone()];
        let mut from = 0;
        while from < owns.len() {
            let (map, heads) = (MapEntry::of(&owns[from]), owns[from].others());
            from += 1;
            for head in heads {
                if let Some(own) = owns.iter().find(|own| own.part.origin == head.origin()) {
                    self.reaches(own, &head, &map);
                    continue;
                }
                if asked.iter().any(|origin| origin == head.origin()) {
                    continue;
                }
                asked.push(head.origin().to_owned());
                let place = manifest.logs.iter().position(|part| part.origin == head.origin());
                let Some(log) = place else {
                    let what = format!(
                        "replicas of this gateway keep logs of their own: the case may have entries in {}, which is not in the bundle \
                         (audit export --replica)",
                        head.origin()
                    );
                    self.fault(Question::Complete, Verdict::Undecided, &map.path, None, what);
                    continue;
                };
                if let Some(own) = self.own(log, &manifest.logs[log], open) {
                    self.reaches(&own, &head, &map);
                    owns.push(own);
                }
            }
        }
        self.one_key(&owns);
        (owns, asked)
    }

    /// The maps of all logs are of pseudonyms made with one key: under another the case has another name.
    fn one_key(&mut self, owns: &[Own<'_>]) {
        let maps = owns.iter().filter_map(Own::map);
        let mut prints = maps.filter_map(|map| Some((map, index::read(&map.bytes)?.pseudonyms?)));
        let Some((_, print)) = prints.next() else { return };
        if let Some((map, _)) = prints.find(|(_, other)| *other != print) {
            let what = "the pseudonyms of this log are made with another key: the case has another name in it";
            self.fault(Question::Complete, Verdict::Disproven, &map.path, Some(map.index), what);
        }
    }

    /// A log in the bundle is the one that another one names, and is taken as of about the same time: what it has grown by the
    /// time of the other's map, nobody says is of the case or not.
    fn reaches(&mut self, own: &Own<'_>, head: &Head, map: &MapEntry) {
        let (size, origin) = (own.signed.size(), head.origin());
        let is_near = own.as_of().zip(map.by).is_some_and(|(own, other)| other.saturating_sub(own.0) <= NEAR_MS);
        if size < head.size && !is_near {
            let what =
                format!("{origin} had {} entries by then, and the bundle's ends long before, at {size}", head.size);
            return self.fault(Question::Complete, Verdict::Undecided, &map.path, None, what);
        }
        let proof = match own.part.named.binary_search_by_key(&head.size, |named| named.size) {
            Ok(at) => &own.part.named[at].proof[..],
            // From nothing, or to itself.
            Err(_) if head.size == 0 || head.size == size => &[],
            Err(_) => {
                let what = format!("nothing shows that {origin} is the log that had {} entries then", head.size);
                return self.fault(Question::Integrity, Verdict::Undecided, &map.path, None, what);
            }
        };
        if !is_same_log((head.size, &head.root), &own.signed, proof) {
            let what = format!("{origin} had other entries by then: it is not the log that it was");
            self.fault(Question::Integrity, Verdict::Disproven, &map.path, None, what);
        }
    }

    fn own<'m, S: Source>(&mut self, log: usize, part: &'m LogPart, open: &Open<S>) -> Option<Own<'m>> {
        let (signed, entries) = self.half(log, part, open)?;
        for entry in &entries {
            self.readable(entry, &entry_path(log, entry.index));
        }
        let mut cosigned = None;
        if let Some(policy) = self.by.policy {
            let listed = self.report.faults.len();
            witnessed(&mut self.report, policy, self.by.now, &signed);
            self.report.faults[listed..].iter_mut().for_each(|fault| fault.file = checkpoint_path(log));
            cosigned = policy.cosigned_at(signed.note().as_bytes()).map(UnixMillis);
        }
        self.report.entries += entries.len() as u64;
        match log {
            0 => {
                self.report.size = signed.size();
                self.report.root = Some(signed.root());
            }
            _ => self.report.notes.push(format!(
                "副本日志 log of a replica: {}, {} of {} entries, root {}",
                part.origin,
                entries.len(),
                signed.size(),
                signed.root()
            )),
        }
        Some(Own { log, part, signed, cosigned, entries })
    }

    /// Some log has entries of the case.
    pub(super) fn is_of_case(&mut self, owns: &[Own<'_>]) {
        let mut heads = owns.iter().flat_map(|own| &own.entries).filter_map(|entry| entry.head.as_ref());
        if !heads.any(|head| head.case.is_some_and(|link| Some(link.id) == self.report.case)) {
            self.fault(Question::Complete, Verdict::Disproven, MANIFEST, None, "no entry of the case is in it");
        }
    }
}
