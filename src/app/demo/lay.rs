//! Lays the federation into a folder: keys, certificates, seals, the signed directory, configurations.
//!
//! ```text
//!  operator ─┬─ services CA ── identity provider · directory
//!            ├─ signers CA (SM2) ── seals of A and B · licence issuer · a revoked one ──▶ CRL
//!            ├─ makers CA (SM2) ─── seal maker
//!            └─ envelope CA ─────── case files of A and B
//!  each gateway: its own TLS CA ── itself · its own clients CA ── windows, outlet, offices, provider · mandates of outlets
//! ```
//! Laying again reads what is there, makes again what is about to expire, and rewrites the configurations. What an earlier
//! demonstration announced is taken back: it is not ready any more.

use std::path::Path;

use super::pki::{self, Pair};
use super::world::{CLIENTS, ClientKind, FEDERATION, GATEWAYS, OPERATORS, World};
use super::{announce, directory, files, settings, stamps};
use crate::terms::UnixMillis;
use crate::trust::issue::{Subject, Use};
use crate::trust::suite::SignatureAlgorithm::{EcdsaP256Sha256, Ed25519, RsaPkcs1Sha256, Sm2Sm3};
use crate::trust::suite::SigningKey;

/// The authorities of the federation as a whole.
pub struct Authorities {
    pub operator: SigningKey,
    pub services: Pair,
    pub signers: Pair,
    pub makers: Pair,
    pub maker: Pair,
    pub envelopes: Pair,
}

/// A gateway's keys and certificates; its seals are in files only.
pub struct Member {
    pub tls_authority: Pair,
    pub clients_authority: Pair,
    pub envelope: Pair,
    pub assertion: Pair,
    pub log: SigningKey,
}

const LOOPBACK: [[u8; 4]; 1] = [[127, 0, 0, 1]];
const LOCALHOST: [&str; 1] = ["localhost"];

/// Lays the demonstration federation into `folder`, listening from `port_base` on. `store` is an address of a
/// PostgreSQL database, or `None` for SQLite files.
///
/// # Errors
/// A sentence with the file it is about.
pub fn lay(folder: &Path, port_base: u16, store: Option<&str>) -> Result<World, String> {
    lay_at(folder, port_base, store, UnixMillis::now())
}

/// [`lay`], as of `now`.
pub fn lay_at(folder: &Path, port_base: u16, store: Option<&str>, now: UnixMillis) -> Result<World, String> {
    if !(1_024..=u16::MAX - super::world::PORTS).contains(&port_base) {
        return Err(format!("port base {port_base}: choose one between 1024 and {}", u16::MAX - super::world::PORTS));
    }
    std::fs::create_dir_all(folder).map_err(|e| files::said(folder, e))?;
    let folder = folder.canonicalize().map_err(|e| files::said(folder, e))?;
    let world = World { folder, port_base, store: store.map(str::to_owned) };
    announce::take_back(&world)?;
    let authorities = authorities(&world, now)?;
    identity_provider(&world, &authorities, now)?;
    stamps::licence_issuers(&world, &authorities, now)?;
    let members = [member(&world, &authorities, 0, now)?, member(&world, &authorities, 1, now)?];
    clients(&world, &members, now)?;
    directory::keep(&world, &authorities, &members, now)?;
    settings::trust(&world)?;
    for gateway in 0..GATEWAYS.len() {
        settings::write(&world, gateway, now)?;
    }
    Ok(world)
}

fn authorities(world: &World, now: UnixMillis) -> Result<Authorities, String> {
    let folder = world.federation();
    let root = |name: &str, title: &str, algorithm| {
        pki::authority(&folder, name, algorithm, &Subject::named(title, FEDERATION), now)
    };
    let operator = pki::key(&folder.join("operator.key"), EcdsaP256Sha256)?;
    public(&operator, &folder.join("operator.pem"))?;
    let makers = root("makers-ca", "Tongban demo seal makers (SM2)", Sm2Sm3)?;
    let maker = Subject::named("Tongban demo seal maker", FEDERATION);
    Ok(Authorities {
        operator,
        services: root("services-ca", "Tongban demo services", EcdsaP256Sha256)?,
        signers: root("signers-ca", "Tongban demo seal signers (SM2)", Sm2Sm3)?,
        maker: pki::issued(&folder, "maker", &makers, &maker, Use::Signer, now)?,
        makers,
        envelopes: root("envelopes-ca", "Tongban demo envelopes", EcdsaP256Sha256)?,
    })
}

