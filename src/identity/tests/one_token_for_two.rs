//! Tokens that only their issuer reads, and tokens of our own about two people.

use serde_json::json;

use super::*;
use crate::identity::IdentityError;
use crate::identity::access::{Binding, Expect, Verdict};
use crate::identity::exchange::{Post, Request, exchange};
use crate::identity::exchanged::{Along, Cover, Exchanged, House, issue, read};
use crate::identity::revocation::{NothingRevoked, RevocationView, Revocations};
use crate::terms::Digest;

#[test]
fn what_an_issuer_says_of_an_opaque_token_is_judged_like_a_token() {
    let said = with(citizen(), json!({"token_type": "Bearer"}));
    for (change, want) in [
        (json!({}), "ok"),
        (json!({"token_type": "bearer"}), "ok"),
        (json!({"token_type": null}), "token_type"), // a refresh token is active, too
        (json!({"token_type": "refresh_token"}), "token_type"),
        (json!({"aud": null}), "token_audience"),
        (json!({"aud": "https://gw.419001.example"}), "token_audience"),
        (json!({"iss": "https://nobody.example"}), "token_issuer"),
        (json!({"exp": NOW.seconds() - 60}), "token_expired"),
        (json!({"exp": null}), "token_malformed"),
        (json!({"nbf": NOW.seconds() + 60}), "token_not_yet"),
        (json!({"sub": null}), "token_malformed"),
        (json!({"kind": "clerk"}), "token_issuer"),
        (json!({"cnf": {"jkt": WORLD.device.jkt().unwrap()}}), "token_binding"),
        (json!({"cnf": {}}), "token_binding"),
    ] {
        let claims = with(said.clone(), change.clone());
        let verdict = Verdict::introspected("opaque", &claims, &WORLD.book);
        let got = verdict.and_then(|v| v.judge("opaque", &bearer(), &Expect::default(), &NothingRevoked, NOW));
        assert_eq!(word(got), want, "{change}");
    }
}

/// The certificate of the terminal that the token is bound to.
const TERMINAL: Digest = Digest([7; 32]);

fn house<'a>(keys: &'a IssuerKeys, cover: &'a Cover, book: &'a IssuerBook) -> House<'a> {
    House { issuer: US, keys, cover, book, nonces: &[] }
}

fn made(key: &SigningKey, cover: &Cover, change: serde_json::Value) -> String {
    let (subject, actor) = (checked(&WORLD.citizens, &citizen()), checked(&WORLD.staff, &clerk()));
    let device = Binding { jkt: None, x5t_s256: Some(crate::identity::jose::encode(&TERMINAL.0)) };
    let request = Request {
        gateway: US,
        audience: US,
        jti: "x-1",
        item: "002009901000".parse().unwrap(),
        purpose: "case",
        case: None,
        presence: true,
        post: Post::First,
        device: &device,
        paper: None,
    };
    let claims = exchange(&subject, &actor, &request, NOW).unwrap();
    issue(with(claims, change), &subject, &actor, Along::default(), cover, key).unwrap()
}

