//! Rows 1–28 and 34–39 of the attack list, as far as they concern a checker without memory or socket.

use jsonwebtoken::Algorithm;
use proptest::prelude::*;
use ring::hmac;
use serde_json::{Value, json};

use super::*;
use crate::identity::IdentityError;
use crate::identity::access::{Expect, check_for, credential, step_up};
use crate::identity::cache::VerdictCache;
use crate::identity::error::Challenge;
use crate::identity::jose::{Embedded, MAX_TOKEN, Unverified, decode, encode};
use crate::identity::revocation::{NothingRevoked, Revocations};
use crate::terms::{Digest, Explain};

fn answer(token: &str) -> &'static str {
    word(check(token, &bearer(), &WORLD.book, NOW))
}

fn header() -> Value {
    json!({"alg": "ES256", "typ": "at+jwt", "kid": WORLD.citizens.kid()})
}

#[test]
fn a_good_token_says_who() {
    let checked = checked(&WORLD.citizens, &citizen());
    let caller = &checked.caller;
    assert_eq!((caller.kind(), caller.level(), caller.method()), (Kind::Citizen, 3, Some("face+pwd")));
    assert_eq!(caller.key(), format!("{CITIZENS}#c-100"));
    assert_eq!(caller.resident().unwrap().reveal(), "990101199202290010");
    assert!(checked.replay.is_none());
    let shown = format!("{caller:?} {checked:?}");
    for private in ["990101199202290010", "c-100", "张三"] {
        assert!(!shown.contains(private), "{shown}");
    }
    let clerk = super::checked(&WORLD.staff, &clerk()).caller;
    assert_eq!((clerk.kind(), clerk.org()), (Kind::Clerk, Some("11440305MB2C92035X")));
}

/// Rows 2, 9, 10, 14, 21: what the header says.
#[test]
fn headers_that_lie() {
    let own = WORLD.citizens.public_jwk().unwrap();
    let long = "k".repeat(8 * 1024);
    for (change, want) in [
        (json!({}), "ok"),
        (json!({"alg": "none"}), "token_alg"),
        (json!({"alg": "None"}), "token_alg"),
        (json!({"alg": "nOnE"}), "token_alg"),
        (json!({"alg": ""}), "token_alg"),
        (json!({"alg": null}), "token_alg"), // taken out
        (json!({"alg": ["ES256"]}), "token_alg"),
        (json!({"alg": "es256"}), "token_alg"),
        (json!({"alg": "HS256"}), "token_alg"),
        (json!({"alg": "ES512"}), "token_alg"),
        (json!({"alg": "RS256"}), "token_alg"), // not one of this issuer's
        (json!({"jwk": own}), "token_key"),
        (json!({"jku": "https://evil.example/keys"}), "token_key"),
        (json!({"x5u": "https://evil.example/cert"}), "token_key"),
        (json!({"x5c": ["MII="]}), "token_key"),
        (json!({"kid": "../../dev/null"}), "token_key"),
        (json!({"kid": "x' OR 1=1 --"}), "token_key"),
        (json!({"kid": ["a", "b"]}), "token_key"),
        (json!({"kid": 1}), "token_key"),
        (json!({"kid": ""}), "token_key"),
        (json!({"kid": long}), "token_key"),
        (json!({"kid": null}), "ok"), // one key alone has the algorithm
        (json!({"crit": ["exp"]}), "token_crit"),
        (json!({"crit": []}), "token_crit"),
        (json!({"crit": ["b64"], "b64": false}), "token_crit"),
        (json!({"zip": "DEF"}), "token_malformed"),
        (json!({"enc": "A256GCM"}), "token_malformed"),
        (json!({"typ": "JWT"}), "token_type"),
        (json!({"typ": null}), "token_type"),
        (json!({"typ": "dpop+jwt"}), "token_type"),
        (json!({"typ": "logout+jwt"}), "token_type"),
        (json!({"typ": "tongban-assertion+jwt"}), "token_type"),
        (json!({"typ": "application/at+jwt"}), "ok"), // RFC 9068 §4
        (json!({"typ": "AT+JWT"}), "ok"),             // media types have no case
        (json!({"typ": 1}), "token_malformed"),
    ] {
        let header = Value::Object(with(object(header()), change.clone()));
        let token = WORLD.citizens.sign_with(&header, &Value::Object(citizen())).unwrap();
        assert_eq!(answer(&token), want, "{}", change.to_string().chars().take(80).collect::<String>());
    }
}

