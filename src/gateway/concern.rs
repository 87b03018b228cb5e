//! What a line of the log is about: a case, or what is to become one. Said once here, so that every line about it says the
//! same.

use super::ledger::{self, word};
use super::rooms::Rooms;
use crate::audit::Pseudonym;
use crate::audit::entry::{Entry, ItemRef, Jurisdiction, Purpose, Subject};
use crate::exchange::message::Dossier;
use crate::exchange::records::Record;
use crate::terms::{CaseNo, Digest, ItemCode, RegionCode};

/// As far as it is known: of a filing that is refused, no case is.
#[derive(Clone, Debug, Default)]
pub struct Concern {
    pub case: Option<CaseNo>,
    /// Pseudonym of the applicant.
    pub subject: Option<Pseudonym>,
    pub item: Option<ItemCode>,
    /// Digest of the guide in force at filing.
    pub guide: Option<Digest>,
    pub channel: Option<&'static str>,
    pub window: Option<RegionCode>,
    pub owner: Option<RegionCode>,
    /// What is wanted, where no member says it: the order that an operator gives.
    pub facts: Vec<(&'static str, String)>,
}

impl Concern {
    /// A case that is kept here.
    pub fn of(record: &Record) -> Self {
        Self {
            case: Some(record.case.no),
            subject: record.subject.parse().ok(),
            item: record.item.parse().ok(),
            channel: Some(channel(&record.collector)),
            window: Some(record.window),
            owner: Some(record.case.no.owner()),
            ..Self::default()
        }
    }

    /// A case that a peer hands over.
    pub fn arriving(case: CaseNo, subject: Pseudonym, collector: &str, dossier: &Dossier) -> Self {
        let known = Self {
            case: Some(case),
            subject: Some(subject),
            item: Some(dossier.item),
            channel: Some(channel(collector)),
            window: Some(dossier.window),
            ..Self::default()
        };
        known.with(dossier)
    }

    /// With what only the dossier says.
    #[must_use]
    pub fn with(self, dossier: &Dossier) -> Self {
        Self { guide: Some(dossier.guide), owner: Some(dossier.owner), ..self }
    }

    /// The line, with everything that is known.
    pub fn on(&self, rooms: &Rooms, mut line: Entry) -> Entry {
        if let Some(case) = self.case {
            line = line.case(rooms.pseudonyms.case(case));
        }
        if self.subject.is_some() {
            line = line.subj(Subject { epoch: Some(rooms.pseudonyms.epoch()), pid: self.subject });
        }
        if let Some(item) = self.item {
            line = line.why(Purpose { purpose: word("case"), basis: ledger::basis(rooms, item), ..Purpose::default() });
            line = line.item(ItemRef {
                channel: self.channel.and_then(word),
                code: self.item,
                version: self.guide.and_then(|guide| word(&guide.to_string())),
            });
        }
        let route = self.window.zip(self.owner);
        let route = route.map(|(window, owner)| rooms.catalogue.load().scope_between(window, owner).word());
        if self.window.or(self.owner).is_some() {
            line = line.jur(Jurisdiction { owner: self.owner, route: route.and_then(word), window: self.window });
        }
        ledger::facts(line, &self.facts)
    }
}

/// From the word for who collected: `window:W-1`, `outlet:BANK-1`, `portal:gw-a`, `peer:gw-b/bank:B-7`.
fn channel(collector: &str) -> &'static str {
    let here = collector.strip_prefix("peer:").and_then(|rest| rest.split_once('/')).map_or(collector, |(_, at)| at);
    match here.split(':').next() {
        Some("window") => "window",
        Some("portal") => "portal",
        _ => "outlet",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_came_by_a_window_an_outlet_or_the_portal() {
        for (collector, want) in [
            ("window:W-1", "window"),
            ("outlet:BANK-1", "outlet"),
            ("portal:gw-a", "portal"),
            ("peer:gw-b/window:W-1", "window"),
            ("peer:gw-b/bank:B-7", "outlet"),
            ("peer:gw-b/portal:gw-b", "portal"),
        ] {
            assert_eq!(channel(collector), want, "{collector}");
        }
    }
}
