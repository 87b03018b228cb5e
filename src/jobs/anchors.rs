//! Has an authority stamp the newest checkpoint each hour (RFC 3161). Never stops service: an authority that is away is
//! asked again, and the operator is told when the newest stamp grows old.

use std::sync::Arc;
use std::time::Duration;

use http::{Request as HttpRequest, header};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::watch;

use crate::audit::Kind;
use crate::audit::anchor::{Anchor, stamped, time_of};
use crate::audit::entry::Evidence;
use crate::gateway::log_state::STAMP_OLD_MS;
use crate::gateway::{Rooms, ledger, stopped};
use crate::terms::{Digest, UnixMillis};
use crate::trust::certificate::Certificate;
use crate::trust::suite::DigestAlgorithm;
use crate::trust::timestamp::{Request, token_of};
use crate::upstream::Client;
use crate::upstream::body::full;

/// Time between two stamps, and before another try when there was none.
const EVERY: Duration = Duration::from_secs(3_600);
const AGAIN: Duration = Duration::from_secs(60);
/// Before the first: the gateway has other things to do when it starts.
const FIRST: Duration = Duration::from_secs(5);
const WAIT: Duration = Duration::from_secs(30);
const MAX_ANSWER: usize = 128 * 1024;

/// The authority.
pub struct Anchors {
    pub url: String,
    pub client: Client,
    /// Authorities below which its certificate must stand.
    pub trusted: Vec<Certificate>,
}

impl Anchors {
    /// Stamps until `stop` turns true.
    pub async fn run(self, rooms: Arc<Rooms>, mut stop: watch::Receiver<bool>) {
        let (mut pause, mut size) = (FIRST, 0);
        rooms.log_state.stamped(self.newest(&rooms).await.unwrap_or_else(UnixMillis::now));
        loop {
            tokio::select! {
                () = stopped(&mut stop) => return,
                () = tokio::time::sleep(pause) => {}
            }
            let grown = rooms.log.checkpoint().size != size;
            pause = match if grown { self.stamp(&rooms).await } else { Ok(size) } {
                Ok(stamped) => {
                    rooms.log_state.stamped(UnixMillis::now());
                    size = stamped;
                    EVERY
                }
                Err(why) => {
                    match rooms.log_state.unstamped_for(UnixMillis::now()).is_some_and(|age| age > STAMP_OLD_MS) {
                        true => tracing::error!(why, "NO TIME-STAMP over the log for more than two hours"),
                        false => tracing::warn!(why, "no time-stamp over the log; it will be asked for again"),
                    }
                    AGAIN
                }
            };
        }
    }

    /// When the newest stamp in the log's folder was made: a restart is no stamp. `None` before the first one.
    async fn newest(&self, rooms: &Rooms) -> Option<UnixMillis> {
        let log = rooms.log.clone();
        let kept = tokio::task::spawn_blocking(move || log.anchor()).await.ok()?.ok()?;
        Anchor::parse(&kept).and_then(|anchor| anchor.time(&self.trusted)).ok()
    }

    /// Has the served checkpoint stamped, keeps the anchor, and puts it on record. Gives the checkpoint's size.
    pub async fn stamp(&self, rooms: &Rooms) -> Result<u64, String> {
        let served = rooms.log.checkpoint();
        let text = stamped(&served.note);
        let mut nonce = [0; 8];
        SystemRandom::new().fill(&mut nonce).map_err(|_| "no random bytes")?;
        let question = Request::over(DigestAlgorithm::Sha256, text.as_bytes(), nonce);
        let request = HttpRequest::post(&self.url)
            .header(header::CONTENT_TYPE, "application/timestamp-query")
            .body(full(question.to_der()))
            .map_err(|e| e.to_string())?;
        let response = self.client.fetch(request, WAIT, MAX_ANSWER).await.map_err(|e| e.to_string())?;
        if !response.status().is_success() {
            return Err(format!("HTTP {}", response.status().as_u16()));
        }
        let token = token_of(response.body(), &question).map_err(|e| e.to_string())?;
        let at = time_of(&token, text, &self.trusted).map_err(|e| e.to_string())?;
        let anchor = Anchor { token: token.der().to_vec(), note: served.note.clone() };
        let (log, size, kept) = (rooms.log.clone(), served.size, anchor.to_string());
        let kept = tokio::task::spawn_blocking(move || log.keep_anchor(size, kept.as_bytes())).await;
        kept.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
        let stamp = Evidence {
            r#type: ledger::word("time-stamp"),
            digest: Some(Digest::of(&anchor.token)),
            at: Some(at),
            ..Evidence::default()
        };
        let entry = ledger::line(rooms, Kind::Anchor, UnixMillis::now()).evidence(stamp);
        let entry = ledger::facts(entry, &[("size", &served.size.to_string())]);
        rooms.log.append(&entry).await.map_err(|e| e.to_string())?;
        Ok(served.size)
    }
}