/// Rows 3, 4, 5: the public key as an HMAC secret; no secret is ever accepted.
#[test]
fn nobody_shares_a_secret_with_us() {
    let jwk = WORLD.citizens.public_jwk().unwrap();
    let point = [vec![4], decode(jwk["x"].as_str().unwrap()).unwrap(), decode(jwk["y"].as_str().unwrap()).unwrap()];
    let secrets = [point.concat(), Value::Object(jwk).to_string().into_bytes(), vec![], b"secret".to_vec()];
    for secret in secrets {
        for alg in ["HS256", "HS384", "HS512"] {
            let header = Value::Object(with(object(header()), json!({"alg": alg})));
            let input = format!(
                "{}.{}",
                encode(header.to_string().as_bytes()),
                encode(json!(citizen()).to_string().as_bytes())
            );
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), input.as_bytes());
            assert_eq!(answer(&format!("{input}.{}", encode(tag.as_ref()))), "token_alg");
        }
    }
}

/// Rows 6, 7, 8: the signature.
#[test]
fn signatures_bent_and_borrowed() {
    let good = WORLD.citizens.access_token(&citizen()).unwrap();
    let (input, seal) = good.rsplit_once('.').unwrap();
    let raw = decode(seal).unwrap();
    let order = crate_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let bent = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut raw = raw.clone();
        change(&mut raw);
        format!("{input}.{}", encode(&raw))
    };
    for (why, token, want) in [
        ("as signed", good.clone(), "ok"),
        ("stripped", format!("{input}."), "token_signature"),
        ("one bit", bent(&|s| s[9] ^= 1), "token_signature"),
        ("zero", bent(&|s| s.fill(0)), "token_signature"),
        ("group order", bent(&|s| *s = [order.clone(), order.clone()].concat()), "token_signature"),
        ("r of zero", bent(&|s| s[..32].fill(0)), "token_signature"),
        ("one longer", bent(&|s| s.push(0)), "token_signature"),
        ("one shorter", bent(&|s| s.truncate(63)), "token_signature"),
        ("twice as long", bent(&|s| *s = s.repeat(2)), "token_signature"),
        ("DER", bent(&|s| *s = der(s)), "token_signature"),
        ("padded", format!("{good}=="), "token_malformed"),
        ("tail bits", format!("{}{}", &good[..good.len() - 1], next_in_alphabet(&good)), "token_malformed"),
        ("blank in it", format!("{}\n{}", &good[..20], &good[20..]), "token_malformed"),
        ("standard alphabet", format!("{input}.{}+", &seal[..seal.len() - 1]), "token_malformed"),
        ("a fourth part", format!("{good}."), "token_malformed"),
        ("JWE", format!("{good}.a.b"), "token_malformed"),
        ("JSON form", json!({"payload": "e30", "signature": seal}).to_string(), "token_malformed"),
        ("nothing", String::new(), "token_malformed"),
    ] {
        assert_eq!(answer(&token), want, "{why}");
    }
    let foreign = WORLD.foreign.sign_with(&header(), &Value::Object(citizen())).unwrap();
    assert_eq!(answer(&foreign), "token_signature", "a known kid, a foreign key");
    // The other s is as valid a signature; such a token must not escape the deny-list.
    let twin = bent(&|s| negate_s(s, &order));
    assert_ne!(twin, good);
    let mut revoked = Revocations::default();
    let ask = |token: &str, revoked: &Revocations| {
        word(check_for(token, &bearer(), &WORLD.book, &Expect::default(), revoked, NOW))
    };
    assert_eq!(ask(&twin, &revoked), "ok");
    revoked.token(CITIZENS, "t-1");
    assert_eq!((ask(&good, &revoked), ask(&twin, &revoked)), ("token_revoked", "token_revoked"));
}

