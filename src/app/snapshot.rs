//! Everything that may change while a gateway runs, read and judged as one: all of it is good, or none of it counts.
//!
//! ```text
//!  tongban.toml ─▶ catalogue ─▶ contracts      policies      directory ─▶ issuers · peers · TLS      clients      keys
//!                      every mistake of every file, each with its line ─▶ Mistakes │ Snapshot
//! ```
//! A start, a reload and `tongban check` read the same way: what `check` passes starts, and what starts can be reloaded.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::config::Config;
use super::{issuers, wire};
use crate::audit::Kind;
use crate::catalogue::{Catalogue, CatalogueError};
use crate::federation::Directory;
use crate::gateway::certificate_status::Asked;
use crate::gateway::changes::Part;
use crate::gateway::enrol::Authority;
use crate::gateway::orders::Operators;
use crate::gateway::rooms::Trusted;
use crate::gateway::rooms::{Keys, Peers, Window};
use crate::gateway::systems::Systems;
use crate::gateway::word::Voice;
use crate::http::log::Auditor;
use crate::identity::book::IssuerBook;
use crate::partners::Contracts;
use crate::policy::PolicySet;
use crate::terms::{Digest, Mistakes, UnixMillis};
use crate::trust::certificate::Certificate;
use crate::trust::crl::Crl;
use crate::trust::keyring::TrustList;
use crate::trust::suite::Signer;

/// What a reload puts in place.
pub struct Snapshot {
    pub catalogue: Arc<Catalogue>,
    pub policies: Arc<PolicySet>,
    pub contracts: Contracts,
    pub directory: Directory,
    pub book: IssuerBook,
    pub peers: Peers,
    pub api_tls: Arc<rustls::ServerConfig>,
    pub windows: HashMap<Digest, Window>,
    pub auditors: HashMap<Digest, Auditor>,
    pub client_anchors: Vec<Certificate>,
    pub client_lists: Vec<Crl>,
    pub operators: Operators,
    pub enrolment: Option<Authority>,
    pub keys: Keys,
    pub trusted: Trusted,
    pub systems: Systems,
    /// Responders, and how old their answers may be.
    pub asked: Asked,
    /// What the log names of all this.
    pub parts: Vec<Part>,
}

/// Why a snapshot is not taken: every mistake, and which kinds of entry tell of it.
#[derive(Debug)]
pub struct Faults {
    pub mistakes: Mistakes,
    pub kinds: Vec<Kind>,
}

impl Faults {
    fn note(&mut self, kind: Kind) {
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
        }
    }
}

/// Reads one part; a mistake is noted and the reading goes on.
struct Reading<'a> {
    config: &'a Config,
    faults: Faults,
}

