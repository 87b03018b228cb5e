//! Taking a sealed message from a peer: opened, judged again, kept once, receipted.
//!
//! ```text
//!  body ─▶ vault ─▶ seal and digests hold? ─▶ sealed by that member? ─▶ known id? same receipt again
//!                                                                        │no
//!                 ┌─ first: a case arrives ─▶ receipt paper, licences, rules again ─┐
//!                 ├─ later: the owner acted ─▶ the act's paper, papers genuine      ├─▶ one transaction: case, files, inbox
//!                 └─ asked: the collector asks for the applicant ─▶ withdraw        ┘      ─▶ line in the log ─▶ receipt
//! ```

mod asked;
mod first;
mod genuine;
mod later;

use std::io::Read;
use std::sync::Arc;

use super::concern::Concern;
use super::intake::Bounds;
use super::keep::{self, ASICE};
use super::ledger::{self, Trace};
use super::peer::{self, Vouched};
use super::prove::VaultFile;
use super::receipt;
use super::rooms::Rooms;
use super::who::Terminal;
use crate::audit::Kind;
use crate::audit::entry::{Evidence as Leaf, Outcome, Upstream};
use crate::exchange::message::{MESSAGE_FILE, Message, Stored};
use crate::exchange::{Act, ExchangeError, Kept, Key, records};
use crate::federation::FederationError;
use crate::formats::zip::Limits;
use crate::terms::{Digest, Refusal, UnixMillis};
use crate::trust::asic::{self, Open};
use crate::trust::certificate::Certificate;
use crate::trust::path::{Purpose, Question, Revocation, judge};
use crate::trust::suite::Strengths;

/// Largest message file in octets.
const MESSAGE_MAX: u64 = 8 << 20;

/// A case file whose seal and sender hold. Only [`open`] makes one.
pub struct Opened {
    message: Message,
    container: Kept,
    key: Key,
    files: Vec<Stored>,
    vouched: Option<Vouched>,
    signer: Digest,
}

/// Opens a container that came from `peer`: its own seal, listed in the directory for exactly that member.
pub async fn open(
    rooms: &Arc<Rooms>,
    peer: &str,
    container: Kept,
    key: Key,
    now: UnixMillis,
) -> Result<Opened, Refusal> {
    let work = {
        let (rooms, key, container, peer) = (rooms.clone(), key.clone(), container.clone(), peer.to_owned());
        move || unpack(&rooms, &peer, &container, &key, now)
    };
    let (message, files, signer) = tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "opening was cut off"))??;
    if message.from != peer || message.to != rooms.me.id {
        return Err(FederationError::NotThatMember(format!("{peer} sent a message of {}", message.from)).into());
    }
    let named = Digest::of(message.id.as_bytes());
    // A message is sent again until it is receipted, long after its assertion ran out: it is judged as of its own time,
    // which its seal vouches for.
    let vouched = match message.assertion.is_empty() {
        true => None,
        false => Some(peer::check(rooms, peer, &message.assertion, named, message.at)?),
    };
    Ok(Opened { message, container, key, files, vouched, signer })
}

fn unpack(
    rooms: &Rooms,
    peer: &str,
    container: &Kept,
    key: &Key,
    now: UnixMillis,
) -> Result<(Message, Vec<Stored>, Digest), Refusal> {
    let bad = |why: String| Refusal::from(ExchangeError::Message(why));
    let reading = rooms.vault.read(key, container).map_err(ExchangeError::from)?;
    let open = asic::open(VaultFile(reading), &limits(**rooms.bounds.load())).map_err(|e| bad(e.to_string()))?;
    sender(rooms, peer, &open, now)?;
    let message = Message::parse(&open.archive.read(MESSAGE_FILE, MESSAGE_MAX).map_err(|e| bad(e.to_string()))?)?;
    let mut files = Vec::new();
    for named in message.files() {
        let sealed = open.files.iter().find(|f| f.name == named.path);
        let sealed = sealed.filter(|f| f.digest == named.digest && f.size == named.size);
        sealed.ok_or_else(|| bad(format!("{} is not as the message says", named.path)))?;
        let entry = open.archive.find(&named.path).ok_or_else(|| bad(format!("{} is missing", named.path)))?;
        let mut reader = open.archive.reader(entry);
        let mut writing = rooms.vault.write(key, named.size).map_err(ExchangeError::from)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            match reader.read(&mut buffer).map_err(|e| bad(e.to_string()))? {
                0 => break,
                n => writing.push(&buffer[..n]).map_err(ExchangeError::from)?,
            }
        }
        let kept = writing.finish().map_err(ExchangeError::from)?;
        files.push(Stored { path: named.path.clone(), media: named.media.clone(), kept });
    }
    Ok((message, files, open.signed.signer.fingerprint()))
}

