//! Tables a clerk could check, through the public door of the room.

use std::sync::Arc;
use std::time::Duration;

use governor::clock::FakeRelativeClock;
use proptest::prelude::*;

use super::contract::Standing;
use super::quota::Counter;
use super::*;
use crate::terms::{Digest, Explain, ItemCode, OutletKind, Presence, RegionCode, UnixMillis};

const URI: &str = "urn:tongban:outlet:bank-nanshan-01:t1";
const FINGERPRINT: &str = "6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19";
const HOUSEHOLD: &str = "002009901000";

/// What a catalogue would say: `…199…` is unknown, marriage registration is for no outlet.
fn known(item: ItemCode, kind: OutletKind) -> Standing {
    match (item.to_string().as_str(), kind) {
        ("000711901000", _) => Standing::NotForKind,
        ("002014901000", OutletKind::Post) => Standing::NotForKind,
        ("002009999000", _) => Standing::Unknown,
        _ => Standing::Open,
    }
}

/// What upstairs would say: it takes every mandate but a bent one.
fn mandated(contract: &Contract) -> Vec<Unmandated> {
    let bent = contract.mandate.as_str().ends_with(".bent");
    bent.then(|| Unmandated { wrong: "somebody says so".into(), mend: "ask them" }).into_iter().collect()
}

fn contracts() -> Contracts {
    Contracts::read("contracts.toml", EXAMPLE, &known, &mandated).unwrap_or_else(|e| panic!("{e}"))
}

fn by_uri<'c>(contracts: &'c Contracts, uri: &str) -> (&'c Arc<Contract>, &'c Terminal) {
    contracts.find_by_certificate(Digest([0; 32]), Some(uri)).unwrap()
}

fn terms(code: &str) -> ItemTerms<'static> {
    ItemTerms {
        code: code.parse().unwrap(),
        presence: if code == "000711901000" { Presence::Both } else { Presence::None },
        outlet_kinds: if code == "000131901000" { &[OutletKind::Post] } else { &[OutletKind::Bank, OutletKind::Post] },
    }
}

fn at(text: &str) -> UnixMillis {
    UnixMillis::parse_rfc3339(&format!("{text}+08:00")).unwrap()
}

fn allowed(contracts: &Contracts) -> Allowed {
    let (contract, terminal) = by_uri(contracts, URI);
    let place: RegionCode = "440305".parse().unwrap();
    check(contract, terminal, Act::Receive, Some(terms(HOUSEHOLD)), place, at("2026-11-25T10:00:00")).unwrap()
}

