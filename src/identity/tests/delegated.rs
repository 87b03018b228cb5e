//! Papers and exchange: who may act for whom.

use jsonwebtoken::Algorithm;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::identity::access::Binding;
use crate::identity::delegation::{
    self, Ask, DelegationError, Grant, Paper, PaperView, PowerOfAttorney, Registrar, UseConsent, Uses, WindowMandate,
    Wording, sign,
};
use crate::identity::exchange::{ExchangeError, Post, Request, exchange};
use crate::terms::{Explain, ItemCode};

const ITEM: &str = "002009901000";
const OTHER_ITEM: &str = "002009902000";
static REGISTRAR: LazyLock<(SigningKey, IssuerKeys, Reach)> = LazyLock::new(|| {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let keys = keys_of(&[&key]);
    (key, keys, Reach::Within(vec!["440300".parse().unwrap()]))
});

fn registrar() -> Registrar<'static> {
    Registrar { id: "gw-440305", keys: &REGISTRAR.1, reach: &REGISTRAR.2 }
}

struct Ended(&'static str);
impl PaperView for Ended {
    fn is_revoked(&self, registrar: &str, id: &str) -> bool {
        registrar == "gw-440305" && id == self.0
    }
}

fn person() -> String {
    format!("{CITIZENS}#c-100")
}
fn agent() -> String {
    format!("{CITIZENS}#c-200")
}

fn wording() -> Wording {
    Wording {
        iss: "gw-440305".into(),
        jti: "poa-1".into(),
        iat: NOW.seconds() - 3_600,
        nbf: NOW.seconds() - 3_600,
        exp: NOW.seconds() + 86_400,
        from: person(),
        to: agent(),
        items: vec![ITEM.parse().unwrap()],
        acts: vec!["file".into(), "collect".into()],
        places: vec!["440305".parse().unwrap()],
        resources: vec![],
        fields: vec![],
        purpose: None,
        case: None,
        uses: Uses::Many,
        issuer: None,
    }
}

fn ask<'a>(from: &'a str, to: &'a str) -> Ask<'a> {
    Ask {
        from,
        to,
        item: Some(ITEM.parse().unwrap()),
        act: "file",
        place: Some("440305002000".parse().unwrap()),
        resource: None,
        fields: None,
        purpose: None,
        case: None,
        presence: false,
    }
}

fn held<P: Paper + Copy>(kind: P, wording: &Wording, ask: &Ask<'_>) -> Result<Grant<P>, DelegationError> {
    delegation::check(kind, &sign(kind, wording, &REGISTRAR.0).unwrap(), registrar(), ask, &Ended("poa-9"), NOW)
}

#[test]
fn a_power_of_attorney_covers_what_it_says() {
    type Change = fn(&mut Wording);
    let cases: [(Change, Result<(), DelegationError>); 12] = [
        (|_| {}, Ok(())),
        (|w| w.exp = NOW.seconds(), Err(DelegationError::Period)),
        (|w| w.nbf = NOW.seconds() + 1, Err(DelegationError::Period)),
        (|w| w.iat = NOW.seconds() + 1, Err(DelegationError::Period)),
        (|w| w.exp = NOW.seconds() + 400 * 86_400, Err(DelegationError::Invalid("a period longer than allowed"))),
        (|w| w.jti = "poa-9".into(), Err(DelegationError::Revoked)),
        (|w| w.from = "x#y".into(), Err(DelegationError::Parties("giver"))),
        (|w| w.to = "x#y".into(), Err(DelegationError::Parties("receiver"))),
        (|w| w.items = vec![OTHER_ITEM.parse().unwrap()], Err(DelegationError::Scope("item"))),
        (|w| w.acts = vec!["collect".into()], Err(DelegationError::Scope("act"))),
        (|w| w.places = vec!["440304".parse().unwrap()], Err(DelegationError::Scope("place"))),
        (
            |w| w.places = vec!["419001".parse().unwrap()],
            Err(DelegationError::Invalid("a place the registrar may not speak for")),
        ),
    ];
    let (from, to) = (person(), agent());
    for (n, (change, want)) in cases.into_iter().enumerate() {
        let mut paper = wording();
        change(&mut paper);
        assert_eq!(held(PowerOfAttorney, &paper, &ask(&from, &to)).map(drop), want, "case {n}");
    }
    let present = Ask { presence: true, ..ask(&from, &to) };
    assert_eq!(held(PowerOfAttorney, &wording(), &present).map(drop), Err(DelegationError::PresenceNeeded));
    let oneself = Wording { to: person(), ..wording() };
    assert_eq!(
        held(PowerOfAttorney, &oneself, &ask(&from, &from)).map(drop),
        Err(DelegationError::Parties("receiver"))
    );
}

#[test]
fn no_paper_stands_in_for_another() {
    let (from, to) = (person(), agent());
    let paper = sign(PowerOfAttorney, &wording(), &REGISTRAR.0).unwrap();
    let asked = ask(&from, &to);
    let mandate = delegation::check(WindowMandate, &paper, registrar(), &asked, &Ended(""), NOW);
    assert_eq!(mandate.map(drop), Err(DelegationError::Kind));
    let consent = delegation::check(UseConsent, &paper, registrar(), &asked, &Ended(""), NOW);
    assert_eq!(consent.map(drop), Err(DelegationError::Kind));
    assert_eq!(word(check(&paper, &bearer(), &WORLD.book, NOW)), "token_issuer", "nor for an access token");
    let token = WORLD.citizens.access_token(&citizen()).unwrap();
    let as_paper = delegation::check(PowerOfAttorney, &token, registrar(), &asked, &Ended(""), NOW);
    assert_eq!(as_paper.map(drop), Err(DelegationError::Kind));
    let forged =
        sign(PowerOfAttorney, &wording(), &SigningKey::generate(Algorithm::ES256).unwrap().named(REGISTRAR.0.kid()));
    let forged = delegation::check(PowerOfAttorney, &forged.unwrap(), registrar(), &asked, &Ended(""), NOW);
    assert!(matches!(forged, Err(DelegationError::Signature(_))));
}

#[test]
fn mandates_and_consents() {
    let mandate = Wording {
        from: "11440305MB2C92035X".into(),
        to: "window-3".into(),
        acts: vec!["receive".into(), "accept".into()],
        exp: NOW.seconds() + 700 * 86_400, // longer than any power of attorney
        ..wording()
    };
    let at_window = Ask { act: "accept", presence: true, ..ask("11440305MB2C92035X", "window-3") };
    assert!(held(WindowMandate, &mandate, &at_window).is_ok(), "the person is at the window");
    let decide = Ask { act: "decide", ..at_window };
    assert_eq!(held(WindowMandate, &mandate, &decide).map(drop), Err(DelegationError::Scope("act")));
    let nowhere = Wording { places: vec![], ..mandate };
    assert_eq!(
        held(WindowMandate, &nowhere, &at_window).map(drop),
        Err(DelegationError::Invalid("a mandate without a place"))
    );

    let consent = Wording {
        to: "11440305MB2C92035X".into(),
        items: vec![],
        places: vec![],
        acts: vec!["use".into()],
        resources: vec!["DR-HH".into()],
        purpose: Some("household".into()),
        case: Some("4190010000002026021300000017S".parse().unwrap()),
        uses: Uses::Once,
        ..wording()
    };
    let from = person();
    let good = Ask {
        act: "use",
        place: None,
        resource: Some("DR-HH"),
        purpose: Some("household"),
        case: consent.case,
        ..ask(&from, "11440305MB2C92035X")
    };
    let grant = held(UseConsent, &consent, &good).unwrap();
    let once = grant.once().unwrap();
    assert_eq!(
        (once.expires, once.key),
        (grant.expires(), held(UseConsent, &consent, &good).unwrap().once().unwrap().key)
    );
    assert_eq!(DelegationError::Used.told().code, "TB-IDN-0105");
    for (ask, want) in [
        (Ask { resource: Some("DR-TAX"), ..good }, "resource"),
        (Ask { resource: None, ..good }, "resource"),
        (Ask { purpose: Some("marketing"), ..good }, "purpose"),
        (Ask { purpose: None, ..good }, "purpose"),
        (Ask { case: None, ..good }, "case"),
    ] {
        assert_eq!(held(UseConsent, &consent, &ask).map(drop), Err(DelegationError::Scope(want)));
    }
    let narrow = Wording { fields: vec!["household_no".into(), "relation".into()], ..consent.clone() };
    for (fields, covered) in [
        (vec!["household_no"], true),
        (vec!["household_no", "relation"], true),
        (vec!["household_no", "household_address"], false),
        (vec!["household_address"], false),
    ] {
        let asked = fields.iter().map(|field| (*field).to_owned()).collect();
        let got = held(UseConsent, &narrow, &Ask { fields: Some(&asked), ..good }).map(drop);
        assert_eq!(got, if covered { Ok(()) } else { Err(DelegationError::Scope("fields")) }, "{fields:?}");
    }
    let open = Wording { purpose: None, ..consent };
    assert_eq!(
        held(UseConsent, &open, &good).map(drop),
        Err(DelegationError::Scope("purpose")),
        "no consent to everything"
    );
}

fn bound(key: &SigningKey, claims: Object) -> Checked {
    let claims = with(claims, json!({"cnf": {"jkt": WORLD.device.jkt().unwrap()}}));
    let token = key.access_token(&claims).unwrap();
    let proof = WORLD.device.dpop_proof("POST", URL, Some(&token), None, NOW).unwrap();
    check(&token, &Presented { scheme: "DPoP", proofs: vec![&proof], ..bearer() }, &WORLD.book, NOW).unwrap()
}

fn request(paper: Option<&Grant<PowerOfAttorney>>) -> Request<'_> {
    static NO_DEVICE: Binding = Binding { jkt: None, x5t_s256: None };
    Request {
        gateway: US,
        audience: US,
        jti: "x-1",
        item: ITEM.parse().unwrap(),
        purpose: "household",
        case: None,
        presence: false,
        post: Post::First,
        device: &NO_DEVICE,
        paper,
    }
}

