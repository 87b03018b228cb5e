//! The signed directory of the demonstration: written anew only when it has to say something else.

use std::collections::BTreeMap;

use serde_json::json;

use super::files::{self, said};
use super::lay::{Authorities, Member};
use super::world::{Door, FEDERATION, GATEWAYS, World};
use super::{jws, pki::Pair, stamps, tokens};
use crate::audit::note::{KeyKind, VerifierKey};
use crate::catalogue::Catalogue;
use crate::federation::directory::{Anchors, MemberLog, Octets};
use crate::federation::{Directory, Issuer, Member as Entry, signed};
use crate::identity::book::{BindingRule, ClaimNames, Profile};
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::crl::Crl;
use crate::trust::issue;
use crate::trust::suite::{PublicKey, Signer, SigningKey};

const DAY_S: i64 = 86_400;
/// A directory is good for thirty days, so are the revocation lists in it; both are made again with ten left.
const LIFE_S: i64 = 30 * DAY_S;
const LEFT_S: i64 = 10 * DAY_S;
/// A list older than this is made again: judges take a list of yesterday for stale.
const LIST_AGE_S: i64 = DAY_S / 2;
/// Longest life of an access token in seconds.
pub const TOKEN_LIFE_S: u64 = 600;

/// Signs the directory, unless the one that is there says the same and is good for a while.
pub(super) fn keep(
    world: &World,
    by: &Authorities,
    members: &[Member; 2],
    now: UnixMillis,
) -> Result<Directory, String> {
    let file = world.directory();
    let operator = match by.operator.public_key() {
        PublicKey::P256(point) => point,
        _ => return Err("the operator's key is not P-256".into()),
    };
    let have = files::read(&file)?
        .and_then(|bytes| signed::open(&String::from_utf8(bytes).ok()?, &operator).ok())
        .and_then(|payload| serde_json::from_slice::<Directory>(&payload).ok());
    let mut directory = Directory {
        federation: FEDERATION.to_owned(),
        version: have.as_ref().map_or(0, |d| d.version),
        issued: have.as_ref().map_or(now, |d| d.issued),
        expires: have.as_ref().map_or(now, |d| d.expires),
        members: members.iter().enumerate().map(|(g, m)| entry(world, g, m)).collect::<Result<_, _>>()?,
        issuers: vec![issuer(world)],
        anchors: anchors(world, by, now)?,
        catalogue: Some(Catalogue::embedded().map_err(|e| e.to_string())?.version()),
    };
    let same = have.is_some_and(|have| json!(have) == json!(directory));
    if !same || directory.expires <= now.plus_seconds(LEFT_S) {
        directory.version += 1;
        directory.issued = now;
        directory.expires = now.plus_seconds(LIFE_S);
        let payload = serde_json::to_vec(&directory).map_err(|e| said(&file, e))?;
        let input = signed::signing_input(&payload);
        let signature = jws::sign(&by.operator, input.as_bytes()).map_err(|e| said(&file, e))?;
        files::write(&file, signed::assemble(&input, &signature).as_bytes(), files::PUBLIC)?;
    }
    Ok(directory)
}

/// Reads the directory as the parties of the demonstration do: under the operator's public key.
pub fn read(world: &World, now: UnixMillis) -> Result<Directory, String> {
    let file = world.directory();
    let key = world.federation().join("operator.pem");
    let text = std::fs::read(&key).map_err(|e| said(&key, e))?;
    let block = crate::trust::pem::decode(&text).map_err(|e| said(&key, e))?;
    let spki = block.first().ok_or_else(|| said(&key, "no key in it"))?;
    let PublicKey::P256(point) = PublicKey::from_spki(&spki.octets).map_err(|e| said(&key, e))? else {
        return Err(said(&key, "is not a P-256 key"));
    };
    let envelope = std::fs::read_to_string(&file).map_err(|e| said(&file, e))?;
    Directory::take(&envelope, &point, None, now).map_err(|e| said(&file, e))
}

fn octets(certificate: &Certificate) -> Octets {
    Octets(certificate.der().to_vec())
}