#[test]
fn each_no_has_its_own_code() {
    let contracts = contracts();
    let (contract, terminal) = by_uri(&contracts, URI);
    let open = "2026-11-25T10:00:00"; // a Wednesday
    for (act, item, place, now, want) in [
        (Act::Receive, Some(HOUSEHOLD), "440305", open, Ok(())),
        (Act::Receive, Some(HOUSEHOLD), "440305007003", open, Ok(())), // a community of Nanshan
        (Act::Guide, None, "440305", open, Ok(())),
        (Act::Guide, Some("000711901000"), "440305", open, Ok(())), // telling people about it is no filing
        (Act::Receive, None, "440305", open, Err("TB-PAR-0205")),
        (Act::Receive, Some("000711901000"), "440305", open, Err("TB-PAR-0206")), // both must be present
        (Act::Receive, Some("002030901000"), "440305", open, Err("TB-PAR-0207")),
        (Act::Receive, Some("000131901000"), "440305", open, Err("TB-PAR-0208")),
        (Act::Receive, Some(HOUSEHOLD), "440304", open, Err("TB-PAR-0209")),
        (Act::Receive, Some(HOUSEHOLD), "440300", open, Err("TB-PAR-0209")), // the city is not in the district
        (Act::Receive, Some(HOUSEHOLD), "440305", "2026-11-25T08:59:59.999", Err("TB-PAR-0210")),
        (Act::Receive, Some(HOUSEHOLD), "440305", "2026-11-25T09:00:00", Ok(())),
        (Act::Receive, Some(HOUSEHOLD), "440305", "2026-11-25T16:59:59.999", Ok(())),
        (Act::Receive, Some(HOUSEHOLD), "440305", "2026-11-25T17:00:00", Err("TB-PAR-0210")),
        (Act::Receive, Some(HOUSEHOLD), "440305", "2026-11-28T11:00:00", Ok(())), // Saturday morning
        (Act::Receive, Some(HOUSEHOLD), "440305", "2026-11-28T12:00:00", Err("TB-PAR-0210")),
        (Act::Receive, Some(HOUSEHOLD), "440305", "2026-10-01T10:00:00", Err("TB-PAR-0210")), // closed
        (Act::Receive, Some(HOUSEHOLD), "440305", "2025-12-31T10:00:00", Err("TB-PAR-0201")),
        (Act::Receive, Some(HOUSEHOLD), "440305", "2026-12-31T16:00:00", Ok(())), // the last day
        (Act::Receive, Some(HOUSEHOLD), "440305", "2027-01-01T00:00:00", Err("TB-PAR-0202")),
    ] {
        let got = check(contract, terminal, act, item.map(terms), place.parse().unwrap(), at(now));
        let got = got.map(drop).map_err(|e| e.told().code);
        assert_eq!(got, want, "{act} {item:?} {place} {now}");
    }
    let (post, terminal) = by_uri(&contracts, "urn:tongban:outlet:post-xindu-07:t1");
    let place = "510114".parse().unwrap();
    let late = |time| check(post, terminal, Act::Receive, Some(terms(HOUSEHOLD)), place, at(time)).is_ok();
    assert!(late("2027-02-28T23:59:59.999") && !late("2027-03-01T00:00:00")); // ends at midnight
    let no = check(post, terminal, Act::PrintResult, Some(terms(HOUSEHOLD)), place, at(open));
    assert!(matches!(no, Err(PartnerError::ActNotAllowed { .. })));
}

#[test]
fn a_terminal_is_where_it_stands_or_where_it_tells() {
    let contracts = contracts();
    let (contract, terminal) = by_uri(&contracts, URI);
    let place = |text: &str| Some(text.parse::<RegionCode>().unwrap());
    for (stands, moves, told, want) in [
        (None, false, None, Ok("440305000000")),
        (place("440305007003"), false, None, Ok("440305007003")),
        (None, true, None, Err("TB-PAR-0211")),
        (None, true, place("440305007"), Ok("440305007000")),
        (None, true, place("440304"), Ok("440304000000")), // and the check says that this is outside
        (place("440305007003"), false, place("440304"), Ok("440304000000")), // carried off
    ] {
        let terminal = Terminal { place: stands, moves, told, ..terminal.clone() };
        let got = contract.place_of(&terminal).map(|place| place.to_string()).map_err(|e| e.told().code);
        assert_eq!(got.as_deref(), want.as_ref().copied(), "{stands:?} {moves} {told:?}");
    }
    assert!(contract.covers("440305007".parse().unwrap()) && !contract.covers("440304".parse().unwrap()));
}

#[test]
fn terminals_are_known_by_their_certificate() {
    let contracts = contracts();
    let fingerprint: Digest = FINGERPRINT.parse().unwrap();
    let other = Digest([7; 32]);
    for (fingerprint, uri, want) in [
        (fingerprint, None, Some("bank-nanshan-01")),
        (fingerprint, Some("urn:tongban:outlet:post-xindu-07:t1"), Some("bank-nanshan-01")), // the fingerprint wins
        (other, Some(URI), Some("bank-nanshan-01")),
        (other, None, None),
        (other, Some("urn:tongban:outlet:bank-nanshan-01:t12"), None), // a longer name is another name
        (other, Some("URN:tongban:outlet:bank-nanshan-01:t1"), None),
        (other, Some("urn:tongban:outlet:bank-nanshan-01:t1\0"), None),
        (other, Some(FINGERPRINT), None), // a URI that looks like a fingerprint is still a URI
    ] {
        let got = contracts.find_by_certificate(fingerprint, uri).ok().map(|(c, _)| c.outlet.to_string());
        assert_eq!(got.as_deref(), want, "{uri:?}");
    }
    assert_eq!(contracts.find_by_terminal(fingerprint).unwrap().0.kind, OutletKind::Bank);
    assert_eq!(contracts.find_by_terminal(other).unwrap_err().told().code, "TB-PAR-0101");
}

