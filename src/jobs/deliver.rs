//! Deliveries: the outbox, one line after the other for each case, until the receiver's receipt is kept.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use crate::audit::Kind;
use crate::audit::entry::{Entry, Evidence, Node, Outcome, Upstream};
use crate::exchange::message::Stored;
use crate::exchange::records::{self, Outgoing};
use crate::exchange::{ExchangeError, Key};
use crate::gateway::act::case_key;
use crate::gateway::keep::ASICE;
use crate::gateway::{Rooms, ledger};
use crate::terms::{Refusal, UnixMillis};
use crate::upstream::body::BoxError;
use crate::upstream::{Body, Client};

/// Header with the id under which a message is sent again and again.
pub const MESSAGE_ID: &str = "tongban-message-id";
/// Lines taken at once, and how long a taken line is left alone by other replicas, in milliseconds.
const AT_ONCE: i64 = 16;
const HOLD_MS: i64 = 60_000;
/// Longest wait for a receiver, and largest receipt.
const WAIT: Duration = Duration::from_secs(30);
const RECEIPT_MAX: usize = 64 * 1024;
/// First wait before a retry; doubles with each attempt up to the longest, in milliseconds.
const RETRY_MS: i64 = 500;
const RETRY_MAX_MS: i64 = 60_000;

/// Sends what is due.
pub async fn due(rooms: &Arc<Rooms>, now: UnixMillis) -> Result<(), Refusal> {
    loop {
        let mut tx = rooms.store.begin().await?;
        let lines = records::take_due(&mut tx, now, HOLD_MS, AT_ONCE).await?;
        tx.commit(()).await?;
        if lines.is_empty() {
            return Ok(());
        }
        let sent = lines.into_iter().map(|line| {
            let rooms = rooms.clone();
            tokio::spawn(async move { one(&rooms, &line).await })
        });
        for task in sent.collect::<Vec<_>>() {
            if let Ok(Err(refusal)) = task.await {
                tracing::warn!(%refusal, "a delivery could not be kept");
            }
        }
    }
}

/// Milliseconds to wait after the given number of attempts.
fn backoff_ms(attempts: i64) -> i64 {
    (RETRY_MS << attempts.clamp(0, 16)).min(RETRY_MAX_MS)
}

