//! What a peer hands over is judged here again: its papers are sealed, its licences are the applicant's.

use std::sync::Arc;

use super::Opened;
use crate::audit::Kind;
use crate::audit::entry::Evidence;
use crate::exchange::message::{Dossier, PaperRef, Stored};
use crate::exchange::{Act, ExchangeError, Paper};
use crate::gateway::Rooms;
use crate::gateway::concern::Concern;
use crate::gateway::ledger::Trace;
use crate::gateway::prove::{VaultFile, examined, judged_by};
use crate::gateway::who::Terminal;
use crate::licences::{self, Holder, Need, Report};
use crate::terms::{Refusal, UnixMillis};

/// The papers of a message: exactly the one that its act gives (`due`), and a result licence where the act may bring one;
/// each sealed, the seal in force.
pub async fn papers(opened: &Opened, rooms: &Arc<Rooms>, due: Option<Paper>, seq: u64) -> Result<(), Refusal> {
    let message = &opened.message;
    let bad = |why: String| Refusal::from(ExchangeError::Message(why));
    let (results, papers): (Vec<&PaperRef>, Vec<_>) = message.papers.iter().partition(|paper| is_result(paper));
    if results.len() > 1 || !(results.is_empty() || matches!(message.act, Act::Grant | Act::Close)) {
        return Err(bad(format!("a result does not come with '{}'", message.act.word())));
    }
    match (due, papers.as_slice()) {
        (None, []) => {}
        (Some(due), [one]) if one.kind == due && one.number == due.number(message.case, seq) => {}
        _ => return Err(bad(format!("'{}' comes with its own paper and no other", message.act.word()))),
    }
    for paper in &message.papers {
        let (report, _) = examine(opened, rooms, &paper.file.path, message.at).await?;
        if !report.passed() {
            let code = report.code.unwrap_or("not passed");
            return Err(bad(format!("paper {}: {code}", paper.number)));
        }
    }
    Ok(())
}

fn is_result(paper: &PaperRef) -> bool {
    paper.kind == Paper::Grant && paper.file.path.starts_with("papers/result-")
}

/// Every licence that was handed in: genuine, of the type the item asks for, the applicant's own. Each examination is on
/// record, good or bad.
pub async fn licences(
    opened: &Opened,
    rooms: &Arc<Rooms>,
    dossier: &Dossier,
    concern: &Concern,
    trace: &Trace,
) -> Result<(), Refusal> {
    let message = &opened.message;
    let catalogue = rooms.catalogue.load_full();
    let item = catalogue.item(dossier.item)?;
    let holder = dossier.applicant.resident();
    let holder = holder.ok_or_else(|| ExchangeError::Message("the applicant's number is not one".into()))?;
    for material in dossier.materials.iter().filter(|m| m.source == "licence") {
        let Some(file) = &material.file else { continue };
        let wanted = item.materials.iter().find(|m| u32::from(m.no) == material.no);
        let type_code = wanted.and_then(|m| m.reference.as_deref()).and_then(|id| catalogue.licence_types.get(id));
        let (report, leaf) = examine(opened, rooms, &file.path, trace.at).await?;
        let line = trace.about(rooms, Kind::LicenceCheck, None, &Terminal::Peer(message.from.clone()));
        rooms.log.append(&concern.on(rooms, line).evidence(leaf)).await?;
        let need = Need {
            type_code: type_code.map(|t| t.type_code.as_str()),
            issuer: None,
            sealed_by_issuer: rooms.trusted.load().sealed_by_issuer,
            holder: Holder::Person(&holder),
            today: trace.at.day(),
        };
        licences::judge(&report, &need).map_err(|e| Refusal::from(e).with("material", material.no))?;
    }
    Ok(())
}

async fn examine(
    opened: &Opened,
    rooms: &Arc<Rooms>,
    path: &str,
    at: UnixMillis,
) -> Result<(Report, Evidence), Refusal> {
    let file: Option<&Stored> = opened.files.iter().find(|f| f.path == path);
    let file = file.ok_or_else(|| ExchangeError::Message(format!("{path} is missing")))?;
    let reading = rooms.vault.read(&opened.key, &file.kept).map_err(ExchangeError::from)?;
    let profile = judged_by(rooms, at);
    let (name, keeper) = (path.to_owned(), rooms.clone());
    let judged = tokio::task::spawn_blocking(move || {
        (keeper.materials.keep(&profile), licences::verify(&name, VaultFile(reading), &profile))
    });
    let (trust, report) =
        judged.await.map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "verification was cut off"))?;
    rooms.certificate_status.notice(&report, at);
    let leaf = examined(&report, file.kept.digest, trust);
    Ok((report, leaf))
}