#[test]
fn kill_switches_act_at_once() {
    let contracts = contracts();
    let outlet: OutletId = "bank-nanshan-01".parse().unwrap();
    let place = "440305".parse().unwrap();
    let now = at("2026-11-25T10:00:00");
    let stopped = contracts.with_suspended(&outlet, "异常办件核查").unwrap();
    let (contract, terminal) = by_uri(&stopped, URI);
    let no = check(contract, terminal, Act::Guide, None, place, now).unwrap_err();
    assert_eq!(no.told().code, "TB-PAR-0203");
    assert!(!no.to_string().contains("核查")); // the reason is the operator's
    let revoked = contracts.with_revoked(&FINGERPRINT.parse().unwrap()).unwrap();
    let no = revoked.find_by_terminal(FINGERPRINT.parse().unwrap()).unwrap_err();
    assert_eq!(no.told().code, "TB-PAR-0102");
    assert!(revoked.find_by_certificate(FINGERPRINT.parse().unwrap(), Some(URI)).is_err()); // no second way in
    let (contract, _) = by_uri(&revoked, URI);
    let old = contracts.find_by_terminal(FINGERPRINT.parse().unwrap()).unwrap().1;
    assert!(check(contract, old, Act::Guide, None, place, now).is_err()); // nor with yesterday's snapshot of it
    assert!(contracts.with_suspended(&"nobody".parse().unwrap(), "x").is_none());
}

#[test]
fn a_filing_takes_one_unit_of_every_limit() {
    let contracts = contracts();
    let allowed = allowed(&contracts);
    let plan = QuotaPlan::of(&allowed, "clerk-1", "person-1");
    let limits: Vec<(Counter, u32)> = plan.keys().iter().map(|k| (k.counter, k.limit)).collect();
    let want = [
        (Counter::Citizen, 5),
        (Counter::Clerk, 80),
        (Counter::Item, 30), // the item's own limit, not 60
        (Counter::Outlet, 200),
        (Counter::Terminal, 100),
    ];
    assert_eq!(limits, want);
    for key in plan.keys() {
        assert!(key.key.len() <= 128 && key.key.is_ascii(), "{}", key.key);
        assert!(!key.key.contains("clerk-1") && !key.key.contains("person-1"), "{}", key.key);
        assert_eq!(key.day.to_string(), "2026-11-25");
    }
    // Another person, same outlet: only the citizen's counter is another one.
    let other = QuotaPlan::of(&allowed, "clerk-1", "person-2");
    let same = plan.keys().iter().filter(|key| other.keys().contains(key)).count();
    assert_eq!(same, 4);
    let (contract, terminal) = by_uri(&contracts, URI);
    let place = "440305".parse().unwrap();
    let scan = check(contract, terminal, Act::Scan, Some(terms(HOUSEHOLD)), place, at("2026-11-25T10:00:00")).unwrap();
    assert!(QuotaPlan::of(&scan, "clerk-1", "person-1").keys().is_empty());
}

