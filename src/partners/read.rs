//! Reads contracts from TOML: strictly, with all mistakes at once.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::acts::Act;
use super::contract::{Contract, Limits, MandatePaper, OutletId, Rate, Terminal, TerminalId};
use super::hours::Hours;
use super::masking::{Keep, Masking};
use crate::terms::strict_toml::{File, Table};
use crate::terms::{CreditCode, Day, ItemCode, Mistakes, OutletKind, RegionCode};

/// How an item stands to outlets of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Open,
    /// The catalogue does not open it to this kind, or it needs presence.
    NotForKind,
    Unknown,
}

/// Why a contract does not rest on the mandate it names, and the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmandated {
    pub wrong: String,
    pub mend: &'static str,
}

const DAY_FORM: &str = "a date, e.g. 2026-12-31";
const PLACE_FORM: &str = "6, 9 or 12 digits of a place";
/// Most of anything a day: more is a slip of the pen.
const MOST_A_DAY: u32 = 1_000_000;

pub(super) fn read(
    file: &str,
    text: &str,
    known: &dyn Fn(ItemCode, OutletKind) -> Standing,
    mandated: &dyn Fn(&Contract) -> Vec<Unmandated>,
) -> Result<Vec<Contract>, Mistakes> {
    File::read(file, text, |root| {
        root.need_int("schema", 1..=1);
        let (mut outlets, mut terminals) = (BTreeMap::new(), BTreeMap::new());
        let mut contracts = Vec::new();
        for table in root.tables("contract") {
            let contract = read_contract(&table, known, &mut terminals);
            table.done();
            let Some(contract) = contract else { continue };
            for Unmandated { wrong, mend } in mandated(&contract) {
                table.wrong("mandate", wrong, mend);
            }
            if let Some(line) = outlets.insert(contract.outlet.clone(), table.line()) {
                table.wrong(
                    "outlet",
                    format_args!("is also the outlet of line {line}"),
                    "give each outlet its own name",
                );
            }
            contracts.push(contract);
        }
        root.done();
        Some(contracts)
    })
}

fn read_contract(
    table: &Table<'_, '_>,
    known: &dyn Fn(ItemCode, OutletKind) -> Standing,
    seen: &mut BTreeMap<TerminalId, usize>,
) -> Option<Contract> {
    // All fields are read before the first `?`, so that every mistake is told.
    let outlet = table.need_parse::<OutletId>("outlet", "3 to 48 small letters, digits and hyphens");
    let name_zh = table.need_str("name_zh");
    let name_en = table.need_str("name_en");
    let kind = table.need_word::<OutletKind>("kind");
    let region = table.need_parse::<RegionCode>("region", PLACE_FORM);
    let places = table.list::<RegionCode>("places", PLACE_FORM);
    let terminals = read_terminals(table, seen);
    let items = table.need_list::<ItemCode>("items", "12 digits of an item of the catalogue");
    let acts = read_acts(table);
    let hours = read_hours(table);
    let masking = read_masking(table);
    let limits = read_limits(table);
    let rate = read_rate(table);
    let from = table.need_parse::<Day>("from", DAY_FORM);
    let to = table.need_parse::<Day>("to", DAY_FORM);
    let authority = table.need_parse::<CreditCode>("authority", "18 characters: who gives the mandate");
    let mandate = table.need_parse::<MandatePaper>("mandate", "the signed paper as its registrar gave it, eyJ….….…");
    let suspended = table.str("suspended");

    if let (Some(from), Some(to)) = (from, to)
        && to < from
    {
        table.wrong("to", "is before the first day", format_args!("write {from} or later"));
    }
    if let (Some(region), Some(places)) = (region, &places) {
        for place in places.iter().filter(|place| !place.lies_in(region) && !region.lies_in(**place)) {
            table.wrong(
                "places",
                format_args!("{place} does not touch the outlet's region"),
                "list places in or around it",
            );
        }
    }
    if let (Some(region), Some(terminals)) = (region, &terminals) {
        let own = [region];
        let places = places.as_deref().filter(|places| !places.is_empty()).unwrap_or(&own);
        let outside = |place: &RegionCode| !places.iter().any(|wider| place.lies_in(*wider));
        for place in terminals.iter().filter_map(|terminal| terminal.place).filter(outside) {
            table.wrong(
                "terminal",
                format_args!("{place} is outside the places of the contract"),
                "correct it, or add it to `places`",
            );
        }
    }
    if let (Some(kind), Some(items)) = (kind, &items) {
        for item in items {
            match known(*item, kind) {
                Standing::Open => {}
                Standing::NotForKind => {
                    table.wrong("items", format_args!("{item} is not open to a {kind}"), "remove it from the list");
                }
                Standing::Unknown => {
                    table.wrong("items", format_args!("{item} is not in the catalogue"), "correct or remove it");
                }
            }
        }
    }
    if let (Some(items), Some(limits)) = (&items, &limits) {
        for item in limits.items.keys().filter(|item| !items.contains(item)) {
            table.wrong(
                "quota",
                format_args!("limits {item}, which the outlet may not take"),
                "list it in items or remove it",
            );
        }
    }

    let region = region?;
    Some(Contract {
        outlet: outlet?,
        name_zh: name_zh?.to_owned(),
        name_en: name_en?.to_owned(),
        kind: kind?,
        region,
        places: places.filter(|places| !places.is_empty()).unwrap_or_else(|| vec![region]),
        terminals: terminals?,
        items: items?,
        acts: acts?,
        hours: hours?,
        masking: masking?,
        limits: limits?,
        rate: rate?,
        from: from?,
        to: to?,
        authority: authority?,
        mandate: mandate?,
        suspended: suspended.map(str::to_owned),
    })
}

