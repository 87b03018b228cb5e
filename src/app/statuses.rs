//! Keeps revocation and status lists current, from configured addresses only, and on disk for the next start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Request;
use tokio::sync::watch;

use super::config::{Config, Statuses as Sources};
use crate::gateway::Rooms;
use crate::gateway::statuses::{StatusKind, Statuses, authorities};
use crate::terms::{Digest, UnixMillis};
use crate::trust::certificate::Certificate;
use crate::upstream::Client;
use crate::upstream::body::empty;

/// How often it is looked whether a list is due.
const TICK: Duration = Duration::from_secs(5);
/// How long after a failure an address is asked again, in seconds.
const RETRY_S: i64 = 60;
const WAIT: Duration = Duration::from_secs(20);
/// Largest list, in octets.
const LARGEST: usize = 32 << 20;

/// One address, and when it is asked next.
struct Source {
    kind: StatusKind,
    url: String,
    file: PathBuf,
    due: UnixMillis,
}

fn sources(sources: &Sources, folder: &Path) -> Vec<Source> {
    let one = |kind, url: &String| Source {
        kind,
        url: url.clone(),
        file: folder.join(Digest::of(url.as_bytes()).to_string()),
        due: UnixMillis(0),
    };
    let lists = sources.lists.iter().map(|url| one(StatusKind::Crl, url));
    lists.chain(sources.credentials.iter().map(|url| one(StatusKind::Credentials, url))).collect()
}

/// What was on disk at the last stop. What cannot be read is fetched anew.
pub fn kept(config: &Sources, folder: &Path, authorities: &[Certificate]) -> Statuses {
    let mut all = Statuses::default();
    for source in sources(config, folder) {
        if let Ok(octets) = std::fs::read(&source.file)
            && let Err(error) = all.take((source.kind, &source.url), &octets, authorities)
        {
            tracing::warn!(url = source.url, error, "a kept list cannot be read");
        }
    }
    all
}

/// The addresses of a configuration: one that was there before is asked when it would have been.
fn resourced(before: Vec<Source>, config: &Sources, folder: &Path) -> Vec<Source> {
    let mut all = sources(config, folder);
    for source in &mut all {
        let known = before.iter().find(|known| (known.kind, &known.url) == (source.kind, &source.url));
        source.due = known.map_or(source.due, |known| known.due);
    }
    all
}

/// Fetches each list when it is due: each `every_s`, or when it says itself that it is replaced. The addresses are those of
/// the configuration in force; a list whose address a reload took out counts no more.
pub async fn refresh(
    rooms: Arc<Rooms>,
    config: Arc<ArcSwap<Config>>,
    folder: PathBuf,
    mut stop: watch::Receiver<bool>,
) {
    let mut taken = config.load_full();
    let mut all = sources(&taken.statuses, &folder);
    loop {
        let known = authorities(&rooms.directory.load());
        let now_in_force = config.load_full();
        if !Arc::ptr_eq(&taken, &now_in_force) {
            taken = now_in_force;
            all = resourced(all, &taken.statuses, &folder);
            rooms.statuses.store(Arc::new(kept(&taken.statuses, &folder, &known)));
        }
        let every_s = taken.statuses.every_s;
        for source in &mut all {
            let now = UnixMillis::now();
            if source.due > now {
                continue;
            }
            source.due = match fetch(&rooms.services.client(), &rooms.statuses, source, &known).await {
                Ok(new) => {
                    if new {
                        tracing::info!(url = source.url, "a newer list is in force");
                    }
                    let next = now.plus_seconds(every_s);
                    let replaced = rooms.statuses.load().until(&source.url).filter(|until| *until > now);
                    replaced.map_or(next, |until| until.min(next))
                }
                Err(error) => {
                    tracing::warn!(url = source.url, error, "no newer list; the known one stays");
                    now.plus_seconds(RETRY_S.min(every_s))
                }
            };
        }
        tokio::select! {
            () = crate::gateway::stopped(&mut stop) => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

async fn fetch(
    client: &Client,
    statuses: &ArcSwap<Statuses>,
    source: &Source,
    authorities: &[Certificate],
) -> Result<bool, String> {
    let request = Request::get(&source.url).body(empty()).map_err(|e| e.to_string())?;
    let response = client.fetch(request, WAIT, LARGEST).await.map_err(|e| e.to_string())?;
    if !response.status().is_success() {
        return Err(format!("answered {}", response.status()));
    }
    let mut all = (**statuses.load()).clone();
    let new = all.take((source.kind, &source.url), response.body(), authorities)?;
    if new {
        // On disk first: a list that was in force once is never forgotten for an older one.
        let part = source.file.with_extension("part");
        let folder = source.file.parent().unwrap_or(Path::new("."));
        let kept = std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&part, response.body()))
            .and_then(|()| std::fs::rename(&part, &source.file));
        kept.map_err(|e| e.to_string())?;
        statuses.store(Arc::new(all));
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::trust::issue::{self, Issuer, Subject, Use};
    use crate::trust::suite::{SignatureAlgorithm, Signer, SigningKey};
    use crate::upstream::ClientTls;

    /// Answers one call after the other, each with what comes next.
    fn server(answers: Vec<Vec<u8>>) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ca.crl", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut buf = [0; 4096];
                let _ = stream.read(&mut buf).unwrap();
                let status = if answer.is_empty() { "503 Service Unavailable" } else { "200 OK" };
                let head =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
                stream.write_all(&[head.as_bytes(), &answer].concat()).unwrap();
            }
        });
        url
    }

    #[tokio::test]
    async fn newer_lists_count_and_are_there_after_a_restart() {
        let key = SigningKey::from_pkcs8(&SigningKey::generate(SignatureAlgorithm::Sm2Sm3).unwrap()).unwrap();
        let subject = Subject::named("ca", "test");
        let issuer = Issuer::root(&key, &subject);
        let (spki, to) = (key.public_key().to_spki(), UnixMillis(9_000_000));
        let own = issue::certificate(&issuer, &subject, &spki, Use::Root, UnixMillis(0), to).unwrap();
        let known = [Certificate::parse(&own).unwrap()];
        let made =
            |at: i64| issue::crl(&issuer, &[], 1, UnixMillis(at * 1_000), UnixMillis((at + 600) * 1_000)).unwrap();
        let url = server(vec![made(2_000), made(2_000), made(1_000), Vec::new(), b"<html>".to_vec(), made(3_000)]);
        let folder = tempfile::tempdir().unwrap();
        let config = Sources { lists: vec![url.clone()], credentials: Vec::new(), every_s: 60, ..Sources::default() };
        let client = Client::new(&ClientTls::new(&[], None).unwrap());
        let statuses = ArcSwap::from_pointee(Statuses::default());
        let source = &sources(&config, folder.path())[0];
        for want in [Ok(true), Ok(false), Err(()), Err(()), Err(()), Ok(true)] {
            assert_eq!(fetch(&client, &statuses, source, &known).await.map_err(drop), want);
            assert_eq!(
                kept(&config, folder.path(), &known).until(&url),
                statuses.load().until(&url),
                "kept as it is in force"
            );
        }
        assert_eq!(statuses.load().until(&url), Some(UnixMillis(3_600_000)));
        let elsewhere = Sources { lists: vec!["http://other.example/".into()], ..config };
        assert_eq!(
            kept(&elsewhere, folder.path(), &known).until(&url),
            None,
            "addresses no longer configured are not read"
        );
    }
}