#[test]
fn counters_are_judged_one_by_one() {
    let contracts = contracts();
    let allowed = allowed(&contracts);
    let judge = |change: &dyn Fn(&mut Vec<Taken>, &[QuotaKey])| {
        let plan = QuotaPlan::of(&allowed, "clerk-1", "person-1");
        let keys = plan.keys().to_vec();
        let mut taken: Vec<Taken> =
            keys.iter().map(|k| Taken { key: k.key.clone(), day: k.day, count: u64::from(k.limit) }).collect();
        change(&mut taken, &keys);
        plan.judge(taken).map(|slot| slot.taken().len()).map_err(|e| e.told().code)
    };
    assert_eq!(judge(&|_, _| {}), Ok(5)); // the last unit of each
    for (n, code) in
        [(0, "TB-PAR-0302"), (1, "TB-PAR-0301"), (2, "TB-PAR-0301"), (3, "TB-PAR-0301"), (4, "TB-PAR-0301")]
    {
        assert_eq!(judge(&|taken, _| taken[n].count += 1), Err(code), "counter {n}");
        assert_eq!(judge(&|taken, _| taken[n].count = 0), Err("TB-PAR-0303"), "not taken {n}");
        assert_eq!(judge(&|taken, _| drop(taken.remove(n))), Err("TB-PAR-0303"), "missing {n}");
        assert_eq!(judge(&|taken, _| taken.push(taken[n].clone())), Err("TB-PAR-0303"), "twice {n}");
        let tomorrow = |taken: &mut Vec<Taken>, _: &[QuotaKey]| taken[n].day = taken[n].day.next().unwrap();
        assert_eq!(judge(&tomorrow), Err("TB-PAR-0303"), "another day {n}");
    }
}

#[test]
fn rates_belong_to_the_terminal() {
    let contracts = contracts();
    let clock = FakeRelativeClock::default();
    let rates = Rates::with_clock(&contracts, clock.clone());
    let (contract, first) = by_uri(&contracts, URI);
    let second = contracts.find_by_terminal(FINGERPRINT.parse().unwrap()).unwrap().1;
    let burst = (0..100).take_while(|_| rates.take(contract, first).is_ok()).count();
    assert_eq!(burst, 20);
    let no = rates.take(contract, first).unwrap_err();
    assert!(matches!(no, PartnerError::TooFast { wait_ms: 1..=100, .. }), "{no}");
    assert!(rates.take(contract, second).is_ok()); // the other terminal has its own
    assert!(rates.reloaded(&contracts).take(contract, first).is_err()); // a reload is no pardon
    clock.advance(Duration::from_millis(100));
    assert!(rates.take(contract, first).is_ok());
    assert!(rates.take(contract, first).is_err());
    let stranger = Terminal { id: "urn:somebody".parse().unwrap(), ..first.clone() };
    assert!(matches!(rates.take(contract, &stranger), Err(PartnerError::UnknownTerminal)));
}

