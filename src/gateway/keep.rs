//! On record? One transaction: quota, case, receipt, envelope, outbox. Then the line in the log. Then the answer.
//!
//! ```text
//!  papers and envelope into the vault       crash: files that nobody names
//!  ── transaction: quota · filing key · case · event · files · outbox ──   crash: nothing happened
//!  line in the log, durable                 crash: the case is kept; the line is written at the next start
//!  answer                                   crash: the caller asks again under its key and gets this case
//! ```

use std::io::Write;
use std::sync::Arc;

use super::concern::Concern;
use super::filing::{Evidence, Kept, Known, Proven};
use super::intake::Upload;
use super::registry::PaperWord;
use super::rooms::{Keys, Rooms, Stamp};
use super::spending::{For, Spending};
use super::standing;
use super::who::{Person, PersonKind, Terminal};
use super::{ledger, minimal, papers, prove};
use crate::audit::Kind;
use crate::audit::entry::{Decision, Evidence as Leaf, Outcome};
use crate::exchange::message::{Collector, Dossier, Material, Message, PaperRef, Stored, VERSION};
use crate::exchange::outbox::{self, Outgoing};
use crate::exchange::records::{self, NewCase};
use crate::exchange::{Act, Case, Event, ExchangeError, Kept as File, Key, Paper, VaultError};
use crate::formats::zip::ZipError;
use crate::identity::delegation::Once;
use crate::partners::{QuotaPlan, Taken};
use crate::store::{StoreError, Tx, counter};
use crate::terms::{Attribute, CaseNo, Digest, Lang, Refusal, Told, UnixMillis};
use crate::trust::asic::{self, AsicError, Part};

/// Media type of sealed containers.
pub const ASICE: &str = "application/vnd.etsi.asic-e+zip";

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

fn dossier(proven: &Proven, rooms: &Rooms) -> Dossier {
    let Evidence { materials, facts, .. } = &proven.evidence;
    let placed = &proven.allowed.placed;
    let known = &placed.known;
    let catalogue = rooms.catalogue.load();
    let item = catalogue.items.get(&known.filing.request.item);
    let (kind, id, name) = match &known.terminal {
        Terminal::Window(window) => ("window", window.id.clone(), window.name.clone()),
        Terminal::Outlet { contract, .. } => {
            (contract.kind.word(), contract.outlet.to_string(), contract.name(Lang::Zh).to_owned())
        }
        _ => ("portal", rooms.me.id.clone(), rooms.me.name.clone()),
    };
    Dossier {
        item: known.filing.request.item,
        item_name: item.map_or_else(String::new, |i| i.name(Lang::Zh).to_owned()),
        guide: item.map_or_else(|| Digest::of(b""), |i| i.version()),
        mode: placed.mode.word().to_owned(),
        scope: placed.scope.word().to_owned(),
        window: known.window,
        collector: Collector { kind: kind.to_owned(), id, name, clerk: collected_by(&known.actor).to_owned() },
        owner: placed.owner.region,
        authority: placed.authority(),
        authority_name: placed.owner.office.name.clone(),
        applicant: minimal::applicant(&known.citizen, &item.map_or_else(Attribute::minimal, |i| i.attributes.clone())),
        present: known.present(),
        priority: known.priority(),
        received_at: known.trace.at,
        form: known.filing.request.form.clone(),
        materials: materials.clone(),
        facts: facts.clone(),
    }
}

/// Staff answer for what they collect by their number. What a citizen's account is called is no affair of the owner's: who
/// filed, the assertion says, by a name for that reader alone.
fn collected_by(actor: &Person) -> &str {
    match actor.kind {
        PersonKind::Citizen => "",
        _ => &actor.id,
    }
}

/// Filed and received in one sitting; both acts are counted.
fn received(proven: &Proven) -> Result<Case, Refusal> {
    let known = &proven.allowed.placed.known;
    let (now, by) = (known.trace.at, known.actor.id.as_str());
    let filed =
        Case::new(proven.evidence.case).step(&Event { act: Act::File, by }, now).map_err(ExchangeError::from)?.0;
    Ok(filed.step(&Event { act: Act::Receive, by }, now).map_err(ExchangeError::from)?.0)
}

struct Made {
    receipt: Stored,
    receipt_number: String,
    container: Stored,
    message: Message,
}

impl Made {
    fn files(&self) -> [&Stored; 2] {
        [&self.receipt, &self.container]
    }
}

