//! What the directory says.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as B64;
use serde::{Deserialize, Serialize};

use super::{FederationError, signed};
use crate::audit::note::{KeyKind, VerifierKey};
use crate::identity::book::{BindingRule, ClaimNames, Profile};
use crate::terms::{Digest, RegionCode, UnixMillis};
use crate::trust::crl::Crl;

/// Octets as base64 text, e.g. a certificate in DER.
#[derive(Clone, PartialEq, Eq)]
pub struct Octets(pub Vec<u8>);

impl std::fmt::Debug for Octets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Octets({})", self.0.len())
    }
}

impl Serialize for Octets {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&B64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        B64.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// One version of the directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    pub federation: String,
    /// Grows with every issue: an older one is never taken.
    pub version: u64,
    pub issued: UnixMillis,
    pub expires: UnixMillis,
    pub members: Vec<Member>,
    pub issuers: Vec<Issuer>,
    pub anchors: Anchors,
    /// Version of the catalogue that all members work by (一个受理标准); any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<Digest>,
}

/// A gateway of the federation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// e.g. `gw-419001`.
    pub id: String,
    pub name: String,
    /// First four digits of the sequence in case numbers it gives out, 0–9999; no two members share one.
    pub slot: u16,
    /// Places it works for and may speak for; the longest prefix wins.
    pub places: Vec<RegionCode>,
    /// `https://host:port` of its API.
    pub api: String,
    /// Its logs: one a replica.
    pub logs: Vec<MemberLog>,
    /// The authority that issues its TLS certificates, and no one else's.
    pub tls_anchors: Vec<Octets>,
    /// Certificates that seal its case files.
    pub seal_certificates: Vec<Octets>,
    /// JWK set that signs its assertions. A key may say `nbf` and `exp`, in Unix seconds, between which it counts, and
    /// `revoked` (OpenID Federation 1.0, historical keys), after which nothing under it does, whenever it was signed.
    pub assertion_keys: serde_json::Value,
}

/// A log of a member.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberLog {
    /// `https://host:port` of the log.
    pub url: String,
    /// Its verifier keys (signed note): all of one name, the log's origin. Two while one key takes over from the other.
    pub keys: Vec<VerifierKey>,
}

impl MemberLog {
    /// The first line of its checkpoints.
    pub fn origin(&self) -> &str {
        self.keys.first().map_or("", VerifierKey::name)
    }
}

/// A token issuer, with whom and where it may speak for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    pub issuer: String,
    /// Where its discovery document is; TLS anchors are those of the directory.
    pub discovery: String,
    pub algorithms: Vec<String>,
    /// `citizen`, `clerk`, `outlet` (employees of partner outlets), `auditor`, `operator`, `machine`; `staff` is the two that
    /// work at desks. A directory with another word is not taken.
    pub populations: Vec<String>,
    /// Which roles its tokens may give, in the words of the rules; any when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    pub places: Vec<RegionCode>,
    /// `acr` value → real-name level 1–4.
    pub levels: BTreeMap<String, u8>,
    /// Methods of `amr`, one or several joined with `+` → real-name level 1–4.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub methods: BTreeMap<String, u8>,
    pub max_lifetime_s: u64,
    /// `at_jwt` (RFC 9068), or `oidc` for issuers whose access tokens are plain JWTs.
    #[serde(default = "at_jwt")]
    pub profile: Profile,
    /// What this issuer calls the claims we read.
    #[serde(default)]
    pub claims: ClaimNames,
    /// Whether its tokens must be bound to a key or certificate of their holder.
    #[serde(default)]
    pub binding: BindingRule,
    /// Subjects that may stand in `act`.
    #[serde(default)]
    pub actors: Vec<String>,
}

fn at_jwt() -> Profile {
    Profile::AtJwt
}

