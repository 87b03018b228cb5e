//! The attack list, row by row, through the public door; keys are made at run time.

mod access_attacks;
mod delegated;
mod dpop_attacks;
mod keys_and_rotation;
mod logged_out;
mod one_token_for_two;
mod vectors;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::access::{Checked, Presented, check};
use super::book::{BindingRule, ClaimNames, IssuerBook, IssuerEntry, Kind, Profile, Reach};
use super::issue::{SigningKey, jwks};
use super::jose::Object;
use super::keys::IssuerKeys;
use crate::terms::UnixMillis;

pub const NOW: UnixMillis = UnixMillis(1_796_000_000_000);
pub const CITIZENS: &str = "https://id.henan.example";
pub const STAFF: &str = "https://staff.shenzhen.example";
pub const US: &str = "https://gw.440305.example";
pub const URL: &str = "https://gw.440305.example/v1/cases";

/// The citizens' issuer (ES256), the staff's (EdDSA), a device, and somebody's foreign key.
pub struct World {
    pub citizens: SigningKey,
    pub staff: SigningKey,
    pub device: SigningKey,
    pub foreign: SigningKey,
    pub book: IssuerBook,
}

pub static WORLD: LazyLock<World> = LazyLock::new(|| {
    super::ring_provider::install();
    let citizens = SigningKey::generate(Algorithm::ES256).unwrap();
    let staff = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let book = IssuerBook::new([
        entry(CITIZENS, Algorithm::ES256, &[Kind::Citizen], Reach::Everywhere),
        entry(STAFF, Algorithm::EdDSA, &[Kind::Clerk, Kind::Outlet], Reach::Within(vec!["440300".parse().unwrap()])),
    ])
    .unwrap()
    .with_keys(CITIZENS, Some(keys_of(&[&citizens])))
    .with_keys(STAFF, Some(keys_of(&[&staff])));
    World {
        citizens,
        staff,
        device: SigningKey::generate(Algorithm::ES256).unwrap(),
        foreign: SigningKey::generate(Algorithm::ES256).unwrap(),
        book,
    }
});

pub fn entry(issuer: &str, algorithm: Algorithm, populations: &[Kind], reach: Reach) -> IssuerEntry {
    let levels = [("urn:l1", 1), ("urn:l2", 2), ("urn:l3", 3), ("urn:l4", 4)];
    IssuerEntry {
        issuer: issuer.into(),
        audiences: vec![US.into()],
        algorithms: vec![algorithm],
        profile: Profile::AtJwt,
        claims: ClaimNames::default(),
        populations: populations.to_vec(),
        roles: BTreeSet::new(),
        reach,
        acr_levels: BTreeMap::from(levels.map(|(acr, level)| (acr.to_owned(), level))),
        amr_levels: BTreeMap::new(),
        actors: vec![
            "clerk-7".into(),
            format!("{STAFF}#clerk-8"),
            "agent-1".into(),
            "agent-2".into(),
            "agent-3".into(),
        ],
        binding: BindingRule::Optional,
        max_lifetime_s: 3_600,
        leeway_s: 10,
    }
}

pub fn keys_of(keys: &[&SigningKey]) -> IssuerKeys {
    let document = jwks(keys).unwrap().to_string();
    let algorithms: Vec<_> = keys.iter().map(|key| key.algorithm()).collect();
    let (keys, dropped) = IssuerKeys::from_jwks(document.as_bytes(), &algorithms).unwrap();
    assert_eq!(dropped, []);
    keys
}

/// A citizen's claims, good in every respect.
pub fn citizen() -> Object {
    object(json!({
        "iss": CITIZENS, "sub": "c-100", "aud": US, "iat": NOW.seconds() - 60, "exp": NOW.seconds() + 600,
        "jti": "t-1", "sid": "s-1", "client_id": "portal", "scope": "cases lookups:read", "acr": "urn:l3",
        "amr": ["face", "pwd"], "auth_time": NOW.seconds() - 120, "name": "张三", "resident_id": "990101199202290010",
        "division": "410000",
    }))
}

/// A clerk's claims, good in every respect.
pub fn clerk() -> Object {
    with(
        citizen(),
        json!({"iss": STAFF, "sub": "clerk-7", "kind": "clerk", "division": "440305",
        "resident_id": null, "roles": ["window"], "org": "11440305MB2C92035X", "jti": "t-2"}),
    )
}

pub fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => panic!("an object"),
    }
}

/// `base` with members changed; `null` takes one out.
pub fn with(mut base: Object, changes: Value) -> Object {
    for (name, value) in object(changes) {
        match value {
            Value::Null => base.remove(&name),
            value => base.insert(name, value),
        };
    }
    base
}

pub fn bearer() -> Presented<'static> {
    Presented { scheme: "Bearer", method: "POST", url: URL, proofs: vec![], certificate: None, token_endpoint: false }
}

/// The reason word, or `ok`.
pub fn word<T>(result: Result<T, super::IdentityError>) -> &'static str {
    result.err().map_or("ok", |error| error.reason())
}

pub fn checked(key: &SigningKey, claims: &Object) -> Checked {
    check(&key.access_token(claims).unwrap(), &bearer(), &WORLD.book, NOW).unwrap()
}
