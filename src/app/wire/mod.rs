//! From a configuration to rooms that work together: every file is read here, once, and every mistake is named.

mod keys;
mod log;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls_pki_types::CertificateDer;
use tokio::sync::{Notify, broadcast};

use super::config::{AuditorKind, Config, SealKey, Stamp as StampFiles, SystemKind as Kind};
use super::snapshot::Snapshot;
use super::statuses;
use crate::catalogue::Catalogue;
use crate::exchange::{Vault, records};
use crate::federation::Directory;
use crate::gateway::about_me;
use crate::gateway::certificate_status::CertificateStatus;
use crate::gateway::changes;
use crate::gateway::decisions::Decisions;
use crate::gateway::enrol::Authority;
use crate::gateway::entrusted;
use crate::gateway::intake::Bounds;
use crate::gateway::issuers::Issuers;
use crate::gateway::lookup::Askers;
use crate::gateway::material::Materials;
use crate::gateway::orders;
use crate::gateway::pace::{Paces, Waiting};
use crate::gateway::registry;
use crate::gateway::rooms::{
    ArchiveState, Envelope, Me, Peer, Peers, Rooms, Secrets, Stamp, System, SystemKind, Window,
};
use crate::gateway::strangers::Strangers;
use crate::http::log::Auditor;
use crate::http::tls;
use crate::identity::cache::VerdictCache;
use crate::identity::keys::PublicKey;
use crate::identity::revocation::Revocations;
use crate::jobs::responders;
use crate::lookups::Lookups;
use crate::partners::{Contract, Contracts, Rates, Standing, Stopped};
use crate::policy::{PolicyBook, archive};
use crate::store::{Migration, Store};
use crate::terms::{Digest, Mistakes, UnixMillis};
use crate::trust::certificate::Certificate;
use crate::trust::crl::Crl;
use crate::trust::pem;
use crate::trust::suite::{Signer, load_key};
use crate::upstream::tls::{Identity, certificates};
use crate::upstream::{Client, ClientTls};

pub use log::{
    anchors, archive, gm_signer, known_head, log_signer, quorum, retention, second_log_signer, witness, witnesses,
};

/// Octets of shared-data answers kept in memory.
const CACHE_OCTETS: u64 = 64 << 20;

/// A sentence for the operator: which file, what is wrong.
pub type Wrong = String;

fn wrong(file: &Path, why: impl std::fmt::Display) -> Wrong {
    format!("{}: {why}", file.display())
}

/// The federation operator's public key (uncompressed point) from a PEM `PUBLIC KEY`.
pub fn operator_key(file: &Path) -> Result<Vec<u8>, Wrong> {
    use crate::trust::suite::PublicKey;
    let text = std::fs::read(file).map_err(|e| wrong(file, e))?;
    let blocks = pem::decode(&text).map_err(|e| wrong(file, e))?;
    let block = blocks.iter().find(|b| b.label == "PUBLIC KEY").ok_or_else(|| wrong(file, "no PUBLIC KEY in it"))?;
    match PublicKey::from_spki(&block.octets).map_err(|e| wrong(file, e))? {
        PublicKey::P256(point) => Ok(point),
        _ => Err(wrong(file, "not a P-256 key")),
    }
}

