//! Taking a sealed message from a peer: opened, judged again, kept once, receipted.
//!
//! ```text
//!  body ─▶ vault ─▶ seal and digests hold? ─▶ sealed by that member? ─▶ known id? same receipt again
//!                                                                        │no
//!          receipt ◀── line in the log ◀── one transaction: step the case, files, inbox ◀── rules again
//! ```

use std::io::Read;
use std::sync::Arc;

use super::facts;
use super::keep::{self, ASICE};
use super::ledger::{self, Trace};
use super::peer::{self, Vouched};
use super::prove::VaultFile;
use super::rooms::Rooms;
use super::who::Terminal;
use crate::audit::Kind;
use crate::audit::entry::{Evidence as Leaf, ItemRef, Jurisdiction, Subject, Upstream};
use crate::exchange::message::{Dossier, MESSAGE_FILE, Message, Stored};
use crate::exchange::records::{self, NewCase};
use crate::exchange::{Act, Case, Event, ExchangeError, Kept, Key};
use crate::federation::FederationError;
use crate::formats::zip::Limits;
use crate::policy::{Arrival, Ask, Kind as WhoKind, Permit, Person, Who};
use crate::terms::{Digest, Refusal, UnixMillis};
use crate::trust::asic::{self, Open};
use crate::trust::certificate::Certificate;
use crate::trust::path::{Purpose, Question, Revocation, judge};

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
    let open = asic::open(VaultFile(reading), &Limits::default()).map_err(|e| bad(e.to_string()))?;
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
        crls: &[],
        revocation: Revocation::IfAvailable,
    };
    judge(&question).map_err(|e| wrong(format!("seal of {peer}: {e}")))?;
    Ok(())
}

/// Takes an opened message. The same message gives the same receipt.
pub async fn take(opened: Opened, rooms: &Arc<Rooms>, trace: &Trace) -> Result<String, Refusal> {
    let message = &opened.message;
    {
        let mut tx = rooms.store.read().await?;
        if let Some(receipt) = records::received(&mut tx, &message.id, opened.container.digest).await? {
            forget(rooms, &opened).await;
            return Ok(receipt);
        }
    }
    let outcome = match message.act {
        Act::Receive => first(&opened, rooms, trace).await,
        _ => later(&opened, rooms, trace).await,
    };
    if outcome.is_err() {
        forget(rooms, &opened).await;
    }
    outcome
}

async fn forget(rooms: &Rooms, opened: &Opened) {
    let ids = opened.files.iter().map(|f| f.kept.id.as_str()).chain([opened.container.id.as_str()]);
    keep::forget_unnamed(rooms, ids).await;
}

fn container(opened: &Opened) -> Stored {
    let m = &opened.message;
    Stored {
        path: format!("containers/{:06}-{}-{}.asice", m.seq, m.from, m.act.word()),
        media: ASICE.to_owned(),
        kept: opened.container.clone(),
    }
}

/// A case that arrives: the owner asks the rules again.
async fn first(opened: &Opened, rooms: &Arc<Rooms>, trace: &Trace) -> Result<String, Refusal> {
    let message = &opened.message;
    let bad = |why: &str| Refusal::from(ExchangeError::Message(why.to_owned()));
    let dossier = message.dossier.as_ref().ok_or_else(|| bad("no dossier"))?;
    if !rooms.is_ours(dossier.owner) {
        return Err(FederationError::NoMember(dossier.owner).into());
    }
    let resident = dossier.applicant.resident().ok_or_else(|| bad("the applicant's number is not one"))?;
    let pid = rooms.pseudonyms.resident(&resident);
    let case = Case::new(message.case);
    let by = dossier.collector.clerk.as_str();
    let filed = case.step(&Event { act: Act::File, by }, dossier.received_at).map_err(ExchangeError::from)?.0;
    let case = filed.step(&Event { act: Act::Receive, by }, dossier.received_at).map_err(ExchangeError::from)?.0;
    let permit = again(opened, rooms, dossier, &case, &pid.to_string(), trace)?;
    let entry = arrival_line(opened, rooms, trace)
        .subj(Subject { epoch: Some(rooms.pseudonyms.epoch()), pid: Some(pid) })
        .dec(ledger::allowed(&permit))
        .item(ItemRef { code: Some(dossier.item), ..ItemRef::default() })
        .jur(Jurisdiction {
            owner: Some(dossier.owner),
            window: Some(dossier.window),
            route: ledger::word(&dossier.scope),
        });
    let wrapped = rooms.master.wrap(&message.case.to_string(), &opened.key).map_err(ExchangeError::from)?;
    let mut tx = rooms.store.begin().await?;
    let new = NewCase {
        case: &case,
        side: "owning",
        collector: &format!("{}:{}", dossier.collector.kind, dossier.collector.id),
        subject: &pid.to_string(),
        dossier,
        now: trace.at,
    };
    records::insert(&mut tx, &new, &opened.key, &wrapped).await?;
    records::add_event(&mut tx, &case, Act::Receive.word(), by, None, trace.at).await?;
    finish(tx, opened, rooms, trace, &case, Some(dossier), &opened.key, entry).await
}

