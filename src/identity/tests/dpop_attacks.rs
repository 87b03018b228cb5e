//! Rows 29–33: proofs of possession (RFC 9449).

use std::collections::HashSet;

use serde_json::{Value, json};

use super::*;
use crate::identity::IdentityError;
use crate::identity::access::{Expect, check_for};
use crate::identity::dpop::AGE_S;
use crate::identity::error::Challenge;
use crate::identity::jose::encode;
use crate::identity::revocation::NothingRevoked;
use crate::terms::Digest;

/// One token: signing again would give another text, and the proofs are for this one.
static BOUND: LazyLock<String> = LazyLock::new(|| {
    let claims = with(citizen(), json!({"cnf": {"jkt": WORLD.device.jkt().unwrap()}}));
    WORLD.citizens.access_token(&claims).unwrap()
});

fn presented<'a>(scheme: &'a str, proofs: &'a [String]) -> Presented<'a> {
    Presented {
        token_endpoint: false,
        scheme,
        method: "POST",
        url: URL,
        proofs: proofs.iter().map(String::as_str).collect(),
        certificate: None,
    }
}

fn proof(header: Value, claims: Value) -> String {
    let token = BOUND.as_str();
    let own = json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": WORLD.device.public_jwk().unwrap()});
    let good = json!({"htm": "POST", "htu": URL, "iat": NOW.seconds(), "jti": "p-1", "ath": encode(&Digest::of(token.as_bytes()).0)});
    let (header, claims) = (with(object(own), header), with(object(good), claims));
    WORLD.device.sign_with(&Value::Object(header), &Value::Object(claims)).unwrap()
}

#[test]
fn a_proof_fits_one_request_one_token_one_key() {
    let secret = with(WORLD.device.public_jwk().unwrap(), json!({"d": "AAAA"}));
    let foreign = WORLD.foreign.public_jwk().unwrap();
    let off = with(WORLD.device.public_jwk().unwrap(), json!({"x": encode(&[1; 32])}));
    let now = NOW.seconds();
    for (header, claims, want) in [
        (json!({}), json!({}), "ok"),
        (json!({}), json!({"htm": "GET"}), "dpop_invalid"),
        (json!({}), json!({"htm": "post"}), "dpop_invalid"), // methods have case
        (json!({}), json!({"htm": null}), "dpop_invalid"),
        (json!({}), json!({"htu": "https://gw.440305.example/v1/other"}), "dpop_invalid"),
        (json!({}), json!({"htu": "https://evil.example/v1/cases"}), "dpop_invalid"),
        (json!({}), json!({"htu": null}), "dpop_invalid"),
        (json!({}), json!({"htu": "HTTPS://GW.440305.example:443/v1/cases?page=2"}), "ok"),
        (json!({}), json!({"iat": now - AGE_S - 11}), "dpop_invalid"),
        (json!({}), json!({"iat": now - AGE_S - 10}), "ok"),
        (json!({}), json!({"iat": now + 11}), "dpop_invalid"),
        (json!({}), json!({"iat": now.to_string()}), "dpop_invalid"),
        (json!({}), json!({"iat": null}), "dpop_invalid"),
        (json!({}), json!({"exp": now + 30}), "ok"),
        (json!({}), json!({"exp": now - 9}), "ok"), // within the leeway
        (json!({}), json!({"exp": now - 10}), "dpop_invalid"),
        (json!({}), json!({"exp": "later"}), "dpop_invalid"),
        (json!({}), json!({"nbf": now + 11}), "dpop_invalid"),
        (json!({}), json!({"htu": "https://gw.440305.example/v1/%63ases#top"}), "ok"),
        (json!({}), json!({"htu": "https://gw.440305.example:8443/v1/cases"}), "dpop_invalid"),
        (json!({}), json!({"jti": null}), "dpop_invalid"),
        (json!({}), json!({"jti": ""}), "dpop_invalid"),
        (json!({}), json!({"jti": "j".repeat(257)}), "dpop_invalid"),
        (json!({}), json!({"ath": null}), "dpop_invalid"),
        (json!({}), json!({"ath": encode(&Digest::of(b"another token").0)}), "dpop_invalid"),
        (json!({"typ": "JWT"}), json!({}), "dpop_invalid"),
        (json!({"typ": null}), json!({}), "dpop_invalid"),
        (json!({"alg": "none"}), json!({}), "dpop_invalid"),
        (json!({"alg": "HS256"}), json!({}), "dpop_invalid"),
        (json!({"alg": "ES384"}), json!({}), "dpop_invalid"),
        (json!({"jwk": null}), json!({}), "dpop_invalid"),
        (json!({"jwk": secret}), json!({}), "dpop_invalid"), // the private half inside
        (json!({"jwk": {"kty": "oct", "k": "AAAA"}}), json!({}), "dpop_invalid"),
        (json!({"jwk": foreign}), json!({}), "token_binding"), // not the key the token is bound to
        (json!({"jwk": off}), json!({}), "token_binding"),
        (json!({"crit": ["x"]}), json!({}), "dpop_invalid"),
    ] {
        let proofs = [proof(header.clone(), claims.clone())];
        let got = check(&BOUND, &presented("DPoP", &proofs), &WORLD.book, NOW);
        assert_eq!(word(got), want, "{header} {claims}");
    }
}

