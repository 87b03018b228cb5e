//! What is fetched in the background, so that no request waits for it: issuers' keys, newer directories.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Request;
use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use tokio::sync::{Mutex, watch};

use super::config::Config;
use super::wire;
use crate::audit::Kind;
use crate::federation::Directory;
use crate::gateway::Rooms;
use crate::gateway::changes::{self, Cause, Part};
use crate::identity::keys::IssuerKeys;
use crate::terms::UnixMillis;
use crate::upstream::body::empty;
use crate::upstream::{Client, ClientTls};

/// Key sets are looked at this often, in seconds; while one is missing or asked for, after a second.
const KEYS_S: u64 = 60;
/// The directory is looked at this often, in seconds.
const DIRECTORY_S: u64 = 30;
const WAIT: Duration = Duration::from_secs(5);
/// Largest key set or discovery document, and largest directory, in octets.
const SMALL: usize = 256 * 1024;
const LARGE: usize = 32 << 20;

fn services(rooms: &Rooms) -> Result<Client, String> {
    let directory = rooms.directory.load();
    let anchors: Vec<_> = directory.anchors.services.iter().map(|a| CertificateDer::from(a.0.clone())).collect();
    Ok(Client::new(&ClientTls::new(&anchors, None).map_err(|e| e.to_string())?))
}

/// Keeps the key sets of all issuers current. A set that cannot be fetched stays as it was.
pub async fn keys(rooms: Arc<Rooms>, mut stop: watch::Receiver<bool>) {
    loop {
        let mut missing = false;
        match services(&rooms) {
            Ok(client) => {
                let issuers = rooms.directory.load().issuers.clone();
                for issuer in issuers {
                    match fetch_keys(&client, &issuer).await {
                        Ok(keys) => {
                            // A newer directory may put another book in place meanwhile: the keys go into that one.
                            rooms.issuers.rcu(|book| (**book).clone().with_keys(&issuer.issuer, Some(keys.clone())));
                        }
                        Err(error) => {
                            missing = true;
                            tracing::warn!(issuer = issuer.issuer, error, "key set not fetched; the known one stays");
                        }
                    }
                }
            }
            Err(error) => tracing::error!(error, "no client for issuers"),
        }
        let pause = Duration::from_secs(if missing { 1 } else { KEYS_S });
        tokio::select! {
            () = crate::gateway::stopped(&mut stop) => return,
            () = tokio::time::sleep(pause) => {}
            // Asked for by a token with an unknown key: at most once a second, whatever comes in.
            () = rooms.keys_wanted.notified() => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

async fn fetch_keys(client: &Client, issuer: &crate::federation::Issuer) -> Result<IssuerKeys, String> {
    #[derive(Deserialize)]
    struct Discovery {
        issuer: String,
        jwks_uri: String,
    }
    let get = async |url: &str| {
        let request = Request::get(url).body(empty()).map_err(|e| e.to_string())?;
        let response = client.fetch(request, WAIT, SMALL).await.map_err(|e| e.to_string())?;
        match response.status().is_success() {
            true => Ok(response.into_body()),
            false => Err(format!("{url}: {}", response.status())),
        }
    };
    let discovery: Discovery =
        serde_json::from_slice(&get(&issuer.discovery).await?).map_err(|e| format!("discovery: {e}"))?;
    if discovery.issuer != issuer.issuer {
        return Err("the discovery document names another issuer".into());
    }
    let algorithms: Vec<_> = issuer.algorithms.iter().filter_map(|a| crate::identity::jose::algorithm(a)).collect();
    let (keys, dropped) =
        IssuerKeys::from_jwks(&get(&discovery.jwks_uri).await?, &algorithms).map_err(|e| e.to_string())?;
    for key in dropped {
        tracing::warn!(issuer = issuer.issuer, kid = key.kid, why = key.why, "a key of the set is not used");
    }
    Ok(keys)
}

/// Takes newer directories; an older or unsigned one changes nothing. With a newer one change whose tokens, whose client
/// certificates and whose servers we trust.
pub async fn directory(
    rooms: Arc<Rooms>,
    config: Arc<ArcSwap<Config>>,
    api_tls: Arc<ArcSwap<rustls::ServerConfig>>,
    turn: Arc<Mutex<()>>,
    mut stop: watch::Receiver<bool>,
) {
    let Some(url) = config.load().directory.url.clone() else { return };
    loop {
        tokio::select! {
            () = crate::gateway::stopped(&mut stop) => return,
            () = tokio::time::sleep(Duration::from_secs(DIRECTORY_S)) => {}
        }
        // A reload replaces the same parts: one at a time.
        let _turn = turn.lock().await;
        if let Err(error) = newer(&rooms, &config.load_full(), &api_tls, &url).await {
            tracing::warn!(error, "no newer directory; the one in force stays");
        }
    }
}

async fn newer(
    rooms: &Arc<Rooms>,
    config: &Config,
    api_tls: &ArcSwap<rustls::ServerConfig>,
    url: &str,
) -> Result<(), String> {
    let client = services(rooms)?;
    let request = Request::get(url).body(empty()).map_err(|e| e.to_string())?;
    let response = client.fetch(request, WAIT, LARGE).await.map_err(|e| e.to_string())?;
    let envelope = String::from_utf8(response.into_body().to_vec()).map_err(|e| e.to_string())?;
    let operator = wire::operator_key(&config.directory.operator_key)?;
    let have = rooms.directory.load().version;
    let directory = Directory::take(&envelope, &operator, Some(have), UnixMillis::now()).map_err(|e| e.to_string())?;
    if directory.version == have {
        return Ok(());
    }
    // All of it is made before any of it counts.
    let book = wire::book(&directory, &rooms.me.id)?;
    let known = rooms.issuers.load_full();
    let book = known.issuers().fold(book, |book, issuer| book.with_keys(&issuer.entry.issuer, issuer.keys.clone()));
    let (peers, tls) = (wire::peers(config, &directory)?, wire::api_tls(config, &directory)?);
    let file = &config.directory.file;
    let part = file.with_extension("part");
    std::fs::write(&part, &envelope).and_then(|()| std::fs::rename(&part, file)).map_err(|e| e.to_string())?;
    let part = Part::new("directory", Kind::SnapshotLoad, directory.digest());
    let changed = changes::announce(rooms, &[part], Cause::Federation, UnixMillis::now()).await;
    let changed = changed.map_err(|e| e.to_string())?;
    tracing::info!(version = directory.version, "a newer directory is in force");
    rooms.directory.store(Arc::new(directory));
    rooms.issuers.store(Arc::new(book));
    rooms.peers.store(Arc::new(peers));
    api_tls.store(tls);
    changes::settle(rooms, &changed).await.map_err(|e| e.to_string())?;
    rooms.keys_wanted.notify_one();
    Ok(())
}
