//! Asks our witnesses to cosign each new checkpoint. A witness that sleeps stops nothing: after a while the checkpoint
//! is served without it, and the operator is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, StatusCode, header};
use tokio::sync::watch;

use crate::audit::Log;
use crate::audit::log::Published;
use crate::audit::note::{Note, VerifierKey};
use crate::audit::witness;
use crate::audit::witness_policy::WitnessPolicy;
use crate::federation::directory::{Directory, MemberLog};
use crate::gateway::{Rooms, stopped};
use crate::terms::UnixMillis;
use crate::upstream::Client;
use crate::upstream::body::full;

/// How long a checkpoint waits for its witnesses before it is served without them.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// Age at which cosignatures are renewed though the log has not grown: half of the ten minutes that auditors commonly grant
/// (`max-checkpoint-age`), so that one round may fail.
const RENEW: Duration = Duration::from_secs(300);
/// Time before another try when not every witness has cosigned.
const AGAIN: Duration = Duration::from_secs(30);
/// How often a new checkpoint is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// Longest wait for one witness.
const WAIT: Duration = Duration::from_millis(1_500);
/// Largest answer: a few signature lines.
const MAX_ANSWER: usize = 16 * 1024;
/// Times a witness may correct our idea of what it holds.
const CORRECTIONS: usize = 3;

/// A witness as we know it.
struct Witness {
    name: String,
    url: String,
    key: VerifierKey,
    /// Size of the checkpoint it cosigned last, as far as we know.
    holds: u64,
    /// Its last word about our log was that it is another one.
    contradicts: bool,
}

/// Our witnesses and the quorum they must reach.
pub struct Witnesses {
    policy: WitnessPolicy,
    all: Vec<Witness>,
    /// Whether the last checkpoint reached the quorum; told when it changes.
    is_met: Option<bool>,
    done: u64,
    /// When they are asked about the same checkpoint again.
    due: Option<Instant>,
    /// Before that no other map is written in place of one that they missed.
    map_due: Option<Instant>,
}

impl Witnesses {
    /// Those of the policy that have an address; the others cosign by ways of their own.
    pub fn new(policy: WitnessPolicy) -> Self {
        let witness = |(place, key): (usize, &VerifierKey)| {
            let url = policy.witness_url(place)?.trim_end_matches('/').to_owned();
            Some(Witness { name: key.name().to_owned(), url, key: key.clone(), holds: 0, contradicts: false })
        };
        let all = policy.witnesses().iter().enumerate().filter_map(witness).collect();
        Self { policy, all, is_met: None, done: 0, due: None, map_due: None }
    }

    /// Asks, before anything is written, whether a witness holds more of our log than we do, or another one: then the folder
    /// is an older copy, and going on would fork the log. A witness that does not answer stops nothing.
    ///
    /// # Errors
    /// What the witness holds, and what to do.
    pub async fn first(&mut self, rooms: &Rooms) -> Result<(), String> {
        self.hold_no_more(&rooms.log, &|url| client_for(url, rooms)).await
    }