#[test]
fn stolen_tokens_are_of_no_use() {
    let token = BOUND.as_str();
    let good = [proof(json!({}), json!({}))];
    let two = [good[0].clone(), proof(json!({}), json!({"jti": "p-2"}))];
    let thief = [WORLD.foreign.dpop_proof("POST", URL, Some(token), None, NOW).unwrap()];
    let bent = [good[0].replacen('.', ".A", 1)];
    for (scheme, proofs, want) in [
        ("DPoP", &good[..], "ok"),
        ("dpop", &good[..], "ok"),
        ("Bearer", &good[..], "token_binding"),
        ("Bearer", &[][..], "token_binding"),
        ("DPoP", &[][..], "token_binding"),
        ("DPoP", &two[..], "dpop_invalid"),
        ("DPoP", &thief[..], "token_binding"),
        ("DPoP", &bent[..], "dpop_invalid"),
    ] {
        assert_eq!(word(check(token, &presented(scheme, proofs), &WORLD.book, NOW)), want, "{scheme} {}", proofs.len());
    }
    let free = WORLD.citizens.access_token(&citizen()).unwrap();
    assert_eq!(word(check(&free, &presented("DPoP", &good), &WORLD.book, NOW)), "token_binding");
    let proof_as_token = check(&good[0], &bearer(), &WORLD.book, NOW);
    assert_eq!(word(proof_as_token), "token_key", "a proof carries its key, which no access token may");
}

#[test]
fn nonces_when_asked_for() {
    let token = BOUND.as_str();
    for (nonce, want) in [(Some("n-2"), "ok"), (Some("n-1"), "ok"), (Some("n-0"), "dpop_nonce"), (None, "dpop_nonce")] {
        let proofs = [WORLD.device.dpop_proof("POST", URL, Some(token), nonce, NOW).unwrap()];
        let expect = Expect { nonces: &["n-2", "n-1"], ..Expect::default() };
        let got = check_for(token, &presented("DPoP", &proofs), &WORLD.book, &expect, &NothingRevoked, NOW);
        assert_eq!(word(got), want, "{nonce:?}");
    }
    let refusal =
        IdentityError::DpopNonce.refusal(&Challenge { realm: "tongban", dpop: true, dpop_nonce: Some("n-2") });
    assert_eq!(refusal.headers[0], ("DPoP-Nonce", "n-2".into()));
    assert!(refusal.headers[1].1.starts_with("DPoP realm=\"tongban\", error=\"use_dpop_nonce\""));
}

/// Rows 30, 31: the memory is somebody else's; what it must keep, and how long, comes from here.
#[test]
fn what_to_remember_of_a_proof() {
    let token = BOUND.as_str();
    let ask = |jti: &str, now| {
        let proofs = [proof(json!({}), json!({"jti": jti}))];
        check(token, &presented("DPoP", &proofs), &WORLD.book, now).ok().and_then(|c| c.replay)
    };
    let first = ask("p-1", NOW).unwrap();
    assert_eq!(Some(first), ask("p-1", NOW.plus_seconds(5)), "the same proof has the same key, whenever");
    assert_ne!(first.key, ask("p-2", NOW).unwrap().key);
    // Forgotten no earlier than the proof itself is too old.
    let last = (0..200).map(|s| NOW.plus_seconds(s)).take_while(|now| ask("p-1", *now).is_some()).last().unwrap();
    assert!(first.expires > last, "{} {last}", first.expires);
    let seen: HashSet<_> = (0..30).map(|n| ask(&format!("q-{n}"), NOW).unwrap().key).collect();
    assert_eq!(seen.len(), 30);
    assert_eq!(IdentityError::DpopReplay.reason(), "dpop_replay");
}