/// Opens store, vault and log, and puts what has been read around them.
pub async fn rooms(config: &Config, snapshot: Snapshot, now: UnixMillis) -> Result<Arc<Rooms>, Wrong> {
    let data = &config.gateway.data;
    std::fs::create_dir_all(data).map_err(|e| wrong(data, e))?;
    let shared = config.gateway.shared.as_ref().unwrap_or(data);
    std::fs::create_dir_all(shared).map_err(|e| wrong(shared, e))?;
    let Snapshot {
        catalogue,
        policies,
        contracts,
        directory,
        book,
        peers,
        windows,
        client_anchors,
        client_lists,
        operators,
        enrolment,
        keys,
        trusted,
        systems,
        asked,
        ..
    } = snapshot;
    let store = store(config).await?;
    let log = log::log(config, &store).await?;
    let is_first = keys::is_first(&log, &store).await?;
    let pseudonyms = keys::pseudonyms(&shared.join("pseudonym.key"), is_first, &log, now)?;
    let (folder, archive) = (data.join("decisions"), data.join("policies"));
    let decisions = Arc::new(Decisions::open(&folder).map_err(|e| wrong(&folder, e))?);
    archive::keep(&archive, &policies).map_err(|e| wrong(&archive, e))?;
    let trust = data.join("trust");
    let materials = Materials::open(&trust).map_err(|e| wrong(&trust, e))?;
    let known = crate::gateway::statuses::authorities(&directory);
    let kept = statuses::kept(&config.statuses, &data.join("statuses"), &known);
    let answers = responders::kept(&responders::file(&data.join("statuses")), &asked.issuers, now);
    let rates = Rates::new(&contracts);
    let services = Issuers::new(service_anchors(&directory)).map_err(|e| e.to_string())?;
    let master = keys::kept(&shared.join("master.key"), is_first)?;
    let secrets = Secrets::derive(&master).map_err(|e| e.to_string())?;
    Ok(Arc::new(Rooms {
        leaving: std::sync::atomic::AtomicBool::new(false),
        log_archive: ArchiveState::default(),
        log_state: log::state(config, &log),
        me: Me {
            id: config.gateway.id.clone(),
            name: config.gateway.name.clone(),
            region: config.gateway.division.into(),
            enquiry: config.gateway.enquiry.clone(),
            version: env!("CARGO_PKG_VERSION"),
        },
        store,
        vault: Vault::open(&shared.join("vault")).map_err(|e| e.to_string())?,
        master,
        log,
        pseudonyms,
        catalogue: ArcSwap::new(catalogue),
        policies: PolicyBook::new(policies).kept_by(decisions.clone()),
        decisions,
        archive,
        contracts: ArcSwap::from_pointee(contracts),
        rates: ArcSwap::from_pointee(rates),
        stopped: ArcSwap::from_pointee(Stopped::default()),
        operators: ArcSwap::from_pointee(operators),
        enrolment: ArcSwap::from_pointee(enrolment),
        client_lists: ArcSwap::from_pointee(client_lists),
        lists_required: ArcSwap::from_pointee(config.lists_required),
        materials,
        certificate_status: Arc::new(CertificateStatus::new(asked, answers)),
        statuses: ArcSwap::from_pointee(kept),
        paces: ArcSwap::from_pointee(Paces::new(&config.rates)),
        waiting: Waiting::default(),
        strangers: Strangers::default(),
        peers: ArcSwap::from_pointee(peers),
        names: names(config, &directory),
        replica: replica()?,
        directory: ArcSwap::from_pointee(directory),
        issuers: ArcSwap::from_pointee(book),
        verdicts: VerdictCache::default(),
        ended: ArcSwap::from_pointee(Revocations::default()),
        services,
        keys_wanted: Notify::new(),
        secrets,
        people: ArcSwap::from_pointee(config.people.clone()),
        windows: ArcSwap::from_pointee(windows),
        client_anchors: ArcSwap::from_pointee(client_anchors),
        systems: ArcSwap::from_pointee(systems),
        lookups: Lookups::new(CACHE_OCTETS),
        askers: Askers::default(),
        keys: ArcSwap::from_pointee(keys),
        trusted: ArcSwap::from_pointee(trusted),
        bounds: ArcSwap::from_pointee(bounds(config)),
        news: broadcast::channel(1_024).0,
    }))
}

/// What one filing may be, and how many a person may try in a day.
pub fn bounds(config: &Config) -> Bounds {
    let limits = &config.limits;
    Bounds {
        file_octets: u64::from(limits.file_mib) << 20,
        files: limits.files as usize,
        json_octets: 1 << 20,
        filings: limits.filings,
    }
}

/// Every table of a gateway's store.
pub fn migrations() -> Vec<Migration> {
    [records::MIGRATIONS, changes::MIGRATIONS, orders::MIGRATIONS, about_me::MIGRATIONS, registry::MIGRATIONS].concat()
}

fn year(now: UnixMillis) -> u32 {
    u32::try_from(now.day().year()).unwrap_or(0)
}

fn digest(fingerprint: &str) -> Result<Digest, Wrong> {
    fingerprint.parse().map_err(|e| format!("fingerprint {fingerprint}: {e}"))
}

/// Who may read entries of the log, by certificate.
pub fn auditors(config: &Config) -> Result<HashMap<Digest, Auditor>, Wrong> {
    let known = config.auditors.iter().map(|auditor| {
        let is_mirror = auditor.kind == AuditorKind::Mirror;
        let known = Auditor { id: auditor.id.clone(), is_mirror, places: auditor.places.clone() };
        Ok((digest(&auditor.certificate)?, known))
    });
    known.collect()
}

