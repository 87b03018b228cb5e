//! The invariants of the trade, held against random requests: they must hold whatever the rules are meant to say.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::terms::UnixMillis;

const NOW: UnixMillis = UnixMillis(1_770_000_000_000);

static SET: LazyLock<PolicySet> = LazyLock::new(|| PolicySet::embedded().unwrap());
static WHOLE: LazyLock<cedar_policy::PolicySet> = LazyLock::new(|| SET.whole());

fn one_of<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    select(all)
}

fn name() -> impl Strategy<Value = String> {
    select(&["p-li", "p-zhang", "s-wang", "s-zhao"][..]).prop_map(str::to_owned)
}

fn org() -> impl Strategy<Value = String> {
    select(&["hall", "police", "bank"][..]).prop_map(str::to_owned)
}

fn region() -> impl Strategy<Value = crate::terms::RegionCode> {
    select(&["440305", "419001", "410000", "152921102"][..]).prop_map(|text| text.parse().unwrap())
}

/// Mostly yes: requests that fail everywhere show little.
fn mostly() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.85)
}

prop_compose! {
    fn paper()(kind in one_of(PaperKind::ALL), from in name(), live in mostly(), item_listed in mostly(), act_listed in mostly()) -> Paper {
        Paper { kind, from, live, item_listed, act_listed }
    }
}

prop_compose! {
    fn outlet()(kind in one_of(OutletKind::ALL), live in mostly(), item_listed in mostly(), act_listed in mostly(),
        in_hours in mostly(), at_place in mostly(), customer_present in mostly()) -> Outlet {
        Outlet { kind, live, item_listed, act_listed, in_hours, at_place, customer_present }
    }
}

prop_compose! {
    fn who()(kind in one_of(Kind::ALL), id in name(), level in 2u8..5, level_age_min in 0u32..90, org in prop::option::weighted(0.9, org()),
        places in prop::collection::vec(region(), 0..3), roles in prop::sample::subsequence(Role::ALL, 0..=Role::ALL.len()),
        post in one_of(Post::ALL), paper in prop::option::of(paper()), outlet in prop::option::of(outlet())) -> Who {
        Who { kind, id, level, level_age_min, org, places, roles, scopes: vec!["fund.read".into()], post, paper, outlet }
    }
}

prop_compose! {
    fn case()(owner in region(), applicant in name(), receiver in prop::option::of(name()), examiners in prop::collection::vec(name(), 0..2),
        collected_by in prop::option::of(org()), collected_at in region(), state in one_of(State::ALL),
        presence in one_of(Presence::ALL), immediate: bool, supplements in 0u32..2, extended: bool) -> CaseFacts {
        CaseFacts {
            no: "4190010000002026021300000017S".parse().unwrap(), item: "002009901000".parse().unwrap(),
            owner, authority: "police".into(), applicant, agent: None, state, receiver, examiners, collected_by,
            collected_at, presence, immediate, supplements, extended,
        }
    }
}

prop_compose! {
    fn demand()(source in one_of(Source::ALL), in_guide in mostly(), again in prop::bool::weighted(0.1)) -> Demand {
        Demand { material: "LT-HKB".into(), source, in_guide, again }
    }
}

prop_compose! {
    fn mandate()(authority in org(), live in mostly(), item_listed in mostly(), act_listed in mostly()) -> Mandate {
        Mandate { authority, live, item_listed, act_listed }
    }
}

prop_compose! {
    fn step()(act in one_of(CaseAct::ALL), who in who(), case in case(), mandate in prop::option::of(mandate()),
        complete in mostly(), grant: bool, reasons in mostly(), ground in one_of(Ground::ALL),
        demanded in prop::collection::vec(demand(), 0..2)) -> Step {
        Step { act, who, case, mandate, complete, grant, reasons, ground, demanded }
    }
}

