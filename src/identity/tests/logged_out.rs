//! Sessions that end before their tokens do.

use serde_json::{Value, json};

use super::*;
use crate::identity::logout::LogoutToken;

fn logout(change: impl Fn(&mut Value), typ: &str) -> String {
    let mut claims = json!({
        "iss": CITIZENS, "aud": US, "iat": NOW.seconds(), "exp": NOW.seconds() + 120, "jti": "l-1", "sub": "p-1", "sid": "s-1",
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    change(&mut claims);
    WORLD.citizens.sign(typ, claims.as_object().unwrap()).unwrap()
}

#[test]
fn a_logout_token_is_what_the_issuer_says_of_a_session() {
    let read = |token: &str| LogoutToken::read(token, &WORLD.book, NOW).map_err(|e| e.reason());
    let good = read(&logout(|_| {}, "logout+jwt")).unwrap();
    assert_eq!((good.subject.as_deref(), good.session.as_deref()), (Some("p-1"), Some("s-1")));
    type Change = fn(&mut Value);
    let rows: [(&str, Change, Result<(), &str>); 15] = [
        ("logout+jwt", |c| _ = c.as_object_mut().unwrap().remove("sid"), Ok(())),
        ("JWT", |_| {}, Ok(())),
        ("at+jwt", |_| {}, Err("token_type")),
        ("logout+jwt", |c| c["nonce"] = json!("n"), Err("token_type")), // an ID token must not pass for one
        ("logout+jwt", |c| c["events"] = json!({}), Err("token_type")),
        ("logout+jwt", |c| c["aud"] = json!("https://other.example"), Err("token_audience")),
        ("logout+jwt", |c| c["iss"] = json!(STAFF), Err("token_alg")),
        ("logout+jwt", |c| c["iat"] = json!(NOW.seconds() - 400), Err("token_expired")),
        ("logout+jwt", |c| c["iat"] = json!(NOW.seconds() + 60), Err("token_not_yet")),
        ("logout+jwt", |c| _ = c.as_object_mut().unwrap().remove("iat"), Err("token_malformed")),
        ("logout+jwt", |c| _ = c.as_object_mut().unwrap().remove("exp"), Err("token_malformed")), // §2.4: required
        ("logout+jwt", |c| c["exp"] = json!("soon"), Err("token_malformed")),
        ("logout+jwt", |c| c["exp"] = json!(NOW.seconds() - 10), Err("token_expired")),
        ("logout+jwt", |c| _ = c.as_object_mut().unwrap().remove("jti"), Err("token_malformed")),
        (
            "logout+jwt",
            |c| {
                let claims = c.as_object_mut().unwrap();
                claims.remove("sid");
                claims.remove("sub");
            },
            Err("token_malformed"),
        ),
    ];
    for (n, (typ, change, want)) in rows.into_iter().enumerate() {
        assert_eq!(read(&logout(change, typ)).map(drop), want, "row {n}");
    }
    let foreign = WORLD.foreign.sign("logout+jwt", &Object::new()).unwrap();
    assert!(read(&foreign).is_err());
}

#[test]
fn an_id_token_answers_our_question_and_no_other() {
    use crate::identity::id_token::read;
    let good = object(json!({
        "iss": CITIZENS, "sub": "c-100", "aud": "gateway", "nonce": "n-1", "iat": NOW.seconds(), "exp": NOW.seconds() + 300,
        "sid": "s-1",
    }));
    let look = |key: &SigningKey, typ: &str, claims: &Object| {
        read(&key.sign(typ, claims).unwrap(), CITIZENS, "gateway", "n-1", &WORLD.book, NOW)
    };
    let who = look(&WORLD.citizens, "JWT", &good).unwrap();
    assert_eq!((who.subject.as_str(), who.session.as_deref()), ("c-100", Some("s-1")));
    for (change, want) in [
        (json!({"nonce": "n-2"}), "token_malformed"),
        (json!({"nonce": null}), "token_malformed"),
        (json!({"aud": "portal"}), "token_audience"),
        (json!({"aud": null}), "token_audience"),
        (json!({"aud": ["gateway", "portal"]}), "token_audience"), // for which of the two?
        (json!({"aud": ["gateway", "portal"], "azp": "gateway"}), "ok"),
        (json!({"azp": "portal"}), "token_audience"),
        (json!({"iss": STAFF}), "token_issuer"),
        (json!({"exp": NOW.seconds() - 60}), "token_expired"),
        (json!({"exp": null}), "token_malformed"),
        (json!({"iat": NOW.seconds() + 60}), "token_not_yet"),
        (json!({"sub": null}), "token_malformed"),
        (json!({"sub": ""}), "token_malformed"),
    ] {
        assert_eq!(word(look(&WORLD.citizens, "JWT", &with(good.clone(), change.clone()))), want, "{change}");
    }
    assert_eq!(word(look(&WORLD.citizens, "at+jwt", &good)), "token_type");
    assert_eq!(word(look(&WORLD.citizens, "logout+jwt", &good)), "token_type");
    let foreign = SigningKey::generate(Algorithm::ES256).unwrap().named(WORLD.citizens.kid());
    assert_eq!(word(look(&foreign, "JWT", &good)), "token_signature");
    assert_eq!(word(look(&WORLD.staff, "JWT", &good)), "token_alg");
}