/// Trust anchors by purpose, in DER.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchors {
    /// Of seal signers and licence issuers.
    pub signers: Vec<Octets>,
    /// Of seal makers.
    pub makers: Vec<Octets>,
    /// Of organisations that seal case files.
    pub envelopes: Vec<Octets>,
    /// Of identity providers' and the directory's TLS.
    pub services: Vec<Octets>,
    /// Certificates between anchors and signers.
    pub intermediates: Vec<Octets>,
    /// Revocation lists as of this version.
    pub crls: Lists,
}

/// Revocation lists, parsed once as they are taken: they are asked at every request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Octets>", into = "Vec<Octets>")]
pub struct Lists {
    der: Vec<Octets>,
    /// Those that can be read.
    read: Vec<Crl>,
}

impl Lists {
    pub fn der(&self) -> &[Octets] {
        &self.der
    }
}

impl From<Vec<Octets>> for Lists {
    fn from(der: Vec<Octets>) -> Self {
        let read = der.iter().filter_map(|list| Crl::parse(&list.0).ok()).collect();
        Self { der, read }
    }
}

impl From<Lists> for Vec<Octets> {
    fn from(lists: Lists) -> Self {
        lists.der
    }
}

impl Directory {
    /// Opens, checks and takes a directory. `have` is the version in use, if any.
    ///
    /// # Errors
    /// A bad signature, another form, [`FederationError::Rollback`], [`FederationError::Expired`], or two members that
    /// claim the same place, slot or id.
    pub fn take(envelope: &str, operator: &[u8], have: Option<u64>, now: UnixMillis) -> Result<Self, FederationError> {
        let payload = signed::open(envelope, operator)?;
        let directory: Self =
            serde_json::from_slice(&payload).map_err(|e| FederationError::Directory(e.to_string()))?;
        if let Some(have) = have
            && directory.version < have
        {
            return Err(FederationError::Rollback { got: directory.version, have });
        }
        directory.in_force(now)?;
        directory.consistent()?;
        Ok(directory)
    }

    /// Whether this version still counts at `now`.
    ///
    /// # Errors
    /// [`FederationError::Expired`].
    pub fn in_force(&self, now: UnixMillis) -> Result<(), FederationError> {
        if self.expires <= now { Err(FederationError::Expired(self.expires)) } else { Ok(()) }
    }

    /// The revocation lists that can be read.
    pub fn revocation_lists(&self) -> &[Crl] {
        &self.anchors.crls.read
    }

    /// Keys of the logs of every member but `me`.
    pub fn log_keys(&self, me: &str) -> Vec<VerifierKey> {
        let others = self.members.iter().filter(|member| member.id != me);
        others.flat_map(|member| &member.logs).flat_map(|log| &log.keys).cloned().collect()
    }

    fn consistent(&self) -> Result<(), FederationError> {
        let wrong = |why: String| Err(FederationError::Directory(why));
        let (mut ids, mut slots, mut places) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut origins = BTreeSet::new();
        for member in &self.members {
            if member.slot > 9_999 {
                return wrong(format!("{}: slot above 9999", member.id));
            }
            if let Some(other) = ids.insert(&member.id, &member.id) {
                return wrong(format!("{other} is there twice"));
            }
            if let Some(other) = slots.insert(member.slot, &member.id) {
                return wrong(format!("{} and {other} share slot {}", member.id, member.slot));
            }
            for place in &member.places {
                if let Some(other) = places.insert(*place, &member.id) {
                    return wrong(format!("{} and {other} both claim {place}", member.id));
                }
            }
            let keys = member.assertion_keys.get("keys").and_then(|keys| keys.as_array());
            if keys.into_iter().flatten().any(odd_dates) {
                return wrong(format!(
                    "{}: an assertion key whose nbf or exp is no time, or which ends before it begins",
                    member.id
                ));
            }
            for log in &member.logs {
                let origin = log.origin();
                if log.keys.iter().any(|key| key.name() != origin || key.kind() != KeyKind::Ed25519)
                    || origin.is_empty()
                {
                    return wrong(format!("{}: a log has keys, all of a log and of one name", member.id));
                }
                if !origins.insert(origin) {
                    return wrong(format!("{}: two logs are called {origin}", member.id));
                }
            }
        }
        Ok(())
    }