/// Somebody who may give orders, with the key that orders are signed with.
pub fn operator(file: &Path, id: &str) -> Result<(String, PublicKey), Wrong> {
    use base64::Engine;
    let point = operator_key(file)?;
    let b64 = |octets: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(octets);
    let jwk = serde_json::json!({ "kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..]) });
    let jwk = jwk.as_object().cloned().unwrap_or_default();
    let key = PublicKey::from_jwk(&jwk, &[jsonwebtoken::Algorithm::ES256]).map_err(|e| wrong(file, e))?;
    Ok((id.to_owned(), key))
}

/// The authority for terminals.
pub fn enrolment(enrolment: &super::config::Enrolment) -> Result<Authority, Wrong> {
    let certificate = chain(&enrolment.pair.certificate)?.swap_remove(0);
    Ok(Authority { key: load_key(&enrolment.pair.key)?, certificate, days: enrolment.days })
}

/// The revocation lists of a file, PEM or DER; each by one of `anchors`.
pub fn lists(file: &Path, anchors: &[Certificate]) -> Result<Vec<Crl>, Wrong> {
    let octets = std::fs::read(file).map_err(|e| wrong(file, e))?;
    let ders = pem::lists(&octets).map_err(|e| wrong(file, e))?;
    if ders.is_empty() {
        return Err(wrong(file, "no revocation list in it"));
    }
    let mut all = Vec::new();
    for der in ders {
        let list = Crl::parse(&der).map_err(|e| wrong(file, e))?;
        if !anchors.iter().any(|anchor| list.is_by(anchor).unwrap_or(false)) {
            return Err(wrong(file, "a list that none of the authorities in client_anchors signed"));
        }
        all.push(list);
    }
    Ok(all)
}

/// Our own windows, by certificate.
pub fn windows(config: &Config) -> Result<HashMap<Digest, Window>, Wrong> {
    let known = config.windows.iter().map(|window| {
        let known = Window {
            id: window.id.clone(),
            name: window.name.clone(),
            region: window.region,
            org: window.org.clone(),
            items: window.items.as_ref().map(|list| list.iter().map(|listed| listed.one).collect()),
            hours: window.hours.clone(),
        };
        Ok((digest(&window.certificate)?, known))
    });
    known.collect()
}

/// Contracts of outlets, read against the catalogue in force and the keys of the directory, under which departments' mandates
/// are signed.
pub fn contracts(
    config: &Config,
    catalogue: &Catalogue,
    directory: Option<&Directory>,
    now: UnixMillis,
) -> Result<Contracts, Mistakes> {
    let Some(file) = &config.partners else { return Ok(Contracts::default()) };
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            let mut mistakes = Mistakes::default();
            config.source.wrong(&mut mistakes, "partners", file, error, "a file of contracts");
            return Err(mistakes);
        }
    };
    let standing = |code, kind| match catalogue.items.get(&code) {
        None => Standing::Unknown,
        Some(item) if item.open_to(kind) => Standing::Open,
        Some(_) => Standing::NotForKind,
    };
    let me = &config.gateway.id;
    let mandated = |contract: &Contract| {
        directory.map(|directory| entrusted::mistakes(me, directory, contract, now)).unwrap_or_default()
    };
    Contracts::read(&file.display().to_string(), &text, &standing, &mandated)
}

/// All certificates of a PEM file.
pub fn parsed(file: &Path) -> Result<Vec<Certificate>, Wrong> {
    let all = certificates(file).map_err(|e| e.to_string())?;
    all.iter().map(|der| Certificate::parse(der).map_err(|e| wrong(file, e))).collect()
}

/// The store, with its tables.
pub async fn store(config: &Config) -> Result<Store, Wrong> {
    Store::open(&config.gateway.store, &migrations()).await.map_err(|e| e.to_string())
}

/// The certificate of the issuer that a responder answers for.
pub fn responder(issuer: &Path) -> Result<Certificate, Wrong> {
    Ok(chain(issuer)?.swap_remove(0))
}

pub fn envelope_key(pair: &SealKey) -> Result<Envelope, Wrong> {
    let chain = chain(&pair.certificate)?;
    Ok(Envelope { key: open(pair, &chain[0])?, chain })
}

fn open(pair: &SealKey, certificate: &Certificate) -> Result<Box<dyn Signer>, Wrong> {
    pair.key.open(&certificate.public_key().map_err(|e| wrong(&pair.certificate, e))?)
}

fn chain(file: &Path) -> Result<Vec<Certificate>, Wrong> {
    let bytes = std::fs::read(file).map_err(|e| wrong(file, e))?;
    let ders = pem::certificates(&bytes).map_err(|e| wrong(file, e))?;
    let all: Result<Vec<_>, _> = ders.iter().map(|der| Certificate::parse(der)).collect();
    match all.map_err(|e| wrong(file, e))? {
        all if all.is_empty() => Err(wrong(file, "no certificate in it")),
        all => Ok(all),
    }
}