impl Reading<'_> {
    fn take<T, E: std::fmt::Display>(
        &mut self,
        kind: Kind,
        (field, path, mend): (&str, &Path, &str),
        read: Result<T, E>,
    ) -> Option<T> {
        read.map_err(|why| {
            self.config.source.wrong(&mut self.faults.mistakes, field, path, why, mend);
            self.faults.note(kind);
        })
        .ok()
    }

    fn catalogue(&mut self) -> Option<Arc<Catalogue>> {
        let Some(folder) = &self.config.catalogue else {
            let shipped = Catalogue::embedded();
            return self.take(Kind::SnapshotLoad, ("catalogue", Path::new("."), "name a folder"), shipped);
        };
        match Catalogue::load(folder) {
            Ok(catalogue) => Some(catalogue),
            Err(CatalogueError::Faulty(mistakes)) => {
                self.faults.mistakes.extend(within(folder, mistakes));
                self.faults.note(Kind::SnapshotLoad);
                None
            }
            Err(other) => {
                let mend = "name a folder with the catalogue's files";
                self.take(Kind::SnapshotLoad, ("catalogue", folder, mend), Err::<Arc<Catalogue>, _>(other))
            }
        }
    }

    fn policies(&mut self, in_force: Option<&Arc<PolicySet>>) -> Option<Arc<PolicySet>> {
        let set = PolicySet::again(self.config.policies.as_deref(), in_force);
        set.map_err(|error| {
            let folder = self.config.policies.as_deref().unwrap_or(Path::new("."));
            for fault in error.faults {
                let file = folder.join(&fault.file).display().to_string();
                self.faults.mistakes.add(&file, fault.line, "rule", fault.what, fault.mend);
            }
            self.faults.note(Kind::PolicyLoad);
        })
        .ok()
    }

    /// Items that windows list, against the catalogue.
    fn stationed(&mut self, catalogue: &Catalogue) {
        let listed = self.config.windows.iter().flat_map(|window| window.items.iter().flatten());
        for listed in listed.filter(|listed| !catalogue.items.contains_key(&listed.one.item)) {
            let file = self.config.source.file.display().to_string();
            let wrong = format!("{} is not in the catalogue", listed.one.item);
            self.faults.mistakes.add(&file, listed.line, "window.item.code", wrong, "write an item of the catalogue");
            self.faults.note(Kind::AdminConfig);
        }
    }

    /// Without a directory, which is a mistake of its own, nobody knows the keys under which mandates were signed.
    fn contracts(
        &mut self,
        catalogue: &Catalogue,
        directory: Option<&Directory>,
        now: UnixMillis,
    ) -> Option<Contracts> {
        match wire::contracts(self.config, catalogue, directory, now) {
            Ok(contracts) => Some(contracts),
            Err(mistakes) => {
                self.faults.mistakes.extend(mistakes);
                self.faults.note(Kind::PartnerChange);
                None
            }
        }
    }

    fn trusted(&mut self) -> Option<Trusted> {
        let trust = &self.config.trust;
        let list = match &trust.list {
            None => TrustList::default(),
            Some(folder) => match TrustList::load(folder) {
                Ok(list) => list,
                Err(mistakes) => {
                    self.faults.mistakes.extend(within(folder, mistakes));
                    self.faults.note(Kind::SnapshotLoad);
                    return None;
                }
            },
        };
        let (time_basis, sealed_by_issuer) = (trust.time_basis, trust.sealed_by_issuer);
        let strengths = trust.strengths.clone();
        Some(Trusted { list: Arc::new(list), time_basis, sealed_by_issuer, strengths })
    }

    fn lists(&mut self, anchors: &[Certificate]) -> Vec<Crl> {
        let mut all = Vec::new();
        for file in &self.config.client_lists {
            let mend = "a revocation list of an authority in client_anchors";
            let read = wire::lists(file, anchors);
            all.extend(self.take(Kind::AdminConfig, ("tls.client_lists", file, mend), read).unwrap_or_default());
        }
        all
    }

    fn operators(&mut self) -> Operators {
        let mut all = Operators::new();
        for (n, operator) in self.config.operators.iter().enumerate() {
            let field = format!("operator[{}].key", n + 1);
            let read = wire::operator(&operator.key, &operator.id);
            let read = self.take(Kind::AdminConfig, (&field, &operator.key, "a PEM PUBLIC KEY, P-256"), read);
            all.extend(read);
        }
        all
    }

    fn enrolment(&mut self, anchors: &[Certificate]) -> Option<Authority> {
        let enrolment = self.config.enrolment.as_ref()?;
        let place = ("enrolment.certificate", enrolment.pair.certificate.as_path(), "an authority and its key");
        let authority = self.take(Kind::KeyRotate, place, wire::enrolment(enrolment))?;
        let sound = if authority.key.public_key().to_spki() != authority.certificate.spki() {
            Err("the certificate is for another key")
        } else if !anchors.iter().any(|anchor| anchor.der() == authority.certificate.der()) {
            Err("not one of the authorities in tls.client_anchors: what it issues would not be let in")
        } else {
            Ok(authority)
        };
        self.take(Kind::KeyRotate, place, sound)
    }

    fn systems(&mut self) -> Systems {
        let mut all = Vec::new();
        for (n, system) in self.config.systems.iter().enumerate() {
            let field = format!("system[{}].anchors", n + 1);
            let file = system.anchors.as_deref().unwrap_or(self.config.source.file.as_path());
            let read = wire::system(self.config, system);
            all.extend(self.take(Kind::AdminConfig, (&field, file, "certificates of authorities, PEM"), read));
        }
        Systems::new(all)
    }

    fn asked(&mut self) -> Asked {
        let statuses = &self.config.statuses;
        let mut sources = Vec::new();
        for (n, (url, file)) in statuses.responders.iter().enumerate() {
            let field = format!("responder[{}].issuer", n + 1);
            let read = wire::responder(file);
            let issuer = self.take(Kind::AdminConfig, (&field, file, "the issuer's certificate, PEM"), read);
            sources.extend(issuer.map(|issuer| (url.clone(), issuer)));
        }
        Asked::new(sources, statuses.max_age_h.map(|hours| i64::from(hours) * 3_600))
    }

    /// `have` is the version in force: no reload goes back behind it.
    fn directory(&mut self, have: Option<u64>, now: UnixMillis) -> Option<Directory> {
        let config = self.config;
        let place = ("directory.operator_key", config.directory.operator_key.as_path(), "a PEM PUBLIC KEY, P-256");
        let operator = self.take(Kind::SnapshotLoad, place, wire::operator_key(&config.directory.operator_key))?;
        let place = ("directory.file", config.directory.file.as_path(), "the directory as the operator signed it");
        let envelope = std::fs::read_to_string(&config.directory.file);
        let envelope = self.take(Kind::SnapshotLoad, place, envelope)?;
        let directory = Directory::take(&envelope, &operator, have, now);
        let directory = self.take(Kind::SnapshotLoad, place, directory)?;
        let own = directory.member(&config.gateway.id).map(|_| ());
        self.take(
            Kind::SnapshotLoad,
            ("directory.file", &config.directory.file, "have the operator list this gateway, or correct gateway.id"),
            own.ok_or_else(|| format!("it does not list us, {}", config.gateway.id)),
        )?;
        Some(directory)
    }

    fn keys(&mut self) -> Option<Keys> {
        let config = self.config;
        let pair = "a chain with the leaf first, and its key as PKCS#8 or in a token";
        let envelope = wire::envelope_key(&config.seals.envelope);
        let envelope =
            self.take(Kind::KeyRotate, ("seals.envelope", &config.seals.envelope.certificate, pair), envelope);
        let mut stamp = |field: &str, files: &super::config::Stamp| {
            let place = (field, files.pair.certificate.as_path(), "seal, certificate and key");
            self.take(Kind::KeyRotate, place, wire::stamp(files))
        };
        let collection = stamp("seals.collection", &config.seals.collection);
        let acceptance = stamp("seals.acceptance", &config.seals.acceptance);
        let approval = stamp("seals.approval", &config.seals.approval);
        let file = &config.assertion.key;
        let assertion = Voice::read(file);
        let assertion = self.take(Kind::KeyRotate, ("assertion.key", file, "a P-256 key as PKCS#8"), assertion);
        Some(Keys {
            envelope: envelope?,
            collection: collection?,
            acceptance: acceptance?,
            approval: approval?,
            assertion: assertion?,
        })
    }
}