/// Row 26: keys are bound to their issuer.
#[test]
fn issuers_do_not_sign_for_each_other() {
    let other = SigningKey::generate(Algorithm::ES256).unwrap();
    let name = "https://id.other.example";
    let book = IssuerBook::new([
        entry(CITIZENS, Algorithm::ES256, &[Kind::Citizen], Reach::Everywhere),
        entry(name, Algorithm::ES256, &[Kind::Citizen], Reach::Everywhere),
    ]);
    let book =
        book.unwrap().with_keys(CITIZENS, Some(keys_of(&[&WORLD.citizens]))).with_keys(name, Some(keys_of(&[&other])));
    let forged = other.access_token(&citizen()).unwrap();
    assert_eq!(word(check(&forged, &bearer(), &book, NOW)), "token_issuer");
    // Row 25: the same `sub` at two issuers is two people.
    let theirs = other.access_token(&with(citizen(), json!({"iss": name}))).unwrap();
    let theirs = check(&theirs, &bearer(), &book, NOW).unwrap().caller;
    assert_ne!(theirs.key(), checked(&WORLD.citizens, &citizen()).caller.key());
}

/// Rows 15, 16: JSON that says two things, or too much.
#[test]
fn json_that_says_two_things() {
    let claims = Value::Object(citizen()).to_string();
    let head = header().to_string();
    let again = |text: &str, member: &str| text.replacen('{', &format!("{{{member},"), 1);
    let deep = format!("\"x\":{}1{}", "[".repeat(64), "]".repeat(64));
    for (head, claims, want) in [
        (head.clone(), claims.clone(), "ok"),
        (again(&head, "\"alg\":\"none\""), claims.clone(), "token_malformed"),
        (again(&head, "\"kid\":\"x\""), claims.clone(), "token_malformed"),
        (head.clone(), again(&claims, "\"acr\":\"urn:l4\""), "token_malformed"),
        (head.clone(), again(&claims, "\"scope\":\"admin\""), "token_malformed"),
        (head.clone(), again(&claims, "\"\\u0061cr\":\"urn:l4\""), "token_malformed"),
        (head.clone(), again(&claims, "\"x\":{\"a\":1,\"a\":2}"), "token_malformed"),
        (head.clone(), again(&claims, &deep), "token_malformed"),
        (head.clone(), "[1,2,3,4,5]".into(), "token_malformed"),
        (head.clone(), "\"text\"".into(), "token_malformed"),
        (head.clone(), format!("{claims}{claims}"), "token_malformed"),
        (format!("[{head}]"), claims.clone(), "token_malformed"),
    ] {
        let token = WORLD.citizens.sign_text(&head, &claims).unwrap();
        assert_eq!(answer(&token), want, "{}", claims.chars().take(60).collect::<String>());
    }
    let large = with(citizen(), json!({"x": "y".repeat(MAX_TOKEN)}));
    assert_eq!(answer(&WORLD.citizens.access_token(&large).unwrap()), "token_malformed");
}

