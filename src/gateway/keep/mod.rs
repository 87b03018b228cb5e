//! On record? One transaction: quota, case, receipt, envelope, outbox. Then the line in the log. Then the answer.
//!
//! ```text
//!  papers and envelope into the vault       crash: files that nobody names
//!  ── transaction: quota · filing key · case · event · files · outbox ──   crash: nothing happened
//!  line in the log, durable                 crash: the case is kept; the line is written at the next start
//!  answer                                   crash: the caller asks again under its key and gets this case
//! ```

mod envelope;
mod made;

use std::sync::Arc;

use made::{Made, dossier, make, received, stored_uploads};

use super::concern::Concern;
use super::filing::{Kept, Known, Proven};
use super::rooms::{Keys, Rooms, Stamp};
use super::spending::{For, Spending};
use super::who::Terminal;
use super::{ledger, prove};
use crate::audit::Kind;
use crate::audit::entry::{Decision, Evidence as Leaf, Outcome};
use crate::exchange::message::{Dossier, Material, Message, Stored};
use crate::exchange::outbox::{self, Outgoing};
use crate::exchange::records::{self, NewCase};
use crate::exchange::{Act, Case, ExchangeError, Paper};
use crate::identity::delegation::Once;
use crate::partners::{self, ItemTerms, QuotaPlan, Taken};
use crate::store::{StoreError, Tx, counter};
use crate::terms::{CaseNo, Digest, Refusal, Told, UnixMillis};

pub use envelope::{ASICE, envelope, keep};

pub async fn ask(proven: Proven, rooms: &Arc<Rooms>) -> Result<Kept, Refusal> {
    let placed = &proven.allowed.placed;
    let known = &placed.known;
    let this = For {
        act: Act::File.word(),
        case: Some(proven.evidence.case),
        audience: &placed.member,
        called: Some(super::peer::called(rooms, &placed.member, &known.actor)),
    };
    let held = Spending::hold(rooms, &known.trace, known.once.as_ref(), this).await;
    let (held, outcome) = match held {
        Ok(held) => {
            let outcome = kept(&proven, rooms, &held).await;
            (held, outcome)
        }
        Err(refusal) => (Spending::default(), Err(refusal)),
    };
    match outcome {
        Ok((made, case, dossier)) => {
            held.close(rooms, &known.trace, Ok(()), true).await?;
            on_record(&proven, rooms, &case, &dossier, &made).await
        }
        // Lost the race against the same filing: its case is ours. Or it was kept after all, though the store said no.
        Err(refusal) => match earlier(known, rooms).await {
            Ok(Some(kept)) => {
                let done = kept.case == proven.evidence.case;
                held.close(rooms, &known.trace, Ok(kept), done).await
            }
            Ok(None) => held.close(rooms, &known.trace, Err(refusal), false).await,
            // Nobody knows whether there is a case: the paper stays used, rather than good for a second one.
            Err(unknown) => Err(unknown),
        },
    }
}

/// What was kept in the store, to be put on record.
type Stowed = (Made, Case, Dossier);

async fn kept(proven: &Proven, rooms: &Arc<Rooms>, held: &Spending) -> Result<Stowed, Refusal> {
    let dossier = dossier(proven, rooms);
    let case = received(proven)?;
    let made = make(proven, rooms, &case, &dossier, held).await?;
    let done = async {
        held.spend(rooms, &proven.allowed.placed.known.trace).await?;
        transact(proven, rooms, &case, &dossier, (&made, held.here())).await
    };
    if let Err(refusal) = done.await {
        forget_unnamed(rooms, made.files().into_iter().map(|f| f.kept.id.as_str())).await;
        return Err(refusal);
    }
    Ok((made, case, dossier))
}