/// Names the folder in mistakes that name a file in it.
fn within(folder: &Path, mistakes: Mistakes) -> Mistakes {
    let mut all = Mistakes::default();
    for m in mistakes.list() {
        all.add(&folder.join(&m.file).display().to_string(), m.line, m.field.clone(), &m.wrong, &m.mend);
    }
    all
}

/// What is in force while files are read again.
pub struct InForce {
    /// Version of the directory: an older one is not taken.
    pub directory: u64,
    pub policies: Arc<PolicySet>,
}

/// Reads everything that `config` names and that may change while the gateway runs.
///
/// # Errors
/// Every mistake of every file.
pub fn read(config: &Config, in_force: Option<&InForce>, now: UnixMillis) -> Result<Snapshot, Faults> {
    crate::identity::ring_provider::install();
    let mut reading = Reading { config, faults: Faults { mistakes: Mistakes::default(), kinds: Vec::new() } };
    let catalogue = reading.catalogue();
    let policies = reading.policies(in_force.map(|now| &now.policies));
    let directory = reading.directory(in_force.map(|now| now.directory), now);
    let contracts = catalogue.as_ref().and_then(|catalogue| reading.contracts(catalogue, directory.as_ref(), now));
    let keys = reading.keys();
    let anchors = wire::parsed(&config.client_anchors);
    let mend = "certificates of authorities, PEM";
    let anchors =
        reading.take(Kind::AdminConfig, ("tls.client_anchors", config.client_anchors.as_path(), mend), anchors);
    let lists = reading.lists(anchors.as_deref().unwrap_or_default());
    let operators = reading.operators();
    let enrolment = reading.enrolment(anchors.as_deref().unwrap_or_default());
    let trusted_for_seals = reading.trusted();
    let (systems, asked) = (reading.systems(), reading.asked());
    let file = config.source.file.as_path();
    let windows = reading.take(Kind::AdminConfig, ("window", file, "a fingerprint"), wire::windows(config));
    if let Some(catalogue) = &catalogue {
        reading.stationed(catalogue);
    }
    let auditors = reading.take(Kind::AdminConfig, ("auditor", file, "a fingerprint"), wire::auditors(config));
    let trusted = directory.as_ref().and_then(|directory| {
        let place = ("directory.file", config.directory.file.as_path(), "have the operator mend it");
        let book = reading.take(Kind::SnapshotLoad, place, issuers::book(directory, &config.gateway.id));
        let peers = reading.take(Kind::SnapshotLoad, place, wire::peers(config, directory));
        let place = ("tls", config.tls.certificate.as_path(), "a chain with the leaf first, and its key as PKCS#8");
        let tls = reading.take(Kind::KeyRotate, place, wire::api_tls(config, directory));
        Some((book?, peers?, tls?))
    });
    let faults = reading.faults;
    match (catalogue, policies, contracts, directory, keys, anchors, windows, auditors, trusted, trusted_for_seals) {
        (
            Some(catalogue),
            Some(policies),
            Some(contracts),
            Some(directory),
            Some(keys),
            Some(client_anchors),
            Some(windows),
            Some(auditors),
            Some((book, peers, api_tls)),
            Some(trusted),
        ) if faults.mistakes.is_empty() => {
            let mut parts = vec![
                Part::new("config", Kind::AdminConfig, Digest::of(config.source.text.as_bytes())),
                Part::new("policies", Kind::PolicyLoad, policies.version()),
                Part::new("catalogue", Kind::SnapshotLoad, catalogue.version()),
                Part::new("directory", Kind::SnapshotLoad, directory.digest()),
                Part::new("contracts", Kind::PartnerChange, contracts.version()),
            ];
            parts.extend(super::build::digest().map(|digest| Part::new("build", Kind::AdminConfig, digest)));
            parts.push(Part::new("trust", Kind::SnapshotLoad, trusted.list.digest()));
            parts.extend(key_parts(config, &keys));
            let authority = enrolment.as_ref().map(|authority| authority.certificate.fingerprint());
            parts.extend(authority.map(|print| Part::new("key.enrolment", Kind::KeyRotate, print)));
            Ok(Snapshot {
                catalogue,
                policies,
                contracts,
                directory,
                book,
                peers,
                api_tls,
                windows,
                auditors,
                client_anchors,
                client_lists: lists,
                operators,
                enrolment,
                keys,
                trusted,
                systems,
                asked,
                parts,
            })
        }
        _ => Err(Faults { mistakes: faults.mistakes.sorted(), kinds: faults.kinds }),
    }
}