/// Rows 17–20, 22, 23, 28: the claims.
#[test]
fn claims_that_do_not_hold() {
    let now = NOW.seconds();
    for (change, want) in [
        (json!({"exp": now + 1}), "ok"),
        (json!({"exp": now - 9}), "ok"), // within the leeway of 10 s
        (json!({"exp": now - 10}), "token_expired"),
        (json!({"exp": null}), "token_malformed"),
        (json!({"exp": "never"}), "token_malformed"),
        (json!({"exp": (now + 600).to_string()}), "token_malformed"),
        (json!({"exp": 1e300}), "token_malformed"),
        (json!({"exp": -1}), "token_malformed"),
        (json!({"exp": true}), "token_malformed"),
        (json!({"exp": now as f64 + 600.5}), "ok"), // NumericDate may have a fraction
        (json!({"iat": null}), "token_malformed"),
        (json!({"iat": now + 11}), "token_not_yet"),
        (json!({"nbf": now + 11}), "token_not_yet"),
        (json!({"nbf": now + 10}), "ok"),
        (json!({"nbf": "x"}), "token_malformed"),
        (json!({"auth_time": now + 60}), "token_not_yet"),
        (json!({"exp": now + 3_541}), "token_lifetime"), // 3 601 s after iat
        (json!({"exp": now + 3_540}), "ok"),
        (json!({"aud": "https://gw.510000.example"}), "token_audience"),
        (json!({"aud": null}), "token_audience"),
        (json!({"aud": 1}), "token_audience"),
        (json!({"aud": {"a": US}}), "token_audience"),
        (json!({"aud": [US, 1]}), "token_audience"),
        (json!({"aud": []}), "token_audience"),
        (json!({"aud": ["https://gw.510000.example", US]}), "ok"),
        (json!({"aud": format!("{US}/")}), "token_audience"),
        (json!({"aud": format!("{US}.evil.example")}), "token_audience"),
        (json!({"iss": null}), "token_issuer"),
        (json!({"iss": [CITIZENS]}), "token_issuer"),
        (json!({"iss": format!("{CITIZENS}/")}), "token_issuer"),
        (json!({"iss": CITIZENS.to_uppercase()}), "token_issuer"),
        (json!({"iss": "https://id.henan.example.evil"}), "token_issuer"),
        (json!({"sub": null}), "token_malformed"),
        (json!({"sub": ""}), "token_malformed"),
        (json!({"sub": "a\r\nSet-Cookie: x"}), "token_malformed"),
        (json!({"sub": "a\u{0}b"}), "token_malformed"),
        (json!({"sub": "a\u{202e}b"}), "token_malformed"),
        (json!({"sub": 7}), "token_malformed"),
        (json!({"jti": "a\nb"}), "token_malformed"),
        (json!({"kind": "operator"}), "token_issuer"), // not a population of this issuer
        (json!({"kind": "king"}), "token_malformed"),
        (json!({"division": "xx"}), "token_malformed"),
        (json!({"resident_id": "990101199202290011"}), "token_malformed"),
        (json!({"resident_id": "990101203012310032"}), "token_malformed"), // not born yet
        (json!({"scope": ["cases"]}), "token_malformed"),
        (json!({"cnf": {}}), "token_binding"),
        (json!({"cnf": "x"}), "token_binding"),
        (json!({"cnf": {"jwk": {}}}), "token_binding"),
        (json!({"cnf": {"jkt": 5}}), "token_binding"),
    ] {
        let token = WORLD.citizens.access_token(&with(citizen(), change.clone())).unwrap();
        assert_eq!(answer(&token), want, "{change}");
    }
    let named = checked(&WORLD.citizens, &with(citizen(), json!({"name": "张\r\n三\u{202e}\u{0}"}))).caller;
    assert_eq!(named.name(), Some("张三"));
    let abroad = WORLD.staff.access_token(&with(clerk(), json!({"division": "419001"}))).unwrap();
    assert_eq!(answer(&abroad), "token_issuer", "the staff of Shenzhen do not sit in Jiyuan");
    let both = WORLD.staff.access_token(&with(clerk(), json!({"division": ["440305", "419001"]}))).unwrap();
    assert_eq!(answer(&both), "token_issuer");
}

/// Rows 22, 23: enough level, recent enough, the right scope.
#[test]
fn levels_and_scopes() {
    let ask = |change: Value, expect: Expect<'_>| {
        let token = WORLD.citizens.access_token(&with(citizen(), change)).unwrap();
        check_for(&token, &bearer(), &WORLD.book, &expect, &NothingRevoked, NOW)
    };
    for (change, level, age, want) in [
        (json!({}), 3, None, "ok"),
        (json!({}), 4, None, "acr_insufficient"),
        (json!({}), 3, Some(120), "ok"),
        (json!({}), 3, Some(119), "acr_insufficient"),
        (json!({"auth_time": null}), 3, Some(86_400), "acr_insufficient"),
        (json!({"acr": null}), 1, None, "acr_insufficient"),
        (json!({"acr": "urn:l9"}), 1, None, "acr_insufficient"),
        (json!({"acr": "4"}), 1, None, "acr_insufficient"), // a text is no level
        (json!({"acr": 4}), 1, None, "acr_insufficient"),
        (json!({"acr": ["urn:l4"]}), 1, None, "acr_insufficient"),
    ] {
        let got = ask(change.clone(), Expect { level, max_age_s: age, ..Expect::default() });
        assert_eq!(word(got), want, "{change} {level} {age:?}");
    }
    for (scope, wanted, want) in [
        ("cases lookups:read", "cases", "ok"),
        ("cases", "case", "scope_missing"),
        ("cases", "cases:write", "scope_missing"),
        ("cases,lookups", "cases", "scope_missing"),
        ("CASES", "cases", "scope_missing"),
        ("", "cases", "scope_missing"),
    ] {
        let got = ask(json!({"scope": scope}), Expect { scopes: &[wanted], ..Expect::default() });
        assert_eq!(word(got), want, "{scope:?} for {wanted}");
    }
    for (scope, scp, want) in [
        (json!(null), json!(["cases", "lookups:read"]), "ok"), // as other vendors say it
        (json!(null), json!("cases"), "ok"),
        (json!("lookups:read"), json!(["cases"]), "scope_missing"), // where both are there, the standard's counts
        (json!(["cases"]), json!(null), "token_malformed"),
        (json!(null), json!([7]), "token_malformed"),
        (json!(null), json!(["cases lookups"]), "scope_missing"), // one word of a list is one scope
    ] {
        let got = ask(json!({"scope": scope, "scp": scp}), Expect { scopes: &["cases"], ..Expect::default() });
        assert_eq!(word(got), want, "scope {scope}, scp {scp}");
    }
    let clerks = Expect { kinds: &[Kind::Clerk], ..Expect::default() };
    assert_eq!(word(ask(json!({}), clerks)), "scope_missing");
    let low =
        ask(json!({"acr": "urn:l2"}), Expect { level: 3, max_age_s: Some(300), ..Expect::default() }).unwrap_err();
    let refusal = low.refusal(&Challenge { realm: "tongban", ..Challenge::default() });
    assert_eq!((refusal.told.status, refusal.members[0].1.as_str()), (403, Some("acr_insufficient")));
    assert_eq!(
        refusal.headers[0].1,
        "Bearer realm=\"tongban\", error=\"insufficient_user_authentication\", \
         error_description=\"acr_insufficient\", acr_values=\"urn:l3 urn:l4\", max_age=\"300\""
    );
    let caller = checked(&WORLD.citizens, &citizen()).caller;
    assert_eq!(word(step_up(&caller, &WORLD.book, 3, Some(120), NOW)), "ok");
    assert_eq!(word(step_up(&caller, &WORLD.book, 3, Some(120), NOW.plus_seconds(1))), "acr_insufficient");
}