async fn on_record(
    proven: &Proven,
    rooms: &Arc<Rooms>,
    case: &Case,
    dossier: &Dossier,
    made: &Made,
) -> Result<Kept, Refusal> {
    let entry = proven
        .allowed
        .line(rooms, Kind::CaseEvent)
        .case(rooms.pseudonyms.case(case.no))
        .evidence(Leaf { r#type: ledger::word("receipt"), digest: Some(made.receipt.kept.digest), ..Leaf::default() })
        .evidence(Leaf {
            r#type: ledger::word("envelope"),
            digest: Some(made.container.kept.digest),
            ..Leaf::default()
        })
        .out(Outcome { status: Some(202), receipt: ledger::word(&made.receipt_number), ..Outcome::default() });
    let missing = gaps(dossier).iter().filter_map(|(no, ..)| ledger::word(&format!("material-{no}"))).collect();
    let mut entry = entry.dec(Decision { missing, ..ledger::allowed(&proven.allowed.permit) });
    let known = &proven.allowed.placed.known;
    if known.priority() {
        entry = ledger::facts(entry, &[("priority", "yes")]);
    }
    let key = &known.key;
    let entry = ledger::telling(entry, rooms, case.no, key, Some(&dossier.applicant), None)?;
    let entry = ledger::step(entry, Act::Receive, case);
    let committed = rooms.log.append(&entry).await?;
    mark_logged(rooms, case.no, case.seq, committed.index).await?;
    let _ = rooms.news.send(case.no);
    Ok(Kept { case: case.no, committed, again: false, gaps: gaps(dossier) })
}

/// Removes vault files, but only those that the store says no case names: whether a transaction whose commit failed was
/// kept after all, only the store knows, and where it cannot say the file stays.
pub async fn forget_unnamed<'a>(rooms: &Rooms, ids: impl Iterator<Item = &'a str>) {
    for id in ids {
        let named = async {
            let mut tx = rooms.store.read().await?;
            records::is_named(&mut tx, id).await
        };
        match named.await {
            Ok(false) => {
                if let Err(error) = rooms.vault.forget(id) {
                    tracing::warn!(%error, "an unused file could not be removed");
                }
            }
            Ok(true) => {}
            Err(error) => tracing::warn!(%error, "whether a file is used is not known: it stays"),
        }
    }
}

/// Remembers that an act of a case is in the log.
pub async fn mark_logged(rooms: &Rooms, no: CaseNo, seq: u64, index: u64) -> Result<(), Refusal> {
    let mut tx = rooms.store.begin().await?;
    records::mark_logged(&mut tx, no, seq, index).await?;
    tx.commit(()).await?;
    Ok(())
}

/// Two filings without a key, equal to the octet, within this time are one that was sent twice (a double click, a line
/// that broke), in minutes.
const SAME_MIN: i64 = 10;

/// The keys that this filing may have come under before; it is kept under the first. The caller's key is kept apart by
/// applicant: nobody can probe another's filings, and a filing that another clerk sends again is still the same.
fn filing_keys(known: &Known) -> Vec<String> {
    let named = |text: String| Digest::of(format!("{}\n{text}", known.citizen.subject).as_bytes()).to_string();
    match &known.idempotency {
        Some(key) => vec![named(key.clone())],
        None => {
            let span = known.trace.at.seconds() / (SAME_MIN * 60);
            let unnamed = |span: i64| named(format!("\n{}\n{}\n{span}", known.actor.subject, known.filing.digest));
            vec![unnamed(span), unnamed(span - 1)]
        }
    }
}

/// The case that this filing, sent before, became.
///
/// # Errors
/// `TB-EXC-0004` when the key was used for another content.
pub async fn earlier(known: &Known, rooms: &Rooms) -> Result<Option<Kept>, Refusal> {
    let mut tx = rooms.store.read().await?;
    let mut found = None;
    for key in filing_keys(known) {
        found = found.or(filed(&mut tx, known, &key).await?);
    }
    let Some(case) = found else { return Ok(None) };
    let record = records::load(&mut tx, case).await?.ok_or(ExchangeError::NoCase)?;
    // What personal data were destroyed since, nobody tells again.
    let gaps = match super::act::case_key(rooms, &mut tx, case).await {
        Ok(key) => gaps(&record.dossier(&key)?),
        Err(_) => Vec::new(),
    };
    drop(tx);
    let entry = known
        .trace
        .about(rooms, Kind::CaseEvent, Some(&known.actor), &known.terminal)
        .out(Outcome { status: Some(200), ..Outcome::default() });
    let entry = ledger::facts(Concern::of(&record).on(rooms, entry), &[("act", "again")]);
    Ok(Some(Kept { case, committed: rooms.log.append(&entry).await?, again: true, gaps }))
}

/// Materials that could not be had, and what is done about each.
fn gaps(dossier: &Dossier) -> Vec<(u32, String, &'static Told)> {
    let told = |material: &Material| Some((material.no, material.name.clone(), prove::gap(material)?));
    dossier.materials.iter().filter_map(told).collect()
}

/// The case under one of the filing's keys. Without a caller's key, a case that has ended is another one: who withdrew
/// may file the same again.
async fn filed(tx: &mut Tx, known: &Known, key: &str) -> Result<Option<CaseNo>, Refusal> {
    let Some(no) = records::filed(tx, key, known.filing.digest).await? else { return Ok(None) };
    if known.idempotency.is_some() {
        return Ok(Some(no));
    }
    Ok(records::load(tx, no).await?.filter(|record| !record.case.state.is_terminal()).map(|_| no))
}

async fn transact(
    proven: &Proven,
    rooms: &Rooms,
    case: &Case,
    dossier: &Dossier,
    (made, once): (&Made, Option<Once>),
) -> Result<(), Refusal> {
    let placed = &proven.allowed.placed;
    let known = &placed.known;
    let now = known.trace.at;
    let ours = placed.member == rooms.me.id;
    let mut tx = rooms.store.begin().await?;
    // Registers and issuers took their time since contract and papers were judged.
    if let Terminal::Outlet { contract, terminal } = &known.terminal {
        let catalogue = rooms.catalogue.load_full();
        let item = catalogue.item(dossier.item)?;
        let terms = ItemTerms { code: item.code, presence: item.presence, outlet_kinds: &item.outlet_kinds };
        let (act, whose) = ((partners::Act::Receive, terms), (&**contract, terminal));
        super::entrusted::still(&mut tx, rooms, whose, act, now).await?;
    }
    if let Some(paper) = &known.paper {
        super::mandates::still_given(&mut tx, rooms, paper, now).await?;
    }
    if let Some(paper) = once {
        super::mandates::use_once(&mut tx, paper, now).await?;
    }
    if let Some(plan) = &proven.allowed.quota {
        take_quota(&mut tx, plan.clone()).await?;
    }
    if let Some(key) = filing_keys(known).first() {
        if filed(&mut tx, known, key).await?.is_none() {
            records::forget_filing(&mut tx, key).await?;
        }
        records::remember_filing(&mut tx, key, known.filing.digest, case.no).await?;
    }
    let wrapped = rooms.master.wrap(&case.no.to_string(), &known.key).map_err(ExchangeError::from)?;
    let new = NewCase {
        case,
        side: if ours { "both" } else { "collecting" },
        collector: &known.terminal.word(rooms),
        subject: &known.citizen.pseudonym(rooms).to_string(),
        dossier,
        now,
    };
    records::insert(&mut tx, &new, &known.key, &wrapped).await?;
    records::add_event(&mut tx, case, Act::Receive.word(), &known.actor.id, None, now).await?;
    for file in stored_uploads(&known.filing.uploads, dossier) {
        records::add_file(&mut tx, case.no, "material", case.seq, &file, &known.key).await?;
    }
    records::add_file(&mut tx, case.no, "paper", case.seq, &made.receipt, &known.key).await?;
    records::add_file(&mut tx, case.no, "container", case.seq, &made.container, &known.key).await?;
    post(&mut tx, rooms, &made.message, &made.container, dossier, now).await?;
    tx.commit(()).await?;
    Ok(())
}

/// Puts a message on its way: to the peer that owns the case, or to the office behind us.
pub async fn post(
    tx: &mut Tx,
    rooms: &Rooms,
    message: &Message,
    container: &Stored,
    dossier: &Dossier,
    now: UnixMillis,
) -> Result<(), Refusal> {
    let (way, target) = if message.to == rooms.me.id {
        ("office", rooms.office_of(dossier.owner, &dossier.authority)?.id.clone())
    } else {
        ("peer", message.to.clone())
    };
    let out = Outgoing {
        id: message.id.clone(),
        no: message.case,
        way: way.to_owned(),
        target,
        path: container.path.clone(),
        attempts: 0,
    };
    Ok(outbox::post(tx, &out, now).await?)
}

/// Takes every counter of the plan, in the case's own transaction; a no drops the transaction and charges nothing.
async fn take_quota(tx: &mut Tx, plan: QuotaPlan) -> Result<(), Refusal> {
    let mut taken = Vec::new();
    for key in plan.keys() {
        // One above the limit is taken too, so that the plan itself can say which limit it was; the caller rolls back.
        let one = [counter::Counter { key: key.key.clone(), limit: i64::from(key.limit) + 1 }];
        counter::take(tx, &one, key.day).await?.map_err(|_| StoreError::Conflict("a quota"))?;
        let count = counter::used(tx, &key.key, key.day).await?;
        taken.push(Taken { key: key.key.clone(), day: key.day, count: count.max(0) as u64 });
    }
    let _slot = plan.judge(taken)?;
    Ok(())
}

/// Which stamp a paper needs.
pub fn stamp(keys: &Keys, paper: Paper) -> &Stamp {
    use crate::exchange::papers::SealKind;
    match paper.seal() {
        SealKind::Collection => &keys.collection,
        SealKind::Approval => &keys.approval,
        SealKind::Acceptance | SealKind::None => &keys.acceptance,
    }
}