    /// The member that works for a place: the one with the longest matching prefix, so that towns, villages and
    /// functional zones go to their own gateway where they have one and to their county's where not.
    pub fn member_for(&self, place: RegionCode) -> Result<&Member, FederationError> {
        let claims = self.members.iter().flat_map(|m| m.places.iter().map(move |p| (m, *p)));
        claims
            .filter(|(_, claim)| place.lies_in(*claim))
            .max_by_key(|(_, claim)| claim.significant())
            .map(|(member, _)| member)
            .ok_or(FederationError::NoMember(place))
    }

    pub fn member(&self, id: &str) -> Option<&Member> {
        self.members.iter().find(|m| m.id == id)
    }

    /// Names this version in evidence.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// Whether a key of a set counts for what was signed at `at`, in Unix seconds.
fn counts(key: &serde_json::Value, at: i64) -> bool {
    let bound = |name: &str| key.get(name).map(|v| v.as_i64());
    let begun = bound("nbf").is_none_or(|from| from.is_some_and(|from| from <= at));
    let over = bound("exp").is_some_and(|end| end.is_none_or(|end| end <= at));
    begun && !over && key.get("revoked").is_none()
}

/// What is wrong with the dates of a key: they are whole seconds, one before the other.
fn odd_dates(key: &serde_json::Value) -> bool {
    let bounds = ["nbf", "exp"].map(|name| key.get(name).map(|v| v.as_i64()));
    match bounds {
        [Some(None), _] | [_, Some(None)] => true,
        [Some(Some(from)), Some(Some(end))] => from >= end,
        _ => false,
    }
}

impl Member {
    /// Its assertion keys that count for what was signed at `at`, as a JWK set.
    pub fn keys_at(&self, at: UnixMillis) -> Vec<u8> {
        let all = self.assertion_keys.get("keys").and_then(|keys| keys.as_array());
        let counting: Vec<_> = all.into_iter().flatten().filter(|key| counts(key, at.seconds())).collect();
        serde_json::to_vec(&serde_json::json!({ "keys": counting })).unwrap_or_default()
    }

    /// Whether the member may speak for a place.
    pub fn speaks_for(&self, place: RegionCode) -> bool {
        self.places.iter().any(|own| place.lies_in(*own))
    }
}

impl Issuer {
    /// Whether its keys are where `other`'s are, and read under the same algorithms.
    pub fn has_keys_of(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.discovery == other.discovery && self.algorithms == other.algorithms
    }

