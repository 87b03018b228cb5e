//! What is fetched in the background, so that no request waits for it: issuers' keys, newer directories.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Request;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use super::config::Config;
use super::{issuers, wire};
use crate::audit::Kind;
use crate::federation::Directory;
use crate::gateway::Rooms;
use crate::gateway::changes::{self, Cause, Part};
use crate::gateway::issuers::Endpoints;
use crate::identity::book::IssuerBook;
use crate::identity::keys::IssuerKeys;
use crate::identity::refresh::{RefreshAction, RefreshEvent, RefreshLimits, RefreshPolicy};
use crate::terms::UnixMillis;
use crate::upstream::Client;
use crate::upstream::body::empty;

/// Key sets are looked at this often, in seconds.
const KEYS_S: i64 = 60;
/// How often it is looked whether one is due.
const TICK: Duration = Duration::from_secs(1);
/// The directory is looked at this often, in seconds.
const DIRECTORY_S: u64 = 30;
const WAIT: Duration = Duration::from_secs(5);
/// Largest key set or discovery document, and largest directory, in octets.
const SMALL: usize = 256 * 1024;
const LARGE: usize = 32 << 20;

/// Fetches under way, each with the entry that it is for.
type Fetches = JoinSet<(crate::federation::Issuer, Result<(IssuerKeys, Endpoints), String>)>;

/// Key sets of one issuer, and when to look at them again.
struct Issuer {
    entry: crate::federation::Issuer,
    policy: RefreshPolicy,
}

/// How often issuers' key sets are looked at, in seconds: each minute; for a token with an unknown key, at most every five
/// seconds; two after a failure. A set that cannot be had goes on for a day, a key that left it for ten minutes.
const LIMITS: RefreshLimits =
    RefreshLimits { every_s: KEYS_S, unknown_kid_s: 5, stale_s: 86_400, retry_s: 2, timeout_s: 12, overlap_s: 600 };

/// Keeps the key sets and addresses of all issuers current. Issuers are asked side by side: one that is slow or down
/// delays nobody else's keys.
pub async fn keys(rooms: Arc<Rooms>, mut stop: watch::Receiver<bool>) {
    let mut known: BTreeMap<String, Issuer> = BTreeMap::new();
    let mut fetches: Fetches = JoinSet::new();
    let mut trusted = None;
    loop {
        let now = UnixMillis::now();
        let directory = rooms.directory.load_full();
        // Another directory may name other anchors.
        if trusted != Some(directory.version) {
            if let Err(error) = rooms.services.trust(wire::service_anchors(&directory)) {
                tracing::error!(%error, "no client for issuers");
            }
            addresses(&rooms, |all| {
                all.retain(|name, _| directory.issuers.iter().any(|issuer| issuer.issuer == *name))
            });
            trusted = Some(directory.version);
        }
        known.retain(|name, _| directory.issuers.iter().any(|issuer| issuer.issuer == *name));
        for entry in &directory.issuers {
            let issuer = known.entry(entry.issuer.clone());
            let issuer = issuer.or_insert_with(|| Issuer { entry: entry.clone(), policy: RefreshPolicy::new(LIMITS) });
            // Elsewhere, or of other algorithms: what was read there counts no more, and nothing is sent there.
            if !issuer.entry.has_keys_of(entry) {
                *issuer = Issuer { entry: entry.clone(), policy: RefreshPolicy::new(LIMITS) };
                issuer.publish(&rooms);
                addresses(&rooms, |all| {
                    all.remove(&entry.issuer);
                });
            }
            step(&rooms, issuer, RefreshEvent::Tick, now, &mut fetches);
        }
        tokio::select! {
            () = crate::gateway::stopped(&mut stop) => return,
            () = tokio::time::sleep(TICK) => {}
            () = rooms.keys_wanted.notified() => {
                for issuer in known.values_mut() {
                    step(&rooms, issuer, RefreshEvent::UnknownKid, now, &mut fetches);
                }
            }
            Some(Ok((entry, fetched))) = fetches.join_next() => {
                // What was asked for at the old place and comes late is nobody's.
                let Some(issuer) = known.get_mut(&entry.issuer).filter(|now| now.entry.has_keys_of(&entry)) else { continue };
                let event = match fetched {
                    Ok((keys, endpoints)) => {
                        addresses(&rooms, |all| {
                            all.insert(entry.issuer.clone(), endpoints.clone());
                        });
                        RefreshEvent::Fetched(keys)
                    }
                    Err(error) => {
                        tracing::warn!(issuer = entry.issuer, error, "key set not fetched; the known one stays");
                        RefreshEvent::Failed
                    }
                };
                step(&rooms, issuer, event, UnixMillis::now(), &mut fetches);
            }
        }
    }
}

