//! The invariants of the trade, held against random requests: they must hold whatever the rules are meant to say.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;

use super::*;
use crate::terms::UnixMillis;

const NOW: UnixMillis = UnixMillis(1_770_000_000_000);

static SET: LazyLock<PolicySet> = LazyLock::new(|| PolicySet::embedded().unwrap());
static WHOLE: LazyLock<cedar_policy::PolicySet> = LazyLock::new(|| SET.whole());

fn one_of<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    select(all)
}

/// Four times in five the usual value: requests that are odd in every respect are all denied and show little.
fn usually<T: Copy + std::fmt::Debug + 'static>(usual: T, all: &'static [T]) -> impl Strategy<Value = T> {
    prop_oneof![4 => Just(usual), 1 => one_of(all)]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just("p-li"), 1 => Just("s-wang")].prop_map(str::to_owned)
}

fn org() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just("police"), 1 => Just("hall")].prop_map(str::to_owned)
}

fn region() -> impl Strategy<Value = crate::terms::RegionCode> {
    usually("419001", &["440305", "410000", "152921102"]).prop_map(|text| text.parse().unwrap())
}

const WORKERS: &[Kind] = &[Kind::Clerk, Kind::Clerk, Kind::Department, Kind::Outlet, Kind::Citizen, Kind::Agent];

/// Mostly yes: requests that fail everywhere show little.
fn mostly() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.85)
}

prop_compose! {
    fn paper()(kind in usually(PaperKind::Attorney, PaperKind::ALL), from in name(), live in mostly(),
        item_listed in mostly(), act_listed in mostly()) -> Paper {
        Paper { kind, from, live, item_listed, act_listed }
    }
}

prop_compose! {
    fn outlet()(kind in usually(OutletKind::Bank, OutletKind::ALL), live in mostly(), item_listed in mostly(),
        act_listed in mostly(),
        in_hours in mostly(), at_place in mostly(), customer_present in mostly()) -> Outlet {
        Outlet { kind, live, item_listed, act_listed, in_hours, at_place, customer_present }
    }
}

prop_compose! {
    fn who(kinds: &'static [Kind])(
        kind in one_of(kinds), id in name(), level in usually(4u8, &[2, 3]), level_age_min in usually(5u32, &[60,
            61, 90]),
        org in prop::option::weighted(0.9, org()), places in prop::collection::vec(region(), 1..3),
        roles in prop::sample::subsequence(Role::ALL, 2..=Role::ALL.len()), post in usually(Post::A, Post::ALL),
        paper in prop::option::weighted(0.7, paper().boxed()), outlet in prop::option::weighted(0.8,
            outlet().boxed()),
    ) -> Who {
        Who { kind, id, level, level_age_min, org, places, roles, scopes: vec!["fund.read".into()], post, paper,
            outlet }
    }
}

prop_compose! {
    fn case()(owner in region(), applicant in name(), receiver in prop::option::of(name()),
        examiners in prop::collection::vec(name(), 0..2),
        collected_by in prop::option::of(org()), collected_at in region(), state in one_of(&[State::Filed,
            State::Received, State::Accepted, State::InReview, State::Decided, State::Ended]),
        presence in usually(Presence::None, Presence::ALL), immediate: bool, supplements in usually(0u32, &[1]),
            extended in usually(false, &[true])) -> CaseFacts {
        CaseFacts {
            no: "4190010000002026021300000017S".parse().unwrap(), item: "002009901000".parse().unwrap(),
            owner, authority: "police".into(), applicant, agent: None, state, receiver, examiners, collected_by,
            collected_at, presence, immediate, supplements, extended,
        }
    }
}

prop_compose! {
    fn demand()(source in usually(Source::Citizen, Source::ALL), in_guide in mostly(),
        again in prop::bool::weighted(0.1)) -> Demand {
        Demand { material: "LT-HKB".into(), source, in_guide, again }
    }
}

prop_compose! {
    fn mandate()(authority in org(), live in mostly(), item_listed in mostly(), act_listed in mostly()) -> Mandate {
        Mandate { authority, live, item_listed, act_listed }
    }
}

prop_compose! {
    fn step(kinds: &'static [Kind])(act in one_of(CaseAct::ALL), who in who(kinds).boxed(),
        case in case().boxed(), mandate in prop::option::of(mandate()),
        complete in mostly(), grant: bool, reasons in mostly(), ground in one_of(Ground::ALL),
        demanded in prop::collection::vec(demand(), 0..2)) -> Step {
        Step { act, who, case, mandate, complete, grant, reasons, ground, demanded }
    }
}