/// Writes the public half of a key.
fn public(key: &SigningKey, file: &Path) -> Result<(), String> {
    let public = crate::trust::suite::Signer::public_key(key).to_spki();
    let public = crate::trust::pem::encode("PUBLIC KEY", &public);
    files::write(file, public.as_bytes(), files::PUBLIC).map(|_| ())
}

fn identity_provider(world: &World, authorities: &Authorities, now: UnixMillis) -> Result<(), String> {
    let folder = world.federation();
    for (name, title) in [("idp-tls", "Tongban demo identity provider"), ("directory-tls", "Tongban demo directory")] {
        let subject = Subject { dns: &LOCALHOST, ips: &LOOPBACK, ..Subject::named(title, FEDERATION) };
        pki::issued(&folder, name, &authorities.services, &subject, Use::TlsServer, now)?;
    }
    pki::key(&folder.join("idp-es256.key"), EcdsaP256Sha256)?;
    pki::key(&folder.join("idp-rs256.key"), RsaPkcs1Sha256)?;
    Ok(())
}

fn member(world: &World, authorities: &Authorities, gateway: usize, now: UnixMillis) -> Result<Member, String> {
    let (home, plan) = (world.gateway(gateway), &GATEWAYS[gateway]);
    let (own, certs) = (home.join("authorities"), home.join("certs"));
    let subject = |title: &'static str| Subject::named(title, plan.organisation);
    let root = |name: &str, title| pki::authority(&own, name, EcdsaP256Sha256, &subject(title), now);
    let (tls_authority, clients_authority) = (root("tls", "TLS authority")?, root("clients", "Clients authority")?);
    let uri = format!("urn:tongban:gateway:{}", plan.id);
    let uris = [uri.as_str()];
    let itself = Subject { dns: &LOCALHOST, ips: &LOOPBACK, uris: &uris, ..subject(plan.id) };
    pki::issued(&certs, "tls", &tls_authority, &itself, Use::TlsBoth, now)?;
    let sealing = Subject { uris: &uris, ..subject(plan.id) };
    let envelope = pki::issued(&certs, "envelope", &authorities.envelopes, &sealing, Use::Signer, now)?;
    let assertion = pki::issued(&certs, "assertion", &authorities.envelopes, &sealing, Use::Signer, now)?;
    stamps::gateway(world, authorities, gateway, now)?;
    for operator in OPERATORS {
        public(
            &pki::key(&own.join(format!("{operator}.key")), EcdsaP256Sha256)?,
            &own.join(format!("{operator}.pem")),
        )?;
    }
    let log = pki::key(&certs.join("log.key"), Ed25519)?;
    pki::key(&certs.join("log-gm.key"), Sm2Sm3)?;
    let data = home.join("data");
    std::fs::create_dir_all(&data).map_err(|e| files::said(&data, e))?;
    Ok(Member { tls_authority, clients_authority, envelope, assertion, log })
}

fn clients(world: &World, members: &[Member; 2], now: UnixMillis) -> Result<(), String> {
    let folder = world.folder.join("clients");
    for client in &CLIENTS {
        let authority = &members[client.gateway].clients_authority;
        let uris = [client.uri];
        let subject = Subject { uris: &uris, ..Subject::named(client.id, client.name) };
        // The office is called as well: it listens under the certificate with which it calls.
        let (subject, purpose) = match client.kind {
            ClientKind::Department => (Subject { dns: &LOCALHOST, ips: &LOOPBACK, ..subject }, Use::TlsBoth),
            _ => (subject, Use::TlsClient),
        };
        pki::issued(&folder, client.id, authority, &subject, purpose, now)?;
    }
    let provider = Subject {
        dns: &LOCALHOST,
        ips: &LOOPBACK,
        ..Subject::named("household-register", super::world::POLICE_B_NAME)
    };
    let authority = &members[super::world::B].clients_authority;
    // It calls, too, when its data change.
    pki::issued(&folder, "household-register", authority, &provider, Use::TlsBoth, now)?;
    Ok(())
}

#[cfg(test)]
mod tests;
