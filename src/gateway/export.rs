//! An export of a case's evidence, put on record before it is made. The evidence leaves through the operator's machine, and
//! whoever is asked for it later finds who took it, when and on what ground.

use serde::Deserialize;

use super::ledger::{self, word};
use super::rooms::Rooms;
use crate::audit::entry::{Actor, Purpose};
use crate::audit::{Committed, Kind, Pseudonym};
use crate::exchange::{ExchangeError, records};
use crate::terms::refusal::tolds;
use crate::terms::{CaseNo, Next, Refusal, UnixMillis};

tolds! {
    /// Without who and why, nothing is exported.
    pub const EXPORT_GROUND = "TB-GW-0190", 422,
        "导出证据须写明经办人和依据（发文字号，如“青监〔2026〕17号”，或英文字母、数字编号；不含居民身份证号），请补充后重试。",
        "An export names who takes it and on what ground, a code of visible ASCII or a document number such as 青监〔2026〕17号, without resident numbers: add them.",
        Next::CorrectAndResend;
}

/// What is exported, by whom and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Pseudonym of the case.
    pub case: String,
    /// Its number, where it is known.
    #[serde(default)]
    pub no: Option<String>,
    /// Staff number of who exports.
    pub by: String,
    /// Reference of the order or request it is made under (依据文号).
    pub ground: String,
}

/// Puts the export on record, in the chain of the case.
///
/// # Errors
/// `TB-GW-0190` without a ground or name that can stand in the log; `TB-EXC-0005` for a case it does not know; those of the log.
pub async fn note(rooms: &Rooms, export: &Export, now: UnixMillis) -> Result<Committed, Refusal> {
    let missing = |what: &str| Refusal::new(&EXPORT_GROUND, format!("{what}: not a plain word"));
    let case: Pseudonym = export.case.parse().map_err(|_| missing("case"))?;
    let by = word(&export.by).ok_or_else(|| missing("by"))?;
    let ground = word(&export.ground).ok_or_else(|| missing("ground"))?;
    // A line in the chain of a case that nobody filed would make one.
    if !rooms.log.knows(case).await? && !is_kept(rooms, export, case).await? {
        return Err(ExchangeError::NoCase.into());
    }
    let entry = ledger::line(rooms, Kind::AuditExport, now)
        .actor(Actor { kind: word("operator"), staff: Some(by), ..Actor::default() })
        .why(Purpose { basis: Some(ground), purpose: word("evidence"), ..Purpose::default() })
        .case(case);
    Ok(rooms.log.append(&entry).await?)
}

/// Whether the store has the case, so that another replica may have it in its log.
async fn is_kept(rooms: &Rooms, export: &Export, case: Pseudonym) -> Result<bool, Refusal> {
    let no = export.no.as_ref().and_then(|no| no.parse::<CaseNo>().ok());
    let Some(no) = no.filter(|no| rooms.pseudonyms.case(*no) == case) else { return Ok(false) };
    let mut tx = rooms.store.read().await?;
    Ok(records::load(&mut tx, no).await?.is_some())
}