/// The owner's own rules, on what the peer vouches for.
fn again(
    opened: &Opened,
    rooms: &Rooms,
    dossier: &Dossier,
    case: &Case,
    pid: &str,
    trace: &Trace,
) -> Result<Permit, Refusal> {
    let catalogue = rooms.catalogue.load();
    let item = catalogue.item(dossier.item)?;
    let vouched = opened.vouched.as_ref();
    let vouched = vouched.ok_or_else(|| Refusal::new(&peer::BAD_ASSERTION, "nobody vouches for this filing"))?;
    let mut who = Who::new(WhoKind::Peer, &opened.message.from);
    who.places = vouched.places.clone();
    let mode = dossier.mode.parse().map_err(|_| ExchangeError::Message("an unknown mode".into()))?;
    let record_case = crate::policy::CaseFacts {
        no: case.no,
        item: dossier.item,
        owner: dossier.owner,
        authority: dossier.authority.clone(),
        applicant: pid.to_owned(),
        agent: None,
        state: facts::state(case.state),
        receiver: case.receiver.clone(),
        examiners: Vec::new(),
        collected_by: Some(dossier.collector.id.clone()),
        collected_at: dossier.window,
        presence: facts::presence(item.presence),
        immediate: false,
        supplements: 0,
        extended: false,
    };
    let ask = Ask::ReceiveFromPeer(Arrival {
        who,
        case: record_case,
        here: rooms.directory.load().member(&rooms.me.id).map(|m| m.places.clone()).unwrap_or_default(),
        vouched_at: dossier.window,
        applicant: Person { id: pid.to_owned(), level: dossier.applicant.level, level_age_min: 0, present: true },
        item: facts::item(item, dossier.owner),
        via: match dossier.collector.kind.as_str() {
            "window" => WhoKind::Clerk,
            "portal" => WhoKind::Citizen,
            _ => WhoKind::Outlet,
        },
        mode: facts::mode(mode),
        scope: facts::scope(catalogue.scope_between(dossier.window, dossier.owner)),
    });
    rooms.policies.decide(&ask, trace.at).map_err(|denial| denial.refusal())
}

/// A message about a case we know: the owner accepted, decided, returned; the collector withdrew.
async fn later(opened: &Opened, rooms: &Arc<Rooms>, trace: &Trace) -> Result<String, Refusal> {
    let message = &opened.message;
    let mut tx = rooms.store.begin().await?;
    let record = records::load(&mut tx, message.case).await?.ok_or(ExchangeError::NoCase)?;
    if opened.vouched.is_none() {
        return Err(Refusal::new(&peer::BAD_ASSERTION, "nobody vouches for this act"));
    }
    // The collector hands on what the applicant does; everything else is the owner's alone.
    let applicants = matches!(message.act, Act::Withdraw | Act::Supplement);
    if applicants != (record.side != "collecting") {
        return Err(
            FederationError::NotThatMember(format!("{} may not do this to {}", message.from, message.case)).into()
        );
    }
    let place = if record.side == "collecting" { message.case.owner() } else { record.window };
    let other = rooms.directory.load().member_for(place)?.id.clone();
    if other != message.from {
        return Err(FederationError::NotThatMember(format!("{} does not own {}", message.from, message.case)).into());
    }
    let wrapped = records::wrapped_key(&mut tx, message.case).await?;
    let key = rooms.master.unwrap(&message.case.to_string(), &wrapped).map_err(ExchangeError::from)?;
    let by = opened.vouched.as_ref().map_or("", |v| v.actor.as_str());
    let event = Event { act: message.act, by };
    let (case, _) = record.case.step(&event, message.at).map_err(ExchangeError::from)?;
    if case.state != message.state || case.seq != message.seq {
        return Err(ExchangeError::Message("the sender sees this case in another state".into()).into());
    }
    records::save(&mut tx, &case, trace.at).await?;
    records::add_event(&mut tx, &case, message.act.word(), by, None, trace.at).await?;
    // What came was written under a key of its own; it joins the case under the case's key.
    let mut own = Vec::new();
    for file in &opened.files {
        own.push(rekey(rooms, &opened.key, &key, file)?);
    }
    let moved = rekey(rooms, &opened.key, &key, &container(opened))?;
    let entry = arrival_line(opened, rooms, trace);
    for file in &own {
        records::add_file(&mut tx, case.no, "paper", case.seq, file, &key).await?;
    }
    records::add_file(&mut tx, case.no, "container", case.seq, &moved, &key).await?;
    let receipt = receipt(rooms, opened, trace)?;
    records::receive(&mut tx, &message.id, opened.container.digest, &receipt, trace.at).await?;
    tx.commit(()).await?;
    forget(rooms, opened).await;
    let committed = rooms.log.append(&entry).await?;
    keep::mark_logged(rooms, case.no, case.seq, committed.index).await?;
    let _ = rooms.news.send(case.no);
    Ok(receipt)
}

