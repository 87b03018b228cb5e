//! Finding an item: by code, Chinese or English name, sector, material or result.

use super::Catalogue;
use super::items::Item;
use super::words::{CaseKind, Mode, Scope, Subject};
use crate::terms::{OutletKind, Presence};

/// Narrows a search; everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    pub sector: Option<String>,
    pub case_kind: Option<CaseKind>,
    pub mode: Option<Mode>,
    /// Items that may be filed at least this far from their owner.
    pub scope: Option<Scope>,
    pub subject: Option<Subject>,
    pub outlet: Option<OutletKind>,
    pub presence: Option<Presence>,
}

/// One item found; a higher score is a better match.
#[derive(Clone, Copy, Debug)]
pub struct Hit<'c> {
    pub item: &'c Item,
    pub score: u32,
}

/// Longest search text that is looked at, in characters.
const LONGEST: usize = 64;

impl Catalogue {
    /// Items that match every word of `text` and the filters, best first; at most `limit`. No text finds all.
    pub fn search(&self, text: &str, filters: &Filters, limit: usize) -> Vec<Hit<'_>> {
        let text: String = text.chars().take(LONGEST).collect::<String>().to_lowercase();
        let terms: Vec<&str> = text.split_whitespace().collect();
        let mut hits: Vec<Hit<'_>> = self
            .items
            .values()
            .filter(|item| filters.hold(item))
            .filter_map(|item| {
                let scores: Option<Vec<u32>> = terms.iter().map(|term| self.score(item, term)).collect();
                Some(Hit { item, score: scores?.iter().sum() })
            })
            .collect();
        hits.sort_by(|a, b| b.score.cmp(&a.score).then(a.item.code.cmp(&b.item.code)));
        hits.truncate(limit);
        hits
    }

    fn score(&self, item: &Item, term: &str) -> Option<u32> {
        let code = item.code.to_string();
        let english = item.name_en.to_lowercase();
        let result = self.licence_types.get(&item.result_licence).map_or("", |licence| licence.name_zh.as_str());
        [
            (1_000, code == term),
            (900, item.name_zh == term || english == term),
            (500, item.name_zh.starts_with(term) || english.starts_with(term)),
            (400, item.name_zh.contains(term)),
            (350, english.split(|c: char| !c.is_alphanumeric()).any(|word| word.starts_with(term))),
            (300, term.len() >= 4 && code.starts_with(term)),
            (200, item.sector == term),
            (150, result.contains(term)),
            (100, item.materials.iter().any(|material| material.name.contains(term))),
            (50, letters_in_order(&item.name_zh, term)),
        ]
        .into_iter()
        .find_map(|(score, matches)| matches.then_some(score))
    }
}

impl Filters {
    fn hold(&self, item: &Item) -> bool {
        self.sector.as_ref().is_none_or(|sector| item.sector == *sector)
            && self.case_kind.is_none_or(|kind| item.case_kind == kind)
            && self.mode.is_none_or(|mode| item.modes.contains(&mode))
            && self.scope.is_none_or(|scope| item.widest_scope() >= scope)
            && self.subject.is_none_or(|subject| item.subjects.contains(&subject))
            && self.outlet.is_none_or(|outlet| item.outlet_kinds.contains(&outlet))
            && self.presence.is_none_or(|presence| item.presence == presence)
    }
}

/// People shorten names: `公积金提取` means `购房提取住房公积金` as little as `养老转移` means `…养老保险关系转移接续`;
/// the second has its characters in order, the first is found by its words. Two characters at least.
fn letters_in_order(name: &str, term: &str) -> bool {
    let mut rest = name.chars();
    term.chars().count() >= 2 && term.chars().all(|wanted| rest.any(|c| c == wanted))
}
