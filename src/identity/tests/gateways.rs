//! Words between gateways and to departments.

use std::collections::BTreeMap;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::*;
use crate::identity::assertion::{self, Acting, Attribute, PairwiseKey, Peer, Statement, attributes};
use crate::identity::handoff;
use crate::terms::Digest;

static A: LazyLock<(SigningKey, IssuerKeys, Reach)> = LazyLock::new(|| {
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let keys = keys_of(&[&key]);
    (key, keys, Reach::Within(vec!["440300".parse().unwrap()]))
});

fn statement() -> Statement {
    let names = PairwiseKey::new(&[7; 32]);
    Statement {
        subject: names.name("gw-419001", CITIZENS, "c-100"),
        level: 3,
        level_at: NOW.plus_seconds(-100),
        method: Some("face".into()),
        actor: Some(Acting { subject: names.name("gw-419001", STAFF, "clerk-7"), kind: Kind::Clerk }),
        place: "440305".parse().unwrap(),
        item: "002009901000".parse().unwrap(),
        case: None,
        attributes: BTreeMap::new(),
    }
}

#[test]
fn a_peer_speaks_for_its_own_places_and_to_one_reader() {
    let body = Digest::of(b"the request");
    let (key, keys, reach) = &*A;
    let peer = Peer { id: "gw-440305", keys, reach };
    let said =
        |statement: &Statement, now| assertion::issue(key, "gw-440305", "gw-419001", body, statement, now).unwrap();
    let good = said(&statement(), NOW);
    let heard = assertion::receive(&good, peer, "gw-419001", body, NOW).unwrap();
    assert_eq!((heard.peer(), heard.statement()), ("gw-440305", &statement()));
    assert!(heard.replay.expires > NOW.plus_seconds(assertion::LIVES_S + assertion::LEEWAY_S - 1));
    let abroad = said(&Statement { place: "419001".parse().unwrap(), ..statement() }, NOW);
    let level = said(&Statement { level: 5, ..statement() }, NOW);
    let nobody = said(&Statement { subject: String::new(), ..statement() }, NOW);
    let ahead = said(&Statement { level_at: NOW.plus_seconds(60), ..statement() }, NOW);
    let other_name = Peer { id: "gw-510000", ..peer };
    let foreign = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let forged =
        assertion::issue(&foreign.named(key.kid()), "gw-440305", "gw-419001", body, &statement(), NOW).unwrap();
    for (why, token, peer, us, body, after, want) in [
        ("good", &good, peer, "gw-419001", body, 0, "ok"),
        ("late", &good, peer, "gw-419001", body, 70, "token_expired"),
        ("early", &good, peer, "gw-419001", body, -11, "token_not_yet"),
        ("not for us", &good, peer, "gw-510000", body, 0, "token_audience"),
        ("another request", &good, peer, "gw-419001", Digest::of(b"another"), 0, "token_binding"),
        ("not the sender", &good, other_name, "gw-419001", body, 0, "token_issuer"),
        ("a place it may not speak for", &abroad, peer, "gw-419001", body, 0, "token_issuer"),
        ("level 5", &level, peer, "gw-419001", body, 0, "token_malformed"),
        ("nobody", &nobody, peer, "gw-419001", body, 0, "token_malformed"),
        ("proven tomorrow", &ahead, peer, "gw-419001", body, 0, "token_not_yet"),
        ("forged", &forged, peer, "gw-419001", body, 0, "token_signature"),
    ] {
        assert_eq!(word(assertion::receive(token, peer, us, body, NOW.plus_seconds(after))), want, "{why}");
    }
    let token = WORLD.citizens.access_token(&citizen()).unwrap();
    assert_eq!(word(assertion::receive(&token, peer, "gw-419001", body, NOW)), "token_type");
    assert_eq!(word(check(&good, &bearer(), &WORLD.book, NOW)), "token_issuer", "nor the other way round");
}

