//! Rows 4, 11–13: key sets read with suspicion, and when they are fetched.

use jsonwebtoken::Algorithm::{ES256, ES384, EdDSA, PS256, RS256};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

use super::*;
use crate::identity::book::BookError;
use crate::identity::jose::encode;
use crate::identity::keys::{MAX_JWKS, PublicKey};
use crate::identity::refresh::{RefreshAction, RefreshEvent, RefreshLimits, RefreshPolicy};

#[test]
fn keys_that_are_left_out() {
    let good = SigningKey::generate(ES256).unwrap().jwk().unwrap();
    let ed = SigningKey::generate(EdDSA).unwrap().jwk().unwrap();
    let big = SigningKey::generate(ES384).unwrap().jwk().unwrap();
    let mut small = vec![0xffu8; 128];
    small[127] = 0xfd;
    let rsa = |n: &[u8], e: &[u8]| json!({"kty": "RSA", "n": encode(n), "e": encode(e), "alg": "RS256"});
    let strong = [vec![0xc5u8; 255], vec![0x01]].concat();
    let even = [vec![0xc5u8; 255], vec![0x02]].concat();
    for (base, change, want) in [
        (&good, json!({}), None),
        (&good, json!({"use": null, "alg": null}), None),
        (&good, json!({"key_ops": ["verify"]}), None),
        (&good, json!({"use": "enc"}), Some("not a signing key")),
        (&good, json!({"key_ops": ["sign"]}), Some("not a signing key")),
        (&good, json!({"d": "AAAA"}), Some("private or symmetric key")),
        (&good, json!({"alg": "ES384"}), Some("algorithm not accepted")),
        (&good, json!({"alg": "HS256"}), Some("algorithm not accepted")),
        (&good, json!({"alg": "RS256"}), Some("algorithm not accepted")),
        (&good, json!({"crv": "P-384"}), Some("coordinate of the wrong length")),
        (&good, json!({"crv": "secp256k1"}), Some("kind of key not accepted")),
        (&good, json!({"crv": "P-521"}), Some("kind of key not accepted")),
        (&good, json!({"x": encode(&[7; 32])}), Some("point off the curve")),
        (&good, json!({"x": encode(&[0; 32]), "y": encode(&[0; 32])}), Some("point off the curve")),
        (&good, json!({"x": null}), Some("a member is missing")),
        (&good, json!({"x": "=="}), Some("a member is not canonical base64url")),
        (&ed, json!({}), None),
        (&ed, json!({"x": encode(&[0; 32])}), Some("not an Ed25519 key, or of small order")),
        (&ed, json!({"x": encode(&[1; 31])}), Some("not an Ed25519 key, or of small order")),
        (&big, json!({}), Some("algorithm not accepted")), // ES384 is not in this issuer's list
        (&object(json!({"kty": "oct", "k": "AAAA"})), json!({}), Some("private or symmetric key")),
        (&object(rsa(&strong, &[1, 0, 1])), json!({}), None),
        (&object(rsa(&strong, &[1])), json!({}), Some("RSA exponent out of range")),
        (&object(rsa(&strong, &[2])), json!({}), Some("RSA exponent out of range")),
        (&object(rsa(&strong, &[0xff; 9])), json!({}), Some("RSA exponent out of range")),
        (&object(rsa(&even, &[1, 0, 1])), json!({}), Some("RSA modulus too small, too large or even")),
        (&object(rsa(&small, &[1, 0, 1])), json!({}), Some("RSA modulus too small, too large or even")),
        (&object(rsa(&[], &[1, 0, 1])), json!({}), Some("RSA modulus too small, too large or even")),
        (
            &object(rsa(&[vec![0], strong.clone()].concat(), &[1, 0, 1])),
            json!({}),
            Some("RSA number with leading zeros"),
        ),
    ] {
        let jwk = with(base.clone(), change.clone());
        let got = PublicKey::from_jwk(&jwk, &[ES256, EdDSA, RS256]).err();
        assert_eq!(got, want, "{change}");
    }
    // A key without `alg` serves one algorithm all the same.
    let open = with(object(rsa(&strong, &[1, 0, 1])), json!({"alg": null}));
    assert_eq!(PublicKey::from_jwk(&open, &[PS256, ES256]).unwrap().algorithm(), PS256);
    assert_eq!(PublicKey::from_jwk(&open, &[PS256, RS256]).unwrap().algorithm(), RS256);
}