fn step(rooms: &Arc<Rooms>, issuer: &mut Issuer, event: RefreshEvent, now: UnixMillis, fetches: &mut Fetches) {
    match issuer.policy.step(event, now) {
        RefreshAction::Nothing => {}
        RefreshAction::Fetch => {
            let (client, entry) = (rooms.services.client(), issuer.entry.clone());
            fetches.spawn(async move {
                let fetched = fetch_keys(&client, &entry).await;
                (entry, fetched)
            });
        }
        RefreshAction::Publish => issuer.publish(rooms),
    }
}

impl Issuer {
    /// A newer directory may put another book in place meanwhile: the keys go into that one, and out of it a tick later where
    /// that directory has the issuer elsewhere.
    fn publish(&self, rooms: &Rooms) {
        let keys = self.policy.keys();
        rooms.issuers.rcu(|book| (**book).clone().with_keys(&self.entry.issuer, keys.clone()));
    }
}

/// Changes where issuers answer.
fn addresses(rooms: &Rooms, change: impl Fn(&mut BTreeMap<String, Endpoints>)) {
    rooms.services.endpoints.rcu(|all| {
        let mut all = (**all).clone();
        change(&mut all);
        all
    });
}

/// `book`, made from the directory `new`, with the keys that are `known` of issuers found where they were under `old`. Of one
/// that moved none counts any more, at once: a move may be the answer to a key place that fell into wrong hands.
pub fn with_known_keys(book: IssuerBook, known: &IssuerBook, old: &Directory, new: &Directory) -> IssuerBook {
    let stayed = |name: &str| {
        let of = |directory: &'_ Directory| directory.issuers.iter().find(|i| i.issuer == name).cloned();
        of(old).zip(of(new)).is_some_and(|(old, new)| new.has_keys_of(&old))
    };
    let stayed = known.issuers().filter(|issuer| stayed(&issuer.entry.issuer));
    stayed.fold(book, |book, issuer| book.with_keys(&issuer.entry.issuer, issuer.keys.clone()))
}

async fn fetch_keys(client: &Client, issuer: &crate::federation::Issuer) -> Result<(IssuerKeys, Endpoints), String> {
    let get = async |url: &str| {
        let request = Request::get(url).body(empty()).map_err(|e| e.to_string())?;
        let response = client.fetch(request, WAIT, SMALL).await.map_err(|e| e.to_string())?;
        match response.status().is_success() {
            true => Ok(response.into_body()),
            false => Err(format!("{url}: {}", response.status())),
        }
    };
    let found: Endpoints =
        serde_json::from_slice(&get(&issuer.discovery).await?).map_err(|e| format!("discovery: {e}"))?;
    if found.issuer != issuer.issuer {
        return Err("the discovery document names another issuer".into());
    }
    if found.all().any(|url| !url.starts_with("https://")) {
        return Err("the discovery document names an address without TLS".into());
    }
    let algorithms: Vec<_> = issuer.algorithms.iter().filter_map(|a| crate::identity::jose::algorithm(a)).collect();
    let (keys, dropped) =
        IssuerKeys::from_jwks(&get(&found.jwks_uri).await?, &algorithms).map_err(|e| e.to_string())?;
    for key in dropped {
        tracing::warn!(issuer = issuer.issuer, kid = key.kid, why = key.why, "a key of the set is not used");
    }
    Ok((keys, found))
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
    let client = wire::services(&rooms.directory.load())?;
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
    let book = issuers::book(&directory, &rooms.me.id)?;
    let book = with_known_keys(book, &rooms.issuers.load(), &rooms.directory.load(), &directory);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::demo::{directory, lay};
    use crate::identity::keys::IssuerKeys;

    #[test]
    fn keys_of_a_place_that_was_left_count_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let world = lay(folder.path(), 20_000, None).unwrap();
        let old = directory::read(&world, UnixMillis::now()).unwrap();
        let name = old.issuers[0].issuer.clone();
        let known = issuers::book(&old, "gw-440305").unwrap().with_keys(&name, Some(IssuerKeys::default()));
        type Change = fn(&mut crate::federation::Issuer);
        let rows: [(&str, Change, bool); 5] = [
            ("nothing of it", |_| {}, true),
            ("for how long it speaks", |issuer| issuer.max_lifetime_s = 60, true),
            ("where it is", |issuer| issuer.discovery.push_str("/2"), false),
            ("how it signs", |issuer| issuer.algorithms.truncate(1), false),
            ("its name: it is another", |issuer| issuer.issuer.push_str("/2"), false),
        ];
        for (what, change, goes_on) in rows {
            let mut new = old.clone();
            change(&mut new.issuers[0]);
            let book = with_known_keys(issuers::book(&new, "gw-440305").unwrap(), &known, &old, &new);
            assert_eq!(book.get(&new.issuers[0].issuer).unwrap().keys.is_some(), goes_on, "{what}");
        }
    }
}