async fn one(rooms: &Arc<Rooms>, line: &Outgoing) -> Result<(), Refusal> {
    let now = UnixMillis::now();
    let mut tx = rooms.store.read().await?;
    let key = case_key(rooms, &mut tx, line.no).await?;
    let files = records::files(&mut tx, line.no, &key).await?;
    drop(tx);
    let file = files.into_iter().find(|f| f.stored.path == line.path);
    let container = file.ok_or_else(|| ExchangeError::Message(format!("{} is not among the files", line.path)))?.stored;
    let about = |kind| {
        Entry::new(kind, now)
            .node(Node { name: ledger::word(&rooms.me.id), ..Node::default() })
            .case(rooms.pseudonyms.case(line.no))
    };
    // The intent is durable before the receiver sees the first octet.
    let intent =
        about(Kind::CaseIntent).up(Upstream { name: ledger::word(&line.target), ..Upstream::default() }).evidence(
            Evidence { r#type: ledger::word("envelope"), digest: Some(container.kept.digest), ..Evidence::default() },
        );
    let intent = rooms.log.append(&intent).await?;
    let outcome = send(rooms, line, &container, &key).await;
    let (class, status) = match &outcome {
        Ok(Sent::Taken(_)) => ("2xx", 200),
        Ok(Sent::Refused(status, _)) if *status < 500 => ("4xx", *status),
        Ok(Sent::Refused(status, _)) => ("5xx", *status),
        Err(_) => ("timeout", 504),
    };
    let closing = about(Kind::CaseOutcome)
        .of(intent.leaf)
        .up(Upstream { name: ledger::word(&line.target), result: ledger::word(class), receipt: None })
        .out(Outcome { status: Some(status), ..Outcome::default() });
    rooms.log.append(&closing).await?;
    let mut tx = rooms.store.begin().await?;
    match outcome {
        Ok(Sent::Taken(receipt)) => {
            records::delivered(&mut tx, &line.id, &receipt, UnixMillis::now()).await?;
            tracing::info!(case.no = %line.no, target = line.target, "delivered");
        }
        Ok(Sent::Refused(status, why)) => {
            tracing::warn!(case.no = %line.no, target = line.target, status, why, "not taken; will be sent again");
            records::postpone(&mut tx, &line.id, UnixMillis(now.0 + backoff_ms(line.attempts))).await?;
        }
        Err(refusal) => {
            tracing::warn!(case.no = %line.no, target = line.target, %refusal, "not sent; will be sent again");
            records::postpone(&mut tx, &line.id, UnixMillis(now.0 + backoff_ms(line.attempts))).await?;
        }
    }
    tx.commit(()).await?;
    Ok(())
}

enum Sent {
    Taken(String),
    Refused(u16, String),
}

async fn send(rooms: &Arc<Rooms>, line: &Outgoing, container: &Stored, key: &Key) -> Result<Sent, Refusal> {
    let (client, url): (&Client, String) = if line.way == "office" {
        let office = rooms.systems.iter().find(|s| s.id == line.target);
        let office = office.ok_or_else(|| ExchangeError::Message(format!("no office {}", line.target)))?;
        (&office.client, format!("{}/cases", office.url))
    } else {
        let directory = rooms.directory.load();
        let member = directory.member(&line.target);
        let member = member.ok_or_else(|| ExchangeError::Message(format!("no member {}", line.target)))?;
        (&rooms.peers, format!("{}/peer/v1/messages", member.api))
    };
    let request = Request::post(url)
        .header(header::CONTENT_TYPE, ASICE)
        .header(header::CONTENT_LENGTH, container.kept.size)
        .header(MESSAGE_ID, &line.id)
        .body(body(rooms, container, key)?)
        .map_err(|e| ExchangeError::Message(e.to_string()))?;
    let response = client.fetch(request, WAIT, RECEIPT_MAX).await?;
    let text = String::from_utf8_lossy(response.body());
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    if response.status().is_success() {
        let receipt = answer.get("receipt").and_then(|r| r.as_str());
        let receipt = receipt.ok_or_else(|| ExchangeError::Message("the answer has no receipt".into()))?;
        return Ok(Sent::Taken(receipt.to_owned()));
    }
    let code = answer.get("code").and_then(|c| c.as_str()).unwrap_or_default();
    Ok(Sent::Refused(response.status().as_u16(), code.to_owned()))
}

/// The container as it is read and decrypted, chunk by chunk on the blocking pool.
fn body(rooms: &Rooms, container: &Stored, key: &Key) -> Result<Body, Refusal> {
    let reading = rooms.vault.read(key, &container.kept).map_err(ExchangeError::from)?;
    let reading = Arc::new(reading);
    let stream = futures_util::stream::unfold((reading, 0), |(reading, n)| async move {
        if n == reading.chunks() {
            return None;
        }
        let read = reading.clone();
        let chunk = tokio::task::spawn_blocking(move || read.chunk(n)).await;
        let frame: Result<Frame<Bytes>, BoxError> = match chunk {
            Ok(Ok(chunk)) => Ok(Frame::data(Bytes::from(chunk))),
            Ok(Err(e)) => Err(e.into()),
            Err(e) => Err(e.into()),
        };
        Some((frame, (reading, n + 1)))
    });
    let stream: std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<Frame<Bytes>, BoxError>> + Send + Sync>> =
        Box::pin(SyncStream(std::sync::Mutex::new(Box::pin(stream))));
    Ok(StreamBody::new(stream).boxed())
}

/// A stream that is polled by one task only may be shared between threads: the lock is never waited for.
struct SyncStream<S>(std::sync::Mutex<std::pin::Pin<Box<S>>>);

impl<S: futures_util::Stream> futures_util::Stream for SyncStream<S> {
    type Item = S::Item;
    fn poll_next(self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<S::Item>> {
        let mut inner = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.as_mut().poll_next(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::backoff_ms;

    #[test]
    fn retries_come_later_and_later_but_never_stop() {
        let waits: Vec<_> = (0..9).map(backoff_ms).collect();
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(backoff_ms(i64::MAX), 60_000);
    }
}