#[test]
fn sets_as_a_whole() {
    let (one, two) = (SigningKey::generate(ES256).unwrap(), SigningKey::generate(ES256).unwrap());
    let read = |document: Value| IssuerKeys::from_jwks(document.to_string().as_bytes(), &[ES256]);
    let twice = json!({"keys": [one.jwk().unwrap(), with(two.jwk().unwrap(), json!({"kid": one.kid()}))]});
    let (keys, dropped) = read(twice).unwrap();
    assert!(keys.is_empty() && dropped.iter().all(|d| d.why == "kid twice") && dropped.len() == 2);
    let nameless = json!({"keys": [with(one.jwk().unwrap(), json!({"kid": null}))]});
    let (keys, _) = read(nameless).unwrap();
    assert!(keys.find(None, ES256).is_some() && keys.find(Some("x"), ES256).is_none());
    let (keys, _) = read(jwks(&[&one, &two]).unwrap()).unwrap();
    assert!(keys.find(None, ES256).is_none(), "which of the two?");
    let odd = json!({"keys": [one.jwk().unwrap(), 5, {"kty": "OKP", "kid": ["x"]}, {}]});
    let (keys, dropped) = read(odd).unwrap();
    assert_eq!((keys.kids().count(), dropped.len()), (1, 3), "one bad key does not take the good ones along");
    let many: Vec<_> = (0..65).map(|n| json!({"kid": n.to_string()})).collect();
    for bad in [json!({}), json!({"keys": {}}), json!([]), json!({ "keys": many })] {
        assert!(read(bad).is_err());
    }
    assert!(IssuerKeys::from_jwks(&vec![b' '; MAX_JWKS + 1], &[ES256]).is_err());
    assert!(IssuerKeys::from_jwks(br#"{"keys":[],"keys":[]}"#, &[ES256]).is_err());
}

#[test]
fn entries_that_make_no_sense() {
    let base = || entry("https://x.example", ES256, &[Kind::Citizen], Reach::Everywhere);
    type Change = fn(&mut IssuerEntry);
    let changes: [Change; 11] = [
        |e| e.algorithms.push(jsonwebtoken::Algorithm::HS256),
        |e| e.algorithms.clear(),
        |e| e.audiences.clear(),
        |e| e.populations.clear(),
        |e| e.acr_levels.extend([("x".to_owned(), 5)]),
        |e| e.amr_levels.extend([("face".to_owned(), 5)]),
        |e| e.amr_levels.extend([("".to_owned(), 1)]),
        |e| e.amr_levels.extend([("face+".to_owned(), 1)]),
        |e| e.leeway_s = 121,
        |e| e.max_lifetime_s = 0,
        |e| e.issuer.clear(),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let mut bad = base();
        change(&mut bad);
        assert!(matches!(IssuerBook::new([bad]), Err(BookError::Entry { .. })), "change {n}");
    }
    assert!(matches!(IssuerBook::new([base(), base()]), Err(BookError::Twice(_))));
}

const LIMITS: RefreshLimits =
    RefreshLimits { every_s: 300, unknown_kid_s: 30, stale_s: 3_600, retry_s: 15, timeout_s: 10, overlap_s: 600 };

fn set(keys: &[&SigningKey]) -> RefreshEvent {
    RefreshEvent::Fetched(keys_of(keys))
}

/// Row 11: a flood of unknown kids is a few fetches.
#[test]
fn a_flood_of_unknown_kids() {
    let key = SigningKey::generate(ES256).unwrap();
    let mut policy = RefreshPolicy::new(LIMITS);
    assert_eq!(policy.step(RefreshEvent::Tick, NOW), RefreshAction::Fetch);
    assert_eq!(policy.step(set(&[&key]), NOW), RefreshAction::Publish);
    let mut fetches = 0;
    for ms in 0..60_000 {
        let now = UnixMillis(NOW.0 + ms);
        if policy.step(RefreshEvent::UnknownKid, now) == RefreshAction::Fetch {
            fetches += 1;
            policy.step(set(&[&key]), now);
        }
    }
    assert_eq!(fetches, 1, "60 000 in a minute, 30 s between fetches, the first of them at the start");
}

/// Row 12: an issuer that is down: known keys go on for a bounded while.
#[test]
fn an_issuer_that_is_down() {
    let key = SigningKey::generate(ES256).unwrap();
    let mut policy = RefreshPolicy::new(LIMITS);
    policy.step(RefreshEvent::Tick, NOW);
    policy.step(set(&[&key]), NOW);
    let (mut fetches, mut ended) = (0, None);
    for s in 1..=4_000 {
        let now = NOW.plus_seconds(s);
        match policy.step(RefreshEvent::Tick, now) {
            RefreshAction::Fetch => {
                fetches += 1;
                policy.step(RefreshEvent::Failed, now);
            }
            RefreshAction::Publish => ended = ended.or(Some(s)),
            RefreshAction::Nothing => {}
        }
    }
    assert_eq!(ended, Some(3_601), "stale keys end, and the book is told");
    assert!(policy.keys().is_none());
    assert!((200..=250).contains(&fetches), "every 15 s after the first failure: {fetches}");
    policy.step(set(&[&key]), NOW.plus_seconds(4_001));
    assert!(policy.keys().is_some(), "back at once when the issuer is");
}

#[test]
fn a_fetch_that_never_answers_is_tried_again() {
    let mut policy = RefreshPolicy::new(LIMITS);
    assert_eq!(policy.step(RefreshEvent::Tick, NOW), RefreshAction::Fetch);
    for (s, want) in [(1, RefreshAction::Nothing), (9, RefreshAction::Nothing), (10, RefreshAction::Fetch)] {
        assert_eq!(policy.step(RefreshEvent::Tick, NOW.plus_seconds(s)), want, "{s} s");
    }
}

#[test]
fn rotation_overlaps() {
    let (old, new) = (SigningKey::generate(ES256).unwrap(), SigningKey::generate(ES256).unwrap());
    let mut policy = RefreshPolicy::new(LIMITS);
    policy.step(RefreshEvent::Tick, NOW);
    policy.step(set(&[&old]), NOW);
    policy.step(set(&[&new]), NOW.plus_seconds(300));
    let kids = |policy: &RefreshPolicy| policy.keys().unwrap().kids().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(kids(&policy).len(), 2, "tokens signed just before rotation still pass");
    // Every further document without the old key must not lengthen its stay.
    for s in [600, 890] {
        policy.step(set(&[&new]), NOW.plus_seconds(s));
        assert_eq!(kids(&policy).len(), 2, "{s}");
    }
    policy.step(set(&[&new]), NOW.plus_seconds(900));
    assert_eq!(kids(&policy), BTreeSet::from([new.kid().to_owned()]));
}

/// A key that left its document right before the issuer went away ends with its overlap: an outage lengthens no stay.
#[test]
fn a_key_that_left_right_before_an_outage() {
    let (old, new) = (SigningKey::generate(ES256).unwrap(), SigningKey::generate(ES256).unwrap());
    let mut policy = RefreshPolicy::new(LIMITS);
    policy.step(RefreshEvent::Tick, NOW);
    policy.step(set(&[&old]), NOW);
    policy.step(set(&[&new]), NOW.plus_seconds(300));
    let mut published = Vec::new();
    for s in 301..=4_000 {
        let now = NOW.plus_seconds(s);
        match policy.step(RefreshEvent::Tick, now) {
            RefreshAction::Fetch => assert_ne!(policy.step(RefreshEvent::Failed, now), RefreshAction::Fetch),
            RefreshAction::Publish => published.push(s),
            RefreshAction::Nothing => {}
        }
        let has = |key: &SigningKey| policy.keys().is_some_and(|keys| keys.kids().any(|kid| kid == key.kid()));
        assert_eq!((has(&old), has(&new)), (s < 900, s <= 3_900), "{s} s");
    }
    assert_eq!(published, [900, 3_901], "the book is told of each end");
}

proptest! {
    /// Whatever happens in whatever order: never two fetches in flight within the timeout, never stale keys.
    #[test]
    fn any_order_of_events(events in proptest::collection::vec((0u8..4, 0i64..400), 1..200)) {
        static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(ES256).unwrap());
        let mut policy = RefreshPolicy::new(LIMITS);
        let (mut now, mut in_flight, mut good) = (NOW, None::<UnixMillis>, None::<UnixMillis>);
        for (what, after) in events {
            now = now.plus_seconds(after);
            let event = match what {
                0 => RefreshEvent::Tick,
                1 => RefreshEvent::UnknownKid,
                2 if in_flight.take().is_some() => { good = Some(now); set(&[&KEY]) }
                3 if in_flight.take().is_some() => RefreshEvent::Failed,
                _ => RefreshEvent::Tick,
            };
            let ticked = matches!(event, RefreshEvent::Tick);
            if policy.step(event, now) == RefreshAction::Fetch {
                prop_assert!(in_flight.is_none_or(|at| now >= at.plus_seconds(LIMITS.timeout_s)));
                in_flight = Some(now);
            }
            if ticked {
                let fresh = good.is_some_and(|at| now <= at.plus_seconds(LIMITS.stale_s));
                prop_assert_eq!(policy.keys().is_some(), fresh);
            }
        }
    }
}

/// jsonwebtoken itself, on our provider: signs and verifies with every algorithm we make keys for.
#[test]
fn jsonwebtoken_runs_on_ring() {
    crate::identity::ring_provider::install();
    crate::identity::ring_provider::install();
    for algorithm in [ES256, ES384, EdDSA] {
        let key = SigningKey::generate(algorithm).unwrap();
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(Value::Object(key.jwk().unwrap())).unwrap();
        let private = match algorithm {
            EdDSA => EncodingKey::from_ed_der(&version_1(key.pkcs8())),
            _ => EncodingKey::from_ec_der(key.pkcs8()),
        };
        let token = jsonwebtoken::encode(&Header::new(algorithm), &citizen(), &private).unwrap();
        let mut validation = Validation::new(algorithm);
        validation.set_audience(&[US]);
        validation.validate_exp = false;
        let public = DecodingKey::from_jwk(&jwk).unwrap();
        let told = jsonwebtoken::decode::<Value>(&token, &public, &validation).unwrap();
        assert_eq!(told.claims["sub"], "c-100");
        let made = jsonwebtoken::jwk::Jwk::from_encoding_key(&private, algorithm).unwrap();
        assert_eq!(made.algorithm, jwk.algorithm);
        let bent = format!("{}A", &token[..token.len() - 1]);
        assert!(bent == token || jsonwebtoken::decode::<Value>(&bent, &public, &validation).is_err());
    }
    let secret = EncodingKey::from_secret(b"secret");
    assert!(jsonwebtoken::encode(&Header::default(), &citizen(), &secret).is_err(), "no HMAC here");
}

/// jsonwebtoken tells Ed25519 by the length of an openssl file (PKCS#8 version 1); ring writes version 2.
fn version_1(pkcs8: &[u8]) -> Vec<u8> {
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    [&head, &pkcs8[16..48]].concat()
}

/// RS256 as other providers use it, from key to checked token; keys survive their file.
#[test]
fn an_rsa_issuer() {
    let made = SigningKey::generate(RS256).unwrap();
    let key = SigningKey::from_pkcs8(RS256, made.pkcs8()).unwrap();
    assert_eq!(key.kid(), made.kid());
    assert_eq!(format!("{key:?}"), format!("SigningKey({} RS256)", key.kid()));
    let book = IssuerBook::new([entry(CITIZENS, RS256, &[Kind::Citizen], Reach::Everywhere)]).unwrap();
    let book = book.with_keys(CITIZENS, Some(keys_of(&[&key])));
    let token = key.access_token(&citizen()).unwrap();
    assert_eq!(word(check(&token, &bearer(), &book, NOW)), "ok");
    // Row 5: the same key under another algorithm than it is registered for.
    let same = SigningKey::from_pkcs8(PS256, made.pkcs8()).unwrap().named(key.kid());
    let mut both = entry(CITIZENS, RS256, &[Kind::Citizen], Reach::Everywhere);
    both.algorithms.push(PS256);
    let book = IssuerBook::new([both]).unwrap().with_keys(CITIZENS, Some(keys_of(&[&key])));
    assert_eq!(word(check(&same.access_token(&citizen()).unwrap(), &bearer(), &book, NOW)), "token_alg");
    let (n, e) = (made.public_jwk().unwrap()["n"].clone(), made.public_jwk().unwrap()["e"].clone());
    let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&EncodingKey::from_rsa_der(made.pkcs8()), RS256).unwrap();
    let jwk = serde_json::to_value(&jwk).unwrap();
    assert_eq!((&jwk["n"], &jwk["e"]), (&n, &e));
}
