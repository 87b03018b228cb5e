//! Deliveries: the outbox, one line after the other for each case, until the receiver's receipt is kept.
//!
//! ```text
//!  due ─▶ intent in the log ─▶ send ─┬─ receipt that holds ──────────▶ done
//!                                    ├─ no answer, 5xx, 408, 429 ────▶ again soon, then later and later
//!                                    └─ another 4xx ─▶ told to operator and clerk ─▶ again, in the end at long intervals
//!                                                      (of an ask it may be the answer: done)
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, header};
use tokio::task::{AbortHandle, JoinSet};

use crate::audit::Kind;
use crate::audit::entry::{Evidence, Outcome, PeerReceipt, Upstream};
use crate::exchange::message::Stored;
use crate::exchange::outbox::{self, Outgoing};
use crate::exchange::{ExchangeError, Key, records};
use crate::gateway::act::case_key;
use crate::gateway::concern::Concern;
use crate::gateway::keep::ASICE;
use crate::gateway::{Rooms, ledger, receipt, streaming};
use crate::store::CONFLICT;
use crate::terms::{Refusal, UnixMillis};
use crate::upstream::Client;

/// Header with the id under which a message is sent again and again.
pub const MESSAGE_ID: &str = "tongban-message-id";
/// Deliveries under way at once, and lines taken in one look.
const AT_ONCE: usize = 32;
const LOOK: usize = 16;
/// A receiver with this many under way gets no more for now: one that hangs leaves places for the others.
const BUSY: usize = 8;
/// How long a taken line is left alone by other replicas, in milliseconds, beyond the time its sending may take.
const HOLD_MS: i64 = 60_000;
/// Longest wait for a receiver of an empty container; grows with its size at the rate below, in octets a second.
const WAIT_S: u64 = 30;
const RATE: u64 = 256 << 10;
/// Largest receipt in octets.
const RECEIPT_MAX: usize = 64 * 1024;
/// First wait before a retry; doubles with each attempt up to the longest, in milliseconds.
const RETRY_MS: i64 = 500;
const RETRY_MAX_MS: i64 = 60_000;
/// A refusal may pass: the receiver's directory is behind, or it is still busy with an earlier sending. After this many
/// attempts it is sent at long intervals only, in milliseconds.
const REFUSED_TRIES: i64 = 10;
const REFUSED_MS: i64 = 15 * 60_000;

/// Deliveries under way. A receiver that hangs holds its own places until its breaker opens, never those of others, and
/// never the look at the outbox.
pub struct Deliveries {
    rooms: Arc<Rooms>,
    tasks: JoinSet<()>,
    /// By receiver.
    under_way: Vec<(String, AbortHandle)>,
}

impl Deliveries {
    pub fn new(rooms: Arc<Rooms>) -> Self {
        Self { rooms, tasks: JoinSet::new(), under_way: Vec::new() }
    }

    /// Sets going what is due, as far as there are places.
    pub async fn due(&mut self, now: UnixMillis) -> Result<(), Refusal> {
        loop {
            while self.tasks.try_join_next().is_some() {}
            self.under_way.retain(|(_, task)| !task.is_finished());
            // A line is taken only when it can go at once: what is taken is held back from other replicas.
            let free = AT_ONCE.saturating_sub(self.tasks.len());
            if free == 0 {
                return Ok(());
            }
            let mut tx = self.rooms.store.begin().await?;
            let lines = outbox::take_due(&mut tx, now, HOLD_MS, free.min(LOOK) as i64, &self.busy()).await?;
            tx.commit(()).await?;
            if lines.is_empty() {
                return Ok(());
            }
            for line in lines {
                let (rooms, target) = (self.rooms.clone(), line.target.clone());
                let task = self.tasks.spawn(async move {
                    if let Err(refusal) = one(&rooms, &line).await {
                        tracing::warn!(%refusal, "a delivery could not be kept");
                    }
                });
                self.under_way.push((target, task));
            }
        }
    }

    fn busy(&self) -> Vec<&str> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        self.under_way.iter().for_each(|(target, _)| *counts.entry(target).or_default() += 1);
        counts.into_iter().filter(|(_, count)| *count >= BUSY).map(|(target, _)| target).collect()
    }

    /// Lets what is under way end, for at most `limit`; the rest is sent again in the next life.
    pub async fn drain(mut self, limit: Duration) {
        let _ = tokio::time::timeout(limit, async { while self.tasks.join_next().await.is_some() {} }).await;
    }
}

