//! The log with its keys, and all that looks after it: witnesses, time-stamps, archive, retention.

use std::path::Path;
use std::sync::Arc;

use super::{Wrong, chain, wrong};
use crate::app::config::Config;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::gm::GmSigner;
use crate::audit::note::Signer as LogSigner;
use crate::audit::witness::Witness;
use crate::audit::witness_policy::WitnessPolicy;
use crate::audit::{Log, OpenOptions};
use crate::exchange::Key;
use crate::gateway::log_state::LogState;
use crate::jobs::anchors::Anchors;
use crate::jobs::archive::Archive;
use crate::jobs::retention::Retention;
use crate::jobs::witnesses::{self, Witnesses};
use crate::store::{Store, head};
use crate::trust::pem;
use crate::trust::suite::load_key;
use crate::upstream::objects::{self, Objects};
use crate::upstream::tls::certificates;
use crate::upstream::{Client, ClientTls};

/// The key that signs the log's checkpoints.
pub fn log_signer(config: &Config) -> Result<LogSigner, Wrong> {
    read_log_signer(config, &config.log.key)
}

/// The key that signs beside it while the log changes its key.
pub fn second_log_signer(config: &Config) -> Result<Option<LogSigner>, Wrong> {
    config.log.second_key.as_deref().map(|file| read_log_signer(config, file)).transpose()
}

fn read_log_signer(config: &Config, file: &Path) -> Result<LogSigner, Wrong> {
    let text = std::fs::read(file).map_err(|e| wrong(file, e))?;
    let blocks = pem::decode(&text).map_err(|e| wrong(file, e))?;
    let key = blocks.iter().find(|b| b.label == "PRIVATE KEY").ok_or_else(|| wrong(file, "no PRIVATE KEY in it"))?;
    LogSigner::from_pkcs8(&config.log.origin, &key.octets).map_err(|e| wrong(file, e))
}

/// The SM2 key that signs them too, where there is one.
pub fn gm_signer(config: &Config) -> Result<Option<GmSigner>, Wrong> {
    let Some(file) = &config.log.gm_key else { return Ok(None) };
    let gm = GmSigner::new(&config.log.origin, Arc::new(load_key(file)?));
    gm.map(Some).map_err(|e| wrong(file, e))
}

/// The newest checkpoint of our log that the store remembers.
pub async fn known_head(config: &Config, store: &Store) -> Result<Option<Checkpoint>, Wrong> {
    let mut tx = store.read().await.map_err(|e| e.to_string())?;
    let newest = head::newest(&mut tx, &config.log.origin).await.map_err(|e| e.to_string())?;
    Ok(newest.map(|(size, root)| Checkpoint::new(&config.log.origin, size, root)))
}

/// Opens the log: no shorter than the store, or anybody who shares it, has seen it.
pub(super) async fn log(config: &Config, store: &Store) -> Result<Log, Wrong> {
    let mut options = OpenOptions::new(log_signer(config)?);
    options.second = second_log_signer(config)?;
    options.gm = gm_signer(config)?;
    options.at_least.extend(known_head(config, store).await?);
    if config.log.witnesses.is_some() {
        options.patience = witnesses::PATIENCE;
    }
    Log::open(&config.gateway.data.join("log"), options).map_err(|e| e.to_string())
}

/// How the log stands, knowing what it named in the life before, and how long it may stand without witnesses.
pub(super) fn state(config: &Config, log: &Log) -> LogState {
    let state = LogState::knowing(log.recovery().set.clone());
    match config.log.fail_closed_after_s {
        Some(seconds) => state.bounded(seconds, config.gateway.data.join("unwitnessed")),
        None => state,
    }
}

/// What we are to our peers' logs; the key is made at the first start.
pub fn witness(config: &Config) -> Result<Witness, Wrong> {
    let data = &config.gateway.data;
    let seed = Key::read_or_make(&data.join("witness.key")).map_err(|e| e.to_string())?;
    let signer = LogSigner::from_seed(&format!("{}/witness", config.log.origin), seed.octets());
    Witness::open(&data.join("witness"), signer.map_err(|e| e.to_string())?).map_err(|e| e.to_string())
}

/// Who stamps our log.
pub fn anchors(config: &Config) -> Result<Option<Anchors>, Wrong> {
    let Some((url, file)) = &config.log.tsa else { return Ok(None) };
    let tls = certificates(file).and_then(|anchors| ClientTls::new(&anchors, None)).map_err(|e| e.to_string())?;
    Ok(Some(Anchors { url: url.clone(), client: Client::new(&tls), trusted: chain(file)? }))
}

/// Where sealed segments go.
pub fn archive(config: &Config) -> Result<Option<Archive>, Wrong> {
    let Some(archive) = &config.log.archive else { return Ok(None) };
    let who = archive.credentials.as_deref().map_or_else(objects::Credentials::from_env, objects::Credentials::read);
    let who = who.map_err(|why| format!("log.archive: {why}"))?;
    let anchors = archive.anchors.as_deref().map_or(Ok(Vec::new()), certificates).map_err(|e| e.to_string())?;
    let client = Client::new(&ClientTls::new(&anchors, None).map_err(|e| e.to_string())?);
    Ok(Some(Archive { objects: Objects::new(archive.place.clone(), who, &client)?, lock_days: archive.lock_days }))
}

/// How long entries are kept, and what must hold before any goes.
pub fn retention(config: &Config) -> Result<Option<Retention>, Wrong> {
    let Some(days) = config.log.retention_days else { return Ok(None) };
    Ok(Some(Retention {
        days,
        quorum: quorum(config)?,
        anchored: config.log.tsa.is_some(),
        archived: config.log.archive.is_some(),
    }))
}

/// Whom we ask to witness our log.
pub fn witnesses(config: &Config) -> Result<Option<Witnesses>, Wrong> {
    Ok(quorum(config)?.map(Witnesses::new))
}

/// Whose cosignatures our checkpoints want.
pub fn quorum(config: &Config) -> Result<Option<WitnessPolicy>, Wrong> {
    let Some(file) = &config.log.witnesses else { return Ok(None) };
    let text = std::fs::read_to_string(file).map_err(|e| wrong(file, e))?;
    WitnessPolicy::read(&text).map(Some).map_err(|e| wrong(file, e))
}