/// What `acr` leaves open, `amr` may tell; no word of it is guessed at.
#[test]
fn levels_by_method() {
    let mut issuer = entry(CITIZENS, Algorithm::ES256, &[Kind::Citizen], Reach::Everywhere);
    issuer.amr_levels =
        [("pwd", 1), ("otp+pwd", 2), ("face", 3)].map(|(methods, level)| (methods.to_owned(), level)).into();
    let book = IssuerBook::new([issuer]).unwrap().with_keys(CITIZENS, Some(keys_of(&[&WORLD.citizens])));
    for (acr, amr, level) in [
        (json!("urn:l2"), json!(null), 2),
        (json!(null), json!(["face"]), 3),
        (json!("urn:l2"), json!(["face"]), 3),
        (json!("urn:l4"), json!(["pwd"]), 4),
        (json!("elsewhere"), json!(["pwd", "otp"]), 2), // in any order
        (json!(null), json!(["otp"]), 0),               // half of what is listed
        (json!(null), json!(["Face"]), 0),
        (json!(null), json!(["face2"]), 0),
        (json!(null), json!("face"), 3), // as a text, which some issuers send
        (json!(null), json!({"face": true}), 0),
        (json!(null), json!(["face", 7]), 0),
        (json!(null), json!([]), 0),
    ] {
        let claims = with(citizen(), json!({ "acr": acr, "amr": amr }));
        let token = WORLD.citizens.access_token(&claims).unwrap();
        let caller = check(&token, &bearer(), &book, NOW).unwrap().caller;
        assert_eq!(caller.level(), level, "{acr} {amr}");
    }
    let none = IdentityError::AcrInsufficient { have: 1, want: 3, max_age_s: None, acr_values: String::new() };
    let refusal = none.refusal(&Challenge { realm: "tongban", ..Challenge::default() });
    assert!(!refusal.headers[0].1.contains("acr_values"), "{}", refusal.headers[0].1);
}

/// Roles that an issuer may not give count for nothing, and cost nothing.
#[test]
fn roles_that_may_be_given() {
    for (may, says, has) in [
        (vec![], json!(["window", "approver"]), vec!["approver", "window"]),
        (vec!["window"], json!(["window", "approver", "default-roles-x"]), vec!["window"]),
        (vec!["window"], json!("approver"), vec![]),
    ] {
        let mut issuer = entry(STAFF, Algorithm::EdDSA, &[Kind::Clerk], Reach::Everywhere);
        issuer.roles = may.iter().map(|role| (*role).to_owned()).collect();
        let book = IssuerBook::new([issuer]).unwrap().with_keys(STAFF, Some(keys_of(&[&WORLD.staff])));
        let token = WORLD.staff.access_token(&with(clerk(), json!({ "roles": says }))).unwrap();
        let caller = check(&token, &bearer(), &book, NOW).unwrap().caller;
        assert_eq!(caller.roles().iter().map(String::as_str).collect::<Vec<_>>(), has, "{may:?} {says}");
    }
}