/// Milliseconds to wait after the given number of attempts.
fn backoff_ms(attempts: i64) -> i64 {
    (RETRY_MS << attempts.clamp(0, 16)).min(RETRY_MAX_MS)
}

/// How long sending a container may take.
fn limit(octets: u64) -> Duration {
    Duration::from_secs(WAIT_S + octets / RATE)
}

async fn one(rooms: &Arc<Rooms>, line: &Outgoing) -> Result<(), Refusal> {
    let now = UnixMillis::now();
    let mut tx = rooms.store.read().await?;
    let key = case_key(rooms, &mut tx, line.no).await?;
    let files = records::files(&mut tx, line.no, &key).await?;
    let record = records::load(&mut tx, line.no).await?.ok_or(ExchangeError::NoCase)?;
    drop(tx);
    let concern = Concern::of(&record).with(&record.dossier(&key)?);
    let file = files.into_iter().find(|f| f.stored.path == line.path);
    let container = file.ok_or_else(|| ExchangeError::Message(format!("{} is not among the files", line.path)))?.stored;
    let takes_ms = limit(container.kept.size).as_millis() as i64;
    if takes_ms > HOLD_MS {
        let mut tx = rooms.store.begin().await?;
        outbox::postpone(&mut tx, &line.id, UnixMillis(now.0 + takes_ms + HOLD_MS), None).await?;
        tx.commit(()).await?;
    }
    let system = ledger::system();
    let about = |kind| concern.on(rooms, ledger::line(rooms, kind, now)).actor(system.clone());
    // The intent is durable before the receiver sees the first octet.
    let intent =
        about(Kind::CaseIntent).up(Upstream { name: ledger::word(&line.target), ..Upstream::default() }).evidence(
            Evidence { r#type: ledger::word("envelope"), digest: Some(container.kept.digest), ..Evidence::default() },
        );
    let intent = rooms.log.append(&intent).await?;
    let outcome = send(rooms, line, &container, &key).await;
    let (class, status) = match &outcome {
        Ok(Sent::Taken(..)) => ("2xx", 200),
        Ok(Sent::Refused(status, _)) if *status < 500 => ("4xx", *status),
        Ok(Sent::Refused(status, _)) => ("5xx", *status),
        Err(_) => ("timeout", 504),
    };
    let leaf = outcome.as_ref().ok().and_then(|sent| if let Sent::Taken(_, leaf) = sent { leaf.clone() } else { None });
    let closing = about(Kind::CaseOutcome)
        .at(UnixMillis::now())
        .of(intent.leaf)
        .up(Upstream { name: ledger::word(&line.target), result: ledger::word(class), receipt: leaf })
        .out(Outcome { status: Some(status), ..Outcome::default() });
    rooms.log.append(&closing).await?;
    settle(rooms, line, outcome).await?;
    // What waited behind this line may go now, and who looks at the case sees how it fares.
    let _ = rooms.news.send(line.no);
    Ok(())
}

/// Keeps what came of a sending.
async fn settle(rooms: &Arc<Rooms>, line: &Outgoing, outcome: Result<Sent, Refusal>) -> Result<(), Refusal> {
    let (no, target, now) = (line.no, &line.target, UnixMillis::now());
    let soon = UnixMillis(now.0 + backoff_ms(line.attempts));
    let mut tx = rooms.store.begin().await?;
    match outcome {
        Ok(Sent::Taken(receipt, _)) => {
            outbox::delivered(&mut tx, &line.id, &receipt, now).await?;
            tracing::info!(case.no = %no, target, "delivered");
        }
        Ok(Sent::Refused(status, code)) if line.asks() && answers(status, &code) => {
            outbox::refused(&mut tx, &line.id, &code, now).await?;
            tracing::info!(case.no = %no, target, status, code, "the owner said no to what was asked");
        }
        Ok(Sent::Refused(status, code)) if is_final(status) => {
            let wait = if line.attempts < REFUSED_TRIES { backoff_ms(line.attempts) } else { REFUSED_MS };
            outbox::postpone(&mut tx, &line.id, UnixMillis(now.0 + wait), Some(&code)).await?;
            tracing::error!(case.no = %no, target, status, code, "a delivery is refused: somebody has to look");
        }
        Ok(Sent::Refused(status, code)) => {
            outbox::postpone(&mut tx, &line.id, soon, None).await?;
            tracing::warn!(case.no = %no, target, status, code, "not taken; will be sent again");
        }
        Err(refusal) => {
            outbox::postpone(&mut tx, &line.id, soon, None).await?;
            tracing::warn!(case.no = %no, target, %refusal, "not sent; will be sent again");
        }
    }
    tx.commit(()).await?;
    Ok(())
}

/// What the codes about papers of delegation begin with.
const PAPERS: &str = "TB-IDN-01";

/// Whether a no is the owner's answer to what was asked, not trouble on the way to it.
fn answers(status: u16, code: &str) -> bool {
    // A mandate that was taken back or used does not get better by waiting: the desk may ask under another.
    let paper = status == 403 && code.starts_with(PAPERS);
    paper || (matches!(status, 404 | 409 | 410 | 422) && code != CONFLICT.code)
}

/// Whether the receiver understood the message and will not have it: somebody has to look.
fn is_final(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 408 | 421 | 425 | 429)
}