fn read_acts(table: &Table<'_, '_>) -> Option<Vec<Act>> {
    let acts = table.need_words::<Act>("acts");
    if acts.as_ref().is_some_and(Vec::is_empty) {
        table.wrong("acts", "is empty", "write at least \"guide\"");
    }
    acts
}

fn read_terminals(table: &Table<'_, '_>, seen: &mut BTreeMap<TerminalId, usize>) -> Option<Vec<Terminal>> {
    let mut terminals = Vec::new();
    let mut good = true;
    for inner in table.tables("terminal") {
        let form = "a SHA-256 fingerprint (64 hexadecimal digits) or the certificate's URI";
        let id = inner.need_parse::<TerminalId>("id", form);
        let revoked = inner.bool("revoked").unwrap_or(false);
        let (place, moves) = (inner.parse::<RegionCode>("place", PLACE_FORM), inner.bool("moves").unwrap_or(false));
        if moves && place.is_some() {
            inner.wrong("place", "is fixed for a terminal that moves", "leave out one of `place` and `moves`");
        }
        inner.done();
        let Some(id) = id else {
            good = false;
            continue;
        };
        if let Some(line) = seen.insert(id.clone(), inner.line()) {
            inner.wrong("id", format_args!("is also a terminal of line {line}"), "a certificate belongs to one outlet");
        }
        terminals.push(Terminal { id, revoked, place, moves, told: None });
    }
    if terminals.is_empty() && good {
        table.wrong("terminal", "there is none", "write a [[contract.terminal]] with its id");
    }
    good.then_some(terminals)
}

fn read_hours(table: &Table<'_, '_>) -> Option<Hours> {
    let hours = Hours::read(table)?;
    if hours.spans.is_empty() {
        table.wrong("hours", "there are none", "write a [[contract.hours]] with days, from and to");
    }
    Some(hours)
}

fn read_masking(table: &Table<'_, '_>) -> Option<Masking> {
    let usual = Masking::default();
    let Some(inner) = table.table("masking") else {
        return (!table.has("masking")).then_some(usual);
    };
    let form = "characters kept at head (0–6) and tail (0–4), e.g. 3-2";
    let keep = |key, usual: Keep| inner.parse::<Keep>(key, form).unwrap_or(usual);
    let masking = Masking {
        id_number: keep("id_number", usual.id_number),
        phone: keep("phone", usual.phone),
        name: keep("name", usual.name),
    };
    inner.done();
    Some(masking)
}

fn read_limits(table: &Table<'_, '_>) -> Option<Limits> {
    let Some(inner) = table.table("quota") else {
        if !table.has("quota") {
            table.wrong("quota", "missing", "write a [contract.quota] with at least `outlet` and `citizen`");
        }
        return None;
    };
    let a_day = 0..=MOST_A_DAY;
    let limits = Limits {
        outlet: inner.need_int("outlet", a_day.clone()),
        clerk: inner.int("clerk", a_day.clone()),
        terminal: inner.int("terminal", a_day.clone()),
        item: inner.int("item", a_day.clone()),
        items: inner.int_map("items", "12 digits of an item", a_day.clone()),
        citizen: inner.need_int("citizen", a_day),
    };
    inner.done();
    Some(limits)
}

fn read_rate(table: &Table<'_, '_>) -> Option<Rate> {
    let Some(inner) = table.table("rate") else {
        if !table.has("rate") {
            table.wrong("rate", "missing", "write a [contract.rate] with per_second and burst");
        }
        return None;
    };
    let per_second = inner.need_int("per_second", 1..=10_000);
    let burst = inner.need_int("burst", 1..=10_000);
    inner.done();
    Some(Rate { per_second: NonZeroU32::new(per_second?)?, burst: NonZeroU32::new(burst?)? })
}