/// Row 24: who acts for whom.
#[test]
fn chains_of_actors() {
    for (act, want) in [
        (json!({"sub": "agent-1"}), "ok"),
        (json!({"sub": "clerk-8", "iss": STAFF}), "ok"),
        (json!({"sub": "clerk-8"}), "act_not_allowed"), // of another issuer than listed
        (json!({"sub": "agent-1", "act": {"sub": "agent-2", "act": {"sub": "agent-3"}}}), "ok"),
        (
            json!({"sub": "agent-1", "act": {"sub": "agent-2", "act": {"sub": "agent-3", "act": {"sub": "clerk-7"}}}}),
            "act_not_allowed",
        ),
        (json!({"sub": "agent-1", "act": {"sub": "agent-1"}}), "act_not_allowed"),
        (json!({"sub": "agent-1", "act": {"sub": "agent-2", "act": {"sub": "agent-1"}}}), "act_not_allowed"),
        (json!({"sub": "c-100"}), "act_not_allowed"),
        (json!({"sub": "stranger"}), "act_not_allowed"),
        (json!({"sub": "agent-1", "act": {"sub": "stranger"}}), "act_not_allowed"),
        (json!({}), "act_not_allowed"),
        (json!("agent-1"), "act_not_allowed"),
        (json!([{"sub": "agent-1"}]), "act_not_allowed"),
    ] {
        let token = WORLD.citizens.access_token(&with(citizen(), json!({"act": act}))).unwrap();
        assert_eq!(answer(&token), want, "{act}");
    }
    let token = WORLD.citizens.access_token(&with(citizen(), json!({"act": {"sub": "agent-1"}}))).unwrap();
    let caller = check(&token, &bearer(), &WORLD.book, NOW).unwrap().caller;
    assert_eq!(caller.actors()[0].subject, "agent-1");
}

/// Row 27: revoked by token, by session, by subject; never across issuers.
#[test]
fn ended_before_their_time() {
    type End = fn(&mut Revocations);
    let cases: [(End, &str); 8] = [
        (|r| r.token(CITIZENS, "t-1"), "token_revoked"),
        (|r| r.token(CITIZENS, "t-2"), "ok"),
        (|r| r.token(STAFF, "t-1"), "ok"),
        (|r| r.session(CITIZENS, "s-1"), "token_revoked"),
        (|r| r.subject(CITIZENS, "c-100", NOW), "token_revoked"),
        (|r| r.subject(CITIZENS, "c-100", NOW.plus_seconds(-60)), "token_revoked"), // issued in that very second
        (|r| r.subject(CITIZENS, "c-100", NOW.plus_seconds(-61)), "ok"),            // signed in again since
        (|r| r.subject(STAFF, "c-100", NOW), "ok"),
    ];
    let token = WORLD.citizens.access_token(&citizen()).unwrap();
    for (n, (end, want)) in cases.into_iter().enumerate() {
        let mut revoked = Revocations::default();
        end(&mut revoked);
        let got = check_for(&token, &bearer(), &WORLD.book, &Expect::default(), &revoked, NOW);
        assert_eq!(word(got), want, "case {n}");
    }
}

/// A remembered verdict is judged anew: time, revocation, holder, keys.
#[test]
fn what_a_cache_must_not_forget() {
    let cache = VerdictCache::default();
    let token = WORLD.citizens.access_token(&citizen()).unwrap();
    let ask = |book: &IssuerBook, revoked: &Revocations, now| {
        word(cache.check(&token, &bearer(), book, &Expect::default(), revoked, now))
    };
    let (none, mut ended) = (Revocations::default(), Revocations::default());
    ended.token(CITIZENS, "t-1");
    assert_eq!(ask(&WORLD.book, &none, NOW), "ok");
    assert_eq!(ask(&WORLD.book, &none, NOW), "ok");
    assert_eq!(ask(&WORLD.book, &none, NOW.plus_seconds(611)), "token_expired");
    assert_eq!(ask(&WORLD.book, &none, NOW.plus_seconds(-100)), "token_not_yet");
    assert_eq!(ask(&WORLD.book, &ended, NOW), "token_revoked");
    let rotated = WORLD.book.clone().with_keys(CITIZENS, Some(keys_of(&[&WORLD.foreign])));
    assert_eq!(ask(&rotated, &none, NOW), "token_key");
    let gone = WORLD.book.clone().with_keys(CITIZENS, None);
    assert_eq!(ask(&gone, &none, NOW), "keys_unavailable");
    let strict = Expect { binding: BindingRule::Required, ..Expect::default() };
    let got = cache.check(&token, &bearer(), &WORLD.book, &strict, &none, NOW);
    assert_eq!(word(got), "token_binding");
}