/// One change to the example, and the mistake it must bring.
#[test]
fn each_mistake_in_a_contract_is_told() {
    for (from, to, field, wrong) in [
        ("outlet = \"bank-nanshan-01\"", "outlet = \"Bank 1\"", "contract[1].outlet", "not valid"),
        ("outlet = \"post-xindu-07\"", "outlet = \"bank-nanshan-01\"", "contract[2].outlet", "also the outlet of line"),
        ("kind = \"bank\"", "kind = \"pub\"", "contract[1].kind", "not valid"),
        ("\"receive\", \"read_own\"", "\"receive\", \"accept\"", "contract[1].acts[6]", "`accept` is not valid"),
        ("places = [\"440305\"]", "places = [\"110101\"]", "contract[1].places", "does not touch"),
        ("to = \"2026-12-31\"", "to = \"2025-12-31\"", "contract[1].to", "before the first day"),
        ("to = \"2026-12-31\"", "to = \"2026-13-31\"", "contract[1].to", "not valid"),
        ("\"002014901000\"", "\"002009999000\"", "contract[1].items", "not in the catalogue"),
        ("\"002014901000\"", "\"000711901000\"", "contract[1].items", "not open to a bank"),
        ("{ \"002009901000\" = 30 }", "{ \"002030901000\" = 30 }", "contract[1].quota", "may not take"),
        ("{ \"002009901000\" = 30 }", "{ \"0020\" = 30 }", "contract[1].quota.items.0020", "not valid"),
        ("citizen = 5  ", "citizens = 5 ", "contract[1].quota.citizen", "missing"),
        ("citizen = 5  ", "citizens = 5 ", "contract[1].quota.`citizens`", "not a known field"),
        (
            "id = \"urn:tongban:outlet:post-xindu-07:t1\"",
            &format!("id = \"{URI}\""),
            "contract[2].terminal[1].id",
            "also",
        ),
        ("id = \"6a09", "id = \"6a0", "contract[1].terminal[2].id", "not valid"),
        ("revoked = false", "place = \"440304\"", "contract[1].terminal", "outside the places"),
        ("revoked = false", "place = \"440305\"\nmoves = true", "contract[1].terminal[2].place", "moves"),
        ("terminal = [{ id = \"urn:tongban:outlet:post-xindu-07:t1\" }]", "", "contract[2].terminal", "there is none"),
        ("to = \"17:00\"", "to = \"09:00\"", "contract[1].hours[1].to", "not after"),
        ("to = \"17:00\"", "to = \"25:00\"", "contract[1].hours[1].to", "not valid"),
        ("id_number = \"3-2\"", "id_number = \"9-9\"", "contract[1].masking.id_number", "not valid"),
        ("per_second = 10", "per_second = 0", "contract[1].rate.per_second", "out of range"),
        ("quota = { outlet = 50, citizen = 5 }", "", "contract[2].quota", "missing"),
        ("mandate = \"eyJ", "mandat = \"eyJ", "contract[1].mandate", "missing"),
        (".e30.AQ", ".e30", "contract[2].mandate", "not valid"),
        (".e30.AQ", ".e30.A Q", "contract[2].mandate", "not valid"),
        (".e30.AQ", ".e30.bent", "contract[2].mandate", "says so"),
        ("authority = \"11510114DT0000350F\"", "", "contract[2].authority", "missing"),
        (
            "authority = \"11440305DT0000350E\"",
            "authority = \"11440305DT00003500\"",
            "contract[1].authority",
            "not valid",
        ),
    ] {
        let text = EXAMPLE.replacen(from, to, 1);
        assert_ne!(text, EXAMPLE, "{from}");
        let Err(mistakes) = Contracts::read("contracts.toml", &text, &known, &mandated) else {
            panic!("{to} was accepted")
        };
        let found = mistakes.list().iter().find(|m| m.field == field && m.wrong.contains(wrong));
        let found = found.unwrap_or_else(|| panic!("{to}: {mistakes}"));
        assert!(found.line > 0 && !found.mend.is_empty());
    }
    let two = EXAMPLE.replacen("kind = \"bank\"", "kind = \"pub\"", 1).replacen("kind = \"post\"", "kind = \"pub\"", 1);
    assert_eq!(Contracts::read("contracts.toml", &two, &known, &mandated).unwrap_err().list().len(), 2); // all at once
}

#[test]
fn codes_are_distinct_and_answers_complete() {
    let mut codes: Vec<&str> = tolds().iter().map(|told| told.code).collect();
    let count = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!((codes.len(), count), (count, 22));
    assert!(tolds().iter().all(|told| told.code.starts_with("TB-PAR-") && !told.zh.is_empty() && !told.en.is_empty()));
}

proptest! {
    #[test]
    fn no_text_panics_as_contracts(text in "\\PC{0,80}", cut in 0usize..4_000) {
        let mut at = cut.min(EXAMPLE.len());
        while !EXAMPLE.is_char_boundary(at) {
            at -= 1;
        }
        let _ = Contracts::read("x.toml", &format!("{}{text}{}", &EXAMPLE[..at], &EXAMPLE[at..]), &known, &mandated);
    }

    #[test]
    fn open_exactly_as_the_hours_say(minute in 0i64..10_080) {
        let contracts = contracts();
        let (contract, _) = by_uri(&contracts, URI);
        let monday = at("2026-11-23T00:00:00");
        let (day, of_day) = (minute / 1_440, minute % 1_440);
        let want = match day {
            0..=4 => (540..1_020).contains(&of_day),
            5 => (570..720).contains(&of_day),
            _ => false,
        };
        prop_assert_eq!(contract.hours.is_open(UnixMillis(monday.0 + minute * 60_000 + 59_999)), want);
    }
}