fn entry(world: &World, gateway: usize, member: &Member) -> Result<Entry, String> {
    let plan = &GATEWAYS[gateway];
    Ok(Entry {
        id: plan.id.to_owned(),
        name: plan.name.to_owned(),
        slot: plan.slot,
        places: vec![plan.division.parse().map_err(|e| format!("{}: {e}", plan.division))?],
        api: world.url(Door::Api(gateway)),
        logs: vec![MemberLog {
            url: world.url(Door::Log(gateway)),
            keys: vec![log_key(&log_origin(gateway), &member.log)?],
        }],
        tls_anchors: vec![octets(&member.tls_authority.certificate)],
        seal_certificates: vec![octets(&member.envelope.certificate)],
        assertion_keys: json!({ "keys": [jws::public_jwk(&member.assertion.key, &tokens::thumbprint(&member.assertion.key)?)?] }),
    })
}

/// The origin line of a gateway's log.
pub fn log_origin(gateway: usize) -> String {
    format!("{FEDERATION}.tongban.example/{}", GATEWAYS[gateway].id)
}

fn log_key(origin: &str, key: &SigningKey) -> Result<VerifierKey, String> {
    let PublicKey::Ed25519(public) = key.public_key() else { return Err("the log's key is not Ed25519".into()) };
    let public = public.try_into().map_err(|_| "an Ed25519 key of another length")?;
    VerifierKey::new(origin, KeyKind::Ed25519, public).ok_or_else(|| format!("{origin}: no name for a log"))
}

fn issuer(world: &World) -> Issuer {
    let levels: BTreeMap<String, u8> = (1..=4).map(|level| (acr(level), level)).collect();
    Issuer {
        issuer: world.issuer(),
        discovery: format!("{}/.well-known/openid-configuration", world.issuer()),
        algorithms: vec!["ES256".into(), "RS256".into()],
        populations: ["citizen", "clerk", "outlet", "auditor"].map(str::to_owned).to_vec(),
        roles: vec![],
        methods: BTreeMap::new(),
        places: vec![],
        levels,
        max_lifetime_s: TOKEN_LIFE_S,
        profile: Profile::AtJwt,
        claims: ClaimNames::default(),
        binding: BindingRule::Optional,
        actors: Vec::new(),
    }
}

/// The `acr` value of a real-name level.
pub fn acr(level: u8) -> String {
    format!("urn:tongban:acr:{level}")
}

fn anchors(world: &World, by: &Authorities, now: UnixMillis) -> Result<Anchors, String> {
    let revoked = stamps::revoked_certificate(world)?;
    // The moment is that of the certificate: whatever was sealed under it counts for nothing.
    let revoked = [(revoked.serial().to_vec(), revoked.not_before())];
    let folder = world.federation();
    let list = |name: &str, authority: &Pair, revoked: &[(Vec<u8>, UnixMillis)]| {
        crl(&folder.join(name), authority, revoked, now).map(Octets)
    };
    Ok(Anchors {
        signers: vec![octets(&by.signers.certificate)],
        makers: vec![octets(&by.makers.certificate)],
        envelopes: vec![octets(&by.envelopes.certificate)],
        services: vec![octets(&by.services.certificate)],
        intermediates: vec![],
        crls: vec![
            list("signers-ca.crl", &by.signers, &revoked)?,
            list("makers-ca.crl", &by.makers, &[])?,
            list("envelopes-ca.crl", &by.envelopes, &[])?,
        ]
        .into(),
    })
}

/// A revocation list, kept for half a day.
fn crl(
    file: &std::path::Path,
    authority: &Pair,
    revoked: &[(Vec<u8>, UnixMillis)],
    now: UnixMillis,
) -> Result<Vec<u8>, String> {
    if let Some(der) = files::read(file)?
        && let Ok(list) = Crl::parse(&der)
        && list.this_update() <= now
        && now < list.this_update().plus_seconds(LIST_AGE_S)
        && list.is_by(&authority.certificate) == Ok(true)
        && revoked.iter().all(|(serial, _)| list.entry(serial).is_some())
    {
        return Ok(der);
    }
    let issuer = issue::Issuer::of(&authority.key, &authority.certificate);
    // Unix seconds as the list's number: it grows with every list.
    let number = now.seconds().unsigned_abs();
    let der = issue::crl(&issuer, revoked, number, now, now.plus_seconds(LIFE_S)).map_err(|e| said(file, e))?;
    files::write(file, &der, files::PUBLIC)?;
    Ok(der)
}