/// Rows 10–12: a key not known is asked for, not fetched.
#[test]
fn what_is_lacking_is_named() {
    let stranger = SigningKey::generate(Algorithm::ES256).unwrap();
    let error = check(&stranger.access_token(&citizen()).unwrap(), &bearer(), &WORLD.book, NOW).unwrap_err();
    let needs = crate::identity::Needs::Keys { issuer: CITIZENS, kid: Some(stranger.kid()) };
    assert_eq!((error.reason(), error.needs()), ("token_key", Some(needs)));
    let empty = WORLD.book.clone().with_keys(CITIZENS, None);
    let error = check(&stranger.access_token(&citizen()).unwrap(), &bearer(), &empty, NOW).unwrap_err();
    assert_eq!((error.reason(), error.told().status), ("keys_unavailable", 503));
}

/// Rows 1, 36, 37: where the credential stands.
#[test]
fn one_credential_in_one_place() {
    for (lines, want) in [
        (vec![], "token_missing"),
        (vec!["Bearer abc"], "ok"),
        (vec!["bearer  abc "], "ok"),
        (vec!["DPoP abc"], "ok"),
        (vec!["Basic abc"], "token_missing"),
        (vec!["Bearer"], "token_malformed"),
        (vec!["Bearer "], "token_missing"),
        (vec!["Bearer abc", "Bearer def"], "two_credentials"),
        (vec!["Bearer abc", "Basic def"], "two_credentials"),
        (vec!["Bearer abc, Bearer def"], "two_credentials"),
        (vec!["Bearer abc def"], "two_credentials"),
    ] {
        assert_eq!(word(credential(&lines)), want, "{lines:?}");
    }
    assert_eq!(IdentityError::TwoCredentials.told().status, 400);
    let refusal = IdentityError::TokenMissing.refusal(&Challenge { realm: "tong\"ban\r\n", ..Challenge::default() });
    let want = "Bearer realm=\"tongban\", DPoP realm=\"tongban\", algs=\"ES256 ES384 EdDSA\"";
    assert_eq!(refusal.headers, [("WWW-Authenticate", want.to_owned())]);
}

/// Row 34: certificate-bound tokens (RFC 8705).
#[test]
fn tokens_bound_to_a_certificate() {
    let (ours, theirs) = (Digest::of(b"our certificate"), Digest::of(b"theirs"));
    let bound = with(clerk(), json!({"cnf": {"x5t#S256": encode(&ours.0)}}));
    let bound = WORLD.staff.access_token(&bound).unwrap();
    let free = WORLD.staff.access_token(&clerk()).unwrap();
    for (token, shown, rule, want) in [
        (&bound, Some(ours), BindingRule::Certificate, "ok"),
        (&bound, Some(theirs), BindingRule::Optional, "token_binding"),
        (&bound, None, BindingRule::Optional, "token_binding"),
        (&bound, Some(ours), BindingRule::Dpop, "token_binding"),
        (&free, Some(ours), BindingRule::Optional, "ok"),
        (&free, Some(ours), BindingRule::Certificate, "token_binding"),
        (&free, None, BindingRule::Required, "token_binding"),
    ] {
        let presented = Presented { certificate: shown, ..bearer() };
        let expect = Expect { binding: rule, ..Expect::default() };
        assert_eq!(word(check_for(token, &presented, &WORLD.book, &expect, &NothingRevoked, NOW)), want, "{rule:?}");
    }
}