/// Seals the receipt and the envelope into the vault.
async fn make(
    proven: &Proven,
    rooms: &Arc<Rooms>,
    case: &Case,
    dossier: &Dossier,
    held: &Spending,
) -> Result<Made, Refusal> {
    let placed = &proven.allowed.placed;
    let known = &placed.known;
    let now = known.trace.at;
    let number = Paper::Receipt.number(case.no, case.seq);
    let keys = rooms.keys.load_full();
    let by = &dossier.collector.clerk;
    let receipt = papers::issue(rooms, &keys.collection, Paper::Receipt, case, dossier, by, None, now)?;
    let receipt = keep(rooms, &known.key, &format!("papers/{number}.ofd"), "application/ofd", &receipt)?;
    let mut message = Message {
        v: VERSION,
        id: Message::id_of(case.no, &rooms.me.id, &placed.member, case.seq),
        from: rooms.me.id.clone(),
        to: placed.member.clone(),
        at: now,
        case: case.no,
        act: Act::Receive,
        ask: false,
        state: case.state,
        seq: case.seq,
        assertion: String::new(),
        delegation: delegation(proven, rooms, held).await?,
        dossier: Some(dossier.clone()),
        papers: vec![PaperRef { kind: Paper::Receipt, number: number.clone(), file: receipt.reference() }],
        note: None,
        materials: Vec::new(),
    };
    let named = Digest::of(message.id.as_bytes());
    message.assertion =
        super::peer::vouch(rooms, &placed.member, named, (&known.actor, None), &known.terminal.word(rooms), now)?;
    let files: Vec<Stored> = stored_uploads(&known.filing.uploads, dossier).chain([receipt.clone()]).collect();
    let container = envelope(rooms, &known.key, &message, files).await?;
    Ok(Made { receipt, receipt_number: number, container, message })
}

/// What the registrar of an agent's power of attorney says of this filing before the owner, where that is another gateway.
/// One for one use that was registered here is spent in the transaction of the filing; for another's, what its registrar said
/// when it held it is what the owner is shown.
async fn delegation(proven: &Proven, rooms: &Arc<Rooms>, held: &Spending) -> Result<Option<String>, Refusal> {
    let placed = &proven.allowed.placed;
    let known = &placed.known;
    let Some(paper) = known.paper.as_ref().filter(|_| placed.member != rooms.me.id) else { return Ok(None) };
    if let Some(standing) = held.standing() {
        return Ok(Some(standing.to_owned()));
    }
    let wanted = standing::Wanted {
        kind: PaperWord::Attorney,
        paper: paper.clone(),
        audience: placed.member.clone(),
        subject: known.citizen.resident.as_ref().map(|number| number.reveal().to_owned()),
        to: known.actor.subject.clone(),
        called: Some(super::peer::called(rooms, &placed.member, &known.actor)),
        act: Act::File.word().to_owned(),
        item: Some(known.filing.request.item),
        place: rooms.me.region,
        case: Some(proven.evidence.case),
        resource: None,
        fields: std::collections::BTreeSet::new(),
        purpose: None,
        presence: false,
        look: false,
    };
    let (registrar, ..) = super::mandates::named(paper).map_err(|e| super::mandates::refused(&e))?;
    let shown = match registrar == rooms.me.id {
        true => standing::state(rooms, &known.trace, &rooms.me.id, &wanted, false).await?,
        false => standing::ask(rooms, &known.trace, &registrar, &wanted).await?,
    };
    Ok(Some(shown.standing))
}

fn stored_uploads(uploads: &[Upload], dossier: &Dossier) -> impl Iterator<Item = Stored> {
    let named: Vec<String> = dossier.materials.iter().filter_map(|m| m.file.as_ref()).map(|f| f.path.clone()).collect();
    uploads.iter().filter_map(move |u| {
        let path = format!("materials/{}", u.field);
        named.contains(&path).then(|| Stored { path, media: u.media.clone(), kept: u.kept.clone() })
    })
}

pub fn keep(rooms: &Rooms, key: &Key, path: &str, media: &str, bytes: &[u8]) -> Result<Stored, Refusal> {
    let kept = rooms.vault.keep(key, bytes).map_err(ExchangeError::from)?;
    Ok(Stored { path: path.to_owned(), media: media.to_owned(), kept })
}

/// Builds the sealed container of a message, file to file: no material is ever whole in memory.
pub async fn envelope(rooms: &Arc<Rooms>, key: &Key, message: &Message, files: Vec<Stored>) -> Result<Stored, Refusal> {
    let (rooms, key) = (rooms.clone(), key.clone());
    let path = message.container_path();
    let at = message.at;
    let text = serde_json::to_vec(message).map_err(|e| ExchangeError::Message(e.to_string()))?;
    let work = move || -> Result<File, ExchangeError> {
        let mut parts = vec![Part::whole(crate::exchange::message::MESSAGE_FILE, "application/json", &text)];
        for file in &files {
            let reading = rooms.vault.read(&key, &file.kept)?;
            parts.push(Part {
                name: file.path.clone(),
                media: file.media.clone(),
                digest: file.kept.digest,
                content: Box::new(reading.stream()),
            });
        }
        let mut out = rooms.vault.write(&key, u64::MAX)?;
        let envelope = &rooms.keys.load_full().envelope;
        let written = asic::seal(&mut out, parts, &*envelope.key, &envelope.chain, at);
        let written = written.map_err(|error| match error {
            AsicError::Io(error) | AsicError::Zip(ZipError::Io(error)) => ExchangeError::Vault(error.into()),
            other => ExchangeError::Message(other.to_string()),
        });
        written?.flush().map_err(VaultError::from)?;
        Ok(out.finish()?)
    };
    let kept = tokio::task::spawn_blocking(work).await;
    let kept = kept.map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "sealing was cut off"))??;
    Ok(Stored { path, media: ASICE.to_owned(), kept })
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
    // Registers and issuers took their time since the paper was judged.
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