prop_compose! {
    fn filing()(who in who(), owner in region(), presence in one_of(Presence::ALL), mode in one_of(Mode::ALL), scope in one_of(Scope::ALL),
        id in name(), level in 2u8..5, level_age_min in 0u32..90, present in mostly(), agents in mostly(), excluded in prop::bool::weighted(0.1),
        basis in mostly(), demanded in prop::collection::vec(demand(), 0..2)) -> Filing {
        let item = ItemFacts {
            code: "002009901000".parse().unwrap(), owner, presence, min_level: 3, max_level_age_min: 60,
            modes: vec![Mode::Online, Mode::Proxy], scopes: vec![Scope::City, Scope::Nation], outlet_kinds: vec![OutletKind::Bank],
            agents, excluded, basis,
        };
        Filing { who, item, mode, scope, applicant: Person { id, level, level_age_min, present }, fee_fen: 0, demanded }
    }
}

prop_compose! {
    fn lookup()(who in who(), class in one_of(SharingClass::ALL), answers in one_of(AnswerForm::ALL), needs_consent: bool, consent: bool,
        subject in name(), purpose in prop::option::weighted(0.9, Just("p".to_owned())), listed in mostly(), with_case in mostly(),
        applicant in name(), open in mostly(), org in prop::option::of(org()), asked in prop::sample::subsequence(vec!["a", "b"], 0..=2),
        requester in region(), provider in region(), sensitivity in 1u8..5) -> Lookup {
        let item = "002009901000".parse().unwrap();
        let resource = DataResource {
            id: "DR-HH".into(), class, answers, provider, sensitivity, fields: vec!["a".into()], needs_consent,
        };
        let link = CaseLink {
            no: "4190010000002026021300000017S".parse().unwrap(), item, applicant, open, authority: "police".into(), collected_by: org,
        };
        Lookup {
            who, resource, subject, purpose, item: Some(item), item_lists: listed, case: with_case.then_some(link),
            asked: asked.into_iter().map(str::to_owned).collect(), consent, requester,
        }
    }
}

prop_compose! {
    fn arrival()(who in who(), case in case(), here in prop::collection::vec(region(), 1..3), vouched_at in region(),
        id in name(), level in 2u8..5, present: bool, via in one_of(Kind::ALL), mode in one_of(Mode::ALL)) -> Arrival {
        Arrival { who, case, here, vouched_at, applicant: Person { id, level, level_age_min: 1, present }, min_level: 3, via, mode }
    }
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        filing().prop_map(Ask::File),
        step().prop_map(Ask::Step),
        lookup().prop_map(Ask::LookUp),
        lookup().prop_map(Ask::ServeLookup),
        arrival().prop_map(Ask::ReceiveFromPeer),
    ]
}