    pub fn speaks_for(&self, place: RegionCode) -> bool {
        self.places.is_empty() || self.places.iter().any(|own| place.lies_in(*own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::note::Signer;

    fn member(id: &str, slot: u16, places: &[&str]) -> Member {
        Member {
            id: id.into(),
            name: id.into(),
            slot,
            places: places.iter().map(|p| p.parse().unwrap()).collect(),
            api: String::new(),
            logs: vec![],
            tls_anchors: vec![],
            seal_certificates: vec![],
            assertion_keys: serde_json::Value::Null,
        }
    }

    fn directory(members: Vec<Member>) -> Directory {
        Directory {
            federation: "test".into(),
            version: 1,
            issued: UnixMillis(0),
            expires: UnixMillis(1),
            members,
            issuers: vec![],
            anchors: Anchors::default(),
            catalogue: None,
        }
    }

    #[test]
    fn the_longest_prefix_owns_a_place() {
        let d = directory(vec![
            member("henan", 1, &["410000"]),
            member("jiyuan", 2, &["419001"]),
            member("zone", 3, &["410772"]),
            member("town", 4, &["419001101"]),
        ]);
        for (place, want) in [
            ("419001", Some("jiyuan")),
            ("419001102000", Some("jiyuan")),
            ("419001101003", Some("town")), // a village of a town that has its own gateway
            ("410772", Some("zone")),
            ("410771", Some("henan")),
            ("410100", Some("henan")),
            ("440305", None),
        ] {
            let got = d.member_for(place.parse().unwrap()).ok().map(|m| m.id.as_str());
            assert_eq!(got, want, "{place}");
        }
    }

    #[test]
    fn a_key_counts_between_its_dates_and_until_it_is_revoked() {
        use serde_json::json;
        for (key, at, counts, fits) in [
            (json!({}), 50, true, true),
            (json!({"nbf": 50}), 50, true, true),
            (json!({"nbf": 51}), 50, false, true),
            (json!({"exp": 51}), 50, true, true),
            (json!({"exp": 50}), 50, false, true),
            (json!({"nbf": 10, "exp": 90}), 50, true, true),
            (json!({"nbf": 10, "exp": 90, "revoked": {"revoked_at": 80}}), 50, false, true),
            (json!({"revoked": null}), 50, false, true),
            (json!({"nbf": 90, "exp": 10}), 50, false, false),
            (json!({"nbf": 10, "exp": 10}), 10, false, false),
            (json!({"nbf": "10"}), 50, false, false),
            (json!({"exp": 90.5}), 50, false, false),
            (json!({"exp": null}), 50, false, false),
        ] {
            let other = json!({"kid": "other"});
            let with = Member { assertion_keys: json!({"keys": [key, other]}), ..member("m", 1, &["440305"]) };
            let got: serde_json::Value = serde_json::from_slice(&with.keys_at(UnixMillis(at * 1_000))).unwrap();
            let want = if counts { json!([key, other]) } else { json!([other]) };
            assert_eq!(got["keys"], want, "{key}");
            assert_eq!(directory(vec![with]).consistent().is_ok(), fits, "{key}");
        }
        assert_eq!(member("m", 1, &[]).keys_at(UnixMillis(0)), br#"{"keys":[]}"#);
    }

    #[test]
    fn no_two_members_share_a_place_or_a_slot() {
        assert!(directory(vec![member("a", 1, &["440305"]), member("b", 2, &["440306"])]).consistent().is_ok());
        for pair in [
            [member("a", 1, &["440305"]), member("b", 1, &["440306"])],
            [member("a", 1, &["440305"]), member("b", 2, &["440305"])],
            [member("a", 1, &["440305"]), member("a", 2, &["440306"])],
            [member("a", 10_000, &[]), member("b", 2, &[])],
        ] {
            assert!(directory(pair.to_vec()).consistent().is_err());
        }
    }

    #[test]
    fn a_log_has_keys_of_one_name_that_no_other_log_has() {
        let key = |name: &str, seed: u8, kind| Signer::from_seed(name, &[seed; 32]).unwrap().verifier(kind);
        let log = |keys: &[VerifierKey]| MemberLog { url: String::new(), keys: keys.to_vec() };
        let (one, next) = (key("a", 1, KeyKind::Ed25519), key("a", 2, KeyKind::Ed25519));
        let (other, witness) = (key("b", 3, KeyKind::Ed25519), key("a", 4, KeyKind::Cosignature));
        for (logs, fits) in [
            (vec![log(std::slice::from_ref(&one)), log(std::slice::from_ref(&other))], true),
            (vec![log(&[one.clone(), next.clone()])], true),
            (vec![log(&[])], false),
            (vec![log(&[one.clone(), other])], false),
            (vec![log(&[witness])], false),
            (vec![log(std::slice::from_ref(&one)), log(&[next])], false),
        ] {
            let with = |logs: &[MemberLog]| Member { logs: logs.to_vec(), ..member("m", 1, &["440305"]) };
            assert_eq!(directory(vec![with(&logs)]).consistent().is_ok(), fits, "{logs:?}");
            // Nor may two members share one.
            assert!(
                directory(vec![with(&logs), Member { logs: logs.clone(), ..member("n", 2, &[]) }])
                    .consistent()
                    .is_err()
            );
        }
    }
}