prop_compose! {
    fn filing()(who in who(&[Kind::Citizen, Kind::Agent, Kind::Clerk, Kind::Outlet]).boxed(), owner in region(),
        presence in usually(Presence::None, Presence::ALL),
        mode in one_of(Mode::ALL), scope in usually(Scope::Nation, Scope::ALL),
        id in name(), level in usually(4u8, &[2, 3]), level_age_min in usually(5u32, &[60, 61, 90]),
            present in mostly(), agents in mostly(), excluded in prop::bool::weighted(0.1),
        basis in mostly(), demanded in prop::collection::vec(demand(), 0..2)) -> Filing {
        let item = ItemFacts {
            code: "002009901000".parse().unwrap(), owner, presence, min_level: 3, max_level_age_min: 60,
            modes: vec![Mode::Online, Mode::Proxy], scopes: vec![Scope::City, Scope::Nation],
                outlet_kinds: vec![OutletKind::Bank],
            agents, excluded, basis,
        };
        Filing { who, item, mode, scope, applicant: Person { id, level, level_age_min, present }, fee_fen: 0,
            demanded }
    }
}

prop_compose! {
    fn lookup(kinds: &'static [Kind])(who in who(kinds).boxed(), class in usually(SharingClass::Conditional,
        SharingClass::ALL),
        answers in usually(AnswerForm::Fields, AnswerForm::ALL), needs_consent: bool, consent in mostly(),
        subject in name(), purpose in prop::option::weighted(0.9, Just("p".to_owned())), listed in mostly(),
        purpose_listed in mostly(),
            with_case in mostly(),
        applicant in name(), open in mostly(), org in prop::option::of(org()),
            asked in prop::sample::subsequence(vec!["a", "b"], 0..=1),
        requester in region(), provider in region(), sensitivity in 1u8..5) -> Lookup {
        let item = "002009901000".parse().unwrap();
        let resource = DataResource {
            id: "DR-HH".into(), class, answers, provider, sensitivity, fields: vec!["a".into()], needs_consent,
        };
        let link = CaseLink {
            no: "4190010000002026021300000017S".parse().unwrap(), item, applicant, open,
                authority: "police".into(), collected_by: org,
        };
        Lookup {
            who, resource, subject, purpose, item: Some(item), item_lists: listed, purpose_listed: Some(purpose_listed), case: with_case.then_some(link),
            asked: asked.into_iter().map(str::to_owned).collect(), consent, requester,
        }
    }
}

prop_compose! {
    fn arrival()(who in who(&[Kind::Peer]).boxed(), case in case().boxed(),
        here in prop::collection::vec(region(), 1..3), vouched_at in region(),
        id in name(), (level, level_age_min) in (usually(4u8, &[2, 3]), usually(5u32, &[60, 61, 90])), present in mostly(),
        via in one_of(&[Kind::Clerk,
            Kind::Outlet, Kind::Agent, Kind::Citizen]),
        mode in usually(Mode::Proxy, Mode::ALL), scope in usually(Scope::Nation, Scope::ALL), agents in mostly(),
            presence in usually(Presence::None, Presence::ALL)) -> Arrival {
        let item = ItemFacts {
            code: case.item, owner: case.owner, presence, min_level: 3, max_level_age_min: 60,
            modes: vec![Mode::Online, Mode::Proxy], scopes: vec![Scope::City, Scope::Nation], outlet_kinds: vec![],
            agents, excluded: false, basis: true,
        };
        let applicant = Person { id, level, level_age_min, present };
        Arrival { who, case, here, vouched_at, applicant, item, via, mode, scope }
    }
}

/// Boxed, here and above: the trees of these strategies are large, and a test's stack is not.
fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        filing().prop_map(Ask::File).boxed(),
        step(Kind::ALL).prop_map(Ask::Step).boxed(),
        lookup(WORKERS).prop_map(Ask::LookUp).boxed(),
        lookup(&[Kind::Peer]).prop_map(Ask::ServeLookup).boxed(),
        arrival().prop_map(Ask::ReceiveFromPeer).boxed(),
    ]
}

fn permitted(ask: &Ask) -> bool {
    SET.evaluate(ask, NOW).is_ok()
}