#[test]
fn a_token_of_ours_is_read_by_us_now_at_this_terminal() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let keys = keys_of(&[&key]);
    let (cover, other_cover) = (Cover::derive(&[1; 32]).unwrap(), Cover::derive(&[2; 32]).unwrap());
    let at = Presented { certificate: Some(TERMINAL), ..bearer() };
    let look = |token: &str, presented: &Presented<'_>, house: House<'_>, revoked: &dyn RevocationView, now| {
        read(token, presented, house, revoked, now)
    };
    let ours = house(&keys, &cover, &WORLD.book);
    let token = made(&key, &cover, json!({}));
    let exchanged: Exchanged = look(&token, &at, ours, &NothingRevoked, NOW).unwrap();
    assert_eq!(exchanged.subject().resident().unwrap().reveal(), "990101199202290010");
    assert_eq!(exchanged.actor().org(), Some("11440305MB2C92035X"));
    assert!(!token.contains("990101199202290010"));
    let payload = crate::identity::jose::decode(token.split('.').nth(1).unwrap()).unwrap();
    let payload = String::from_utf8(payload).unwrap();
    assert!(!payload.contains("990101199202290010") && !payload.contains("张三"), "{payload}");

    // A replica with the same secret reads it; one without does not, though the signature holds.
    assert!(
        look(&token, &at, house(&keys, &Cover::derive(&[1; 32]).unwrap(), &WORLD.book), &NothingRevoked, NOW).is_ok()
    );
    let strange = look(&token, &at, house(&keys, &other_cover, &WORLD.book), &NothingRevoked, NOW);
    assert_eq!(word(strange), "token_malformed");
    let foreign = SigningKey::generate(Algorithm::ES256).unwrap().named(key.kid());
    for (token, want) in [
        (made(&foreign, &cover, json!({})), "token_signature"),
        (made(&SigningKey::generate(Algorithm::ES256).unwrap(), &cover, json!({})), "token_key"),
        (made(&key, &cover, json!({"iss": "https://gw.419001.example"})), "token_issuer"),
        (made(&key, &cover, json!({"aud": "https://gw.419001.example"})), "token_audience"),
        (made(&key, &cover, json!({"exp": NOW.seconds()})), "token_expired"),
        (made(&key, &cover, json!({"iat": NOW.seconds() + 60})), "token_not_yet"),
        (made(&key, &cover, json!({"cnf": null})), "token_binding"),
        (made(&key, &cover, json!({"item": "none"})), "token_malformed"),
        (made(&key, &cover, json!({"item": null})), "token_malformed"),
        (key.sign("at+jwt", &citizen()).unwrap(), "token_issuer"), // signed by us as something else
        (key.sign("tongban-assertion+jwt", &object(json!({"iss": US}))).unwrap(), "token_type"),
    ] {
        assert_eq!(word(look(&token, &at, ours, &NothingRevoked, NOW)), want, "{want}");
    }
    let elsewhere = Presented { certificate: Some(Digest([8; 32])), ..bearer() };
    assert_eq!(word(look(&token, &elsewhere, ours, &NothingRevoked, NOW)), "token_binding");
    assert_eq!(word(look(&token, &bearer(), ours, &NothingRevoked, NOW)), "token_binding");
    assert_eq!(word(look(&token, &at, ours, &NothingRevoked, NOW.plus_seconds(300))), "token_expired");

    // The end of any of the three is its end.
    type End = fn(&mut Revocations);
    let ends: [(End, &str); 4] = [
        (|all| all.token(US, "x-1"), "itself"),
        (|all| all.session(CITIZENS, "s-1"), "the citizen's session"),
        (|all| all.subject(STAFF, "clerk-7", NOW), "the clerk"),
        (|all| all.token(CITIZENS, "t-1"), "the citizen's token"),
    ];
    for (end, what) in ends {
        let mut revoked = Revocations::default();
        end(&mut revoked);
        assert_eq!(word(look(&token, &at, ours, &revoked, NOW)), "token_revoked", "{what}");
    }
    // An issuer that left the directory takes its people's tokens along; one whose reach became smaller, too.
    let citizens = entry(CITIZENS, Algorithm::ES256, &[Kind::Citizen], Reach::Everywhere);
    let fewer = IssuerBook::new([citizens.clone()]).unwrap();
    let away = Reach::Within(vec!["419001".parse().unwrap()]);
    let smaller = IssuerBook::new([citizens, entry(STAFF, Algorithm::EdDSA, &[Kind::Clerk], away)]).unwrap();
    for book in [fewer, smaller] {
        let gone: Result<_, IdentityError> = look(&token, &at, house(&keys, &cover, &book), &NothingRevoked, NOW);
        assert_eq!(word(gone), "token_issuer");
    }
}
