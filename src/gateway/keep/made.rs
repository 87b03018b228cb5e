//! What is made of a filing before it is kept: the case, its dossier, the receipt, the sealed envelope.

use std::sync::Arc;

use super::{envelope, keep};
use crate::exchange::message::{Collector, Dossier, Message, PaperRef, Stored, VERSION};
use crate::exchange::{Act, Case, Event, ExchangeError, Paper};
use crate::gateway::filing::{Evidence, Proven};
use crate::gateway::intake::Upload;
use crate::gateway::registry::PaperWord;
use crate::gateway::rooms::Rooms;
use crate::gateway::spending::Spending;
use crate::gateway::who::{Person, PersonKind, Terminal};
use crate::gateway::{minimal, papers, standing};
use crate::terms::{Attribute, Digest, Lang, Refusal};

pub(super) fn dossier(proven: &Proven, rooms: &Rooms) -> Dossier {
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
pub(super) fn received(proven: &Proven) -> Result<Case, Refusal> {
    let known = &proven.allowed.placed.known;
    let (now, by) = (known.trace.at, known.actor.id.as_str());
    let filed =
        Case::new(proven.evidence.case).step(&Event { act: Act::File, by }, now).map_err(ExchangeError::from)?.0;
    Ok(filed.step(&Event { act: Act::Receive, by }, now).map_err(ExchangeError::from)?.0)
}

pub(super) struct Made {
    pub(super) receipt: Stored,
    pub(super) receipt_number: String,
    pub(super) container: Stored,
    pub(super) message: Message,
}

impl Made {
    pub(super) fn files(&self) -> [&Stored; 2] {
        [&self.receipt, &self.container]
    }
}

/// Seals the receipt and the envelope into the vault.
pub(super) async fn make(
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
    message.assertion = crate::gateway::peer::vouch(
        rooms,
        &placed.member,
        named,
        (&known.actor, None),
        &known.terminal.word(rooms),
        now,
    )?;
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
        called: Some(crate::gateway::peer::called(rooms, &placed.member, &known.actor)),
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
    let (registrar, ..) = crate::gateway::mandates::named(paper).map_err(|e| crate::gateway::mandates::refused(&e))?;
    let shown = match registrar == rooms.me.id {
        true => standing::state(rooms, &known.trace, &rooms.me.id, &wanted, false).await?,
        false => standing::ask(rooms, &known.trace, &registrar, &wanted).await?,
    };
    Ok(Some(shown.standing))
}

pub(super) fn stored_uploads(uploads: &[Upload], dossier: &Dossier) -> impl Iterator<Item = Stored> {
    let named: Vec<String> = dossier.materials.iter().filter_map(|m| m.file.as_ref()).map(|f| f.path.clone()).collect();
    uploads.iter().filter_map(move |u| {
        let path = format!("materials/{}", u.field);
        named.contains(&path).then(|| Stored { path, media: u.media.clone(), kept: u.kept.clone() })
    })
}