#[test]
fn long_words_are_refused() {
    let (key, keys, reach) = &*A;
    let body = Digest::of(b"the request");
    let claims = |change: Value| {
        with(
            object(json!({"iss": "gw-440305", "aud": "gw-419001", "iat": NOW.seconds(), "exp": NOW.seconds() + 60,
            "jti": "j", "digest": body, "statement": statement()})),
            change,
        )
    };
    for (change, want) in [
        (json!({}), "ok"),
        (json!({"exp": NOW.seconds() + 61}), "token_lifetime"),
        (json!({"jti": ""}), "token_malformed"),
        (json!({"admin": true}), "token_malformed"),
        (json!({"aud": ["gw-419001", "gw-510000"]}), "token_malformed"),
        (json!({"statement": null}), "token_malformed"),
        (json!({"exp": i64::MAX, "iat": i64::MIN}), "token_lifetime"),
    ] {
        let token = key.sign(assertion::TYP, &claims(change.clone())).unwrap();
        let peer = Peer { id: "gw-440305", keys, reach };
        assert_eq!(word(assertion::receive(&token, peer, "gw-419001", body, NOW)), want, "{change}");
    }
}

#[test]
fn names_for_one_peer_only() {
    let (key, other) = (PairwiseKey::new(&[7; 32]), PairwiseKey::new(&[8; 32]));
    let name = key.name("gw-b", CITIZENS, "c-100");
    assert_eq!(name, key.name("gw-b", CITIZENS, "c-100"), "the same person twice");
    for stranger in [
        key.name("gw-c", CITIZENS, "c-100"),
        key.name("gw-b", STAFF, "c-100"),
        key.name("gw-b", CITIZENS, "c-101"),
        key.name("gw-b", "https://id.henan.examplec", "-100"),
        other.name("gw-b", CITIZENS, "c-100"),
    ] {
        assert_ne!(name, stranger);
    }
    let caller = checked(&WORLD.citizens, &citizen()).caller;
    assert!(attributes(&caller, &[], "gw-b", &key).is_empty(), "without a need nothing travels");
    let told = attributes(&caller, &[Attribute::Name, Attribute::ResidentDigest], "gw-b", &key);
    assert_eq!(told[&Attribute::Name], "张三");
    assert!(!format!("{told:?}").contains("990101199202290010"));
    assert_eq!(
        attributes(&caller, &[Attribute::ResidentId], "gw-b", &key)[&Attribute::ResidentId],
        "990101199202290010"
    );
}

#[test]
fn a_department_gets_a_word_not_the_token() {
    let (key, keys, _) = &*A;
    let caller = checked(&WORLD.citizens, &citizen()).caller;
    let names = PairwiseKey::new(&[7; 32]);
    let request = handoff::request("POST", "/fund/v1/draws?year=2026");
    let token =
        handoff::issue(handoff::Sender { id: US, key, names: &names }, "fund", &caller, None, request, NOW).unwrap();
    let read = |department: &str, request, after: i64| {
        handoff::check(&token, US, keys, department, request, NOW.plus_seconds(after))
    };
    let told = read("fund", request, 0).unwrap();
    assert_eq!((told.level, told.kind, told.sub), (3, Kind::Citizen, names.name("fund", CITIZENS, "c-100")));
    for (department, request, after, want) in [
        ("fund", request, 29, "ok"),
        ("fund", request, 30, "token_expired"),
        ("fund", request, -11, "token_not_yet"),
        ("tax", request, 0, "token_audience"),
        ("fund", handoff::request("GET", "/fund/v1/draws?year=2026"), 0, "token_binding"),
        ("fund", handoff::request("POST", "/fund/v1/draws?year=2025"), 0, "token_binding"),
    ] {
        assert_eq!(word(read(department, request, after)), want, "{department} {after}");
    }
    assert_eq!(word(handoff::check(&token, "https://other", keys, "fund", request, NOW)), "token_issuer");
}