fn permitted(ask: &Ask) -> bool {
    SET.evaluate(ask, NOW).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// One truth: memo, slices and all rules at once agree, and no ask falls outside the schema.
    #[test]
    fn memo_slices_and_schema_agree(ask in ask()) {
        let first = SET.evaluate(&ask, NOW);
        prop_assert_eq!(&first, &SET.decide(&ask, NOW));
        prop_assert_eq!(&first, &SET.decide(&ask, NOW));
        let (whole, rules) = SET.evaluate_whole(&WHOLE, &ask).expect("the ask fits the schema");
        prop_assert_eq!(whole, first.is_ok());
        let spoke = match &first { Ok(p) => p.rules().to_vec(), Err(d) => d.rules().to_vec() };
        prop_assert_eq!(rules, spoke.iter().map(ToString::to_string).collect());
        let json = serde_json::to_string(&ask).unwrap();
        prop_assert_eq!(serde_json::from_str::<Ask>(&json).unwrap(), ask);
    }

    #[test]
    fn what_needs_presence_is_filed_at_a_window_only(filing in filing()) {
        let (presence, kind, present, mode) = (filing.item.presence, filing.who.kind, filing.applicant.present, filing.mode);
        if permitted(&Ask::File(filing)) && presence != Presence::None {
            prop_assert_eq!((kind, present), (Kind::Clerk, true));
            prop_assert!(mode != Mode::Online);
        }
    }

    #[test]
    fn filings_meet_level_and_ask_for_nothing_exempt(filing in filing()) {
        let (level, age, demanded) = (filing.applicant.level, filing.applicant.level_age_min, filing.demanded.clone());
        if permitted(&Ask::File(filing)) {
            prop_assert!(level >= 3 && age <= 60);
            prop_assert!(demanded.iter().all(|d| d.source == Source::Citizen && d.in_guide && !d.again));
        }
    }

    #[test]
    fn duties_stay_separate_and_power_stays_with_the_owner(mut step in step(), act in one_of(&[CaseAct::Accept, CaseAct::Refuse, CaseAct::Examine, CaseAct::Decide])) {
        step.act = act;
        let mandated = step.mandate.as_ref().is_some_and(|m| m.live && m.item_listed && m.act_listed && m.authority == step.case.authority);
        let owner = step.who.org.as_deref() == Some("police") && step.who.places.iter().any(|p| step.case.owner.lies_in(*p));
        let chief = step.case.immediate && step.who.roles.contains(&Role::Chief) && mandated;
        let did = step.case.receiver.as_ref() == Some(&step.who.id) || (act == CaseAct::Decide && step.case.examiners.contains(&step.who.id));
        let who = step.who.clone();
        let own = step.case.applicant == who.id;
        if permitted(&Ask::Step(step)) {
            prop_assert!(owner || mandated);
            prop_assert!(matches!(who.kind, Kind::Clerk | Kind::Department));
            prop_assert!(!own, "nobody handles an own case");
            if matches!(act, CaseAct::Examine | CaseAct::Decide) {
                prop_assert!(!did || chief);
            }
            if act == CaseAct::Refuse && who.kind == Kind::Clerk {
                prop_assert!(who.roles.contains(&Role::Examine) || who.roles.contains(&Role::Approve));
            }
        }
    }

    #[test]
    fn oversight_and_operators_change_nothing(mut step in step(), kind in one_of(&[Kind::Auditor, Kind::Supervisor, Kind::Operator])) {
        step.who.kind = kind;
        let act = step.act;
        if permitted(&Ask::Step(step)) {
            prop_assert!(kind != Kind::Operator && matches!(act, CaseAct::Read | CaseAct::Warn));
        }
    }

    #[test]
    fn people_read_only_what_is_theirs(mut step in step(), kind in one_of(&[Kind::Citizen, Kind::Agent])) {
        (step.act, step.who.kind) = (CaseAct::Read, kind);
        let own = step.case.applicant == step.who.id;
        let paper = step.who.paper.as_ref().is_some_and(|p| p.live && p.item_listed && p.act_listed && p.from == step.case.applicant);
        if permitted(&Ask::Step(step)) {
            prop_assert!(own || paper);
        }
    }

    #[test]
    fn no_lookup_without_purpose_case_and_right(lookup in lookup(), serving: bool) {
        let l = lookup.clone();
        let ask = if serving { Ask::ServeLookup(lookup) } else { Ask::LookUp(lookup) };
        if permitted(&ask) {
            prop_assert!(l.purpose.is_some() && l.item_lists && l.resource.class != SharingClass::Denied);
            prop_assert!(l.case.is_some_and(|c| c.open && c.applicant == l.subject));
            prop_assert!(l.consent || !l.resource.needs_consent);
            prop_assert!(l.asked.iter().all(|f| f == "a"));
            prop_assert!(l.resource.answers == AnswerForm::Fields || l.asked.is_empty());
            if serving {
                prop_assert!(l.who.kind == Kind::Peer && l.who.places.iter().any(|p| l.requester.lies_in(*p)));
            }
        }
    }

    #[test]
    fn a_peer_speaks_for_its_own_places(mut arrival in arrival()) {
        arrival.who.kind = Kind::Peer;
        let a = arrival.clone();
        if permitted(&Ask::ReceiveFromPeer(arrival)) {
            let within = |place: crate::terms::RegionCode, places: &[crate::terms::RegionCode]| places.iter().any(|p| place.lies_in(*p));
            prop_assert!(within(a.case.collected_at, &a.who.places) && within(a.vouched_at, &a.who.places));
            prop_assert!(within(a.case.owner, &a.here));
            prop_assert!(a.case.presence == Presence::None || (a.via == Kind::Clerk && a.applicant.present));
        }
    }
}