enum Sent {
    /// The receipt, and the peer's leaf that it names.
    Taken(String, Option<PeerReceipt>),
    /// Status and code.
    Refused(u16, String),
}

async fn send(rooms: &Arc<Rooms>, line: &Outgoing, container: &Stored, key: &Key) -> Result<Sent, Refusal> {
    let wrong = |why: String| Refusal::from(ExchangeError::Message(why));
    let peer = line.way == "peer";
    let (client, url): (Client, String) = if peer {
        let directory = rooms.directory.load();
        let member = directory.member(&line.target).ok_or_else(|| wrong(format!("no member {}", line.target)))?;
        (rooms.peer(&member.id, UnixMillis::now())?.deliveries, format!("{}/peer/v1/messages", member.api))
    } else {
        let office = rooms.systems.load().named(&line.target);
        let office = office.ok_or_else(|| wrong(format!("no office {}", line.target)))?;
        (office.client.clone(), format!("{}/cases", office.url))
    };
    let reading = rooms.vault.read(key, &container.kept).map_err(ExchangeError::from)?;
    let request = Request::post(url)
        .header(header::CONTENT_TYPE, ASICE)
        .header(header::CONTENT_LENGTH, container.kept.size)
        .header(MESSAGE_ID, &line.id)
        .body(streaming::body(reading))
        .map_err(|e| wrong(e.to_string()))?;
    let response = client.fetch(request, limit(container.kept.size), RECEIPT_MAX).await?;
    let answer: serde_json::Value = serde_json::from_slice(response.body()).unwrap_or_default();
    if !response.status().is_success() {
        let code = answer.get("code").and_then(|c| c.as_str()).unwrap_or("none");
        return Ok(Sent::Refused(response.status().as_u16(), code.chars().take(40).collect()));
    }
    let taken = answer.get("receipt").and_then(|r| r.as_str());
    let taken = taken.ok_or_else(|| wrong("the answer has no receipt".into()))?;
    let leaf = match peer {
        true => receipt::check(rooms, &line.target, &line.id, container.kept.digest, taken).map_err(wrong)?,
        false => None,
    };
    Ok(Sent::Taken(taken.to_owned(), leaf))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_come_later_and_later_but_never_stop() {
        let waits: Vec<_> = (0..9).map(backoff_ms).collect();
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(backoff_ms(i64::MAX), 60_000);
    }

    #[test]
    fn a_large_container_gets_the_time_it_needs() {
        for (octets, seconds) in [(0, 30), (1 << 20, 34), (1 << 30, 30 + 4_096)] {
            assert_eq!(limit(octets), Duration::from_secs(seconds), "{octets}");
        }
    }

    #[test]
    fn an_ask_ends_with_an_answer_not_with_trouble() {
        for (status, code, answer) in [
            (409, "TB-EXC-0001", true),  // decided meanwhile
            (409, "TB-STO-0002", false), // somebody acted at the same moment
            (403, "TB-FED-0003", false), // the owner's directory is behind
            (401, "TB-GW-0201", false),
            (404, "TB-EXC-0005", true),
            (403, "TB-IDN-0105", true),  // the mandate was used meanwhile
            (403, "TB-POL-0301", false), // its rules may change
        ] {
            assert_eq!(answers(status, code), answer, "{status} {code}");
        }
    }

    #[test]
    fn some_refusals_are_the_answer() {
        for (status, last) in
            [(400, true), (403, true), (409, true), (422, true), (408, false), (429, false), (503, false)]
        {
            assert_eq!(is_final(status), last, "{status}");
        }
    }
}