fn why(result: Result<Object, ExchangeError>) -> &'static str {
    result.err().map_or("ok", |error| error.told().code)
}

#[test]
fn a_clerk_acts_for_a_citizen() {
    let subject = checked(&WORLD.citizens, &citizen());
    let seven = bound(&WORLD.staff, clerk());
    let claims = exchange(&subject, &seven, &Request { presence: true, ..request(None) }, NOW).unwrap();
    assert_eq!(claims["sub"], format!("{CITIZENS}#c-100"));
    assert_eq!(claims["act"], json!({"iss": STAFF, "sub": "clerk-7", "kind": "clerk"}));
    assert_eq!(claims["exp"], NOW.seconds() + 300);
    assert_eq!((&claims["acr"], &claims["cnf"]["jkt"]), (&json!("3"), &json!(WORLD.device.jkt().unwrap())));
    assert_eq!((&claims["item"], &claims["purpose"]), (&json!(ITEM), &json!("household")));
    assert!(!Value::Object(claims).to_string().contains("990101199202290010"), "no resident number in it");

    let short = checked(&WORLD.citizens, &with(citizen(), json!({"exp": NOW.seconds() + 20})));
    assert_eq!(exchange(&short, &seven, &request(None), NOW).unwrap()["exp"], NOW.seconds() + 20);
    let unbound = checked(&WORLD.staff, &clerk());
    let twin = bound(&WORLD.staff, with(clerk(), json!({"resident_id": "990101199202290010"})));
    let acted = checked(&WORLD.citizens, &with(citizen(), json!({"act": {"sub": "agent-1"}})));
    for (subject, actor, want) in [
        (&subject, &seven, "ok"),
        (&subject, &unbound, "TB-IDN-0014"), // the clerk's token is not bound to a device
        (&seven, &subject, "TB-IDN-0020"),   // roles turned round
        (&subject, &twin, "TB-IDN-0020"),    // a clerk in their own matter
        (&acted, &seven, "TB-IDN-0020"),     // no chains of exchanges
    ] {
        assert_eq!(why(exchange(subject, actor, &request(None), NOW)), want, "{actor:?}");
    }
}

