//! Nanoseconds of a token check: cold, remembered, with a proof of possession. `cargo bench --bench identity`

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use jsonwebtoken::Algorithm;
use tongban::identity::access::{Expect, Presented, check};
use tongban::identity::book::{BindingRule, ClaimNames, IssuerBook, IssuerEntry, Kind, Profile, Reach};
use tongban::identity::cache::VerdictCache;
use tongban::identity::issue::{SigningKey, jwks};
use tongban::identity::jose::Object;
use tongban::identity::keys::IssuerKeys;
use tongban::identity::revocation::NothingRevoked;
use tongban::terms::UnixMillis;

const NOW: UnixMillis = UnixMillis(1_796_000_000_000);
const ISSUER: &str = "https://id.example";
const US: &str = "https://gw.example";
const URL: &str = "https://gw.example/v1/cases";
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(200);

fn main() {
    let device = SigningKey::generate(Algorithm::ES256).expect("a key");
    let jkt = device.jkt().expect("a thumbprint");
    println!("{:<40} {:>10}", "median of nine rounds, one core", "ns");
    for algorithm in [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA] {
        let key = SigningKey::generate(algorithm).expect("a key");
        let book = book(&key);
        let token = key.access_token(&claims(json!(null))).expect("a token");
        let bearer = Presented { scheme: "Bearer", method: "POST", url: URL, ..Presented::default() };
        row(&format!("{algorithm:?}, cold"), || check(&token, &bearer, &book, NOW).is_ok());
        let cache = VerdictCache::new(1 << 20, Duration::from_secs(3_600));
        let expect = Expect::default();
        row(&format!("{algorithm:?}, verdict remembered"), || {
            cache.check(&token, &bearer, &book, &expect, &NothingRevoked, NOW).is_ok()
        });
        let bound = key.access_token(&claims(json!({ "jkt": jkt }))).expect("a token");
        let proof = device.dpop_proof("POST", URL, Some(&bound), None, NOW).expect("a proof");
        let with_proof = Presented { scheme: "DPoP", proofs: vec![&proof], ..bearer.clone() };
        row(&format!("{algorithm:?}, remembered, with DPoP proof"), || {
            cache.check(&bound, &with_proof, &book, &expect, &NothingRevoked, NOW).is_ok()
        });
    }
}

fn book(key: &SigningKey) -> IssuerBook {
    let entry = IssuerEntry {
        issuer: ISSUER.into(),
        audiences: vec![US.into()],
        algorithms: vec![key.algorithm()],
        profile: Profile::AtJwt,
        claims: ClaimNames::default(),
        populations: vec![Kind::Citizen],
        reach: Reach::Everywhere,
        acr_levels: [("urn:l3".to_owned(), 3)].into(),
        amr_levels: Default::default(),
        roles: Default::default(),
        actors: vec![],
        binding: BindingRule::Optional,
        max_lifetime_s: 3_600,
        leeway_s: 10,
    };
    let document = jwks(&[key]).expect("a key set").to_string();
    let (keys, _) = IssuerKeys::from_jwks(document.as_bytes(), &[key.algorithm()]).expect("a key set");
    IssuerBook::new([entry]).expect("an entry").with_keys(ISSUER, Some(keys))
}

fn claims(cnf: Value) -> Object {
    let now = NOW.seconds();
    let mut claims = json!({"iss": ISSUER, "sub": "c-100", "aud": US, "iat": now, "exp": now + 600, "jti": "t-1",
        "acr": "urn:l3", "auth_time": now, "scope": "cases", "name": "张三", "resident_id": "990101199202290010",
        "division": "410000"});
    if !cnf.is_null() {
        claims["cnf"] = cnf;
    }
    claims.as_object().cloned().unwrap_or_default()
}

fn row(name: &str, mut good: impl FnMut() -> bool) {
    let mut rounds: Vec<u128> = (0..ROUNDS)
        .map(|_| {
            let (start, mut calls) = (Instant::now(), 0u128);
            while start.elapsed() < ROUND {
                assert!(black_box(good()), "{name}");
                calls += 1;
            }
            start.elapsed().as_nanos() / calls
        })
        .collect();
    rounds.sort_unstable();
    println!("{name:<40} {:>10}", rounds[ROUNDS / 2]);
}