    /// As [`Witnesses::first`], where there is no house around the log yet; `client` knows the way to an address.
    pub async fn hold_no_more(&mut self, log: &Log, client: Way<'_>) -> Result<(), String> {
        // All that is durable: a witness may have seen more than was served before a crash.
        let own = log.clone();
        tokio::task::spawn_blocking(move || own.publish()).await.map_err(|e| e.to_string())?;
        let target = log.unwitnessed();
        let asked = self.all.iter_mut().map(|witness| ask(witness, log, client, &target));
        for (name, outcome) in futures_util::future::join_all(asked).await {
            match outcome {
                Err(Unsigned::Contradicts(what)) => {
                    return Err(format!(
                        "the log here is not the one that witness {name} cosigned: {what}. Do not go on with it: it may be an \
                         older copy (`tongban audit verify --old`), or somebody else holds the log's key"
                    ));
                }
                Err(Unsigned::Failed(why)) => {
                    tracing::warn!(witness = name, why, "did not say what it holds of our log")
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Asks about every new checkpoint until `stop` turns true.
    pub async fn run(mut self, rooms: Arc<Rooms>, mut stop: watch::Receiver<bool>) -> Self {
        loop {
            tokio::select! {
                () = stopped(&mut stop) => return self,
                () = tokio::time::sleep(LOOK) => {}
            }
            self.round(&rooms).await;
        }
    }

    /// Asks every witness about the newest checkpoint, if it is new; serves it when enough have cosigned.
    pub async fn round(&mut self, rooms: &Rooms) {
        let Some(is_met) = self.asked(rooms).await else { return };
        if self.is_met.replace(is_met) != Some(is_met) {
            let size = self.done;
            match is_met {
                true => tracing::info!(size, "the witnesses' quorum is reached"),
                false => tracing::error!(size, "checkpoints are served WITHOUT the witnesses' quorum"),
            }
        }
        if is_met && self.wants_map(&rooms.log, Instant::now()) {
            tracing::info!(
                "the witnesses are back: a new map of cases takes the place of the one that they did not see"
            );
            if let Err(error) = super::log::index(rooms, UnixMillis::now()).await {
                tracing::warn!(%error, "the new map of cases is not in the log");
            }
        }
    }

    /// Whether the newest map's checkpoint went by without its witnesses: nobody cosigns it any more, once they have seen a newer one.
    fn wants_map(&mut self, log: &Log, now: Instant) -> bool {
        let served = log.checkpoint().size;
        let is_missed = log.mapped().is_some_and(|map| map.size < served && !is_met(&self.policy, &map.note));
        let is_due = is_missed && self.map_due.is_none_or(|due| now >= due);
        if is_due {
            self.map_due = Some(now + RENEW);
        }
        is_due
    }

    /// Whether a checkpoint of `size` entries is to be shown at `now`: a new one, or one whose cosignatures grow old.
    fn is_wanted(&self, size: u64, now: Instant) -> bool {
        size != self.done || self.due.is_some_and(|due| now >= due)
    }

    /// They were asked about `size` entries at `now`.
    fn were_asked(&mut self, size: u64, now: Instant, all_cosigned: bool) {
        self.done = size;
        self.due = Some(now + if all_cosigned { RENEW } else { AGAIN });
    }

    /// Shows all witnesses the newest checkpoint; whether they are a quorum. `None` when it was shown a short while ago.
    async fn asked(&mut self, rooms: &Rooms) -> Option<bool> {
        let target = rooms.log.unwitnessed();
        if !self.is_wanted(target.size, Instant::now()) {
            return None;
        }
        let client = |url: &str| client_for(url, rooms);
        let asked = self.all.iter_mut().map(|witness| ask(witness, &rooms.log, &client, &target));
        let outcomes = futures_util::future::join_all(asked).await;
        let all_cosigned = outcomes.iter().all(|(_, outcome)| outcome.is_ok());
        for (name, outcome) in outcomes {
            match outcome {
                Ok(()) => {}
                Err(Unsigned::Failed(why)) => tracing::debug!(witness = name, why, "did not cosign"),
                // Either our folder is an older copy, or somebody else writes under our key.
                Err(Unsigned::Contradicts(what)) => {
                    tracing::error!(witness = name, what, "A WITNESS HOLDS ANOTHER LOG OF OURS")
                }
            }
        }
        self.were_asked(target.size, Instant::now(), all_cosigned);
        let cosigned = rooms.log.unwitnessed();
        let is_met = cosigned.size == target.size && is_met(&self.policy, &cosigned.note);
        if is_met {
            rooms.log.release();
        }
        let is_contradicted = self.all.iter().any(|witness| witness.contradicts);
        rooms.log_state.witnessed(is_met, is_contradicted, UnixMillis::now());
        Some(is_met)
    }

    /// Asks once more before the house stops. Witnesses that stop as well are no fault: the next start asks them first.
    pub async fn last_round(&mut self, rooms: &Rooms) {
        let Some(is_met) = self.asked(rooms).await else { return };
        let size = rooms.log.unwitnessed().size;
        match is_met {
            true => tracing::info!(size, "the last checkpoint has its witnesses"),
            false => {
                tracing::warn!(size, "the last checkpoint has not all its witnesses yet; the next start asks them")
            }
        }
    }
}

pub(super) fn is_met(policy: &WitnessPolicy, note: &str) -> bool {
    let signed = Note::parse(note.as_bytes()).and_then(|note| note.verify(policy.witnesses()));
    let signed = signed.unwrap_or_default();
    policy.is_met(|place| signed.iter().any(|by| by.key == place))
}

/// Why a witness did not cosign.
enum Unsigned {
    /// It does not answer, or not to the point.
    Failed(String),
    /// What it cosigned before is not the past of our log.
    Contradicts(String),
}

impl From<String> for Unsigned {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl From<&str> for Unsigned {
    fn from(why: &str) -> Self {
        Self::Failed(why.to_owned())
    }
}

/// Finds the client for a witness's address, or says why there is none.
pub type Way<'a> = &'a (dyn Fn(&str) -> Result<Client, String> + Sync);

async fn ask(witness: &mut Witness, log: &Log, client: Way<'_>, target: &Published) -> (String, Result<(), Unsigned>) {
    let mut outcome = Err("its idea of our size changes all the time".into());
    for _ in 0..CORRECTIONS {
        match once(witness, log, client, target).await {
            Ok(Some(size)) if size > target.size => {
                outcome = Err(Unsigned::Contradicts(format!("it holds {size} entries, we have {}", target.size)));
                break;
            }
            Ok(Some(size)) => witness.holds = size,
            Ok(None) => {
                witness.holds = target.size;
                outcome = Ok(());
                break;
            }
            Err(why) => {
                outcome = Err(why);
                break;
            }
        }
    }
    match &outcome {
        Ok(()) => witness.contradicts = false,
        Err(Unsigned::Contradicts(_)) => witness.contradicts = true,
        Err(Unsigned::Failed(_)) => {} // it may be away; what it said stands
    }
    (witness.name.clone(), outcome)
}

/// The way to the member whose log stands at the witness's address: under its own authority, and nobody else's.
fn client_for(url: &str, rooms: &Rooms) -> Result<Client, String> {
    let peer = rooms.peer(&member_at(url, &rooms.directory.load())?, UnixMillis::now()).map_err(|e| e.to_string())?;
    Ok(peer.deliveries.relayed()) // a witness that sleeps says nothing about cases
}

/// The member whose log stands at an address.
pub fn member_at(url: &str, directory: &Directory) -> Result<String, String> {
    let stands_there = |log: &MemberLog| log.url.trim_end_matches('/') == url;
    let member = directory.members.iter().find(|member| member.logs.iter().any(stands_there));
    member.map(|m| m.id.clone()).ok_or_else(|| format!("{url}: no member of the directory has its log there"))
}

/// `None` when it cosigned, or the size it holds when ours was wrong.
async fn once(witness: &Witness, log: &Log, client: Way<'_>, target: &Published) -> Result<Option<u64>, Unsigned> {
    let client = client(&witness.url)?;
    let old = witness.holds.min(target.size);
    let proof = log.consistency(old, target.size).map_err(|e| e.to_string())?;
    let request = Request::post(format!("{}/add-checkpoint", witness.url))
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(full(witness::request(old, &proof, &target.note)))
        .map_err(|e| e.to_string())?;
    let response = client.fetch(request, WAIT, MAX_ANSWER).await.map_err(|e| e.to_string())?;
    let (status, body) = (response.status(), response.into_body());
    let text = std::str::from_utf8(&body).map_err(|_| "its answer is not UTF-8")?;
    match status {
        StatusCode::OK => {
            let (body, _) = target.note.split_once("\n\n").ok_or("our own note has no signatures")?;
            let cosigned = format!("{body}\n\n{text}");
            log.add_cosignatures(&cosigned, std::slice::from_ref(&witness.key)).map_err(|e| e.to_string())?;
            Ok(None)
        }
        StatusCode::CONFLICT => match text.trim_end().parse() {
            Ok(size) if size != old => Ok(Some(size)),
            _ => Err(Unsigned::Contradicts(format!("it holds another checkpoint of {old} entries"))),
        },
        // Our proof from what it holds to what we have is right by our tiles: it holds something else.
        StatusCode::UNPROCESSABLE_ENTITY => {
            Err(Unsigned::Contradicts(format!("its {old} entries are not the first ones of ours")))
        }
        status => Err(format!("HTTP {}: {}", status.as_u16(), text.lines().next().unwrap_or_default()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_log_has_its_cosignatures_renewed() {
        let policy = WitnessPolicy::parse("quorum none\n").unwrap();
        let (mut witnesses, start) = (Witnesses::new(policy), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert!(!witnesses.is_wanted(0, at(0)), "an empty log is nothing to cosign");
        for (second, size, all_cosigned, want) in [
            (1, 5, true, true),
            (2, 5, true, false),
            (300, 5, true, false),
            (301, 5, false, true), // five minutes old
            (330, 5, true, false),
            (331, 5, true, true), // one was away
            (332, 6, true, true), // a new one never waits
            (631, 6, true, false),
            (632, 6, true, true),
        ] {
            assert_eq!(witnesses.is_wanted(size, at(second)), want, "second {second}");
            if want {
                witnesses.were_asked(size, at(second), all_cosigned);
            }
        }
    }

    /// What no witness saw while it was the newest is never cosigned any more: evidence needs another map.
    #[test]
    fn a_map_that_the_witnesses_missed_is_written_again() {
        use crate::audit::note::{KeyKind, Signer};
        use crate::audit::{Entry, Kind, OpenOptions};
        let witness = Signer::from_seed("w.example", &[9; 32]).unwrap();
        let key = witness.verifier(KeyKind::Cosignature);
        let policy = WitnessPolicy::parse(&format!("witness w {key}\nquorum w\n")).unwrap();
        let (mut witnesses, start) = (Witnesses::new(policy), Instant::now());
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), OpenOptions::new(Signer::from_seed("own.example", &[7; 32]).unwrap())).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let map = || runtime.block_on(log.append_index(Entry::new(Kind::Index, UnixMillis(1)))).unwrap();
        let mut wants = |seconds: u64| witnesses.wants_map(&log, start + Duration::from_secs(seconds));
        assert!(!wants(0), "no map yet");
        map();
        log.publish();
        assert!(!wants(1), "the newest checkpoint may still be cosigned");
        log.append_blocking(&Entry::new(Kind::Deny, UnixMillis(1))).unwrap();
        log.publish();
        assert!(wants(2));
        assert!(!wants(301), "one in five minutes");
        assert!(wants(302));
        map();
        log.publish();
        let text = log.checkpoint().note.split_once("\n\n").unwrap().0.to_owned() + "\n";
        assert!(log.add_cosignatures(&format!("{text}\n{}", witness.cosign(&text, 1)), &[key]).unwrap());
        log.append_blocking(&Entry::new(Kind::Deny, UnixMillis(1))).unwrap();
        log.publish();
        assert!(!wants(1_000), "it was seen");
    }
}