fn rekey(rooms: &Rooms, from: &Key, to: &Key, file: &Stored) -> Result<Stored, Refusal> {
    let reading = rooms.vault.read(from, &file.kept).map_err(ExchangeError::from)?;
    let mut writing = rooms.vault.write(to, u64::MAX).map_err(ExchangeError::from)?;
    for n in 0..reading.chunks() {
        writing.push(&reading.chunk(n).map_err(ExchangeError::from)?).map_err(ExchangeError::from)?;
    }
    let kept = writing.finish().map_err(ExchangeError::from)?;
    Ok(Stored { kept, ..file.clone() })
}

fn arrival_line(opened: &Opened, rooms: &Rooms, trace: &Trace) -> crate::audit::Entry {
    let message = &opened.message;
    trace
        .about(rooms, Kind::CaseEvent, None, &Terminal::Peer(message.from.clone()))
        .case(rooms.pseudonyms.case(message.case))
        .up(Upstream { name: ledger::word(&message.from), result: ledger::word(message.act.word()), receipt: None })
        .evidence(Leaf {
            r#type: ledger::word("envelope"),
            digest: Some(opened.container.digest),
            signer: Some(opened.signer),
            verdict: ledger::word("TOTAL-PASSED"),
            ..Leaf::default()
        })
}

#[expect(clippy::too_many_arguments, reason = "the end of one transaction, in one place")]
async fn finish(
    mut tx: crate::store::Tx,
    opened: &Opened,
    rooms: &Arc<Rooms>,
    trace: &Trace,
    case: &Case,
    dossier: Option<&Dossier>,
    key: &Key,
    entry: crate::audit::Entry,
) -> Result<String, Refusal> {
    let message = &opened.message;
    for file in &opened.files {
        let role = if file.path.starts_with("papers/") { "paper" } else { "material" };
        records::add_file(&mut tx, case.no, role, case.seq, file, key).await?;
    }
    let container = container(opened);
    records::add_file(&mut tx, case.no, "container", case.seq, &container, key).await?;
    if let Some(dossier) = dossier {
        let onward = Message { to: rooms.me.id.clone(), ..message.clone() };
        keep::post(&mut tx, rooms, &onward, &container, dossier, trace.at).await?;
    }
    let receipt = receipt(rooms, opened, trace)?;
    records::receive(&mut tx, &message.id, opened.container.digest, &receipt, trace.at).await?;
    tx.commit(()).await?;
    let committed = rooms.log.append(&entry).await?;
    keep::mark_logged(rooms, case.no, case.seq, committed.index).await?;
    let _ = rooms.news.send(case.no);
    Ok(receipt)
}

/// The receipt for a message: signed, and the same whenever it is asked for again.
fn receipt(rooms: &Rooms, opened: &Opened, trace: &Trace) -> Result<String, Refusal> {
    use crate::identity::jose::encode;
    let failed = |e: &dyn std::fmt::Display| Refusal::new(&crate::store::UNAVAILABLE, format!("receipt: {e}"));
    let claims = serde_json::json!({
        "iss": rooms.me.id, "message": opened.message.id, "digest": opened.container.digest,
        "received_at": trace.at.to_string(), "log": rooms.log.key().name(),
    });
    let head = format!(r#"{{"alg":"ES256","kid":"{}","typ":"tongban-receipt+jwt"}}"#, rooms.me.id);
    let input = format!("{}.{}", encode(head.as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = rooms.assertion.sign_jose(input.as_bytes()).map_err(|e| failed(&e))?;
    Ok(format!("{input}.{}", encode(&signature)))
}