/// Row 39, and nobody's data in what we say.
#[test]
fn refusals_repeat_nothing() {
    let token = WORLD.citizens.access_token(&with(citizen(), json!({"resident_id": "990101199202290011"}))).unwrap();
    let error = check(&token, &bearer(), &WORLD.book, NOW).unwrap_err();
    let said = format!("{error} {error:?} {:?}", error.refusal(&Challenge::default()));
    assert!(!said.contains("990101199202290011") && !said.contains(&token[..40]), "{said}");
    let mut codes: Vec<_> = crate::identity::tolds().iter().map(|told| told.code).collect();
    let all = codes.len();
    codes.dedup();
    assert_eq!(codes.len(), all);
    assert!(crate::identity::tolds().iter().all(|t| t.code.starts_with("TB-IDN-") && (400..504).contains(&t.status)));
}

/// A plain OpenID provider: an ID token is not an access token.
#[test]
fn openid_tokens_by_mapping() {
    let mut plain = entry(CITIZENS, Algorithm::ES256, &[Kind::Citizen], Reach::Everywhere);
    plain.profile = Profile::Oidc;
    plain.claims.resident = "idcard".into();
    let book = IssuerBook::new([plain]).unwrap().with_keys(CITIZENS, Some(keys_of(&[&WORLD.citizens])));
    for (typ, change, want) in [
        (Some("JWT"), json!({}), "ok"),
        (None, json!({}), "ok"),
        (None, json!({"scope": null, "token_use": "access"}), "ok"),
        (None, json!({"scope": null}), "token_type"),
        (Some("JWT"), json!({"nonce": "n"}), "token_type"),
        (Some("JWT"), json!({"at_hash": "h"}), "token_type"),
        (Some("JWT"), json!({"events": {}}), "token_type"),
        (Some("dpop+jwt"), json!({}), "token_type"),
    ] {
        let header = with(object(header()), json!({"typ": typ}));
        let claims = with(citizen(), change.clone());
        let token = WORLD.citizens.sign_with(&Value::Object(header), &Value::Object(claims)).unwrap();
        assert_eq!(word(check(&token, &bearer(), &book, NOW)), want, "{typ:?} {change}");
    }
    let claims = with(citizen(), json!({"resident_id": null, "idcard": "990101199202290010"}));
    let token = WORLD.citizens.access_token(&claims).unwrap();
    assert!(check(&token, &bearer(), &book, NOW).unwrap().caller.resident().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// No text whatever upsets the parser.
    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        let _ = Unverified::parse(&text, Embedded::Refused);
        let _ = Unverified::parse(&text, Embedded::Jwk);
    }

    #[test]
    fn any_three_parts_are_answered(head in ".{0,60}", body in ".{0,60}", seal in proptest::collection::vec(any::<u8>(), 0..80)) {
        let token = format!("{}.{}.{}", encode(head.as_bytes()), encode(body.as_bytes()), encode(&seal));
        prop_assert_ne!(answer(&token), "ok");
    }

    /// Any one character changed: refused, whatever it was.
    #[test]
    fn no_second_spelling(at in 0usize..400, to in "[A-Za-z0-9_.=+/ -]") {
        static GOOD: LazyLock<String> = LazyLock::new(|| WORLD.citizens.access_token(&citizen()).unwrap());
        let mut token = GOOD.clone();
        let at = at % token.len();
        token.replace_range(at..=at, &to);
        prop_assume!(token != *GOOD);
        prop_assert_ne!(answer(&token), "ok");
    }

    /// What is taken apart goes together again to the same octets.
    #[test]
    fn one_spelling_for_one_value(bytes in proptest::collection::vec(any::<u8>(), 0..64), text in "[A-Za-z0-9_-]{0,64}") {
        prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        if let Some(bytes) = decode(&text) {
            prop_assert_eq!(encode(&bytes), text);
        }
    }
}

fn crate_hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn next_in_alphabet(token: &str) -> char {
    // 86 characters carry 64 octets: the last has four tail bits, and its neighbour sets one of them.
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = token.bytes().last().unwrap();
    char::from(ALPHABET[ALPHABET.iter().position(|a| *a == last).unwrap() + 1])
}

fn der(raw: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| [&[2, 33, 0], half].concat();
    let body = [integer(&raw[..32]), integer(&raw[32..])].concat();
    [vec![0x30, body.len() as u8], body].concat()
}

/// s becomes n − s.
fn negate_s(raw: &mut [u8], order: &[u8]) {
    let mut borrow = 0i16;
    for i in (0..32).rev() {
        let d = i16::from(order[i]) - i16::from(raw[32 + i]) - borrow;
        borrow = i16::from(d < 0);
        raw[32 + i] = (d + 256 * borrow) as u8;
    }
}