pub fn stamp(files: &StampFiles) -> Result<Stamp, Wrong> {
    let seal = std::fs::read(&files.seal).map_err(|e| wrong(&files.seal, e))?;
    let certificate = chain(&files.pair.certificate)?.swap_remove(0);
    Ok(Stamp { seal, key: open(&files.pair, &certificate)?, certificate })
}

fn own_identity(config: &Config) -> Result<Identity, Wrong> {
    Identity::read(&config.tls.certificate, &config.tls.key).map_err(|e| e.to_string())
}

/// A system behind us, and the certificate with which it calls.
pub fn system(config: &Config, system: &super::config::System) -> Result<(System, Option<Digest>), Wrong> {
    let anchors = match &system.anchors {
        Some(file) => certificates(file).map_err(|e| e.to_string())?,
        None => Vec::new(),
    };
    let tls = ClientTls::new(&anchors, Some(own_identity(config)?)).map_err(|e| e.to_string())?;
    let certificate = system.certificate.as_deref().map(digest).transpose()?;
    let system = System {
        id: system.id.clone(),
        kind: match system.kind {
            Kind::Office => SystemKind::Office,
            Kind::Provider => SystemKind::Provider,
            Kind::Proxy => SystemKind::Proxy,
        },
        url: system.url.clone(),
        authority: system.authority.clone(),
        region: system.region,
        client: Client::new(&tls),
        resources: system.resources.clone(),
        answer: Duration::from_secs(system.answer_s.into()),
        path: system.path.clone(),
        host: system.host.clone(),
    };
    Ok((system, certificate))
}

/// One client for each other member, which trusts that member's TLS authority only.
pub fn peers(config: &Config, directory: &Directory) -> Result<Peers, Wrong> {
    let lists: Vec<_> = directory.anchors.crls.der().iter().map(|list| list.0.clone().into()).collect();
    let others = directory.members.iter().filter(|m| m.id != config.gateway.id);
    let clients = others.map(|member| {
        let anchors: Vec<_> = member.tls_anchors.iter().map(|a| CertificateDer::from(a.0.clone())).collect();
        let tls = ClientTls::with_lists(&anchors, &lists, Some(own_identity(config)?));
        let tls = tls.map_err(|e| format!("member {}: {e}", member.id))?;
        Ok((member.id.clone(), Peer::new(Client::new(&tls))))
    });
    Ok(Peers(clients.collect::<Result<_, Wrong>>()?))
}

/// TLS settings of the API listener: clients of our own authorities and of every member's.
pub fn api_tls(config: &Config, directory: &Directory) -> Result<Arc<rustls::ServerConfig>, Wrong> {
    let mut anchors = certificates(&config.client_anchors).map_err(|e| e.to_string())?;
    let theirs = directory.members.iter().flat_map(|m| &m.tls_anchors);
    anchors.extend(theirs.map(|a| CertificateDer::from(a.0.clone())));
    tls::server(own_identity(config)?, tls::Clients::Asked(&anchors)).map_err(|e| e.to_string())
}

/// Whom issuers' TLS is trusted by.
pub fn service_anchors(directory: &Directory) -> Vec<CertificateDer<'static>> {
    directory.anchors.services.iter().map(|a| CertificateDer::from(a.0.clone())).collect()
}

/// Speaks to services of the federation, under the directory's anchors.
pub fn services(directory: &Directory) -> Result<Client, Wrong> {
    Ok(Client::new(&ClientTls::new(&service_anchors(directory), None).map_err(|e| e.to_string())?))
}

/// The hosts we answer for: what the directory says of us, what the configuration adds, and where we listen.
fn names(config: &Config, directory: &Directory) -> Vec<String> {
    let mut names = config.gateway.names.clone();
    let own = directory.member(&config.gateway.id);
    names.extend(own.and_then(|m| m.api.parse::<http::Uri>().ok()?.authority().map(ToString::to_string)));
    let listen = config.listen.api;
    if !listen.ip().is_unspecified() {
        names.push(listen.to_string());
    }
    if listen.ip().is_loopback() {
        names.push(format!("localhost:{}", listen.port()));
    }
    names
}

/// A name that no other process has.
fn replica() -> Result<String, Wrong> {
    let mut id = [0u8; 8];
    let random = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut id);
    random.map_err(|_| "no randomness".to_owned())?;
    Ok(crate::terms::digest::hex(&id))
}