/// The keys by what vouches for them: a certificate's fingerprint, a bare key's own digest.
fn key_parts(config: &Config, keys: &Keys) -> Vec<Part> {
    let mut all = vec![
        Part::new("key.envelope", Kind::KeyRotate, keys.envelope.chain[0].fingerprint()),
        Part::new("key.collection", Kind::KeyRotate, keys.collection.certificate.fingerprint()),
        Part::new("key.acceptance", Kind::KeyRotate, keys.acceptance.certificate.fingerprint()),
        Part::new("key.approval", Kind::KeyRotate, keys.approval.certificate.fingerprint()),
        Part::new("key.assertion", Kind::KeyRotate, Digest::of(keys.assertion.key().kid().as_bytes())),
    ];
    let tls = crate::upstream::tls::certificates(&config.tls.certificate).ok();
    let leaf = tls.as_ref().and_then(|chain| chain.first());
    all.extend(leaf.map(|leaf| Part::new("key.tls", Kind::KeyRotate, Digest::of(leaf))));
    all
}

/// What only a start reads: the log's keys, witnesses, the time-stamp authority.
fn at_start_only(config: &Config, mistakes: &mut Mistakes) {
    let mut wrong = |field: &str, path: &Path, why: String, mend: &str| {
        config.source.wrong(mistakes, field, path, why, mend);
    };
    if let (Some(file), Err(why)) = (&config.log.second_key, wire::second_log_signer(config)) {
        wrong("log.second_key", file, why, "an Ed25519 key as PKCS#8");
    }
    if let Err(why) = wire::log_signer(config) {
        wrong("log.key", &config.log.key, why, "an Ed25519 key as PKCS#8");
    }
    if let Some(file) = &config.log.gm_key
        && let Err(why) = wire::gm_signer(config)
    {
        wrong("log.gm_key", file, why, "an SM2 key as PKCS#8");
    }
    if let Some(file) = &config.log.witnesses
        && let Err(why) = wire::witnesses(config)
    {
        wrong("log.witnesses", file, why, "a C2SP tlog-policy");
    }
    if let Some((_, file)) = &config.log.tsa
        && let Err(why) = wire::anchors(config)
    {
        wrong("log.tsa_anchors", file, why, "certificates of authorities, PEM");
    }
}