/// The sealing certificate must be one the directory lists for this member, and in force when it sealed.
fn sender<S>(rooms: &Rooms, peer: &str, open: &Open<S>, now: UnixMillis) -> Result<(), Refusal> {
    let directory = rooms.directory.load();
    let wrong = |why: String| Refusal::from(FederationError::NotThatMember(why));
    let member = directory.member(peer).ok_or_else(|| wrong(format!("no member {peer}")))?;
    let anchors: Vec<_> = member.seal_certificates.iter().filter_map(|o| Certificate::parse(&o.0).ok()).collect();
    let question = Question {
        leaf: &open.signed.signer,
        intermediates: &open.signed.certificates,
        anchors: &anchors,
        purpose: Purpose::Signer,
        at: now,
        crls: directory.revocation_lists(),
        ocsp: &[],
        revocation: Revocation::IfAvailable,
        strengths: Strengths::shipped(),
    };
    judge(&question).map_err(|e| wrong(format!("seal of {peer}: {e}")))?;
    Ok(())
}

/// Takes an opened message. The same message gives the same receipt.
pub async fn take(opened: Opened, rooms: &Arc<Rooms>, trace: &Trace) -> Result<String, Refusal> {
    if let Some(vouched) = &opened.vouched {
        trace.by(vouched.actor(rooms, &opened.message.from));
    }
    let outcome = judged(&opened, rooms, trace).await;
    if !matches!(outcome, Ok(Taken::Now(_))) {
        forget(rooms, &opened).await;
    }
    outcome.map(|taken| match taken {
        Taken::Now(receipt) | Taken::Before(receipt) => receipt,
    })
}

enum Taken {
    Now(String),
    Before(String),
}

async fn judged(opened: &Opened, rooms: &Arc<Rooms>, trace: &Trace) -> Result<Taken, Refusal> {
    let message = &opened.message;
    if let Some(receipt) = before(opened, rooms).await? {
        return Ok(Taken::Before(receipt));
    }
    let outcome = match message.act {
        _ if message.ask => asked::take(opened, rooms, trace).await,
        Act::Receive => first::take(opened, rooms, trace).await,
        _ => later::take(opened, rooms, trace).await,
    };
    match outcome {
        Ok(receipt) => Ok(Taken::Now(receipt)),
        // A sender that lost the line sends again while the first sending is still at work here: whatever this one ran
        // into, the other one's receipt is the answer to both.
        Err(refusal) => before(opened, rooms).await?.map(Taken::Before).ok_or(refusal),
    }
}

/// The receipt that this very message has been given.
async fn before(opened: &Opened, rooms: &Rooms) -> Result<Option<String>, Refusal> {
    let mut tx = rooms.store.read().await?;
    Ok(records::received(&mut tx, &opened.message.id, opened.container.digest).await?)
}

async fn forget(rooms: &Rooms, opened: &Opened) {
    let ids = opened.files.iter().map(|f| f.kept.id.as_str()).chain([opened.container.id.as_str()]);
    keep::forget_unnamed(rooms, ids).await;
}

fn container(opened: &Opened) -> Stored {
    Stored { path: opened.message.container_path(), media: ASICE.to_owned(), kept: opened.container.clone() }
}

/// A container holds at most what a filing may hold, the papers and the message.
fn limits(bounds: Bounds) -> Limits {
    const OTHERS: usize = 16;
    let file = bounds.file_octets.max(MESSAGE_MAX);
    let entries = bounds.files + OTHERS;
    Limits { entries, entry_size: file, total_size: file.saturating_mul(entries as u64), ..Limits::default() }
}

/// What is kept is put on record: the line, then the receipt that names it. A crash before leaves the receipt that was
/// kept with the case, which names no line; the tidying job writes the line.
async fn recorded(
    opened: &Opened,
    rooms: &Rooms,
    trace: &Trace,
    entry: &crate::audit::Entry,
    seqs: std::ops::RangeInclusive<u64>,
) -> Result<String, Refusal> {
    let (message, digest) = (&opened.message, opened.container.digest);
    let committed = rooms.log.append(entry).await?;
    let receipt = receipt::give(rooms, &message.id, digest, trace.at, Some(committed))?;
    let mut tx = rooms.store.begin().await?;
    for seq in seqs {
        records::mark_logged(&mut tx, message.case, seq, committed.index).await?;
    }
    records::receipt(&mut tx, &message.id, &receipt).await?;
    tx.commit(()).await?;
    let _ = rooms.news.send(message.case);
    Ok(receipt)
}

fn arrival_line(opened: &Opened, rooms: &Rooms, trace: &Trace, concern: &Concern) -> crate::audit::Entry {
    let message = &opened.message;
    let line = trace.about(rooms, Kind::CaseEvent, None, &Terminal::Peer(message.from.clone()));
    let up = Upstream { name: ledger::word(&message.from), ..Upstream::default() };
    let out = Outcome { status: Some(200), ..Outcome::default() };
    concern.on(rooms, line).up(up).out(out).evidence(Leaf {
        r#type: ledger::word("envelope"),
        digest: Some(opened.container.digest),
        signer: Some(opened.signer),
        verdict: ledger::word("TOTAL-PASSED"),
        ..Leaf::default()
    })
}