/// A property that is never put to the test holds for nothing: random requests of every kind are permitted now and then.
#[test]
fn random_requests_are_permitted_often_enough_to_mean_something() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let kinds: [(&str, BoxedStrategy<Ask>); 5] = [
        ("file", filing().prop_map(Ask::File).boxed()),
        ("step", step(WORKERS).prop_map(Ask::Step).boxed()),
        ("look up", lookup(WORKERS).prop_map(Ask::LookUp).boxed()),
        ("serve", lookup(&[Kind::Peer]).prop_map(Ask::ServeLookup).boxed()),
        ("arrive", arrival().prop_map(Ask::ReceiveFromPeer).boxed()),
    ];
    for (name, strategy) in kinds {
        let yes = (0..500).filter(|_| permitted(&strategy.new_tree(&mut runner).unwrap().current())).count();
        println!("{name}: {yes} of 500 permitted");
        assert!(yes >= 15, "{name}: {yes} of 500");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

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
        let (presence, kind, present, mode) = (filing.item.presence, filing.who.kind, filing.applicant.present,
            filing.mode);
        if permitted(&Ask::File(filing)) && presence != Presence::None {
            prop_assert_eq!((kind, present), (Kind::Clerk, true));
            prop_assert!(mode != Mode::Online);
        }
    }

    #[test]
    fn filings_meet_level_and_ask_for_nothing_exempt(filing in filing()) {
        let demanded = filing.demanded.clone();
        let (level, age) = match filing.who.kind {
            Kind::Citizen => (filing.who.level, filing.who.level_age_min),
            _ => (filing.applicant.level, filing.applicant.level_age_min),
        };
        if permitted(&Ask::File(filing)) {
            prop_assert!(level >= 3 && age <= 60);
            prop_assert!(demanded.iter().all(|d| d.source == Source::Citizen && d.in_guide && !d.again));
        }
    }

    #[test]
    fn duties_stay_separate_and_power_stays_with_the_owner(mut step in step(WORKERS),
        act in one_of(&[CaseAct::Accept, CaseAct::Refuse, CaseAct::Examine, CaseAct::Decide])) {
        step.act = act;
        let mandated = step.mandate.as_ref().is_some_and(|m| m.live && m.item_listed && m.act_listed
            && m.authority == step.case.authority);
        let owner = step.who.org.as_deref() == Some("police")
            && step.who.places.iter().any(|p| step.case.owner.lies_in(*p));
        let chief = step.case.immediate && step.who.roles.contains(&Role::Chief) && mandated;
        let did = step.case.receiver.as_ref() == Some(&step.who.id) || (act == CaseAct::Decide
            && step.case.examiners.contains(&step.who.id));
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
    fn oversight_and_operators_change_nothing(mut step in step(Kind::ALL), kind in one_of(&[Kind::Auditor,
        Kind::Supervisor, Kind::Operator])) {
        step.who.kind = kind;
        let act = step.act;
        if permitted(&Ask::Step(step)) {
            prop_assert!(kind != Kind::Operator && matches!(act, CaseAct::Read | CaseAct::Warn));
        }
    }

    #[test]
    fn people_read_only_what_is_theirs(mut step in step(Kind::ALL), kind in one_of(&[Kind::Citizen, Kind::Agent])) {
        (step.act, step.who.kind) = (CaseAct::Read, kind);
        let own = step.case.applicant == step.who.id;
        let paper = step.who.paper.as_ref().is_some_and(|p| p.live && p.item_listed && p.act_listed
            && p.from == step.case.applicant);
        if permitted(&Ask::Step(step)) {
            prop_assert!(own || paper);
        }
    }

    #[test]
    fn no_lookup_without_purpose_case_and_right(lookup in prop_oneof![lookup(WORKERS).boxed(),
        lookup(&[Kind::Peer]).boxed()]) {
        let l = lookup.clone();
        let serving = l.who.kind == Kind::Peer;
        let ask = if serving { Ask::ServeLookup(lookup) } else { Ask::LookUp(lookup) };
        if permitted(&ask) {
            prop_assert!(l.purpose.is_some() && l.item_lists && l.purpose_listed() && l.resource.class != SharingClass::Denied);
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
    fn a_peer_speaks_for_its_own_places(arrival in arrival()) {
        let a = arrival.clone();
        if permitted(&Ask::ReceiveFromPeer(arrival)) {
            let within = |place: crate::terms::RegionCode,
                places: &[crate::terms::RegionCode]| places.iter().any(|p| place.lies_in(*p));
            prop_assert!(within(a.case.collected_at, &a.who.places) && within(a.vouched_at, &a.who.places));
            prop_assert!(within(a.case.owner, &a.here));
            prop_assert!(a.applicant.level >= a.item.min_level && a.applicant.level_age_min <= a.item.max_level_age_min);
            prop_assert!(a.via != Kind::Outlet && (a.via != Kind::Agent || a.item.agents));
            prop_assert!((a.case.presence == Presence::None
                && a.item.presence == Presence::None) || (a.via == Kind::Clerk && a.applicant.present));
        }
    }
}