#[test]
fn deputies_only_while_the_first_is_away() {
    let subject = checked(&WORLD.citizens, &citizen());
    let (eight, first, own) = (
        bound(&WORLD.staff, with(clerk(), json!({"sub": "clerk-8"}))),
        format!("{STAFF}#clerk-7"),
        format!("{STAFF}#clerk-8"),
    );
    for (post, want) in [
        (Post::First, "ok"),
        (Post::Deputy { first: &first, away: true }, "ok"),
        (Post::Deputy { first: &first, away: false }, "TB-IDN-0109"),
        (Post::Deputy { first: &own, away: true }, "TB-IDN-0109"),
    ] {
        assert_eq!(why(exchange(&subject, &eight, &Request { post, ..request(None) }, NOW)), want, "{post:?}");
    }
    let deputy = Request { post: Post::Deputy { first: &first, away: true }, ..request(None) };
    let claims = exchange(&subject, &eight, &deputy, NOW).unwrap();
    assert_eq!(claims["stands_in_for"], first, "both names go on record");
}

#[test]
fn an_agent_needs_a_paper() {
    let subject = checked(&WORLD.citizens, &citizen());
    let agent_token = |sub: &str| bound(&WORLD.citizens, with(citizen(), json!({"sub": sub, "resident_id": null})));
    let (agent_caller, stranger) = (agent_token("c-200"), agent_token("c-300"));
    let (from, to) = (person(), agent());
    let paper = held(PowerOfAttorney, &wording(), &ask(&from, &to)).unwrap();
    let of_another = held(PowerOfAttorney, &Wording { from: "x#y".into(), ..wording() }, &ask("x#y", &to)).unwrap();
    for (actor, request, want) in [
        (&agent_caller, request(Some(&paper)), "ok"),
        (&agent_caller, request(None), "TB-IDN-0020"),
        (&stranger, request(Some(&paper)), "TB-IDN-0106"),
        (&agent_caller, request(Some(&of_another)), "TB-IDN-0106"),
        (&agent_caller, Request { presence: true, ..request(Some(&paper)) }, "TB-IDN-0108"),
        (
            &agent_caller,
            Request { item: OTHER_ITEM.parse::<ItemCode>().unwrap(), ..request(Some(&paper)) },
            "TB-IDN-0107",
        ),
    ] {
        assert_eq!(why(exchange(&subject, actor, &request, NOW)), want);
    }
}

proptest! {
    /// A paper with any one member changed after signing is refused.
    #[test]
    fn papers_do_not_bend(at in 0usize..900, to in "[A-Za-z0-9_-]") {
        static PAPER: LazyLock<String> = LazyLock::new(|| sign(PowerOfAttorney, &wording(), &REGISTRAR.0).unwrap());
        let mut paper = PAPER.clone();
        let at = at % paper.len();
        paper.replace_range(at..=at, &to);
        prop_assume!(paper != *PAPER);
        let (from, to) = (person(), agent());
        prop_assert!(delegation::check(PowerOfAttorney, &paper, registrar(), &ask(&from, &to), &Ended(""), NOW).is_err());
    }
}