/// Every mistake of everything that `config` names, without starting anything.
pub fn check(config: &Config, now: UnixMillis) -> Mistakes {
    let mut mistakes = read(config, None, now).err().map(|faults| faults.mistakes).unwrap_or_default();
    at_start_only(config, &mut mistakes);
    mistakes.sorted()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::demo::lay;
    use crate::app::demo::world::A;

    #[test]
    fn every_mistake_of_every_file_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let world = lay(folder.path(), 20_000, None).unwrap();
        let home = world.gateway(A);
        let now = UnixMillis::now();
        let config = || Config::load(&world.config(A)).unwrap_or_else(|m| panic!("{m}"));
        assert_eq!(check(&config(), now).to_string(), "");
        let good = read(&config(), None, now).unwrap_or_else(|f| panic!("{}", f.mistakes));
        assert!(good.parts.iter().any(|part| part.name == "key.tls"));
        let ahead = InForce { directory: good.directory.version + 1, policies: Arc::clone(&good.policies) };
        let behind = read(&config(), Some(&ahead), now).err().expect("an older directory");
        assert!(behind.mistakes.to_string().contains("older"), "{}", behind.mistakes);

        let contracts = std::fs::read_to_string(home.join("partners.toml")).unwrap();
        std::fs::write(home.join("partners.toml"), contracts.replacen("burst = 100", "burst = 0", 1)).unwrap();
        std::fs::copy(home.join("certs/assertion.key"), home.join("certs/approval.key")).unwrap();
        std::fs::write(home.join("certs/log.key"), "no key").unwrap();
        std::fs::write(world.directory(), "a.b.c").unwrap();
        std::fs::write(home.join("authorities/clients.pem"), "").unwrap();
        let told = check(&config(), now);
        let text = told.to_string();
        for (file, field) in [
            ("partners.toml", "contract[1].rate.burst"),
            ("tongban.toml", "seals.approval"),
            ("tongban.toml", "log.key"),
            ("tongban.toml", "directory.file"),
            ("tongban.toml", "tls.client_anchors"),
        ] {
            let found = told.list().iter().find(|m| m.field == field && m.file.ends_with(file));
            assert!(found.is_some_and(|m| m.line > 0 && !m.mend.is_empty()), "{file} {field} in {text}");
        }
        let faults = read(&config(), None, now).err().expect("mistakes");
        for kind in [Kind::PartnerChange, Kind::KeyRotate, Kind::SnapshotLoad, Kind::AdminConfig] {
            assert!(faults.kinds.contains(&kind), "{kind:?}");
        }
    }
}
